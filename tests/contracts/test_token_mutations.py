"""Mistakes that someone could make in the token, or find in its library, each a patch: the tests notice every one."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pfd.core.rng import Rng
from p2pfd.settlement.artifacts import Artifact, artifact
from tests.contracts.compiler import mutant
from tests.contracts.test_artifacts import has_no_special_right
from tests.contracts.token_machine import walk

PATCHES = sorted((Path(__file__).parent / "mutations" / "token").glob("*.patch"))
STEPS = 2_000


def play(token: Artifact) -> None:
    """Its functions, and the machine for some thousand steps."""
    has_no_special_right(token)
    walk(Rng(b"token"), STEPS, token)


def finds(patch: Path, copy: Path) -> None:
    wrong = mutant("Token", patch.read_text(), copy)
    assert wrong.bytecode != artifact("Token").bytecode, "the patch changes nothing that runs"
    with pytest.raises(AssertionError):
        play(wrong)


@pytest.mark.long
@pytest.mark.parametrize("patch", PATCHES, ids=[patch.stem for patch in PATCHES])
def test_every_mistake_is_found(patch: Path, tmp_path: Path) -> None:
    finds(patch, tmp_path)


def test_a_mistake_is_found(tmp_path: Path) -> None:
    """One of them also where time is short: the smallest contract is compiled in half a second."""
    (patch,) = (patch for patch in PATCHES if patch.stem == "permits_are_good_twice")
    finds(patch, tmp_path)


@pytest.mark.long
def test_without_a_mistake_none_is_found() -> None:
    play(artifact("Token"))


def test_there_are_mistakes_of_all_parts() -> None:
    assert len(PATCHES) >= 10
    for source in ("contracts/vyper/Token", "snekmate/tokens/erc20"):
        assert any(f"+++ b/{source}.vy" in patch.read_text() for patch in PATCHES)
