"""Mistakes that someone could make in the contracts, each a patch: the tests that there are tell whoever makes one.

A patch's first line says what the mistake does. Most are found by the machine that plays against the pure ledger; those
that need a hostile token or a hostile sender are found by the test that has one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from p2pfd.core.rng import Rng
from p2pfd.settlement.artifacts import Artifact, artifact
from tests.contracts import test_attacks, test_permits, test_reentrancy, test_refusals
from tests.contracts.compiler import SOURCES, PatchError, apply, noticed
from tests.contracts.machine import walk

PATCHES = sorted((Path(__file__).parent / "mutations").glob("*.patch"))
WALKS, STEPS = 8, 500


def play(market: Artifact) -> None:
    """The machine, for a few thousand steps."""
    for number in range(WALKS):
        walk(Rng(b"market").split(number), STEPS, market)


FOUND_BY: dict[str, Callable[[Artifact], None]] = {
    "guard_away": test_reentrancy.test_a_token_that_calls_back_is_let_in_nowhere,
    "pays_before_it_forgets": test_reentrancy.test_a_token_that_calls_back_is_let_in_nowhere,
    "permit_must_be_fresh": test_permits.test_a_permit_that_someone_else_sent_first_is_no_failure,
    "held_is_what_the_token_says": test_attacks.test_tokens_sent_by_mistake_change_nothing,
    "one_more_than_free": test_attacks.test_a_bond_in_play_cannot_leave,
    "allowance_is_enough": test_refusals.a_token_that_does_not_move,
}


def names(patches: list[Path]) -> list[str]:
    return [patch.stem for patch in patches]


def is_found(patch: Path, copy: Path) -> bool:
    return noticed("LabelMarket", patch.read_text(), copy, FOUND_BY.get(patch.stem, play))


@pytest.mark.long
@pytest.mark.parametrize("patch", PATCHES, ids=names(PATCHES))
def test_every_mistake_is_found(patch: Path, tmp_path: Path) -> None:
    assert is_found(patch, tmp_path), f"no test notices: {patch.read_text().splitlines()[0]}"


@pytest.mark.long
def test_without_a_mistake_none_is_found() -> None:
    for finds in {play, *FOUND_BY.values()}:
        finds(artifact("LabelMarket"))


def test_there_are_mistakes_of_all_parts() -> None:
    assert len(PATCHES) >= 10
    assert set(FOUND_BY) <= set(names(PATCHES))
    for source in ("LabelMarket", "rounds", "staking", "serum"):
        assert any(f"+++ b/contracts/vyper/{source}.vy" in patch.read_text() for patch in PATCHES)
    assert sum("+++ b/contracts/vyper/staking.vy" in patch.read_text() for patch in PATCHES) >= 10


def test_a_patch_that_does_not_fit_says_so(tmp_path: Path) -> None:
    patch = (Path(__file__).parent / "mutations" / "kappa_is_four.patch").read_text()
    with pytest.raises(PatchError, match="no source that there is"):
        apply(patch, tmp_path)
    (tmp_path / "serum.vy").write_text("# another text\n" * 40)
    with pytest.raises(PatchError, match=r"no longer applies at line \d+ of serum.vy"):
        apply(patch, tmp_path)
    moved = "# a line more\n" + (SOURCES / "serum.vy").read_text()
    (tmp_path / "serum.vy").write_text(moved)
    apply(patch, tmp_path)
    assert (tmp_path / "serum.vy").read_text() == moved.replace("(uint256) = 3\n", "(uint256) = 4\n")
    with pytest.raises(PatchError, match="no longer applies"):
        apply(patch, tmp_path)
    with pytest.raises(PatchError, match="changes nothing"):
        apply(patch.split("@@")[0], tmp_path)
