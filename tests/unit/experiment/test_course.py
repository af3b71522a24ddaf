"""The course of a mesh of encounters: votes that are right, stakes that fall, and what came after that."""

from __future__ import annotations

import pytest

from p2pfd.core.encounter_events import Defaulted, Opened, Settled, Voided
from p2pfd.core.ids import Account
from p2pfd.experiment.course import EVERY, Fate, Point, Recorder

GOOD, BAD = Account("0x" + "11" * 20), Account("0x" + "22" * 20)
PREPAYMENT, THRESHOLD, UNTIL = 1_000, 2_000, 100
VALID, INVALID, SILENT = 2, 3, 1


def ballot(*states: int) -> int:
    return sum(state << 2 * place for place, state in enumerate(states))


class Chain:
    """Balances that a test sets, and a recorder that looks at them."""

    def __init__(self) -> None:
        self.free = {GOOD: 5_000, BAD: 5_000}
        self.recorder = Recorder([GOOD, BAD], [True, False], self.free.__getitem__, THRESHOLD, PREPAYMENT, UNTIL)
        self.recorder.weighed(0)

    def opened(self, second: int, key: int) -> None:
        for who in self.free:
            self.free[who] -= PREPAYMENT
        self.recorder.opened(second, Opened(key, 5), (GOOD, BAD))
        self.recorder.weighed(second)

    def settled(self, second: int, key: int, *states: int, lost: int = 0) -> None:
        self.free[GOOD] += PREPAYMENT + lost
        self.free[BAD] += PREPAYMENT - lost
        self.recorder.ended(second, Settled(key, ballot(*states)))
        self.recorder.weighed(second)


def test_a_vote_is_right_if_it_finds_altered_answers_invalid_and_others_valid():
    chain = Chain()
    chain.recorder.altered.add(2)
    chain.opened(1, 1)
    chain.settled(2, 1, VALID, VALID, INVALID)
    chain.opened(3, 2)
    chain.settled(4, 2, INVALID, VALID, SILENT)
    chain.opened(EVERY + 1, 3)
    chain.settled(EVERY + 1, 3, INVALID, INVALID, VALID)
    chain.recorder.graded(0, 0.75)
    first, second, third = chain.recorder.points()
    assert first == Point(0, 0.0, stake=5.0)
    assert (second.second, second.votes, second.right) == (EVERY, 3, 2)
    assert (second.bad_votes, second.bad_right, second.altered, second.passed) == (2, 1, 1, 0)
    assert (third.votes, third.right, third.bad_votes, third.accuracy) == (3, 1, 0, 0.75)


def test_what_is_bound_in_an_encounter_still_counts_and_what_is_lost_does_not():
    chain = Chain()
    for key in range(3):
        chain.opened(10 * key + 1, key)
        assert chain.recorder.fates()[1] == Fate()
        chain.settled(10 * key + 2, key, VALID, lost=1_000)
    chain.opened(31, 3)
    assert chain.recorder.fates()[1] == Fate(), "1,000 free and 1,000 bound are the threshold"
    chain.settled(32, 3, INVALID, lost=1_000)
    chain.opened(41, 4)
    chain.settled(42, 4, VALID, lost=-2_000)
    assert chain.recorder.fates() == (Fate(), Fate(fell=32, begun=1, back=1))
    points = chain.recorder.points()
    assert [point.out for point in points] == [0, 0, 0, 0, 1, 0]
    assert points[4].stake == 1.0
    assert not any(point.honest_out for point in points)


def test_who_takes_its_tokens_out_in_the_end_has_not_fallen():
    chain = Chain()
    chain.free[BAD] = 0
    chain.recorder.weighed(UNTIL)
    assert chain.recorder.fates()[1] == Fate()
    chain.recorder.weighed(UNTIL - 1)
    assert chain.recorder.fates()[1] == Fate(fell=UNTIL - 1)


@pytest.mark.parametrize("end", [Defaulted(1, 700), Voided(1)], ids=["defaulted", "voided"])
def test_an_encounter_that_nobody_judged_is_no_vote(end: Defaulted | Voided):
    chain = Chain()
    chain.opened(1, 1)
    chain.recorder.ended(2, end)
    [only] = chain.recorder.points()
    assert (only.votes, only.bad_votes) == (0, 0)


def test_changes_are_sorted_and_told_apart():
    chain = Chain()
    chain.recorder.altered.add(7)
    for number in range(100):
        chain.recorder.judged(1, number / 100)
    chain.recorder.judged(7, -0.5)
    assert chain.recorder.changes() == ((0.01, 0.02, 0.05, 0.1, 0.2, 0.5), (-0.5,) * 6)
