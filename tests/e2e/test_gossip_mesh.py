"""Meshes that settle nowhere: gossip and deadlines alone."""

from __future__ import annotations

import json
import os

import pytest

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc")


@pytest.mark.long
def test_a_mesh_without_a_chain_learns_and_pays_nobody(bench):
    done = bench.localnet("up", "small", "--json", "--chain", "none")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["payouts"] == {}
    assert value["rounds"] == 3
    assert value["accuracy"]["together"] > value["accuracy"]["alone"]


@pytest.mark.long
def test_nodes_that_join_one_by_one_are_a_mesh(bench):
    plan = ("up", "small", "-n", "2", "--rounds", "2", "--chain", "none")
    assert bench.localnet(*plan).returncode == 0
    task = bench.state / "task.json"
    first = bench.start("p2pfd_command", "join", "--task", str(task), "--home", "one", "--shard", "0/2", "--json")
    assert first.stderr is not None
    address = next(line.split()[1] for line in first.stderr if line.startswith("address"))
    words = ("--task", str(task), "--home", "two", "--shard", "1/2", "--bootstrap", address, "--json")
    second = bench.run("p2pfd_command", "join", *words)
    assert second.returncode == 0, second.stderr
    out, err = first.communicate(timeout=60)
    assert first.returncode == 0, err
    assert json.loads(out)["weights"] == json.loads(second.stdout)["weights"]
    assert not bench.processes()
