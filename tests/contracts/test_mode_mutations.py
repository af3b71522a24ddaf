"""Mistakes that someone could make in the markets of the other modes, each a patch: the tests notice every one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from p2pfd.core.rng import Rng
from p2pfd.settlement.artifacts import Artifact, artifact
from tests.contracts import (
    optimistic_machine,
    sampled_machine,
    test_court,
    test_mode_limits,
    test_optimistic_attacks,
    test_optimistic_chains,
    test_sampled_attacks,
)
from tests.contracts.compiler import noticed

PATCHES = sorted((Path(__file__).parent / "mutations" / "modes").glob("*.patch"))
WALKS, STEPS = 8, 400


def optimistic(market: Artifact) -> None:
    """The machine, for a few thousand steps."""
    for number in range(WALKS):
        optimistic_machine.walk(Rng(b"optimistic").split(number), STEPS, market)


def sampled(market: Artifact) -> None:
    """The machine, for a few thousand steps."""
    for number in range(WALKS):
        sampled_machine.walk(Rng(b"sampled").split(number), STEPS, market)


def twin(market: Artifact) -> None:
    """A signature's twin is offered."""
    test_optimistic_attacks.test_the_twin_of_a_signature_is_refused(test_optimistic_attacks.Game(market))


def told(story: Callable[[test_sampled_attacks.Game], None]) -> Callable[[Artifact], None]:
    """A story of the other tests, with a sampled market that has a mistake in it."""
    return lambda market: story(test_sampled_attacks.Game(market))


FOUND_BY: dict[str, Callable[[Artifact], None]] = {
    "optimistic_takes_the_twin_of_a_signature": twin,
    "sampled_shares_from_the_sample": sampled,
    "optimistic_only_the_last_chunk_counts": test_mode_limits.a_dispute_in_chunks,
    "sampled_forgotten_blocks_draw": told(test_sampled_attacks.a_forgotten_block_is_replaced),
    "sampled_root_counts_are_believed": told(test_sampled_attacks.counts_are_those_of_all_words),
    "sampled_padding_is_free": test_sampled_attacks.nothing_counts_behind_the_last,
    "court_chunks_may_be_shorter": test_court.roots_are_of_whole_labels,
    "court_padding_is_free": test_court.labels_behind_the_last_are_refused_though_bound,
    "court_lists_need_not_fit": test_court.chunks_are_their_owners,
    "court_counts_have_sixteen_bits": test_court.counts_have_seventeen_bits,
    "court_pots_are_bottomless": test_court.amounts_share_the_pot,
    "optimistic_a_split_chain_keeps_its_signatures": test_optimistic_chains.a_split_chain_has_signatures_of_its_own,
    "court_five_steps": test_court.roots_are_of_whole_labels,
    "court_places_do_not_matter": test_court.chunks_are_their_owners,
}
CONTRACTS = ("OptimisticMarket", "SampledMarket", "Court")
AT_LEAST = 10
PLAYED: dict[str, Callable[[Artifact], None]] = {
    "OptimisticMarket": optimistic,
    "Court": optimistic,
    "rounds": optimistic,
    "SampledMarket": sampled,
}


def names(patches: list[Path]) -> list[str]:
    return [patch.stem for patch in patches]


def is_found(patch: Path, copy: Path) -> bool:
    text = patch.read_text()
    source = Path(next(line[4:].strip() for line in text.splitlines() if line.startswith("+++ "))).stem
    name = "OptimisticMarket" if source == "rounds" else source
    # A KeyError where an event names a worker that holds no seat.
    return noticed(name, text, copy, FOUND_BY.get(patch.stem, PLAYED[source]), (KeyError,))


@pytest.mark.long
@pytest.mark.parametrize("patch", PATCHES, ids=names(PATCHES))
def test_every_mistake_is_found(patch: Path, tmp_path: Path) -> None:
    assert is_found(patch, tmp_path), f"no test notices: {patch.read_text().splitlines()[0]}"


def test_there_are_mistakes_of_all_parts() -> None:
    assert set(FOUND_BY) <= set(names(PATCHES))
    for contract in CONTRACTS:
        of = [patch for patch in PATCHES if f"+++ b/contracts/vyper/{contract}.vy" in patch.read_text()]
        assert len(of) >= AT_LEAST, contract
    for source in PLAYED:
        assert any(f"+++ b/contracts/vyper/{source}.vy" in patch.read_text() for patch in PATCHES)


@pytest.mark.long
def test_without_a_mistake_none_is_found() -> None:
    for name, play in PLAYED.items():
        if name != "rounds":
            play(artifact(name))
    for patch in FOUND_BY:
        contract = next(each for each in CONTRACTS if each.lower().startswith(patch.split("_")[0]))
        FOUND_BY[patch](artifact(contract))
