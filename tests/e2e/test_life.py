"""A mesh that is stopped and goes on: real nodes, a real chain, and nodes that learn nothing where that is enough."""

from __future__ import annotations

import json
import os

import pytest

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc")


def started(bench, *words, command="up"):
    done = bench.localnet(command, *words, "--detach", "--json", "--no-serve")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def seen(bench, event, rnd):
    return any(told["event"] == event and told["round"] == rnd for told in bench.events("node-0"))


def accounts(bench):
    told = [event for event in bench.events("node-1") if event["event"] == "node.listening"]
    return [(event["peer"], event["account"]) for event in told]


def check_end(value, nodes, rounds):
    assert value["rounds"] == rounds
    assert value["audit"] == {"payments": nodes * rounds, "problems": []}, "every payment once"
    assert len(set(value["weights_sha256"].values())) == 1
    assert set(value["weights_sha256"]) == {f"node-{place}" for place in range(nodes)}
    assert len(value["accuracy"]["by_round"]) == rounds
    assert value["lost"] == {}


def test_a_mesh_that_was_stopped_in_mid_round_goes_on_and_pays_once(bench):
    started(bench, "small", "-n", "3", "--rounds", "3")
    task = (bench.state / "task.json").read_bytes()
    bench.wait_for(lambda: seen(bench, "round.committed", 1))
    stopped = bench.localnet("stop", "--json")
    assert (stopped.returncode, json.loads(stopped.stdout)["status"]) == (0, "stopped")
    assert not bench.processes()
    again = bench.localnet("up", "small", "--rounds", "3")
    assert again.returncode == 3
    assert "localnet start" in again.stderr
    assert "--fresh" in again.stderr
    done = bench.localnet("start", "--json", "--no-serve")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    check_end(value, 3, 3)
    assert (bench.state / "task.json").read_bytes() == task, "nothing was deployed again"
    assert len(accounts(bench)) == 2
    assert len(set(accounts(bench))) == 1
    assert not bench.processes()
    over = bench.localnet("start")
    assert over.returncode == 3
    assert "is done" in over.stderr
    assert bench.localnet("down").returncode == 0
    assert not (bench.home / ".localnet").exists()


def test_a_mesh_that_runs_or_is_none_is_not_started(bench):
    assert bench.localnet("start").returncode == 6
    assert bench.localnet("stop").returncode == 6
    bench.start("fakes", "up", "--chain", "none", "-n", "2", "--rounds", "1", FAKE_FAULTS="node-0:endless")
    bench.wait_status("running")
    second = bench.run("fakes", "start")
    assert second.returncode == 3
    assert "runs" in second.stderr
    assert bench.localnet("stop").returncode == 0
    assert bench.localnet("stop").returncode == 6


def test_isolated_nodes_have_an_interpreter_each_and_end_like_others(bench):
    words = ("up", "--chain", "none", "-n", "2", "--rounds", "1", "--isolate")
    process = bench.start("fakes", *words, FAKE_FAULTS="node-0:endless")
    bench.wait_status("running")
    assert sum("--solo" in line for line in bench.processes().values()) == 2
    assert bench.localnet("stop").returncode == 0
    process.communicate()
    assert not bench.processes()
