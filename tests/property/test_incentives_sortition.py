"""Sortition: nobody chooses its judges, and everybody judges as often as its stake says."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.ids import Account, Digest
from p2pfd.core.rng import Rng
from p2pfd.incentives.sortition import committee, seed

UNIT = 10
accounts = st.integers(1, 2**160 - 1).map(lambda number: Account(f"0x{number:040x}"))
stakes = st.dictionaries(accounts, st.integers(0, 100), max_size=12)
seeds = st.binary(min_size=32, max_size=32).map(Digest)


def named(number: int) -> Account:
    return Account(f"0x{number:040x}")


@given(seeds, stakes, st.integers(0, 8), st.integers(0, 2**32))
def test_the_order_of_the_list_does_not_matter(drawn: Digest, held: dict[Account, int], size: int, order: int) -> None:
    listed = list(held.items())
    Rng(order).shuffle(listed)
    assert committee(drawn, held, UNIT, size, ()) == committee(drawn, dict(listed), UNIT, size, ())


@given(seeds, stakes, st.integers(0, 8), st.data())
def test_only_who_may_judge_is_drawn(drawn: Digest, held: dict[Account, int], size: int, data: st.DataObject) -> None:
    parties = data.draw(st.lists(st.sampled_from(sorted(held)), max_size=2)) if held else []
    judges = committee(drawn, held, UNIT, size, parties)
    able = {who for who, stake in held.items() if stake >= UNIT} - set(parties)
    assert set(judges) <= able
    assert len(judges) == len(set(judges)) == min(size, len(able))


@given(seeds, stakes, st.integers(1, 8))
def test_who_leaves_changes_nothing_between_the_others(drawn: Digest, held: dict[Account, int], size: int) -> None:
    judges = committee(drawn, held, UNIT, len(held), ())
    for gone in judges[:1]:
        assert committee(drawn, held, UNIT, size, [gone]) == judges[1 : size + 1]


def test_each_is_drawn_as_often_as_its_stake_says() -> None:
    held = {named(1): 10, named(2): 20, named(3): 30, named(4): 40, named(5): 9, named(6): 500}
    draws = 4_000
    first: Counter[Account] = Counter()
    for number in range(draws):
        drawn = seed(number.to_bytes(32, "big"), (bytes(32), bytes(32)))
        first[committee(drawn, held, UNIT, 1, [named(6)])[0]] += 1
    for number, tickets in ((1, 1), (2, 2), (3, 3), (4, 4)):
        expected = draws * tickets / 10
        deviation = (draws * tickets / 10 * (1 - tickets / 10)) ** 0.5
        assert abs(first[named(number)] - expected) < 4 * deviation
    assert first[named(5)] == first[named(6)] == 0


def test_splitting_a_stake_gains_nothing() -> None:
    """Twenty tickets in one hand or in ten hands: the same share of first places, against the same opponent."""
    draws = 3_000
    whole = {named(1): 200, named(99): 200}
    split = {named(number): 20 for number in range(1, 11)} | {named(99): 200}
    lost = Counter[str]()
    for number in range(draws):
        drawn = seed(number.to_bytes(32, "big"), (b"\1" * 32, bytes(32)))
        lost["whole"] += committee(drawn, whole, UNIT, 1, ()) == (named(99),)
        lost["split"] += committee(drawn, split, UNIT, 1, ()) == (named(99),)
    for kind in ("whole", "split"):
        assert abs(lost[kind] - draws / 2) < 4 * (draws / 4) ** 0.5


def test_every_part_of_the_seed_matters() -> None:
    parts = [bytes(32), b"\1" * 32, b"\2" * 32]
    drawn = seed(parts[0], (parts[1], parts[2]))
    assert drawn != seed(parts[1], (parts[0], parts[2]))
    assert drawn != seed(parts[0], (parts[2], parts[1]))
    with pytest.raises(ValueError, match="32 bytes"):
        seed(b"short", (parts[1], parts[2]))


def test_a_free_ticket_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one unit"):
        committee(Digest(bytes(32)), {}, 0, 1, ())
