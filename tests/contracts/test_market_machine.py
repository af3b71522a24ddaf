"""Any claim from anyone in any order: the contracts and the pure ledger do the same and refuse for the same reasons."""

from __future__ import annotations

from collections import Counter
from time import perf_counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from p2pfd.core.rng import Rng
from tests.contracts.machine import Both, walk

EVENTS = (
    "TaskOpened Enrolled RoundOpened LabelsCommitted RevealsOpened LabelsRevealed RevealsClosed "
    "WorkerPaid BondForfeited WorkerSuspended RoundSettled TaskClosed"
)
EVERYTHING = set(EVENTS.split()) | {"paid", "forfeited to others", "forfeited to nobody", "void"}
STEPS, LONG_WALKS = 500, 100


def test_contracts_and_ledger_agree() -> None:
    reached = set[str]()
    for number in range(2):
        reached |= walk(Rng(b"market").split(number), STEPS).reached
    assert reached >= EVERYTHING


@pytest.mark.long
def test_contracts_and_ledger_agree_for_fifty_thousand_steps() -> None:
    """Conservation and every account after each of them; the figure is printed."""
    steps, reached, begun = 0, Counter[str](), perf_counter()
    for number in range(2, 2 + LONG_WALKS):
        both = walk(Rng(b"market").split(number), STEPS)
        steps += both.steps
        reached.update(both.reached)
    took = perf_counter() - begun
    print(f"{steps} steps in {took:.1f} s: {steps / took:.0f} steps/s")
    assert steps >= STEPS * LONG_WALKS
    assert {name for name, walks in reached.items() if walks >= LONG_WALKS // 5} >= EVERYTHING


@pytest.mark.long
def test_contracts_and_ledger_agree_wherever_hypothesis_looks() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Both,
        settings=settings(
            max_examples=60,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
