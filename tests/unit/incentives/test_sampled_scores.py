"""Scores from a few drawn words: without bias, with the variance that is stated, and what false counts can do."""

from __future__ import annotations

import hashlib
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.labels import pack
from p2pfd.core.rng import Rng
from p2pfd.core.trees import counts_of, depth, sum_node, sum_path, sum_root, word_counts
from p2pfd.incentives import ptsc
from p2pfd.incentives.sampling import draw, scores_by_counts, variance_by_words
from p2pfd.incentives.strategies.game import label_game
from p2pfd.incentives.strategies.play import Player

CLASSES = 6


def crowd(samples: int, workers: int = 7) -> tuple[bytes, ...]:
    return Player(label_game(workers, CLASSES, samples, 750_000)).round(Rng(b"crowd")).honest


def counts(labels: tuple[bytes, ...]) -> list[list[int]]:
    return [[row.count(c) for c in range(CLASSES)] for row in labels]


def sampled(labels: tuple[bytes, ...], said: list[list[int]], places: tuple[int, ...]) -> tuple[float, ...]:
    """The mean score a sample from these words, as the contract makes it, but neither rounded nor cut at zero."""
    samples = len(labels[0])
    words = -(-samples // 64)
    rows = [b"".join(row[64 * place : 64 * place + 64] for place in places) for row in labels]
    scored = scores_by_counts(rows, said, CLASSES, len(rows[0]))
    return tuple(score * words / (len(places) * samples) / ptsc.SCALE for score in scored)


def test_all_words_give_the_score_itself() -> None:
    labels = crowd(640)
    assert scores_by_counts(labels, counts(labels), CLASSES, 640) == ptsc.scores(labels, CLASSES)


def test_over_all_draws_nothing_is_biased_and_the_variance_is_exact() -> None:
    """Every set of three of the nine words, the last of which is short."""
    labels = crowd(530)
    said, whole = counts(labels), ptsc.scores(labels, CLASSES)
    each = [sampled(labels, said, places) for places in combinations(range(9), 3)]
    expected = variance_by_words(labels, CLASSES, 3, 64)
    for worker, score in enumerate(whole):
        values = [one[worker] for one in each]
        mean = sum(values) / len(values)
        assert mean == pytest.approx(score / 530 / ptsc.SCALE, abs=1e-5), "but for what rounding down takes"
        assert sum((value - mean) ** 2 for value in values) / len(values) == pytest.approx(expected[worker], rel=1e-4)


def test_over_many_seeds_mean_and_variance_are_as_stated() -> None:
    labels = crowd(2_000)
    said, whole = counts(labels), ptsc.scores(labels, CLASSES)
    seeds = [hashlib.sha256(b"seed %d" % number).digest() for number in range(400)]
    each = [sampled(labels, said, draw(seed, 32, 5)) for seed in seeds]
    expected = variance_by_words(labels, CLASSES, 5, 64)
    for worker in range(3):
        values = [one[worker] for one in each]
        mean = sum(values) / len(values)
        spread = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
        # Four standard errors of a mean, and of a variance of values that are about normal.
        assert abs(mean - whole[worker] / 2_000 / ptsc.SCALE) < 4 * (expected[worker] / 400) ** 0.5
        assert spread == pytest.approx(expected[worker], rel=4 * (2 / 400) ** 0.5)


@given(st.permutations(range(CLASSES)), st.integers(0, 500))
def test_own_counts_do_not_move_the_own_score_and_those_of_others_little(order: list[int], shifted: int) -> None:
    labels = crowd(640)
    said = counts(labels)
    lie = [list(own) for own in said]
    moved = min(shifted, lie[0][order[0]])
    lie[0][order[0]] -= moved
    lie[0][order[1]] += moved
    true = scores_by_counts(labels, said, CLASSES, 640)
    false = scores_by_counts(labels, lie, CLASSES, 640)
    assert false[0] == true[0]
    for worker in range(1, 7):
        others = [sum(own[c] for at, own in enumerate(said) if at != worker) for c in range(CLASSES)]
        least = min(others[order[0]], others[order[1]]) - moved
        ratio = (false[worker] + 640 * ptsc.SCALE) / (true[worker] + 640 * ptsc.SCALE)
        assert 1 - moved / (least + moved + 1) - 1e-6 <= ratio <= 1 + moved / (least + 1) + 1e-6


# -- the tree that binds the counts --


@given(st.integers(1, 700), st.data())
def test_a_word_leads_to_the_root_with_the_counts_of_all(samples: int, data: st.DataObject) -> None:
    labels = bytes((place * 5 + place // 3) % CLASSES for place in range(samples))
    packed = pack(labels)
    top = sum_root(packed, CLASSES)
    assert counts_of(top[1], CLASSES) == tuple(labels.count(c) for c in range(CLASSES))
    place = data.draw(st.integers(0, len(packed) // 32 - 1))
    word = packed[32 * place : 32 * place + 32]
    node = hashlib.sha256(word).digest(), word_counts(word, CLASSES)
    path = sum_path(packed, CLASSES, place)
    assert len(path) == depth(samples)
    for height, sibling in enumerate(path):
        node = sum_node(sibling, node) if place >> height & 1 else sum_node(node, sibling)
    assert node == top
