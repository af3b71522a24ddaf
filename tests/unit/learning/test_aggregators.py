"""What each aggregator makes of contributions, good and bad."""

from __future__ import annotations

import numpy as np
import pytest

from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Contribution, Labels, SoftLabels, Tensors
from p2pfd.learning.aggregators import Need, parse
from p2pfd.learning.codecs import harden, shares_of
from p2pfd.learning.votes import targets


def tensors(*values: float, age: int = 0) -> Tensors:
    return Tensors({"w": np.array(values, dtype=np.float32)}, age)


def said(*payloads: Tensors | Labels | SoftLabels) -> list[Contribution]:
    return [Contribution(f"{place}", payload) for place, payload in enumerate(payloads)]


def combine(text: str, *payloads: Tensors) -> list[float]:
    got = parse(text, 10).combine(payloads[0], said(*payloads), Rng(1))
    assert isinstance(got, Tensors)
    return got.arrays["w"].tolist()


FIVE = (tensors(1, 5), tensors(2, 5), tensors(3, 6), tensors(4, 7), tensors(100, -1000))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("mean", [22, -195.4]), ("median", [3, 5]), ("trimmed:0.2", [3, 16 / 3]), ("krum:0.2", [2, 5])],
)
def test_five_of_which_one_lies(text: str, wanted: list[float]) -> None:
    assert combine(text, *FIVE) == pytest.approx(wanted)


def test_an_old_model_weighs_more_where_age_counts() -> None:
    assert combine("mean:age", tensors(0, 0, age=0), tensors(1, 10, age=2)) == pytest.approx([0.75, 7.5])
    got = parse("mean:age", 10).combine(tensors(0), said(tensors(0, age=4), tensors(1, age=9)), Rng(1))
    assert isinstance(got, Tensors)
    assert got.age == 9


def test_the_mean_of_soft_labels_is_in_the_same_units() -> None:
    one, two = (SoftLabels(2, np.array([row], dtype=np.uint32)) for row in ([3, 0, 0], [0, 3, 0]))
    got = parse("mean", 3).combine(one, said(one, two), Rng(1))
    assert isinstance(got, SoftLabels)
    assert got.units.tolist() == [[2, 1, 0]]


def test_votes_are_what_cfd_counts() -> None:
    rng = Rng(3)
    rows = [bytes((place if rng.chance(4, 5) else rng.below(10)) for place in range(10)) * 20 for _ in range(6)]
    heard = said(*[Labels(row) for row in rows])
    table = np.array([list(row) for row in rows])
    for name, weigh, gated in (
        ("vote", False, False),
        ("weighted", True, False),
        ("serum", False, True),
        ("votes", True, True),
    ):
        got = parse(name, 10).combine(Labels(rows[0]), heard, Rng(1))
        assert isinstance(got, SoftLabels)
        assert np.allclose(shares_of(got), targets(table, 10, weigh=weigh, gated=gated, squared=False), atol=2e-5)


def test_the_serum_stops_two_liars_of_five_that_a_plain_vote_only_outvotes() -> None:
    right, wrong = bytes(range(10)) * 20, bytes((place + 1) % 10 for place in range(10)) * 20
    heard = said(*[Labels(right)] * 3, *[Labels(wrong)] * 2)
    plain = parse("vote", 10).combine(Labels(right), heard, Rng(1))
    gated = parse("serum", 10).combine(Labels(right), heard, Rng(1))
    assert isinstance(plain, SoftLabels)
    assert isinstance(gated, SoftLabels)
    assert harden(plain) == harden(gated) == Labels(right)
    assert shares_of(plain).max(axis=1) == pytest.approx(0.6, abs=1e-4)
    assert shares_of(gated).max(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("mean", [0, 0, 0, 0, 0]),
        ("median", [0, 0, 1, 4, 9]),
        ("trimmed:0.2", [0, 0, 0, 2, 4]),
        ("krum:0.2", [0, 0, 0, 2, 4]),
        ("krum:0.4", [0, 0, 0, 3, 8]),
        ("vote", [0, 0, 1, 4, 9]),
        ("serum", [0, 0, 1, 4, 9]),
    ],
)
def test_how_many_liars_each_stands(name: str, bounds: list[int]) -> None:
    assert [parse(name, 10).tolerates(count) for count in (1, 2, 3, 10, 20)] == bounds


def test_who_needs_a_bound_says_so() -> None:
    assert parse("krum", 10).needs == parse("trimmed", 10).needs == {Need.BOUND}
    assert parse("median", 10).needs == parse("votes", 10).needs == frozenset()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("best", "no 'best' among p2pfd.aggregators: the names are: .*krum"),
        ("mean:", "ends in a colon"),
        ("mean:x", "mean:x is no aggregator"),
        ("median:2", "median:2 is no aggregator"),
        ("vote:2", "vote:2 is no aggregator"),
        ("trimmed:0.5", "leaves nothing"),
        ("trimmed:0", "trimmed:0 is not a share"),
        ("krum:2", "krum:2 is not a share"),
    ],
)
def test_what_is_no_aggregator_is_explained(text: str, complaint: str) -> None:
    with pytest.raises(PlanError, match=complaint):
        parse(text, 10)
