"""Real meshes that are broken on purpose, and what they make of it: they finish, and pay whom they owe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long
NODES, ROUNDS = 6, 8
PATIENCE = 600.0
PLAN = f"""
preset = "digits"
nodes = {NODES}
rounds = {ROUNDS}
[phases]                # a busy machine must not decide who takes part
enrol_seconds = 300
commit_seconds = 120
reveal_seconds = 60
"""


def run(bench: Any, text: str) -> dict[str, Any]:
    """A mesh to its end, and what it sums up."""
    path = Path(bench.home) / "plan.toml"
    path.write_text(f"{PLAN}{text}")
    done = bench.run("localnet_command", "up", str(path), "--json", patience=PATIENCE)
    assert done.returncode == 0, done.stderr
    print(done.stderr)
    assert not bench.processes()
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["rounds"] == ROUNDS
    assert found["accuracy"]["together"] > 0.85
    assert found["audit"]["problems"] == []
    return found


def of(bench: Any, node: str, event: str) -> list[dict[str, Any]]:
    return [each for each in bench.events(node) if each["event"] == event]


def test_a_mesh_that_was_cut_in_two_and_healed_finishes_and_pays_all(bench: Any) -> None:
    summary = run(bench, '[[chaos]]\nat = "round>=2"\ndo = "partition"\ngroups = "0-2|rest"\nto = "round>=5"\n')
    assert not summary["lost"]
    assert summary["audit"]["payments"] == NODES * ROUNDS
    for node in ("node-0", "node-5"):
        assert [event["peers"] for event in of(bench, node, "chaos.cut")] == [3, 0]
    cut, healed = (event["t"] for event in of(bench, "node-0", "chaos.cut"))
    far = {of(bench, f"node-{number}", "node.started")[0]["peer"] for number in (3, 4, 5)}
    seen = [event for event in of(bench, "node-0", "node.network") if "peers" in event]  # told when they change
    apart = [event for event in seen if cut < event["t"] < healed][-1:]
    assert apart
    assert all(not far & set(event["peers"]) for event in apart)
    assert far & set(seen[-1]["peers"]), "they found one another again"


def test_a_paused_node_is_waited_for_and_is_not_taken_for_dead(bench: Any) -> None:
    summary = run(bench, '[[chaos]]\nat = "round>=3"\ndo = "pause"\nnodes = "node-2"\nfor = 5\n')
    assert not summary["lost"]
    assert len(of(bench, "node-2", "node.started")) == 1
    assert [event["round"] for event in of(bench, "node-2", "round.absorbed")][-1] == ROUNDS - 1


def test_a_fifth_of_all_messages_lost_costs_time_and_no_round(bench: Any) -> None:
    text = '[[chaos]]\nat = 0\ndo = "loss"\nshare = "20%"\n[[chaos]]\nat = 0\ndo = "delay"\nleast = 0.05\nmost = 0.2\n'
    summary = run(bench, text)
    assert summary["audit"]["payments"] == NODES * ROUNDS
    assert not summary["lost"]


def test_who_was_killed_and_comes_back_is_paid_for_later_rounds(bench: Any) -> None:
    text = '[[chaos]]\nat = "round>=2"\ndo = "kill"\nnodes = "node-4"\nfor = 3\n'
    text += '[[chaos]]\nat = "round>=2"\ndo = "slow-disk"\nseconds = 0.02\n'
    summary = run(bench, text)
    started = of(bench, "node-4", "node.started")
    assert len(started) == 2, "it died and came back"
    account, back = started[0]["account"], of(bench, "node-4", "node.ready")[1]["t"]
    paid = {event["round"] for event in of(bench, "node-0", "round.paid") if event["account"] == account}
    later = {event["round"] for event in of(bench, "node-0", "round.opened") if event["t"] > back}
    assert later
    assert later <= paid
    assert not summary["lost"]


def test_a_chain_that_is_silent_for_a_while_is_waited_for(bench: Any) -> None:
    summary = run(bench, '[[chaos]]\nat = "round>=3"\ndo = "chain-down"\nfor = 8\n')
    assert not summary["lost"]
    assert summary["audit"]["payments"] == NODES * ROUNDS


def test_who_joins_late_is_bound_and_paid(bench: Any) -> None:
    plan = Path(bench.home) / "late.toml"
    late = PLAN.replace("enrol_seconds = 300", "enrol_seconds = 90").replace("[phases]", "spare = 1\n[phases]")
    plan.write_text(f'{late}[[chaos]]\nat = "round>=2"\ndo = "add"\n')
    done = bench.run("localnet_command", "up", str(plan), "--json", patience=PATIENCE)
    assert done.returncode == 0, done.stderr
    name = f"node-{NODES}"
    account = of(bench, name, "node.started")[0]["account"]
    paid = [event["round"] for event in of(bench, "node-0", "round.paid") if event["account"] == account]
    assert paid
    assert min(paid) >= 2
    assert max(paid) == ROUNDS - 1
    assert json.loads(done.stdout)["accuracy"]["by_node"][name]["together"] > 0.5
