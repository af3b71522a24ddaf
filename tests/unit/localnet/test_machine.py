import socket
import subprocess
import sys
from collections import namedtuple

import pytest
from p2pfd_localnet import machine
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


def test_too_little_memory_names_how_many_nodes_would_do(monkeypatch):
    monkeypatch.setattr(machine, "available_mb", lambda: machine.BASE_MB + 5 * machine.NODE_MB)
    machine.check_memory(5)
    with pytest.raises(EnvironmentProblem, match="-n 5"):
        machine.check_memory(6)
    monkeypatch.setattr(machine, "available_mb", lambda: None)
    machine.check_memory(64)


def test_too_little_disk(monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10, 10, 5_000_000))
    with pytest.raises(EnvironmentProblem, match="5 MB are free"):
        machine.check_disk(tmp_path / "not" / "there" / "yet")


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


def test_commands_that_need_no_torch_do_not_import_it():
    code = "import sys; from p2pfd_localnet.main import main; main(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, "presets"], capture_output=True, timeout=60).returncode == 0
    assert P2PFD.main(["version"]) == 0
