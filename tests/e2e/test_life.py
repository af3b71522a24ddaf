"""A mesh that is stopped and goes on: real nodes, a real chain, and nodes that learn nothing where that is enough."""

from __future__ import annotations

import base64
import json
import os
import signal

import pytest

from p2pfd.settlement.local import ANVIL, GANACHE, find

PROGRAMS = {"anvil": ANVIL, "ganache": GANACHE}
pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc")


def started(bench, *words, command="up"):
    done = bench.localnet(command, *words, "--detach", "--json", "--no-serve", patience=300)
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


def test_a_mesh_that_was_stopped_in_mid_round_goes_on_and_pays_once(bench, answer):
    started(bench, "small", "-n", "3", "--rounds", "3")
    task = (bench.state / "task.json").read_bytes()
    bench.wait_for(lambda: seen(bench, "round.committed", 1), 300)
    assert answer("stop")["status"] == "stopped"
    assert not bench.processes()
    assert answer("status")["status"] == "stopped"
    again = answer("up", "small", "--rounds", "3", code=3)["error"]["fix"]
    assert "localnet start" in again
    assert "--fresh" in again
    done = bench.localnet("start", "--json", "--no-serve", patience=300)
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    check_end(value, 3, 3)
    assert (bench.state / "task.json").read_bytes() == task, "nothing was deployed again"
    assert len(accounts(bench)) == 2
    assert len(set(accounts(bench))) == 1
    assert not bench.processes()
    assert "is done" in answer("start", code=3)["error"]["what"]
    assert answer("down")["deleted"] is True
    assert not (bench.home / ".localnet").exists()


def test_a_mesh_that_runs_or_is_none_is_not_started(bench, answer):
    answer("start", code=6)
    answer("stop", code=6)
    bench.start("fakes", "up", "--chain", "none", "-n", "2", "--rounds", "1", FAKE_FAULTS="node-0:endless")
    bench.wait_status("running")
    assert "runs" in answer("start", code=3)["error"]["what"]
    assert answer("stop")["status"] == "stopped"
    answer("stop", code=6)


