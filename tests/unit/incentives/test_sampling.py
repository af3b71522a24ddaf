"""Scores from k of n samples: which are drawn, what they come to on average, and how far they stray."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.rng import Rng
from p2pfd.incentives import ptsc
from p2pfd.incentives.sampling import (
    draw,
    scores,
    scores_by_known_shares,
    variance,
    variance_by_known_shares,
)
from p2pfd.incentives.strategies.game import label_game
from p2pfd.incentives.strategies.play import Player

SEED = hashlib.sha256(b"a block").digest()


def seeds(count: int) -> list[bytes]:
    return [hashlib.sha256(b"seed %d" % number).digest() for number in range(count)]


def crowd(workers: int = 8, classes: int = 6, samples: int = 240) -> tuple[bytes, ...]:
    return Player(label_game(workers, classes, samples, 750_000)).round(Rng(b"crowd")).honest


def moments(values: list[float]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def test_the_draw_is_fixed_to_the_bit() -> None:
    assert draw(SEED, 1_000_000, 5) == (18820, 284753, 437447, 479206, 917109)
    assert draw(SEED, 7, 7) == tuple(range(7))


@given(st.binary(min_size=32, max_size=32), st.integers(1, 300), st.data())
def test_it_draws_different_samples_that_there_are(seed: bytes, samples: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, samples))
    picked = draw(seed, samples, count)
    assert len(set(picked)) == count
    assert list(picked) == sorted(picked)
    assert 0 <= picked[0] <= picked[-1] < samples


def test_every_set_is_equally_likely() -> None:
    drawn = Counter(draw(seed, 6, 3) for seed in seeds(8_000))
    expected = 8_000 / comb(6, 3)
    assert len(drawn) == comb(6, 3)
    spread = sum((seen - expected) ** 2 / expected for seen in drawn.values())
    assert spread < 43.8, "chi squared with 19 degrees of freedom exceeds this once in a thousand"


@pytest.mark.parametrize(("seed", "samples", "count"), [(b"short", 5, 2), (SEED, 5, 0), (SEED, 5, 6), (SEED, 2**33, 1)])
def test_it_refuses_what_cannot_be_drawn(seed: bytes, samples: int, count: int) -> None:
    with pytest.raises(ValueError, match=r"32 bytes|cannot draw"):
        draw(seed, samples, count)


def test_all_samples_give_the_score_itself() -> None:
    labels, everything = crowd(), range(240)
    assert scores(labels, 6, everything) == ptsc.scores(labels, 6)
    assert scores_by_known_shares(labels, 6, everything) == ptsc.scores(labels, 6)
    assert max(variance(labels, 6, 240)) == max(variance_by_known_shares(labels, 6, 240)) == 0


@given(st.lists(st.binary(min_size=7, max_size=7), min_size=2, max_size=4), st.integers(1, 7))
def test_with_known_shares_nothing_is_biased_and_the_variance_is_exact(raw: list[bytes], count: int) -> None:
    """Over all sets of so many samples, not some."""
    labels = [bytes(value % 4 for value in row) for row in raw]  # of three classes; the fourth is none
    sets = list(combinations(range(7), count))
    each = [scores_by_known_shares(labels, 3, picked) for picked in sets]
    whole = ptsc.scores(labels, 3)
    expected = variance_by_known_shares(labels, 3, count)
    for worker, score in enumerate(whole):
        means = [got[worker] / count / ptsc.SCALE for got in each]
        mean = sum(means) / len(means)
        assert mean == pytest.approx(score / 7 / ptsc.SCALE, abs=2e-6), "but for what rounding down takes"
        spread = sum((value - mean) ** 2 for value in means) / len(means)
        assert spread == pytest.approx(expected[worker], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("count", [40, 120])
def test_the_variance_and_the_bias_of_what_a_contract_can_compute(count: int) -> None:
    labels = crowd()
    got = [scores(labels, 6, draw(seed, 240, count)) for seed in seeds(2_000)]
    whole, expected = ptsc.scores(labels, 6), variance(labels, 6, count)
    for worker in range(3):
        mean, spread = moments([one[worker] / count / ptsc.SCALE for one in got])
        assert spread == pytest.approx(expected[worker], rel=0.15)
        bias = mean - whole[worker] / 240 / ptsc.SCALE
        noise = 3 * (spread / 2_000) ** 0.5
        assert -4 / count - noise < bias < noise, "downwards, and by no more than 4/k"


def test_a_constant_answer_earns_no_more_on_some_samples_than_on_all() -> None:
    labels = (bytes(240), *crowd())
    for seed in seeds(200):
        assert scores(labels, 6, draw(seed, 240, 40))[0] <= 6 * ptsc.SCALE // len(crowd())
