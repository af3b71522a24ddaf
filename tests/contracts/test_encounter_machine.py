"""Any claim from anyone in any order: the contract of encounters and the pure ledger do the same."""

from __future__ import annotations

from collections import Counter
from time import perf_counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2pfd.core.rng import Rng
from tests.contracts.encounter_machine import Pair

NAMES = (
    "Opened Drawn Reported Committed Revealed Settled Defaulted Voided SeatTaken SeatLeft SeatBack SeatVacated "
    "OpenMany SettleMany split absent settled TopUp Collect Withdraw Vacate ComeBack"
)
EVERYTHING = set(NAMES.split())
REFUSED = {
    "encounters: not these terms",
    "encounters: too late",
    "encounters: too early",
    "encounters: unsigned by neighbor",
    "encounters: unsigned by member",
    "encounters: commitments not over",
    "registry: still unbonding",
    "purse: still unbonding",
}
RARE = {"ComeBack", "SeatBack", "Vacate", "SeatVacated"}
"""What not every walk comes to: asked of the hundred long ones alone."""
STEPS, LONG_WALKS = 500, 100


def test_contract_and_ledger_agree() -> None:
    reached = set[str]()
    for number in range(2):
        reached |= set(Pair().walk(Rng(b"encounters").split(number), STEPS).reached)
    assert reached >= EVERYTHING - RARE


@pytest.mark.long
def test_contract_and_ledger_agree_for_fifty_thousand_steps() -> None:
    """Conservation, every account, seat and lane after each of them; the figure is printed."""
    steps, reached, begun = 0, Counter[str](), perf_counter()
    for number in range(2, 2 + LONG_WALKS):
        pair = Pair().walk(Rng(b"encounters").split(number), STEPS)
        steps += pair.steps
        reached.update(pair.reached)
    took = perf_counter() - begun
    print(f"{steps} steps in {took:.1f} s: {steps / took:.0f} steps/s")
    print(dict(sorted(reached.items())))
    assert steps >= STEPS * LONG_WALKS
    assert {name for name, times in reached.items() if times >= LONG_WALKS // 5} >= EVERYTHING | REFUSED


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.binary(min_size=1, max_size=8))
def test_contract_and_ledger_agree_wherever_hypothesis_looks(seed: bytes) -> None:
    Pair().walk(Rng(seed), 80)