def test_a_mesh_that_was_stopped_before_its_task_was_open_begins_anew(bench, answer):
    words = ("up", "--chain", "none", "-n", "2", "--rounds", "1", "--json")
    process = bench.start("fakes", *words, FAKE_FAULTS="node-1:mute")
    bench.wait_for(lambda: bench.events("node-0"))
    assert answer("stop")["status"] == "stopped"
    process.communicate()
    assert not (bench.state / "past.json").exists()
    done = bench.run("fakes", "start", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rounds"] == 1
    assert [event["event"] for event in bench.events("node-0")].count("node.started") == 1, "its nodes were made anew"


def test_a_start_that_is_refused_leaves_nothing_that_runs(bench, answer):
    process = bench.start("fakes", "up", "--chain", "none", "-n", "2", "--rounds", "1", FAKE_FAULTS="node-0:endless")
    bench.wait_status("running")
    answer("stop")
    process.communicate()
    keys = bench.state / "nodes" / "node-1" / "keys" / "keys.json"
    keys.rename(bench.home / "keys.json")
    for words in (("start", "--json"), ("start", "--json", "--detach")):
        refused = bench.run("fakes", *words)
        assert refused.returncode == 9, refused.stderr
        assert "keys.json is missing" in json.loads(refused.stdout)["error"]["what"]
        assert not bench.processes()
    (bench.home / "keys.json").rename(keys)
    done = bench.run("fakes", "start", "--json", "--detach")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["detached"] is True
    bench.wait_gone(30)


@pytest.mark.long
def test_meshes_run_side_by_side(bench, answer):
    homes = ("here", "there")
    for home in homes:
        words = ("up", "small", "-n", "2", "--rounds", "50", "--state", home, "--detach")
        assert bench.localnet(*words, patience=300).returncode == 0
    told = [answer("status", "--state", home) for home in homes]
    assert [each["running"] for each in told] == [True, True]
    assert told[0]["watch"] != told[1]["watch"]
    answer("stop", "--state", "here")
    assert answer("wait", "round>=1", "--state", "there")["status"] == "running"
    answer("down", "--state", "there")
    assert not bench.processes()
    assert answer("status", "--state", "here")["status"] == "stopped"


def test_isolated_nodes_have_an_interpreter_each_and_end_like_others(bench, answer):
    words = ("up", "--chain", "none", "-n", "2", "--rounds", "1", "--isolate")
    process = bench.start("fakes", *words, FAKE_FAULTS="node-0:endless")
    bench.wait_status("running")
    assert sum("--solo" in line for line in bench.processes().values()) == 2
    assert answer("stop")["status"] == "stopped"
    process.communicate()
    assert not bench.processes()


def heard(bench, event):
    """How often this was told, by all nodes together."""
    return sum(told["event"] == event for name in bench.names() for told in bench.events(name))


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "event", "counts", "payments"),
    [
        (("small", "--rounds", "5"), "round.committed", (20, 50), 20),
        (("small", "--rounds", "4", "--chain", "anvil"), "round.absorbed", (5,), 16),
        (("small", "--rounds", "4", "--chain", "ganache"), "round.absorbed", (5,), 16),
        (("encounters", "-n", "6", "--rounds", "2"), "learner.opened", (3, 8), 60),
        (("small", "--rounds", "5", "--chain", "none"), "round.absorbed", (5, 12), None),
        (("gossip", "-n", "5", "--rounds", "4"), "round.absorbed", (6,), None),
    ],
    ids=["embedded", "anvil", "ganache", "encounters", "no chain", "gossip"],
)
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_whatever_it_settles_on_it_goes_on_and_pays_once(bench, words, event, counts, payments, how):
    chain = next((word for word in words if word in ("anvil", "ganache")), "")
    if chain and find(PROGRAMS[chain]) is None:
        pytest.skip(f"there is no {chain} here")
    started(bench, *words)
    for count in counts:
        bench.wait_for(lambda count=count: heard(bench, event) >= count, 300)
        if how == "stopped":
            assert bench.localnet("stop").returncode == 0
        else:
            os.kill(json.loads((bench.state / "supervisor.json").read_text())["pid"], signal.SIGKILL)
        bench.wait_gone(15)
        assert json.loads(bench.localnet("status", "--json").stdout)["status"] == how
        if count != counts[-1]:
            started(bench, command="start")
    done = bench.localnet("start", "--json", patience=600)
    assert done.returncode == 0, done.stderr + done.stdout
    value = json.loads(done.stdout)
    assert value["lost"] == {}
    if payments is None:
        assert value["audit"] is None
    else:
        assert value["audit"] == {"payments": payments, "problems": []}
        assert (sum(value["payouts"].values()) > 0) == ("encounters" not in words)
    assert not bench.processes()


@pytest.mark.long
def test_a_snapshot_of_a_mesh_that_runs_and_what_a_real_node_tells_and_keeps_secret(bench):
    started(bench, "small", "-n", "3", "--rounds", "8")
    bench.wait_for(lambda: seen(bench, "round.absorbed", 0), 300)
    node = json.loads(bench.localnet("inspect", "node-1", "--json").stdout)
    assert node["store"]["machine_bytes"] > 0
    assert node["claims"]["included"] >= 2
    assert node["peers"] == ["node-0", "node-2"]
    kept = bench.localnet("snapshot", "one", "--json", patience=300)
    assert kept.returncode == 0, kept.stderr
    assert json.loads(kept.stdout)["running"] is True
    dumped = bench.localnet("dump", "run", "--json")
    assert dumped.returncode == 0, dumped.stdout
    files = [path for path in (bench.home / "run").rglob("*") if path.is_file()]
    secrets = []
    for name in bench.names():
        held = json.loads((bench.state / "nodes" / name / "keys" / "keys.json").read_text())
        secrets += [bytes.fromhex(held["peer_private"]), bytes.fromhex(held["account_private"])]
    texts = [path.read_bytes() for path in files]
    for secret in secrets:
        for spelt in (secret, secret.hex().encode(), base64.b64encode(secret), base64.b64encode(b"x" + secret)[4:-4]):
            assert not any(spelt in text for text in texts)
    so_far = json.loads(bench.localnet("report", "--json").stdout)
    assert so_far["written"] is True
    assert bench.localnet("stop").returncode == 0
    assert bench.localnet("restore", "one").returncode == 0
    done = bench.localnet("start", "--json", patience=600)
    check_end(json.loads(done.stdout), 3, 8)
