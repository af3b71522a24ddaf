"""The bounds of the pure ledger are the contracts' own: read from their sources, and the same to the unit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2pfd.core import encounter_claims, trees
from p2pfd.incentives import (
    encounter_award,
    encounter_purse,
    encounter_registry,
    market,
    optimistic,
    payouts,
    ptsc,
    rounds,
    sampled,
    sortition,
)
from p2pfd.incentives.encounter_state import Lane as Position
from p2pfd.incentives.encounter_state import Phase as Lane
from p2pfd.incentives.rounds import Phase

SOURCES = Path(__file__).resolve().parents[3] / "contracts" / "vyper"


def numbers(source: str) -> dict[str, int]:
    """The whole numbers among a source's constants."""
    found: dict[str, int] = {}
    for name, text in re.findall(
        r"^(\w+): constant\(uint256\) = ([\w*+\- ]+)$", (SOURCES / source).read_text(), re.MULTILINE
    ):
        if re.fullmatch(r"[\d_*+\- ]+", text):
            found[name] = eval(text, {"__builtins__": {}})
    return found


@pytest.mark.parametrize(
    ("source", "ours"),
    [
        ("rounds.vy", {name: getattr(rounds, name) for name in ("MAX_SEATS", "MAX_CLASSES", "MAX_ROUNDS")}),
        ("rounds.vy", {"MAX_AMOUNT": rounds.MAX_AMOUNT, "MAX_SECONDS": rounds.MAX_SECONDS}),
        ("LabelMarket.vy", {"MAX_SAMPLES": market.Market.MAX_SAMPLES, "MAX_SEATS": rounds.MAX_SEATS}),
        ("LabelMarket.vy", {"MAX_SAMPLES": market.MAX_SAMPLES}),
        ("OptimisticMarket.vy", {"MAX_SAMPLES": optimistic.OptimisticMarket.MAX_SAMPLES}),
        ("OptimisticMarket.vy", {"HALF_ORDER": optimistic.HALF_ORDER, "CHUNK_SAMPLES": trees.CHUNK_SAMPLES}),
        ("SampledMarket.vy", {"MAX_SAMPLES": sampled.SampledMarket.MAX_SAMPLES, "COUNT_BITS": trees.COUNT_BITS}),
        ("SampledMarket.vy", {"MAX_PICKS": sampled.MAX_PICKS, "MEMORY": sampled._MEMORY}),
        ("serum.vy", {"SCALE": ptsc.SCALE, "KAPPA": ptsc.KAPPA}),
        ("purse.vy", {"MAX_HELD": encounter_purse.MAX_HELD}),
        ("registry.vy", {"MAX_SEATS": encounter_registry.MAX_SEATS, "HISTORY": encounter_registry.HISTORY}),
        ("registry.vy", {"MAX_PICKS": sortition.MAX_PICKS, "MAX_SIZE": encounter_claims.MAX_SIZE}),
        ("Encounters.vy", {"WHOLE": payouts.WHOLE, "SCALE": ptsc.SCALE, "MAX_BATCH": encounter_claims.MAX_BATCH}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_bound_is_the_contracts_bound(source: str, ours: dict[str, int]) -> None:
    theirs = numbers(source)
    assert {name: theirs[name] for name in ours} == ours


def test_phases_and_votes_have_the_numbers_that_the_contracts_keep_and_tell() -> None:
    theirs = numbers("rounds.vy")
    assert {phase.name: theirs["UNUSED" if phase == 0 else phase.name] for phase in Phase} == {
        phase.name: phase.value for phase in Phase
    }
    assert len(Phase) == 10, "two phases of one number would be one phase"
    theirs = numbers("Encounters.vy")
    assert {lane.name: theirs[lane.name] for lane in Lane} == {lane.name: lane.value for lane in Lane}
    assert len(Lane) == 4
    assert Position() == Position(nonce=0, phase=Lane(0), escrow=0, tag=(), ballot=0), "as in a word of zeros"
    assert (Position().states(7), Position(ballot=0b1110).states(2)) == ([0] * 7, [2, 3])
    assert (encounter_award.VALID, encounter_award.INVALID) == (2, 3), "as `Settled` tells them, two bits a place"
    assert [theirs[rule.upper()] for rule in encounter_claims.RULES] == [0, 1, 2]
