"""A whole task of two workers: one is `p2pfd join` as users run it, the other is the peer in JavaScript."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from p2pfd_localnet.plan import DataFacts, DataPlan, Plan

from p2pfd.learning.data import digest_of_set
from p2pfd.node.config import save_task

from .js import js_peer
from .nodes import JS

ROUNDS = 2
PUBLIC = 64
PLAN = Plan(
    name="mixed",
    nodes=2,
    rounds=ROUNDS,
    data=DataPlan(public=PUBLIC),
    settings={"epochs": 1, "distil_epochs": 1},
)


def events(bench: Any, name: str) -> list[dict[str, Any]]:
    lines = (bench.home / "one" / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == name]


@pytest.mark.network
async def test_a_worker_in_javascript_is_a_worker(node: str, bench: Any) -> None:
    task = PLAN.task(DataFacts(digest_of_set("digits")))
    save_task(task, bench.home / "task.json")
    worker = bench.start("p2pfd_command", "join", "--task", "task.json", "--home", "one", "--shard", "0/2", "--json")
    address = await trio.to_thread.run_sync(
        lambda: next((line.split()[1] for line in worker.stderr if line.startswith("address")), None)
    )
    assert address is not None, worker.communicate()
    async with js_peer(node, task.id, JS) as js:
        peer = (await js.do("dial", address=address))["peer"]
        await js.joined(peer)
        await js.do("hello")
        for rnd in range(ROUNDS):
            said = await js.until(event="heard", verdict="accept", message={"kind": "commit", "round": rnd})
            student = said["message"]["student"]  # with which the worker began the round
            if student:
                words = {"blob": student, "limit": 10**6, "file": str(bench.home / "student")}
                assert (await js.do("get", peer=peer, **words))["sha256"] == student
            await js.do("commit", round=rnd, labels=[sample % 10 for sample in range(PUBLIC)])
            await js.until(event="heard", verdict="accept", message={"kind": "reveal", "round": rnd}, opens=True)
            await js.do("reveal", round=rnd)
        out, err = await trio.to_thread.run_sync(worker.communicate)
    assert worker.returncode == 0, err
    assert json.loads(out)["rounds"] == ROUNDS
    assert [event["votes"] for event in events(bench, "round.absorbed")] == [2] * ROUNDS
    assert events(bench, "peer.garbled") == events(bench, "peer.rejected") == []
    assert [event["weights"] for event in events(bench, "round.absorbed")][-2:] == [student, json.loads(out)["weights"]]
