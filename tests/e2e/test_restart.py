"""Nodes started one by one on a chain of its own, one of them killed in mid-round and run again."""

from __future__ import annotations

import json
import os
import signal

import pytest

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for leftovers in /proc")

MOMENTS = (
    "node.ready",
    "task.enrolled",
    "round.opened",
    "round.committed",
    "round.revealed",
    "round.paid",
    "round.absorbed",
)


def events(bench, node):
    path = bench.home / node / "events.jsonl"
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def count(bench, node, event):
    return sum(entry["event"] == event for entry in events(bench, node))


def killed(bench, process, node, moment, before):
    """Kill it as soon as it has said once more that this has happened."""
    bench.wait_for(lambda: count(bench, node, moment) > before or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()


@pytest.mark.long
@pytest.mark.parametrize(
    ("victim", "moments"),
    [("node-0", ("round.absorbed",)), ("node-1", MOMENTS)],
    ids=["once, and others had dialled it", "at every kind of moment"],
)
def test_a_node_that_was_killed_goes_on_where_it_was(bench, victim, moments):
    chain = bench.start("chain_command")
    url = chain.stdout.readline().strip()
    started = {}
    bootstrap = []
    for shard, node in enumerate(("node-0", "node-1", "node-2")):
        words = ["--task", "task.json", "--home", node, "--shard", f"{shard}/3", "--chain-url", url, "--json"]
        started[node] = bench.start("p2pfd_command", "join", *words, *bootstrap)
        if not bootstrap:
            said = started[node].stderr
            bootstrap = ["--bootstrap", next(line.split()[1] for line in said if line.startswith("address"))]
    for number, moment in enumerate(moments):
        before = 0 if number == 0 else count(bench, victim, moment)
        killed(bench, started[victim], victim, moment, before)
        started[victim] = bench.start("p2pfd_command", "run", victim, "--json")
    results = []
    for process in started.values():
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        results.append(json.loads(out))
    assert len({result["weights"] for result in results}) == 1, "what it had learned was not lost"
    assert {result["rounds"] for result in results} == {5}
    accounts = {event["account"] for event in events(bench, victim) if event["event"] == "node.listening"}
    assert len(accounts) == 1, "it is the same to the chain after each death"
    verified = bench.run("p2pfd_command", "verify", "--task", "task.json", "--chain-url", url, "--json")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["payments"] == 15, "each of three was paid once for each of five rounds"
    chain.send_signal(signal.SIGTERM)
    assert chain.wait(10) == 0
    bench.wait_gone(5)
