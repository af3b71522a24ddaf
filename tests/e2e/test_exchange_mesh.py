"""Meshes that merge models: contributions as blobs over real connections, partners that change every round."""

from __future__ import annotations

import json
import os

import pytest

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc")


def test_nodes_that_merge_with_two_others_learn_from_all(bench):
    done = bench.localnet("up", "gossip", "-n", "4", "--rounds", "3", "--partners", "2", "--json")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["accuracy"]["together"] > value["accuracy"]["alone"] + 0.05
    assert value["payouts"] == {}
    assert "offered 4/4" in done.stderr
    merged = [
        event for node in range(4) for event in bench.events(f"node-{node}") if event["event"] == "round.absorbed"
    ]
    assert [(event["merged"], event["unusable"]) for event in merged] == [(3, 0)] * 12
    assert not bench.processes()


@pytest.mark.long
@pytest.mark.parametrize("adapter", ["fedavg", "fedkd", "oppcl", "local"])
def test_every_adapter_runs_in_a_mesh_and_twice_alike(bench, adapter):
    words = ("up", "gossip", "-n", "4", "--rounds", "2", "--adapter", adapter, "--partners", "2", "--json")
    values = []
    for fresh in ((), ("--fresh",)):
        done = bench.localnet(*words, *fresh)
        assert done.returncode == 0, done.stderr
        values.append(json.loads(done.stdout))
    assert values[0]["weights_sha256"] == values[1]["weights_sha256"]
    assert values[0]["accuracy"] == values[1]["accuracy"]


@pytest.mark.long
def test_models_may_travel_with_half_their_bits(bench, tmp_path):
    plan = tmp_path / "half.toml"
    sent = []
    for codecs in ("[]", '["fp16"]'):
        plan.write_text(f'preset = "gossip"\nnodes = 3\nrounds = 2\npartners = 0\ncodecs = {codecs}\n')
        done = bench.localnet("up", str(plan), "--fresh", "--json")
        assert done.returncode == 0, done.stderr
        sent.append(json.loads(done.stdout)["bytes_per_node"])
    assert sent[1] < 0.75 * sent[0]


@pytest.mark.long
def test_a_node_that_was_killed_at_any_moment_goes_on(bench):
    plan = ("up", "gossip", "-n", "3", "--rounds", "4", "--partners", "0", "--json")
    assert bench.localnet(*plan).returncode == 0
    task = str(bench.state / "task.json")

    def start(shard, *more):
        words = ("--task", task, "--home", f"own-{shard}", "--shard", f"{shard}/3", "--json")
        return bench.start("p2pfd_command", "join", *words, *more)

    def told(event):
        path = bench.home / "own-1" / "events.jsonl"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return sum(json.loads(line)["event"] == event for line in lines)

    nodes = [start(0)]
    address = next(line.split()[1] for line in nodes[0].stderr if line.startswith("address"))
    nodes += [start(shard, "--bootstrap", address) for shard in (1, 2)]
    for moment in ("round.opened", "round.offered", "round.absorbed", "round.offered"):
        before = told(moment)
        bench.wait_for(lambda moment=moment, before=before: told(moment) > before)
        nodes[1].kill()
        nodes[1].communicate()
        nodes[1] = start(1, "--bootstrap", address)
    for node in nodes:
        out, err = node.communicate(timeout=120)
        assert node.returncode == 0, err
        value = json.loads(out)
        assert value["accuracy_together"] > value["accuracy_alone"]
