"""Mistakes that someone could make in the contract of encounters, each a patch: the tests notice every one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from p2pfd.core.rng import Rng
from p2pfd.settlement.artifacts import Artifact, artifact
from tests.contracts import (
    test_encounter_attacks,
    test_encounter_reentrancy,
    test_encounter_timeouts,
    test_signature_twins,
)
from tests.contracts.compiler import noticed
from tests.contracts.encounter_machine import Pair
from tests.contracts.encounter_stage import VALIDATORS, Stage

PATCHES = sorted((Path(__file__).parent / "mutations" / "encounters").glob("*.patch"))
WALKS, STEPS = 10, 400


def play(contract: Artifact) -> None:
    """The machine, for a few thousand steps."""
    for number in range(WALKS):
        Pair(contract).walk(Rng(b"mistakes").split(number), STEPS)


def told(story: Callable[[Stage], None]) -> Callable[[Artifact], None]:
    """A story of the other tests, with a contract that has a mistake in it."""
    return lambda contract: story(Stage(contract))


def loses(rule: int) -> Callable[[Artifact], None]:
    """The story of a seat that loses more than it has, under a rule."""
    return lambda contract: test_encounter_timeouts.no_seat_loses_more_than_it_has(
        Stage(contract, VALIDATORS[:3]), rule
    )


FOUND_BY: dict[str, Callable[[Artifact], None]] = {
    "encounters_guard_away": test_encounter_reentrancy.let_in_nowhere,
    "encounters_batches_carry_anything": told(test_encounter_attacks.batches_carry_settlements_alone),
    "encounters_new_holders_inherit": told(test_encounter_timeouts.a_new_holder_pays_nothing),
    "encounters_a_party_settles_with_itself": told(test_encounter_attacks.no_party_judges),
    "encounters_bonds_leave_early": told(test_encounter_timeouts.a_leaver_is_still_slashed),
    "encounters_leavers_are_drawn_in_their_last_block": told(test_encounter_timeouts.nobody_is_drawn_once_it_left),
    "encounters_seats_are_drawn_in_their_first_block": told(test_encounter_timeouts.nobody_is_drawn_before_it_came),
    "encounters_bonds_go_below_zero": loses(2),
    "encounters_losses_end_at_half": loses(2),
    "encounters_losers_go_below_zero": loses(1),
    "encounters_takes_the_twin_of_a_vote": test_signature_twins.no_twin_of_a_ballot,
    "papers_takes_the_twin_of_a_signature": test_signature_twins.no_twin_of_a_commitment,
    "papers_a_split_chain_keeps_its_signatures": told(test_encounter_attacks.a_split_chain_has_signatures_of_its_own),
}


def names(patches: list[Path]) -> list[str]:
    return [patch.stem for patch in patches]


def is_found(patch: Path, copy: Path) -> bool:
    return noticed("Encounters", patch.read_text(), copy, FOUND_BY.get(patch.stem, play))


@pytest.mark.long
@pytest.mark.parametrize("patch", PATCHES, ids=names(PATCHES))
def test_every_mistake_is_found(patch: Path, tmp_path: Path) -> None:
    assert is_found(patch, tmp_path), f"no test notices: {patch.read_text().splitlines()[0]}"


@pytest.mark.long
def test_without_a_mistake_none_is_found() -> None:
    for finds in {play, *FOUND_BY.values()}:
        finds(artifact("Encounters"))


def test_there_are_mistakes_of_all_parts() -> None:
    assert len(PATCHES) >= 10
    assert set(FOUND_BY) <= set(names(PATCHES))
    for source in ("Encounters", "registry", "purse", "papers"):
        assert any(f"+++ b/contracts/vyper/{source}.vy" in patch.read_text() for patch in PATCHES)
