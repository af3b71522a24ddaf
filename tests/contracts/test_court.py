"""The court alone: what it computes for the largest numbers there can be, and what it does not take for labels."""

from __future__ import annotations

from typing import Any

import pytest

from p2pfd.core.ids import account_bytes
from p2pfd.core.labels import pack
from p2pfd.core.trees import chunks, path, root
from p2pfd.incentives import ptsc
from p2pfd.incentives.rounds import MAX_AMOUNT, MAX_SEATS
from p2pfd.incentives.sampling import scores_by_counts
from p2pfd.settlement.abi import Interface, reason
from p2pfd.settlement.artifacts import Artifact, artifact
from p2pfd.settlement.embedded.ledger import GAS_LIMIT
from tests.contracts.chain import Contracts

MOST_SAMPLES, MOST_DRAWN_FROM = 65_536, 131_070


class Court:
    """The contract, deployed, or one with a mistake in it."""

    def __init__(self, contract: Artifact) -> None:
        self.chain = Contracts({})
        self.address = account_bytes(self.chain.deploy(contract.bytecode))
        self.of = Interface.of(artifact("Court"))

    def says(self, name: str, *arguments: object) -> Any:
        """What a function answers, or why it refuses."""
        outcome = self.chain.ledger.call(bytes(20), self.address, self.of[name].call(*arguments), 0, GAS_LIMIT)
        return self.of[name].answer(outcome.output)[0] if outcome.success else reason(outcome.output)


@pytest.fixture
def contract() -> Artifact:
    return artifact("Court")


