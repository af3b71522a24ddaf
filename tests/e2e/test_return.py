"""Nodes that were given one address, and come back when nobody answers there any more."""

from __future__ import annotations

import json
import os

import pytest
from p2pfd_localnet import plan as plans
from p2pfd_localnet.checks import check_data
from p2pfd_localnet.presets import find

from p2pfd.core.spec import PhaseSpec
from p2pfd.node.config import save_task

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc")
# Long phases: nobody is to be done before the test is.
PLAN = plans.change(find("small"), nodes=3, rounds=2, phases=PhaseSpec(60, 60, 60))


def events(bench, node):
    path = bench.home / node / "events.jsonl"
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def ready(bench, node):
    return [event for event in events(bench, node) if event["event"] == "node.ready"]


def known(bench, node):
    path = bench.home / node / "peers" / "peers.json"
    return {entry["peer"] for entry in json.loads(path.read_text())["peers"]} if path.exists() else set()


@pytest.mark.long
def test_a_node_that_is_run_again_finds_the_mesh_without_the_address_that_it_was_given(bench):
    save_task(PLAN.task(check_data(PLAN)), bench.home / "task.json")
    started, bootstrap, peers = {}, [], {}
    for shard, node in enumerate(("one", "two", "three")):
        words = ["--task", "task.json", "--home", node, "--shard", f"{shard}/3", "--json"]
        listen = ["--listen", "/ip4/127.0.0.1/tcp/0"]
        started[node] = bench.start("p2pfd_command", "join", *words, *listen, *bootstrap)
        told = {line.split()[0]: line.split()[1] for line in (started[node].stderr.readline() for _ in range(4))}
        peers[node] = told["peer"]
        bootstrap = bootstrap or ["--bootstrap", told["address"]]
    # Two and three have been told of each other by one: nobody gave them the other's address.
    bench.wait_for(lambda: peers["two"] in known(bench, "three"))
    for node in ("one", "three"):
        started[node].kill()
        started[node].communicate()
    before = len(ready(bench, "three"))
    started["three"] = bench.start("p2pfd_command", "run", "three", "--json")
    again = bench.wait_for(lambda: ready(bench, "three")[before:])[0]
    assert again["peers"] == 1, "it is two, for one is gone"
    (listening,) = [event for event in events(bench, "three") if event["event"] == "node.listening"][-1:]
    assert again["t"] - listening["t"] < 5_000_000
    for node in ("two", "three"):
        started[node].terminate()
        started[node].communicate(timeout=10)
    bench.wait_gone(5)
