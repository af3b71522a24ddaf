"""Any claim from anyone in any order: the sampled market and its pure ledger agree, to the unit and to the word."""

from __future__ import annotations

from collections import Counter
from time import perf_counter

import pytest

from p2pfd.core.rng import Rng
from tests.contracts.sampled_machine import walk

EVENTS = (
    "TaskOpened Enrolled RoundOpened LabelsCommitted DrawOpened SamplesDrawn WordsRevealed RevealsClosed WorkerPaid "
    "BondForfeited WorkerSuspended RoundSettled TaskClosed"
)
EVERYTHING = set(EVENTS.split()) | {"paid", "void", "forfeited"}
STEPS, LONG_WALKS = 500, 100


def test_the_sampled_market_and_its_ledger_agree() -> None:
    reached = set[str]()
    for number in range(2):
        reached |= walk(Rng(b"sampled").split(number), STEPS).reached
    assert reached >= EVERYTHING


@pytest.mark.long
def test_the_sampled_market_and_its_ledger_agree_for_fifty_thousand_steps() -> None:
    """Conservation and every account after each of them; the figure is printed."""
    steps, reached, begun = 0, Counter[str](), perf_counter()
    for number in range(2, 2 + LONG_WALKS):
        both = walk(Rng(b"sampled").split(number), STEPS)
        steps += both.steps
        reached.update(both.reached)
    took = perf_counter() - begun
    print(f"{steps} steps in {took:.1f} s: {steps / took:.0f} steps/s")
    assert steps >= STEPS * LONG_WALKS
    assert {name for name, walks in reached.items() if walks >= LONG_WALKS // 10} >= EVERYTHING
