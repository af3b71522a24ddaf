import socket
import subprocess
import sys
from collections import namedtuple

import pytest
from p2pfd_localnet import machine
from p2pfd_localnet.cost import estimate
from p2pfd_localnet.plan import change
from p2pfd_localnet.presets import find
from p2pfd_localnet.program import PROGRAM

from p2pfd.cli.program import PROGRAM as P2PFD
from p2pfd.errors import EnvironmentProblem


def test_a_port_that_is_taken(capsys, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = ["up", "--dry-run", "--port", str(port), "--state", str(tmp_path / "x")]
        assert PROGRAM.main(words) == 9
    assert f"port {port}" in capsys.readouterr().err
    machine.check_port(port)


SMALL = find("small")


def test_too_little_memory_names_how_many_nodes_would_do(monkeypatch):
    five, six = (change(SMALL, nodes=nodes) for nodes in (5, 6))
    monkeypatch.setattr(machine, "available_mb", lambda: estimate(five).memory_mb)
    machine.check_memory(five, estimate(five))
    with pytest.raises(EnvironmentProblem, match="-n 5"):
        machine.check_memory(six, estimate(six))
    monkeypatch.setattr(machine, "available_mb", lambda: None)
    machine.check_memory(six, estimate(six))
    monkeypatch.setattr(machine, "available_mb", lambda: 10)
    with pytest.raises(EnvironmentProblem, match="10 MB are free") as caught:
        machine.check_memory(six, estimate(six))
    assert caught.value.fix == "close some programs"


def test_a_container_may_have_less_than_the_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    whole = machine.available_mb()
    (tmp_path / "memory.current").write_text("50000000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.available_mb() in (whole, pytest.approx(whole, rel=0.2))
    (tmp_path / "memory.max").write_text("80000000\n")
    assert machine.available_mb() == 30


def test_too_little_disk(monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10, 10, 70_000_000))
    machine.check_disk(tmp_path / "not" / "there" / "yet", estimate(SMALL))
    with pytest.raises(EnvironmentProblem, match=r"70 MB are free .* wants \d+ MB"):
        machine.check_disk(tmp_path / "not" / "there" / "yet", estimate(change(SMALL, nodes=60, rounds=1000)))


def test_limits_of_the_system_are_told_with_what_to_raise(monkeypatch, tmp_path):
    plan = change(SMALL, nodes=60)
    machine.check_limits(plan)
    monkeypatch.setattr(machine, "PORT_RANGE", tmp_path / "range")
    monkeypatch.setattr(machine, "PIDS", tmp_path / "pids")
    (tmp_path / "range").write_text("32768\t32999\n")
    with pytest.raises(EnvironmentProblem, match="ports for connections, and the limit is 232") as caught:
        machine.check_limits(plan)
    assert "ip_local_port_range" in caught.value.fix
    (tmp_path / "range").unlink()
    (tmp_path / "pids").write_text("300\n")
    with pytest.raises(EnvironmentProblem, match="processes and threads, and the limit is 300"):
        machine.check_limits(plan)
    (tmp_path / "pids").write_text("max\n")
    monkeypatch.setattr("resource.getrlimit", lambda name: (100, 100))
    with pytest.raises(EnvironmentProblem, match="open files of a process, and the limit is 100") as caught:
        machine.check_limits(plan)
    assert "ulimit -n 184" in caught.value.fix


def test_a_package_that_is_not_installed():
    with pytest.raises(EnvironmentProblem, match="no_such_package"):
        machine.check_packages(("sys", "no_such_package"))


@pytest.mark.parametrize("program", ["p2pfd_localnet.main"])
def test_without_torch_up_says_so(program, tmp_path):
    code = f"import sys; sys.modules['torch'] = None; from {program} import main; sys.exit(main())"
    words = ["up", "--dry-run", "--state", str(tmp_path / "x")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 9
    assert "torch is not installed" in done.stderr
    assert "make install" in done.stderr


def test_commands_that_need_neither_torch_nor_a_chain_import_neither():
    code = "import sys; from p2pfd_localnet.main import main; main(); "
    code += "sys.exit(bool({'torch', 'eth_abi'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code, "presets"], capture_output=True, timeout=60).returncode == 0
    assert P2PFD.main(["version"]) == 0
