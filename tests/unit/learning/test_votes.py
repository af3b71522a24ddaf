"""Votes become targets by counting, and those who lie in concert are not heard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from p2pfd.core.rng import Rng
from p2pfd.learning.votes import ONE, TRUST, gate, recall, serum, surplus, targets

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 40))
FLAGS = st.fixed_dictionaries(
    {
        "weigh": st.booleans(),
        "gated": st.booleans(),
        "squared": st.booleans(),
        "trust": st.sampled_from(sorted(TRUST)),
    }
)


@given(labels=arrays(np.int64, SHAPES, elements=st.integers(0, 4)), flags=FLAGS)
def test_targets_are_distributions_over_what_was_voted(labels: np.ndarray, flags: dict[str, Any]) -> None:
    shares = targets(labels, 5, **flags)
    assert shares.shape == (labels.shape[1], 5)
    assert shares.dtype == np.float32
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-6)
    for sample in range(labels.shape[1]):
        assert set(np.flatnonzero(shares[sample])) <= set(labels[:, sample])


@given(labels=arrays(np.int64, SHAPES, elements=st.integers(0, 4)), flags=FLAGS)
def test_unanimity_is_certainty(labels: np.ndarray, flags: dict[str, Any]) -> None:
    same = np.tile(labels[:1], (labels.shape[0], 1))
    assert np.array_equal(targets(same, 5, **flags), np.eye(5, dtype=np.float32)[labels[0]])


def test_plain_votes_are_shares() -> None:
    labels = np.array([[0, 1], [0, 1], [1, 1], [2, 0]])
    shares = targets(labels, 3, weigh=False, gated=False, squared=False)
    assert shares.tolist() == [[0.5, 0.25, 0.25], [0.25, 0.75, 0.0]]
    squared = targets(labels, 3, weigh=False, gated=False, squared=True)
    assert np.allclose(squared, [[4 / 6, 1 / 6, 1 / 6], [0.1, 0.9, 0]])


def crowd(honest: int, liars: int, samples: int = 300, right: int = 85) -> tuple[np.ndarray, np.ndarray]:
    """Voters who are right in so many of a hundred cases, and liars who all name the class after the true one."""
    rng = Rng(4).split(honest, liars)
    truth = np.array([rng.below(10) for _ in range(samples)])
    rows = []
    for voter in range(honest + liars):
        draw = rng.split("voter", voter)
        row = np.array([t if draw.chance(right, 100) else draw.below(10) for t in truth])
        rows.append(row if voter < honest else (row + 1) % 10)
    return np.array(rows), truth


@pytest.mark.parametrize(("honest", "liars"), [(3, 1), (8, 2), (6, 4), (12, 8)])
def test_colluding_liars_are_not_heard(honest: int, liars: int) -> None:
    labels, truth = crowd(honest, liars)
    assert gate(labels, 10).tolist() == [True] * honest + [False] * liars
    shares = targets(labels, 10, weigh=True, gated=True, squared=False)
    assert (shares.argmax(axis=1) == truth).mean() > 0.9


def test_constant_answers_are_worth_nothing() -> None:
    labels, _ = crowd(5, 0)
    labels[4] = 3
    scores = serum(labels, 10, np.full(5, ONE))
    assert scores[4] < scores[:4].min() / 5
    assert not gate(labels, 10)[4]


def test_two_voters_are_both_heard() -> None:
    assert gate(np.array([[0, 1, 2], [2, 1, 0]]), 3).tolist() == [True, True]


def test_voters_that_agree_on_nothing_are_all_heard() -> None:
    assert gate(np.array([[0, 0], [1, 1], [2, 2], [3, 3]]), 4).all()


def test_who_never_names_a_class_does_not_know_it() -> None:
    labels, truth = crowd(5, 0)
    labels[0] = np.where(truth == 7, 1, labels[0])
    known = recall(labels, 10)
    assert known[0, 7] < known[1:, 7].min() / 4
    assert known.min() >= 1
    assert known.max() <= ONE


def test_the_largest_crowd_stays_in_sixty_four_bits() -> None:
    labels = np.zeros((64, 1024), dtype=np.int64)
    assert targets(labels, 15, weigh=True, gated=True, squared=True)[:, 0].min() == 1
    assert gate(labels, 15).all()


def test_a_class_that_one_voter_alone_has_learnt_is_its_to_name() -> None:
    truth = np.arange(1000) % 10
    told = np.where(truth == 9, 7, truth)  # all others call a nine a seven
    labels = np.array([truth, *[told] * 8])
    by_recall = targets(labels, 10, weigh=True, gated=False, squared=True).argmax(axis=1)
    by_surplus = targets(labels, 10, weigh=True, gated=False, squared=True, trust="surplus").argmax(axis=1)
    assert not (by_recall == truth).all()
    assert (by_surplus == truth).all()


def test_where_all_know_alike_no_voter_has_much_more_than_its_share() -> None:
    labels, _ = crowd(10, 0, samples=5000)
    weights = surplus(labels, 10)
    assert weights.max() < 5 * weights.min()


def test_who_calls_everything_by_one_name_says_little() -> None:
    truth = np.arange(1000) % 10
    labels = np.array([*[truth] * 3, np.full(1000, 4)])
    weights = surplus(labels, 10)
    assert (targets(labels, 10, weigh=True, gated=False, squared=False, trust="surplus").argmax(axis=1) == truth).all()
    assert weights.min() >= 1


@pytest.mark.parametrize("trust", sorted(TRUST))
def test_the_largest_task_stays_in_sixty_four_bits(trust: str) -> None:
    labels = np.zeros((64, 8192), dtype=np.int64)
    labels[0] = 1
    shares = targets(labels, 2, weigh=True, gated=False, squared=True, trust=trust)
    assert (shares >= 0).all()
    assert np.allclose(shares.sum(axis=1), 1)
