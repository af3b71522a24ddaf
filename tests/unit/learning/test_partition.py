"""Partitions are complete, disjoint, and the same hands everywhere."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError
from p2pfd.learning.data.partition import FLOOR, partition

KINDS = st.sampled_from(["iid", "dirichlet:0.001", "dirichlet:0.5", "dirichlet:1", "dirichlet:1000"])


@given(
    kind=KINDS,
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=200),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_every_sample_has_one_owner_and_nobody_has_none(
    kind: str, labels: list[int], seed: int, data: st.DataObject
) -> None:
    shards = data.draw(st.integers(1, len(labels)))
    hands = partition(kind, labels, shards, Rng(seed))
    assert len(hands) == shards
    assert sorted(place for hand in hands for place in hand) == list(range(len(labels)))
    assert min(map(len, hands)) >= min(FLOOR, len(labels) // shards)
    assert all(hand == sorted(hand) for hand in hands)
    assert hands == partition(kind, labels, shards, Rng(seed))


LABELS = [place % 10 for place in range(1000)]


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("iid", "433768677579a89888bbe4e0e699774ffa0a57b53faeb95695ded3c27db3ebe3"),
        ("dirichlet:0.5", "3385d94a13039c94c7c2e0ac5876a0d54a477dd90204275a6d1c901b834f051a"),
    ],
)
def test_the_hands_are_the_known_ones(kind: str, known: str) -> None:
    hands = partition(kind, LABELS, 10, Rng(1))
    assert hashlib.sha256(repr(hands).encode()).hexdigest() == known


def test_iid_shards_differ_by_at_most_one_sample() -> None:
    sizes = Counter(len(hand) for hand in partition("iid", LABELS[:997], 10, Rng(3)))
    assert sizes == {100: 7, 99: 3}


def largest_share(kind: str) -> float:
    """The part of a class that its largest owner has, over classes and seeds."""
    tables = [[Counter(LABELS[place] for place in hand) for hand in hands_of(kind, seed)] for seed in range(5)]
    return sum(max(hand[c] for hand in table) for table in tables for c in range(10)) / (5 * len(LABELS))


def hands_of(kind: str, seed: int) -> list[list[int]]:
    return partition(kind, LABELS, 10, Rng(seed))


def test_smaller_alpha_concentrates_classes() -> None:
    shares = [largest_share(f"dirichlet:{alpha}") for alpha in ("0.05", "0.5", "5", "500")]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.7
    assert shares[-1] < 0.2


def test_the_urn_has_the_moments_of_the_dirichlet_multinomial() -> None:
    # For K = 4 and α = 1/2 over 100 samples: mean 25, variance n·p·(1−p)·(n+K·α)/(1+K·α) = 100·3/16·102/3.
    counts = [len(partition("dirichlet:0.5", [0] * 100, 4, Rng(seed))[0]) for seed in range(2000)]
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / len(counts)
    assert abs(mean - 25) < 2
    assert abs(variance - 637.5) < 70


@pytest.mark.parametrize(
    "text", ["", "iid:1", "dirichlet", "dirichlet:", "dirichlet:0", "dirichlet:-1", "dirichlet:1/2", "dirichlet:nan",
             "dirichlet:1e9", "dirichlet:0.5:1", "shards:2", "dirichlet:" + "0" * 500]
)  # fmt: skip
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(PlanError, match=r"data\.partition"):
        partition(text, LABELS, 10, Rng(1))


def test_more_shards_than_samples_are_refused() -> None:
    with pytest.raises(PlanError, match="cannot make 4 shards"):
        partition("iid", [1, 2, 3], 4, Rng(1))
