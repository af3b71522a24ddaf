"""The audit of encounters says of each end what the ledger did, why, and whether it is what the rules say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p2pfd.core import encounter_where as where_
from p2pfd.core.encounter_claims import ComeBack, Join, Leave, Vacate
from p2pfd.core.encounter_events import Opened, Settled
from p2pfd.core.ids import Amount
from p2pfd.incentives.encounter_audit import End, Judge, SeatBook
from tests.unit.incentives.meetings import (
    BOND,
    LEARNER,
    LONGEST,
    NEIGHBOR,
    STRANGER,
    TERMS,
    UNBOND,
    VALIDATORS,
    Meeting,
    hash_of,
    other,
)


class Audited(Meeting):
    """A meeting whose events a book reads along."""

    def __init__(self, **terms: Any) -> None:
        self.seats_told = SeatBook(BOND)
        self.ends: list[End] = []
        super().__init__(VALIDATORS[:3], other(TERMS, **terms))

    def does(self, who: Any, claim: Any) -> tuple[Any, ...]:
        events = super().does(who, claim)
        for event in events:
            if isinstance(event, Settled):
                self.ends.append(self.seats_told.end(self.terms, self.committee, event))
            else:
                self.seats_told.see(self.block, event)
        return events

    def judged(self, *votes: bool | None) -> End:
        """One encounter from its opening to its end; whoever has no vote here is silent."""
        self.agree(other(self.terms, nonce=self.nonce(), open_by=self.now + 10, learn_by=self.now + 50))
        self.opens()
        opened = self.block - 1
        self.committee = self.seats_told.drawn(
            self.terms, self.name, self.where, opened, hash_of(opened), self.papers.keccak
        )
        assert self.committee == where_.drawn(self.seats(), opened), "the book draws whom the ledger draws"
        if None in votes:
            self.at(self.now + 5).reports(*votes)
            self.at(self.now + self.terms.vote_seconds + 1)
            for place, vote in enumerate(votes):
                if vote is not None:
                    self.does(STRANGER, self.reveal(place, vote))
        else:
            self.does(STRANGER, self.settlement(*[bool(vote) for vote in votes]))
        self.at(self.now + 1)
        return self.ends[-1]

    def nonce(self) -> int:
        lane = self.book.lanes.get((LEARNER, 0))
        return 0 if lane is None else lane.nonce

    def told(self) -> list[tuple[Any, int, int, int]]:
        """What the book thinks of the seats."""
        seats = sorted(self.seats_told.seats.items())
        return [(seat.holder, seat.balance, seat.valid, seat.invalid) for _, seat in seats]

    def true(self) -> list[tuple[Any, int, int, int]]:
        """What the ledger has."""
        seats = [seat for seat in self.book.registry.seats if seat is not None]
        return [(seat.holder, seat.balance, seat.valid, seat.invalid) for seat in seats]


@pytest.mark.parametrize("rule", [0, 1, 2], ids=["paper", "symmetric", "serum"])
def test_seats_that_are_led_along_are_the_ledgers_to_the_unit(rule: int) -> None:
    meeting = Audited(rule=rule, prepayment=Amount(30))
    for votes in (
        (True, True, True),
        (True, False, True),
        (False, None, True),
        (None, True, True),
        (False, False, True),
    ):
        before = meeting.told()
        end = meeting.judged(*votes)
        assert end.right
        assert meeting.told() == meeting.true()
        gains = {judge.seat: judge.change for judge in end.judges}
        assert [after[1] - was[1] for was, after in zip(before, meeting.told(), strict=True)] == [
            gains[seat] for seat in range(3)
        ]
        assert [judge.vote for judge in end.judges] == list(votes)


@pytest.mark.parametrize(
    ("votes", "verdict"),
    [
        ((True, True, False), "valid"),
        ((True, False, False), "invalid"),
        ((True, False, None), "none"),
        ((True, True, None), "valid"),
        ((True, None, None), "none"),
        ((False, None, None), "none"),
    ],
    ids=str,
)
def test_a_verdict_takes_more_than_half_of_the_committee_and_of_the_votes(
    votes: tuple[bool | None, ...], verdict: str
) -> None:
    assert Audited().judged(*votes).verdict == verdict


@pytest.mark.parametrize("size", range(1, 8))
def test_a_verdict_is_the_majoritys_for_every_ballot_there_can_be(size: int) -> None:
    blank = Judge(0, None, None, (0, 0), 0, 0, 0, 0)
    for voting in range(size + 1):
        for valid in range(voting + 1):
            votes = [True] * valid + [False] * (voting - valid) + [None] * (size - voting)
            end = End(TERMS, tuple(replace(blank, vote=vote) for vote in votes), 0, 0, 0, 0)
            against = voting - valid
            counts = voting > size - voting and valid != against
            assert end.verdict == (("valid" if valid > against else "invalid") if counts else "none")


def test_who_judged_sees_what_its_vote_was_worth() -> None:
    meeting = Audited(rule=2)
    first = meeting.judged(True, True, False)
    assert [judge.before for judge in first.judges] == [(0, 0)] * 3
    # Without histories both votes are equally rare: an agreement is worth two, shared by the two others.
    assert [(judge.matches, judge.worth, judge.score) for judge in first.judges] == [
        (1, 2_000_000, 0),
        (1, 2_000_000, 0),
        (0, 2_000_000, -1_000_000),
    ]
    by_seat = {judge.seat: judge for judge in first.judges}
    assert [by_seat[seat].change for seat in range(3)] == [balance - BOND for _, balance, _, _ in meeting.told()]
    second = meeting.judged(True, True, True)
    history = {judge.seat: (int(bool(judge.vote)), int(not judge.vote)) for judge in first.judges}
    assert {judge.seat: judge.before for judge in second.judges} == history
    for judge in second.judges:
        # Of the others' two earlier votes one or two were valid: four, or four and a half, by two or three; smoothed.
        valid = sum(history[seat][0] for seat in history if seat != judge.seat)
        worth = 4_000_000 // (valid + 1)
        assert (judge.matches, judge.worth, judge.score) == (2, worth, worth - 1_000_000)


def test_an_end_that_is_off_by_one_is_not_right() -> None:
    end = Audited().judged(True, True, True)
    assert end.right
    assert (end.told_learner, end.told_neighbor) == (0, 153)
    assert not replace(end, told_learner=1).right
    assert not replace(end, told_neighbor=152).right


def test_a_silent_judge_has_no_vote_and_its_seat_pays() -> None:
    end = Audited().judged(True, True, None)
    silent = end.judges[2]
    assert (silent.vote, silent.matches, silent.worth, silent.score, silent.change) == (None, 0, 0, 0, -13)


def test_seats_that_change_hands_are_followed() -> None:
    meeting = Audited()
    meeting.at(1).does(VALIDATORS[1], Leave(1))
    assert meeting.seats_told.seats[1].left == meeting.block
    meeting.at(2 + LONGEST).does(VALIDATORS[1], ComeBack(1))
    assert (meeting.seats_told.seats[1].taken, meeting.seats_told.seats[1].left) == (meeting.block, 0)
    meeting.does(VALIDATORS[1], Leave(1))
    meeting.at(3 + LONGEST + UNBOND).does(VALIDATORS[1], Vacate(1))
    assert sorted(meeting.seats_told.seats) == [0, 2]
    meeting.at(4 + LONGEST + UNBOND).does(VALIDATORS[3], Join())
    seat = meeting.seats_told.seats[1]
    assert (seat.holder, seat.balance, seat.taken) == (VALIDATORS[3], BOND, meeting.block)
    assert meeting.seats_told.seats[0].taken == 0, "a new seat could not be drawn before: it was not there"


def test_neither_party_is_drawn_nor_a_seat_that_nobody_holds() -> None:
    told = SeatBook(BOND)
    meeting = Meeting((LEARNER, NEIGHBOR, VALIDATORS[0])).opens()
    for number, seat in enumerate(meeting.book.registry.seats[:3]):
        assert seat is not None
        told.seats[number] = seat
    opened = meeting.block - 1
    assert meeting.seats() == [2]
    where = told.drawn(meeting.terms, meeting.name, meeting.where, opened, hash_of(opened), meeting.papers.keccak)
    assert where == where_.drawn([2], opened)
    told.seats.clear()
    where = told.drawn(meeting.terms, meeting.name, meeting.where, opened, hash_of(opened), meeting.papers.keccak)
    assert where == where_.drawn([], opened)
    told.see(5, Opened(1, 3))
    assert told.seats == {}, "other events change no seat"
