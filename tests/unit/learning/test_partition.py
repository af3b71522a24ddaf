"""Partitions are complete, disjoint, and the same hands everywhere."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError
from p2pfd.learning.data.partition import FLOOR, check, partition

KINDS = st.sampled_from(
    ["iid", "dirichlet:0.001", "dirichlet:0.5", "dirichlet:1", "dirichlet:1000", "quantity:0.001", "quantity:2"]
)


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
        ("quantity:0.5", "dafb4a7b7cd1454dd414b836ad7c37348fbe827b67916729e871d5d149738f7d"),
        ("labels:2", "6ce6e5230103d8b45cf74ec4ace82c935525b0241c2cda047b861822ed5e0e5d"),
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
             "dirichlet:1e9", "dirichlet:0.5:1", "shards:2", "dirichlet:" + "0" * 500,
             "labels", "labels:", "labels:0", "labels:-1", "labels:1.5", "labels:²", "labels:1000", "quantity:0",
             "quantity:", "quantity:x", "files"]
)  # fmt: skip
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(PlanError, match=r"data\.partition"):
        partition(text, LABELS, 10, Rng(1))


@given(
    shards=st.integers(1, 40),
    kinds=st.integers(1, 10),
    each=st.integers(1, 10),
    seed=st.integers(0, 2**32),
)
def test_each_shard_has_so_many_labels_and_each_label_is_somewhere(
    shards: int, kinds: int, each: int, seed: int
) -> None:
    labels = [place % kinds for place in range(kinds * 120)]
    if each > kinds or each * shards < kinds:
        with pytest.raises(PlanError, match="every class needs a shard"):
            partition(f"labels:{each}", labels, shards, Rng(seed))
        return
    hands = partition(f"labels:{each}", labels, shards, Rng(seed))
    assert sorted(place for hand in hands for place in hand) == list(range(len(labels)))
    kept = [{labels[place] for place in hand} for hand in hands]
    assert {len(held) for held in kept} == {each}
    shared = Counter(label for held in kept for label in held)
    assert max(shared.values()) - min(shared.values()) <= 1
    assert len(shared) == kinds


def test_labels_give_way_where_a_shard_would_be_empty() -> None:
    labels = [0] * 97 + [1] * 3
    hands = partition("labels:1", labels, 20, Rng(1))
    assert min(map(len, hands)) >= FLOOR
    assert sorted(place for hand in hands for place in hand) == list(range(100))


def test_quantity_is_unequal_in_size_and_equal_in_classes() -> None:
    hands = partition("quantity:0.5", LABELS, 10, Rng(5))
    sizes = sorted(len(hand) for hand in hands)
    assert sizes[-1] > 4 * sizes[0]
    largest = Counter(LABELS[place] for place in max(hands, key=len))
    assert min(largest.values()) * 2 > max(largest.values())
    sizes_even = sorted(len(hand) for hand in partition("quantity:1000", LABELS, 10, Rng(5)))
    assert sizes_even[-1] < 1.5 * sizes_even[0]


@pytest.mark.parametrize("text", ["iid", "dirichlet:0.1", "quantity:3", "labels:2", "files"])
def test_a_text_is_checked_without_data(text: str) -> None:
    check(text)
    with pytest.raises(PlanError, match=r"data\.partition"):
        check(text + ":x")


def test_more_shards_than_samples_are_refused() -> None:
    with pytest.raises(PlanError, match="cannot make 4 shards"):
        partition("iid", [1, 2, 3], 4, Rng(1))
