"""The supervisor and its zygote, with real processes and nodes that learn nothing: starts, ends and accidents."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc")

HERE = Path(__file__).parent


def is_deaf(bench):
    return bench.mesh().get("status") == "running" and bench.events("node-1")[-1]["event"] == "test.deaf"


def stop(process, number=signal.SIGINT):
    os.kill(process.pid, number)


def test_up_ends_with_one_object(bench):
    done = bench.fakes("-n", "3", "--rounds", "2", "--json", "--seed", "5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    value = json.loads(done.stdout)
    assert value["schema"] == 1
    assert (value["nodes"], value["rounds"], value["seed"], value["chain"]) == (3, 2, 5, "none")
    assert value["accuracy"]["alone"] == pytest.approx(0.6)
    assert value["accuracy"]["together"] == pytest.approx(0.9)
    assert set(value["weights_sha256"]) == {"node-0", "node-1", "node-2"}
    assert (bench.home / value["report"]).read_text().startswith("<!doctype html>")
    assert "round   2/2" in done.stderr
    assert not bench.processes()
    assert list(bench.temp.iterdir()) == []


def test_the_same_seed_gives_the_same_accounts_and_links(bench):
    def accounts():
        done = bench.fakes("-n", "5", "--rounds", "1", "--seed", "11", "--fresh")
        assert done.returncode == 0, done.stderr
        return [json.loads((home / "keys/keys.json").read_text())["account"] for home in nodes()]

    def nodes():
        return sorted((bench.state / "nodes").iterdir())

    assert accounts() == accounts()


def test_up_over_a_mesh_that_ended_names_the_flag(bench):
    assert bench.fakes("-n", "1", "--rounds", "1").returncode == 0
    again = bench.fakes("-n", "1", "--rounds", "1")
    assert again.returncode == 3
    assert "--fresh" in again.stderr
    assert bench.fakes("-n", "1", "--rounds", "1", "--fresh").returncode == 0


def test_up_beside_a_running_mesh_is_refused_and_down_ends_that(bench):
    process = bench.start("fakes", "up", "--chain", "none", "-n", "2", "--rounds", "1", FAKE_FAULTS="node-0:endless")
    bench.wait_status("running")
    second = bench.fakes("-n", "2", "--fresh")
    assert second.returncode == 3
    assert "runs in" in second.stderr
    status = json.loads(bench.localnet("status", "--json").stdout)
    assert status["running"] is True
    down = bench.localnet("down")
    assert (down.returncode, down.stderr) == (0, "")
    assert process.wait(10) == 130
    process.communicate()
    assert not bench.processes()
    assert not (bench.home / ".localnet").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_ends_everything_in_order(bench, number):
    process = bench.start("fakes", "up", "--chain", "none", "-n", "4", "--rounds", "1", FAKE_FAULTS="node-2:endless")
    bench.wait_status("running")
    assert len(bench.processes()) == 6
    began = time.monotonic()
    stop(process, number)
    assert process.wait(10) == 130
    assert time.monotonic() - began < 2
    process.communicate()
    assert not bench.processes()
    assert list(bench.temp.iterdir()) == []
    assert bench.mesh()["status"] == "interrupted"
    assert bench.events("node-2")[-1]["event"] != "node.finished"
    assert bench.localnet("status").returncode == 0


def test_a_node_that_does_not_listen_is_ended_within_five_seconds(bench):
    process = bench.start("fakes", "up", "--chain", "none", "-n", "3", "--rounds", "1", FAKE_FAULTS="node-1:deaf")
    bench.wait_for(lambda: is_deaf(bench))
    began = time.monotonic()
    stop(process)
    assert process.wait(10) == 130
    assert 2 < time.monotonic() - began < 5
    process.communicate()
    assert not bench.processes()


def test_a_second_signal_ends_it_at_once(bench):
    process = bench.start("fakes", "up", "--chain", "none", "-n", "3", "--rounds", "1", FAKE_FAULTS="node-1:deaf")
    bench.wait_for(lambda: is_deaf(bench))
    stop(process)
    assert process.stderr is not None
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("stop"):
            break
    began = time.monotonic()
    stop(process)
    assert process.wait(10) == 130
    bench.wait_gone(1)
    assert time.monotonic() - began < 1.5
    process.communicate()


def test_a_signal_during_the_start(bench):
    process = bench.start("fakes", "up", "--chain", "none", "-n", "3", "--rounds", "1", FAKE_FAULTS="node-1:mute")
    bench.wait_for(lambda: bench.events("node-0"))
    stop(process)
    assert process.wait(10) == 130
    process.communicate()
    assert not bench.processes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_anything_has_started(bench, number):
    process = bench.start("fakes", "up", "--chain", "none", "-n", "1", "--json", FAKE_FAULTS="node-0:mute")
    bench.wait_for(lambda: minds(process.pid, number))
    stop(process, number)
    out, err = process.communicate(timeout=15)
    assert process.returncode == 130, err
    assert json.loads(out)["error"]["code"] == 130
    assert not bench.processes()


def test_a_supervisor_that_is_killed_leaves_no_orphans(bench):
    faults = "node-0:endless,node-1:deaf"
    process = bench.start("fakes", "up", "--chain", "none", "-n", "3", "--rounds", "1", FAKE_FAULTS=faults)
    bench.wait_for(lambda: is_deaf(bench))
    process.kill()
    process.communicate()
    assert bench.fakes("-n", "3", "--fresh").returncode == 3, "the lock is held until the last node is gone"
    bench.wait_gone(5)
    status = json.loads(bench.localnet("status", "--json").stdout)
    assert (status["status"], status["running"]) == ("killed", False)
    assert bench.fakes("-n", "3", "--rounds", "1", "--fresh").returncode == 0


def test_a_node_that_dies_is_reported_and_the_others_finish(bench):
    done = bench.fakes("-n", "4", "--rounds", "3", "--json", FAKE_FAULTS="node-2:die@2")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert set(value["lost"]) == {"node-2"}
    assert "signal 9" in value["lost"]["node-2"]
    assert set(value["weights_sha256"]) == {"node-0", "node-1", "node-3"}
    assert "node-2: its process was ended by signal 9" in done.stderr


def test_a_mesh_in_which_nobody_learnt_is_no_success(bench):
    everybody = ",".join(f"{name}:short" for name in ("node-0", "node-1", "node-2"))
    done = bench.fakes("-n", "3", "--rounds", "2", "--json", FAKE_FAULTS=everybody)
    assert done.returncode == 4
    error = json.loads(done.stdout)["error"]
    assert "not one round counted" in error["what"]
    assert "commit_seconds" in error["what"]
    assert "[phases]" in error["fix"]
    assert bench.mesh()["status"] == "failed"
    assert (bench.state / "report.html").exists()
    assert not bench.processes()


def test_when_the_last_node_fails_the_run_ends_with_its_code_and_words(bench):
    done = bench.fakes("-n", "1", "--rounds", "2", "--json", FAKE_FAULTS="node-0:fail@1")
    assert done.returncode == 7
    error = json.loads(done.stdout)["error"]
    assert error["code"] == 7
    assert error["what"] == "node-0: the dog ate it"
    assert error["fix"] == "feed the dog"
    assert bench.mesh()["status"] == "failed"


def test_a_start_that_takes_too_long_names_the_node_and_the_setting(bench):
    done = bench.fakes("-n", "3", "--start-timeout", "1", FAKE_FAULTS="node-1:mute")
    assert done.returncode == 4
    assert "node-1" in done.stderr
    assert "--start-timeout" in done.stderr
    assert not bench.processes()


def test_when_the_zygote_is_killed_nothing_stays(bench):
    faults = "node-0:endless,node-1:deaf"
    process = bench.start("fakes", "up", "--chain", "none", "-n", "3", "--rounds", "1", FAKE_FAULTS=faults)
    bench.wait_for(lambda: is_deaf(bench))
    zygote = next(pid for pid, line in bench.processes().items() if "zygote" in line and ppid(pid) == process.pid)
    os.kill(zygote, signal.SIGKILL)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 9
    assert "ended by itself" in err
    assert not bench.processes()


def test_a_package_that_nodes_lack_is_named(bench):
    (bench.home / "needy.py").write_text("import a_package_that_is_not_there\n")
    done = bench.run(
        "fakes", "up", "--chain", "none", "--json", FAKE_ENTRY="needy:run", PYTHONPATH=f"{HERE}:{bench.home}"
    )
    assert done.returncode == 9
    error = json.loads(done.stdout)["error"]
    assert "a_package_that_is_not_there" in error["what"]
    assert "make install" in error["fix"]


def test_detached_it_goes_on_and_down_ends_it(bench):
    done = bench.fakes("-n", "2", "--rounds", "1", "--detach", "--json", FAKE_FAULTS="node-0:endless")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["detached"] is True
    assert value["pid"] in bench.processes()
    assert json.loads(bench.localnet("status", "--json").stdout)["running"] is True
    assert bench.localnet("down").returncode == 0
    bench.wait_gone(5)


def test_detached_a_node_that_is_killed_is_shown_as_lost_while_the_others_run(bench):
    faults = "node-0:endless,node-1:endless"
    assert bench.fakes("-n", "2", "--rounds", "1", "--detach", FAKE_FAULTS=faults).returncode == 0
    victim = bench.wait_for(lambda: bench.events("node-1"))[0]["pid"]
    os.kill(victim, signal.SIGKILL)
    bench.wait_for(lambda: not os.path.exists(f"/proc/{victim}"))
    status = json.loads(bench.localnet("status", "--json").stdout)
    assert status["running"] is True
    assert {name: node["life"] for name, node in status["nodes"].items()} == {"node-0": "listening", "node-1": "lost"}
    supervisor = json.loads((bench.state / "supervisor.json").read_text())["pid"]
    os.kill(supervisor, signal.SIGKILL)
    bench.wait_gone(5)
    status = json.loads(bench.localnet("status", "--json").stdout)
    assert (status["status"], status["running"]) == ("killed", False)
    assert "node.started" in bench.localnet("logs", "node-1").stdout
    assert bench.localnet("down").returncode == 0
    assert not (bench.home / ".localnet").exists()


def test_detached_it_writes_its_end_to_a_file(bench):
    assert bench.fakes("-n", "2", "--rounds", "1", "--detach").returncode == 0
    bench.wait_gone(10)
    assert "done    1 round in" in (bench.state / "up.log").read_text()


def test_detached_a_start_that_fails_is_seen(bench):
    done = bench.fakes("-n", "2", "--detach", "--start-timeout", "1", FAKE_FAULTS="node-1:mute")
    assert done.returncode == 4
    assert "--start-timeout" in done.stderr
    assert not bench.processes()


def test_logs_show_filter_and_follow(bench):
    assert bench.fakes("-n", "2", "--rounds", "3").returncode == 0
    lines = bench.localnet("logs").stdout.splitlines()
    assert {line.split()[1] for line in lines} == {"node-0", "node-1"}
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines)
    only = bench.localnet("logs", "node-1", "--match", "round.absorbed").stdout.splitlines()
    assert len(only) == 3
    assert all("node-1" in line for line in only)
    as_json = bench.localnet("logs", "-f", "node-0", "--json").stdout.splitlines()
    assert json.loads(as_json[0])["event"] == "node.started"
    unknown = bench.localnet("logs", "nod-1")
    assert unknown.returncode == 2
    assert "node-1" in unknown.stderr


def minds(pid, number):
    """Whether the process has a handler of its own for this signal."""
    with open(f"/proc/{pid}/status") as file:
        caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt"))
    return caught >> (number - 1) & 1


def ppid(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])