def labelled(worker: int, samples: int) -> bytes:
    return pack(bytes((place // (worker + 2) + place * place // 5) % 15 for place in range(samples)))


# -- what is not taken for labels --


def roots_are_of_whole_labels(contract: Artifact) -> None:
    """Every length of tree; and chunks too few, too many, too short, too long, or with a label where none belongs."""
    court = Court(contract)
    for samples in (1, 64, 1_000, 1_024, 1_025, 3_000, 5 * 1_024, 7_000, MOST_SAMPLES):
        packed = labelled(0, samples)
        assert court.says("root", chunks(packed), samples) == bytes(root(packed))
    parts = chunks(labelled(0, 1_100))
    assert court.says("root", parts, 1_100) == bytes(root(b"".join(parts)))
    for wrong in (parts[:1], (*parts, parts[1]), (parts[0][32:], parts[1]), (parts[0], parts[1][:32]), (parts[0], b"")):
        assert court.says("root", wrong, 1_100) == "market: wrong length"
    assert court.says("root", (parts[0], parts[1] + b"\xff" * 32), 1_100) == "market: wrong length"
    for place in (12, 13, 63):
        hidden = with_label(parts[1], 1_100 - 1_024 - 64 + place - 12)
        assert court.says("root", (parts[0], hidden), 1_100) == "market: labels past the samples"


def with_label(chunk: bytes, place: int) -> bytes:
    """The same chunk with a label at this place of its last word."""
    word = int.from_bytes(chunk[-32:], "big") & ~(15 << 4 * place)
    return chunk[:-32] + word.to_bytes(32, "big")


def test_roots_are_of_whole_labels(contract: Artifact) -> None:
    roots_are_of_whole_labels(contract)


def chunks_are_their_owners(contract: Artifact) -> None:
    """Each with its path, at its place, as long as it should be."""
    court, samples, workers = Court(contract), 2_600, range(3)
    packed = [labelled(worker, samples) for worker in workers]
    roots = [bytes(root(each)) for each in packed]
    for done in range(3):
        parts = [chunks(each)[done] for each in packed]
        paths = [[bytes(step) for step in path(each, done)] for each in packed]

        def said(parts: list[bytes], paths: list[list[bytes]], done: int = done) -> Any:
            return court.says("tally", roots, parts, paths, done, samples, 15)

        assert isinstance(said(parts, paths), tuple)
        assert said(parts[:2], paths) == said(parts, paths[:2]) == "market: lists differ in length"
        assert said([*parts, parts[0]], paths) == said(parts, [*paths, paths[0]]) == "market: lists differ in length"
        assert said([parts[1], parts[0], parts[2]], paths) == "market: not in the tree"
        assert said(parts, [paths[0][:-1], *paths[1:]]) == "market: not in the tree"
        assert said(parts, [[*paths[0], bytes(32)], *paths[1:]]) == "market: not in the tree"
        assert said(parts, [[bytes(32), *paths[0][1:]], *paths[1:]]) == "market: not in the tree"
        assert said([parts[0][32:], *parts[1:]], paths) == "market: wrong length"
    last = [chunks(each)[2] for each in packed]
    hidden = with_label(last[0], 2_600 - 2_048 - 8 * 64)
    paths = [[bytes(step) for step in path(each, 2)] for each in packed]
    answer = court.says("tally", roots, [hidden, *last[1:]], paths, 2, samples, 15)
    assert answer == "market: labels past the samples"


def test_chunks_are_taken_with_their_owners_path_at_their_place_alone(contract: Artifact) -> None:
    chunks_are_their_owners(contract)


def labels_behind_the_last_are_refused_though_bound(contract: Artifact) -> None:
    """Somebody commits to labels that go on behind the last sample, and has the right path for them."""
    court, samples = Court(contract), 1_030
    honest = labelled(0, samples)
    bound = honest[:-32] + with_label(honest[-32:], 40)
    steps = [bytes(step) for step in path(bound, 1)]
    answer = court.says("tally", [bytes(root(bound))], [chunks(bound)[1]], [steps], 1, samples, 15)
    assert answer == "market: labels past the samples"


def test_labels_behind_the_last_sample_are_refused_though_they_were_bound(contract: Artifact) -> None:
    labels_behind_the_last_are_refused_though_bound(contract)


# -- numbers --


def counts_have_seventeen_bits(contract: Artifact) -> None:
    """All samples there can be are of one class, or of two."""
    court = Court(contract)
    picked = [bytes([0] * 1_024), bytes([0, 1] * 512), bytes([0] * 1_000 + [1] * 24)]
    counts = [(MOST_DRAWN_FROM, 0), (65_536, 65_534), (65_535, 65_535)]
    words = [0] * 1_024
    for worker, row in enumerate(picked):
        packed = pack(row)
        words[16 * worker : 16 * worker + 16] = [
            int.from_bytes(packed[at : at + 32], "big") for at in range(0, 512, 32)
        ]
    held = [first | second << 17 for first, second in counts] + [0] * 61
    scores = court.says("drawn", words, held, 3, 16, 1_024, 2)
    assert scores[:3] == scores_by_counts(picked, counts, 2, 1_024)
    assert not any(scores[3:])


def test_counts_have_seventeen_bits(contract: Artifact) -> None:
    counts_have_seventeen_bits(contract)


def amounts_share_the_pot(contract: Artifact) -> None:
    """All seats agree on all samples, for the largest rate and pot; then for a pot that is too small, and for none."""
    court, seats, samples = Court(contract), MAX_SEATS, MOST_SAMPLES
    for kinds in (2, 15):
        said = [samples // kinds] * kinds
        others = [[(seats - 1) * count for count in said]] * seats
        sums = [0] * (seats * 15)
        for worker in range(seats):
            for kind in range(kinds):
                sums[15 * worker + kind] = said[kind] | others[worker][kind] << 32
        worth = ptsc.worth([seats * count for count in said], said, kinds)
        score = sum(a * b for a, b in zip(others[0], worth, strict=True)) // (seats - 1) - samples * ptsc.SCALE
        for pot, rate in ((MAX_AMOUNT, MAX_AMOUNT), (MAX_AMOUNT, 1), (0, MAX_AMOUNT), (MAX_AMOUNT - 1, 10**6)):
            expected = ptsc.pay(pot, rate, ptsc.means([score] * seats, samples))
            assert court.says("amounts", sums, seats, samples, kinds, pot, rate) == expected
            assert sum(expected) <= pot


def test_amounts_share_the_pot_however_large_the_numbers(contract: Artifact) -> None:
    amounts_share_the_pot(contract)
