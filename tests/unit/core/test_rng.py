"""The stream is pinned: a change to any of these numbers changes every recorded run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from p2pfd.core.rng import Rng

RECITE = """
from p2pfd.core.rng import Rng
rng = Rng(7).split("node", 3, b"x")
items = list(range(20))
rng.shuffle(items)
print(rng.seed.hex(), [rng.bits(64) for _ in range(3)], rng.below(1000), rng.between(-5, 5), rng.unit(),
      rng.bytes(5).hex(), items, rng.sample("abcdefgh", 3), rng.choice(range(100)), rng.chance(1, 3))
"""
RECITED = (
    "7f8b3c37e04d20d30ae5a4b9392df6b84298c909814334c331045ed56761cf8f [17085179049856737170, 701508494719"
    "9827728, 15599095520427928341] 785 2 0.8691894502677107 8fc8577acf [8, 2, 19, 15, 4, 0, 5, 3, 18, 9,"
    " 11, 6, 13, 14, 16, 12, 7, 17, 1, 10] ['c', 'a', 'b'] 99 False"
)


def test_known_answers() -> None:
    rng = Rng(7)
    assert rng.seed.hex() == "13b61af05ddc76599775ce36d625dd8bca37d3dfc360d27fe726916622968304"
    assert [rng.bits(32) for _ in range(4)] == [2242647201, 2308376283, 2744097819, 1824214994]
    assert [rng.below(10) for _ in range(12)] == [0, 6, 9, 1, 2, 5, 4, 4, 1, 3, 6, 5]
    assert [rng.between(-3, 3) for _ in range(8)] == [-1, -3, -1, 0, -2, -2, -1, -3]
    assert rng.unit() == 0.7385755380264442
    assert rng.bytes(8).hex() == "75c40c227f61ce76"
    assert rng.choice("abcdefgh") == "h"
    assert rng.sample(range(10), 4) == [1, 4, 8, 2]
    assert [rng.chance(1, 3) for _ in range(6)] == [False, False, False, False, False, True]
    items = list(range(8))
    rng.shuffle(items)
    assert items == [4, 7, 0, 5, 6, 2, 3, 1]


def test_known_answers_of_children() -> None:
    rng = Rng(7)
    assert rng.split("node", 3).bits(32) == 1414635701
    assert rng.split("node").split(3).bits(32) == 3924613066
    assert rng.split(b"node", -3).bits(32) == 502115433
    assert Rng(b"seed").bits(32) == 2827328272


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_a_fresh_interpreter_draws_the_same(hash_seed: str) -> None:
    spoken = subprocess.run(
        [sys.executable, "-c", RECITE],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
        text=True,
    )
    assert spoken.stdout.strip() == RECITED


def test_drawing_does_not_change_the_children() -> None:
    quiet, busy = Rng(1), Rng(1)
    for _ in range(1000):
        busy.bits(32)
    busy.split("other").bits(32)
    assert quiet.split("a").bits(256) == busy.split("a").bits(256)


def test_splitting_does_not_change_the_draws() -> None:
    quiet, busy = Rng(1), Rng(1)
    for number in range(100):
        busy.split(number).bits(8)
    assert quiet.bits(256) == busy.bits(256)


def test_names_of_children_are_told_apart() -> None:
    rng = Rng(1)
    names: list[tuple[str | int | bytes, ...]] = [
        (),
        ("",),
        ("", ""),
        ("a",),
        ("b",),
        (b"a",),
        ("1",),
        (1,),
        (-1,),
        (b"1",),
        ("a", "b"),
        ("ab",),
        ("a", "b", ""),
        ("b", "a"),
        (12,),
        (1, 2),
    ]
    assert len({rng.split(*name).seed for name in names}) == len(names)


def test_seeds_are_told_apart() -> None:
    seeds: list[int | bytes] = [0, 1, -1, 10, b"", b"0", b"1", b"-1", b"10", 2**300]
    assert len({Rng(seed).seed for seed in seeds}) == len(seeds)
    assert Rng(b"").seed != Rng(0).split().seed


def test_a_truth_value_is_no_name() -> None:
    with pytest.raises(TypeError):
        Rng(1).split(True)


@pytest.mark.parametrize("limit", [0, -1])
def test_nothing_lies_below_zero(limit: int) -> None:
    with pytest.raises(ValueError, match="nothing lies below"):
        Rng(1).below(limit)
    with pytest.raises(ValueError, match="nothing lies below"):
        Rng(1).choice([])
    with pytest.raises(ValueError, match="nothing lies below"):
        Rng(1).between(1, limit)


@pytest.mark.parametrize("count", [-1, 4])
def test_a_sample_is_no_larger_than_what_it_comes_from(count: int) -> None:
    with pytest.raises(ValueError, match=f"cannot draw {count} from 3"):
        Rng(1).sample("abc", count)


def test_edges() -> None:
    rng = Rng(1)
    assert rng.below(1) == 0
    assert rng.between(5, 5) == 5
    assert rng.bytes(0) == b""
    assert rng.bits(0) == 0
    assert rng.sample([], 0) == []
    assert sorted(rng.sample("abc", 3)) == ["a", "b", "c"]
    assert all(rng.chance(1, 1) for _ in range(20))
    assert not any(rng.chance(0, 5) for _ in range(20))


# The 0.999 quantiles of chi-square: a fair generator fails once in a thousand seeds, and this seed is fixed.
CHI_SQUARE = {1: 10.83, 5: 20.52, 9: 27.88, 23: 49.73, 255: 330.52}


def _chi_square(counts: list[int], draws: int) -> float:
    expected = draws / len(counts)
    return sum((count - expected) ** 2 for count in counts) / expected


@pytest.mark.parametrize("limit", [2, 6, 10, 24, 256])
def test_below_is_uniform(limit: int) -> None:
    rng, draws = Rng(2).split("below", limit), 20_000
    counts = [0] * limit
    for _ in range(draws):
        counts[rng.below(limit)] += 1
    assert _chi_square(counts, draws) < CHI_SQUARE[limit - 1]


def test_every_order_is_as_likely() -> None:
    rng, draws = Rng(2).split("shuffle"), 24_000
    counts: dict[str, int] = {}
    for _ in range(draws):
        items = list("abcd")
        rng.shuffle(items)
        order = "".join(items)
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    assert _chi_square(list(counts.values()), draws) < CHI_SQUARE[23]


def test_first_draws_of_siblings_are_uniform() -> None:
    rng, draws = Rng(2), 10_000
    counts = [0] * 10
    for number in range(draws):
        counts[rng.split("node", number).below(10)] += 1
    assert _chi_square(counts, draws) < CHI_SQUARE[9]


def test_siblings_do_not_agree_more_often_than_chance() -> None:
    left, right, draws = Rng(2).split("left"), Rng(2).split("right"), 20_000
    agree = sum(left.bits(1) == right.bits(1) for _ in range(draws))
    assert _chi_square([agree, draws - agree], draws) < CHI_SQUARE[1]


def test_chance_and_unit_have_their_means() -> None:
    rng, draws = Rng(3), 20_000
    hits = sum(rng.chance(1, 3) for _ in range(draws))
    mean = sum(rng.unit() for _ in range(draws)) / draws
    assert abs(hits / draws - 1 / 3) < 0.011  # 3.3 standard deviations of 0.0033
    assert abs(mean - 0.5) < 0.007  # 3.4 standard deviations of 0.0020
