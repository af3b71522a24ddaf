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
