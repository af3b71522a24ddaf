"""What every draw keeps to, whatever the seed and the limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.rng import Rng

SEEDS = st.integers() | st.binary(max_size=64)
LABELS = st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=10) | st.binary(max_size=10)
NAMES = st.lists(LABELS, max_size=4).map(tuple)


@given(SEEDS, st.integers(1, 2**70))
def test_below_stays_below(seed: int | bytes, limit: int) -> None:
    assert 0 <= Rng(seed).below(limit) < limit


@given(SEEDS, st.integers(), st.integers(0, 2**70))
def test_between_stays_between(seed: int | bytes, low: int, more: int) -> None:
    assert low <= Rng(seed).between(low, low + more) <= low + more


@given(SEEDS, st.integers(0, 200))
def test_bits_and_bytes_have_their_length(seed: int | bytes, count: int) -> None:
    assert 0 <= Rng(seed).bits(count) < 2**count
    assert len(Rng(seed).bytes(count)) == count
    assert 0.0 <= Rng(seed).unit() < 1.0


@given(SEEDS, st.lists(st.integers()), st.data())
def test_shuffles_and_samples_lose_and_invent_nothing(seed: int | bytes, items: list[int], data: st.DataObject) -> None:
    shuffled = list(items)
    Rng(seed).shuffle(shuffled)
    assert sorted(shuffled) == sorted(items)
    places = Rng(seed).sample(range(len(items)), data.draw(st.integers(0, len(items))))
    assert len(set(places)) == len(places)


@given(SEEDS, NAMES, st.integers(0, 40))
def test_a_child_does_not_depend_on_what_its_parent_drew(
    seed: int | bytes, name: tuple[int | str | bytes, ...], draws: int
) -> None:
    parent = Rng(seed)
    for _ in range(draws):
        parent.bits(32)
    assert parent.split(*name).bits(64) == Rng(seed).split(*name).bits(64)


@given(SEEDS, NAMES, NAMES)
def test_children_are_equal_exactly_when_their_names_are(
    seed: int | bytes, left: tuple[int | str | bytes, ...], right: tuple[int | str | bytes, ...]
) -> None:
    same = left == right
    assert (Rng(seed).split(*left).seed == Rng(seed).split(*right).seed) == same


@given(SEEDS, SEEDS)
def test_streams_are_equal_exactly_when_their_seeds_are(left: int | bytes, right: int | bytes) -> None:
    assert (Rng(left).seed == Rng(right).seed) == (left == right)
