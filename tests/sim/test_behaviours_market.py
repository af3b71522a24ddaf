"""What the market experiment found: at a small budget in every run of the tests, at its own in the long ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from p2pfd.experiment.figures import Group, Line, line_of
from p2pfd.experiment.grid import preset
from p2pfd.experiment.plan import Plan
from p2pfd.experiment.result import Result
from p2pfd.experiment.stage import Stage

GATED, UNGATED = "40 % collude, gate", "40 % collude, no gate"
SMALL_MIX = {"constant": 1, "random": 1, "copy": 1, "collude": 1}


def plan_of(case: str) -> Plan:
    return next(row.plan for row in preset("market").rows if row.case == case)


def small(case: str) -> Plan:
    plan = plan_of(case)
    data = replace(plan.data, public=128, validation=50, test=200, private=500)
    made = replace(plan, nodes=10, rounds=3, data=data)
    return replace(made, behaviours=SMALL_MIX) if case == "mixed" else made


def found(plan: Plan, seeds: Sequence[int]) -> tuple[Line, list[Result]]:
    results = [Stage(plan, seed).run(lambda: 0.0, lambda rnd, of: None) for seed in seeds]
    return line_of("", plan, results), results


def groups(line: Line) -> dict[str, Group]:
    return {group.kind: group for group in line.groups}


def pay(line: Line, kind: str) -> float:
    spread = groups(line)[kind].pay
    assert spread is not None
    return spread.mean


def check_mixed(line: Line) -> None:
    """Honest work earns most, more with better models; nothing is to be had for chance, a constant or a lone plot."""
    assert pay(line, "honest") > 1.02 * pay(line, "copy")
    assert pay(line, "honest, most data") > pay(line, "honest, least data")
    for lazy in ("constant", "random", "collude"):
        assert pay(line, lazy) < 0.15 * pay(line, "honest")
    curve = {kind: group.by_round for kind, group in groups(line).items()}
    assert curve["copy"][0] < 0.1 * curve["honest"][0], "there is nothing to copy yet"
    assert curve["copy"][-1] > 0.95 * curve["honest"][-1], "the last round's labels are nearly as good as work"


def check_gate(gated: Line, ungated: Line) -> None:
    """Forty in a hundred who collude are kept out of the vote, and earn less than honest work; without a gate they
    cost the others much of what they would learn."""
    assert gated.accuracy.mean > ungated.accuracy.mean + 0.15
    passed = groups(gated)["collude"].passed
    assert passed is not None
    assert passed.mean <= 0.5
    assert pay(gated, "honest") > 1.1 * pay(gated, "collude")


def test_honest_work_is_paid_best_in_a_small_market():
    line, [result] = found(small("mixed"), [2])
    check_mixed(line)
    assert (result.finished, result.short, result.refused) == (6, 0, 0)


def test_a_gate_keeps_colluders_out_of_a_small_market():
    gated, _ = found(small(GATED), [2])
    ungated, _ = found(small(UNGATED), [2])
    check_gate(gated, ungated)


@pytest.mark.long
def test_the_market_preset_finds_what_its_page_says():
    seeds = preset("market").seeds
    mixed, results = found(plan_of("mixed"), seeds)
    check_mixed(mixed)
    assert mixed.accuracy.mean > 0.9
    assert all((result.finished, result.short) == (12, 0) for result in results)
    gated, _ = found(plan_of(GATED), seeds)
    ungated, _ = found(plan_of(UNGATED), seeds)
    check_gate(gated, ungated)
    assert gated.accuracy.mean > 0.9
    honest, _ = found(plan_of("all honest"), seeds)
    assert honest.accuracy.mean - gated.accuracy.mean < 0.05
    collude = groups(gated)["collude"]
    assert collude.passed is not None
    assert collude.passed.mean == pytest.approx(0.1), "the first round, in which models know little, lets them pass"
