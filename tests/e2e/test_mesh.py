"""Whole meshes: real nodes, real sockets, a real chain."""

from __future__ import annotations

import json
import os
import signal
import socket
import time

import pytest

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc")

SHORT_WAITS = "[phases]\nenrol_seconds = 30\ncommit_seconds = 6\nreveal_seconds = 6\n"


def up(bench, *words, plan="small", **kwargs):
    done = bench.localnet("up", plan, "--json", *words, **kwargs)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_mesh_learns_is_paid_and_leaves_nothing(bench):
    value = up(bench, "-n", "3", "--rounds", "2", "--seed", "3")
    assert value["rounds"] == 2
    assert value["accuracy"]["together"] > 0.5
    assert set(value["accuracy"]["by_node"]) == {"node-0", "node-1", "node-2"}
    assert len(set(value["weights_sha256"].values())) == 1, "all nodes derive the same student"
    assert len(value["payouts"]) == 3
    assert sum(value["payouts"].values()) > 0
    assert 0 < value["label_bytes_per_node"] < value["bytes_per_node"]
    assert value["lost"] == {}
    assert not bench.processes()
    assert list(bench.temp.iterdir()) == []
    status = json.loads(bench.localnet("status", "--json").stdout)
    assert status["status"] == "done"
    paid = {node["account"]: node["paid"] for node in status["nodes"].values()}
    assert paid == value["payouts"], "what nodes were told they earned is what their accounts have"
    assert value["audit"] == {"payments": 3 * value["rounds"], "problems": []}, "and what the reference computes"
    assert bench.localnet("down").returncode == 0
    assert not (bench.home / ".localnet").exists()


def test_one_node_trains_alone_and_is_not_paid(bench):
    done = bench.localnet("up", "-n", "1", "--rounds", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert "nobody to learn from" in done.stderr
    value = json.loads(done.stdout)
    assert list(value["payouts"].values()) == [0]
    assert value["accuracy"]["alone"] > 0.3


@pytest.mark.long
@pytest.mark.parametrize(
    ("phases", "words", "told"),
    [
        ("enrol_seconds = 1", ("-n", "3"), "enrol_seconds = 1 had passed"),
        ("commit_seconds = 4", ("-n", "3", "--attack", "absent:2"), "not one round counted: fewer than 2 nodes"),
    ],
    ids=["nobody enrolled in time", "too few committed"],
)
def test_a_mesh_in_which_nobody_could_work_says_why(bench, phases, words, told):
    (bench.home / "hasty.toml").write_text(f'preset = "small"\n[phases]\n{phases}\n')
    done = bench.localnet("up", "hasty.toml", *words)
    assert done.returncode == 4, (done.stdout, done.stderr)
    assert told in done.stderr
    assert "allow more" in done.stderr
    assert not bench.processes()


def test_ctrl_c_in_the_midst_leaves_no_process_port_or_file(bench):
    process = bench.start("localnet_command", "up", "small", "--rounds", "500")
    bench.wait_for(lambda: any(event["event"] == "round.absorbed" for event in bench.events("node-0")))
    ports = [
        int(address.split("/")[4])
        for name in ("node-0", "node-1", "node-2", "node-3")
        for event in bench.events(name)
        if event["event"] == "node.listening"
        for address in event["addresses"]
    ]
    assert len(ports) >= 4
    check_memory_is_shared(bench, process.pid)
    began = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(15) == 130
    assert time.monotonic() - began < 5
    assert not bench.processes()
    assert list(bench.temp.iterdir()) == []
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert bench.events("node-0")[-1]["event"] == "node.stopped"


@pytest.mark.long
def test_a_node_that_is_killed_in_a_round_delays_the_others_once(bench):
    (bench.home / "waits.toml").write_text('preset = "small"\nnodes = 4\nrounds = 4\n' + SHORT_WAITS)
    process = bench.start("localnet_command", "up", "waits.toml", "--json")
    bench.wait_for(lambda: any(event["event"] == "round.opened" for event in bench.events("node-2")))
    os.kill(bench.events("node-2")[0]["pid"], signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    value = json.loads(out)
    assert set(value["lost"]) == {"node-2"}
    assert set(value["weights_sha256"]) == {"node-0", "node-1", "node-3"}
    assert len(set(value["weights_sha256"].values())) == 1
    assert value["rounds"] == 4
    assert value["seconds"] < 60
    assert not bench.processes()


@pytest.mark.long
def test_a_chain_that_is_killed_ends_the_mesh_with_a_reason(bench):
    process = bench.start("localnet_command", "up", "small", "--rounds", "500", "--json")
    bench.wait_for(lambda: any(event["event"] == "round.absorbed" for event in bench.events("node-0")))
    chain = next(pid for pid, line in bench.processes().items() if "settlement.embedded" in line)
    os.kill(chain, signal.SIGKILL)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 7, err
    assert "ended by itself" in json.loads(out)["error"]["what"]
    assert not bench.processes()


@pytest.mark.long
def test_the_same_seed_gives_the_same_payouts_and_weights(bench):
    runs = [up(bench, "--seed", seed, "--fresh") for seed in ("21", "21", "22")]
    for key in ("payouts", "weights_sha256", "accuracy"):
        assert runs[0][key] == runs[1][key]
        assert runs[0][key] != runs[2][key]


@pytest.mark.long
def test_a_chain_on_a_port_of_choice(bench):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    up(bench, "-n", "2", "--rounds", "1", "--port", str(port))
    task = json.loads((bench.state / "task.json").read_text())
    assert task["chain"]["profile"] == "embedded"
    assert json.loads((bench.state / "nodes/node-0/node.json").read_text())["chain_url"].endswith(f":{port}")


def ppid(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


def check_memory_is_shared(bench, supervisor):
    parents = {pid: ppid(pid) for pid in bench.processes()}
    zygote = next(pid for pid, parent in parents.items() if parent == supervisor and pid in parents.values())
    assert len(os.listdir(f"/proc/{zygote}/task")) == 1, "a fork copies one thread only"
    nodes = [pid for pid, parent in parents.items() if parent == zygote]
    assert len(nodes) == 4
    for pid in nodes:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            sizes = {line.split()[0]: int(line.split()[1]) for line in file if line.split()[-1] == "kB"}
        assert sizes["Pss:"] < sizes["Rss:"] / 2
