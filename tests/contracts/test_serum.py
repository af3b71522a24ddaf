"""The serum on chain is the serum in Python, to the last unit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pfd.core.ids import account_bytes
from p2pfd.core.labels import BLANK, PER_WORD
from p2pfd.core.rng import Rng
from p2pfd.incentives import ptsc
from p2pfd.settlement.abi import Interface, reason
from p2pfd.settlement.embedded.ledger import GAS_LIMIT
from tests.contracts.chain import Contracts
from tests.contracts.compiler import mock


class Harness:
    """The serum alone, deployed."""

    def __init__(self) -> None:
        self.chain = Contracts({})
        self.address = account_bytes(self.chain.deploy(mock("SerumHarness").bytecode))
        self.function = Interface.of(mock("SerumHarness"))["scores"]

    def scores(self, labels: list[bytes], classes: int) -> tuple[int, ...]:
        words = [0] * 1024
        for worker, row in enumerate(labels):
            for start in range(0, len(row), PER_WORD):
                part = row[start : start + PER_WORD].ljust(PER_WORD, bytes([BLANK]))
                words[16 * worker + start // PER_WORD] = sum(label << 4 * place for place, label in enumerate(part))
        data = self.function.call(words, len(labels), len(labels[0]), classes)
        outcome = self.chain.ledger.call(bytes(20), self.address, data, 0, GAS_LIMIT)
        assert outcome.success, reason(outcome.output)
        (scores,) = self.function.answer(outcome.output)
        assert not any(scores[len(labels) :]), "nobody beyond the workers scores"
        return tuple(scores[: len(labels)])


@pytest.fixture(scope="module")
def harness() -> Harness:
    return Harness()


def rows(workers: int, samples: int, top: int) -> st.SearchStrategy[list[bytes]]:
    row = st.lists(st.integers(0, top), min_size=samples, max_size=samples).map(bytes)
    return st.lists(row, min_size=workers, max_size=workers)


@settings(max_examples=40)
@given(data=st.data())
def test_small_rounds_of_any_labels(harness: Harness, data: st.DataObject) -> None:
    workers, samples = data.draw(st.integers(1, 6)), data.draw(st.sampled_from([1, 3, 63, 64, 65, 130]))
    classes = data.draw(st.integers(2, 15))
    labels = data.draw(
        rows(workers, samples, BLANK)
    )  # fifteen is no class, and neither is what lies above the last one
    assert harness.scores(labels, classes) == ptsc.scores(labels, classes)


@pytest.mark.parametrize(("workers", "samples", "classes"), [(10, 320, 10), (15, 100, 3), (16, 64, 2), (17, 129, 15)])
def test_rounds_of_usual_size(harness: Harness, workers: int, samples: int, classes: int) -> None:
    rng = Rng(f"serum {workers}".encode())
    labels = [bytes(rng.below(classes) for _ in range(samples)) for _ in range(workers)]
    assert harness.scores(labels, classes) == ptsc.scores(labels, classes)


def test_where_the_lanes_are_fullest(harness: Harness) -> None:
    """All of the most workers say the same of the most samples: 65,536 agreements on one class."""
    labels = [bytes([1]) * 1024] * 64
    assert harness.scores(labels, 2) == ptsc.scores(labels, 2)


@pytest.mark.long
def test_the_largest_round(harness: Harness) -> None:
    rng = Rng(b"largest")
    labels = [bytes(rng.below(15) for _ in range(1024)) for _ in range(64)]
    assert harness.scores(labels, 15) == ptsc.scores(labels, 15)
