"""How an encounter is judged: windows to the second, who may say what, and sums that are worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p2pfd.core import encounter_where as where_
from p2pfd.core.encounter_claims import (
    UNSIGNED,
    CommitVote,
    Leave,
    OpenMany,
    SettleMany,
    SignedOpening,
    Vacate,
)
from p2pfd.core.encounter_events import (
    Committed,
    Defaulted,
    Reported,
    Revealed,
    SeatLeft,
    Settled,
)
from p2pfd.core.ids import Amount
from p2pfd.incentives.encounter_state import Lane
from tests.unit.incentives.meetings import (
    BOND,
    FUNDS,
    LEARNER,
    NEIGHBOR,
    STRANGER,
    TERMS,
    UNBOND,
    VALIDATORS,
    Meeting,
    opening,
    other,
)
from tests.unit.incentives.stories import named


def lane(meeting: Meeting) -> Lane:
    return meeting.book.lanes[LEARNER, meeting.terms.lane]


# -- all at once -------------------------------------------------------------------------------------------------------


def settled(*votes: bool, rule: int = 1) -> tuple[Meeting, tuple[Any, ...]]:
    meeting = Meeting(VALIDATORS[:3], other(TERMS, rule=rule)).opens()
    return meeting, meeting.does(STRANGER, meeting.settlement(*votes))


def test_a_model_that_all_find_better_pays_the_neighbor_its_share_and_the_voters_the_rest() -> None:
    meeting, events = settled(True, True, True)
    assert events == (Settled(TERMS.key, 0 << 128 | (90 + 63) << 64 | 0b101010),)
    assert meeting.parties() == (-90, 63)
    assert meeting.in_seats() == [9, 9, 9]
    assert [(seat.valid, seat.invalid) for seat in meeting.book.registry.seats if seat] == [(1, 0)] * 3


def test_a_model_that_all_find_worse_costs_the_neighbor_its_prepayment() -> None:
    meeting, (event,) = settled(False, False, False)
    assert (event.learner, event.neighbor, event.ballot) == (180 - 27, 0, 0b111111)
    assert meeting.parties() == (63, -90)
    assert meeting.in_seats() == [9, 9, 9]
    assert [(seat.valid, seat.invalid) for seat in meeting.book.registry.seats if seat] == [(0, 1)] * 3


def test_who_is_outvoted_pays_the_others_a_winners_share() -> None:
    meeting, _ = settled(True, True, False)
    loser = meeting.book.registry.seats[meeting.seats()[2]]
    assert loser is not None
    # The pool of 27 is 13 each; the loser's 13 make it 40, and 20 each.
    assert sorted(meeting.in_seats()) == [-13, 20, 20]
    assert loser.balance == BOND - 13
    assert meeting.parties() == (-90, 63)


def test_each_votes_with_its_own_signature_under_the_votes_of_all() -> None:
    meeting = Meeting().opens()
    right = meeting.settlement(True, True, True)
    one, two, three = right.votes
    for wrong, reason in (
        (replace(right, votes=(one, two)), "not all votes"),
        (replace(right, votes=(two, one, three)), "unsigned by member"),
        (replace(right, votes=(one, two, replace(three, opening=opening(False)))), "unsigned by member"),
        (replace(right, votes=(one, two, replace(three, signature=UNSIGNED))), "unsigned by member"),
        (replace(right, neighbor=UNSIGNED), "not these terms"),
        (replace(right, after=bytes(32)), "not these terms"),
    ):
        assert meeting.refused(STRANGER, wrong) == f"encounters: {reason}"
    meeting.does(NEIGHBOR, replace(right, neighbor=UNSIGNED))  # whoever is liable need not sign what it sends
    assert meeting.refused(STRANGER, right) == "encounters: not in play"


# -- one by one --------------------------------------------------------------------------------------------------------


def test_votes_are_bound_in_the_first_window_and_shown_in_the_second() -> None:
    meeting = Meeting().opens().draws().at(50).reports()
    assert where_.reported_at(meeting.where) == 50
    assert meeting.commitments == (bytes(32),) * 3
    commits(meeting.at(70), 0, True)
    late = commit(meeting, 1, True)
    assert meeting.refused(meeting.holder(0), commit(meeting, 0, True)) == "encounters: already committed"
    assert meeting.refused(STRANGER, meeting.reveal(0, True)) == "encounters: commitments not over"
    assert meeting.at(71).refused(meeting.holder(1), late) == "encounters: too late to commit"
    assert meeting.refused(STRANGER, meeting.reveal(1, True)) == "encounters: nothing to open"
    assert meeting.refused(STRANGER, meeting.reveal(0, False)) == "encounters: not its commitment"
    assert meeting.refused(STRANGER, replace(meeting.reveal(0, True), place=3)) == "encounters: not of the committee"
    last = meeting.reveal(0, True)
    assert meeting.at(91).refused(STRANGER, last) == "encounters: too late to reveal"


def commit(meeting: Meeting, place: int, vote: bool) -> CommitVote:
    bound = meeting.bound(place, vote)
    return CommitVote(meeting.terms, meeting.result, meeting.where, meeting.commitments, place, bound)


def commits(meeting: Meeting, place: int, vote: bool) -> None:
    (event,) = meeting.does(meeting.holder(place), commit(meeting, place, vote))
    assert event == Committed(TERMS.key, place, meeting.bound(place, vote))
    meeting.commitments = (*meeting.commitments[:place], event.commitment, *meeting.commitments[place + 1 :])


def test_once_all_are_bound_the_first_window_need_not_pass_and_the_last_vote_settles() -> None:
    meeting = Meeting().opens().at(5).reports(True, None, False)
    assert lane(meeting).ballot == 0b010001
    commits(meeting, 1, False)
    assert lane(meeting).ballot == 0b010101
    assert meeting.does(STRANGER, meeting.reveal(0, True)) == (Revealed(TERMS.key, 0b010110),)
    assert meeting.does(STRANGER, meeting.reveal(1, False)) == (Revealed(TERMS.key, 0b011110),)
    (event,) = meeting.does(STRANGER, meeting.reveal(2, False))
    assert isinstance(event, Settled)
    assert meeting.parties() == (63, -90), "two of three found it worse"


def test_before_a_report_nothing_is_bound_or_shown_on_chain() -> None:
    meeting = Meeting().opens().draws()
    meeting.commitments = (bytes(32),) * 3
    assert meeting.refused(meeting.holder(0), commit(meeting, 0, True)) == "encounters: not reported"
    assert meeting.refused(STRANGER, meeting.reveal(0, True)) == "encounters: not reported"


def test_only_a_member_is_bound_by_itself_or_by_its_signature() -> None:
    meeting = Meeting().opens().at(5).reports()
    claim = commit(meeting, 0, True)
    assert meeting.refused(STRANGER, claim) == "encounters: unsigned by member"
    assert meeting.refused(meeting.holder(1), claim) == "encounters: unsigned by member"
    assert meeting.refused(STRANGER, replace(claim, place=3)) == "encounters: not of the committee"
    meeting.does(STRANGER, replace(claim, signature=meeting.commitment(0, True).signature))


def test_a_report_takes_the_commitments_of_members_alone() -> None:
    meeting = Meeting().opens()
    right = meeting.report(True, True, True)
    first, second, third = right.signed
    wrong = replace(right, signed=(second, first, third))
    assert meeting.refused(NEIGHBOR, wrong) == "encounters: unsigned by member"
    assert (
        meeting.refused(NEIGHBOR, replace(right, signed=(*right.signed, first))) == "encounters: not of the committee"
    )
    assert meeting.refused(STRANGER, right) == "encounters: not these terms", "who sends it unsigned is liable"
    (event,) = meeting.does(STRANGER, replace(right, neighbor=meeting.liable()))
    assert isinstance(event, Reported)
    assert meeting.refused(NEIGHBOR, right) == "encounters: not in play"


# -- time is over ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drawn", [False, True])
def test_a_neighbor_that_delivers_nothing_owes_what_it_would_have_earned(drawn: bool) -> None:
    meeting = Meeting().opens()
    if drawn:
        meeting.draws()
    assert meeting.at(50).refused(STRANGER, meeting.close()) == "encounters: too early"
    assert meeting.at(51).does(STRANGER, meeting.close()) == (Defaulted(TERMS.key, 63),)
    assert meeting.parties() == (63, -63)
    assert meeting.refused(STRANGER, meeting.close()) == "encounters: not in play"


def test_where_nobody_is_bound_the_votes_are_over_after_one_window_and_both_are_refunded() -> None:
    meeting = Meeting(VALIDATORS[:3]).opens().at(5).reports()
    assert meeting.at(25).refused(STRANGER, meeting.close()) == "encounters: too early"
    meeting.at(26).does(STRANGER, meeting.close())
    # Each silent seat forfeits half the pool, 13 of 27; with no voter there it is the neighbor's.
    assert meeting.in_seats() == [-13, -13, -13]
    assert meeting.parties() == (0, 39)


def test_a_silent_validator_forfeits_half_the_pool_to_those_who_voted() -> None:
    meeting = Meeting(VALIDATORS[:3]).opens().at(5).reports(True, True, True)
    for place in range(2):
        meeting.does(STRANGER, meeting.reveal(place, True))
    assert meeting.at(45).refused(STRANGER, meeting.close()) == "encounters: too early"
    (event,) = meeting.at(46).does(STRANGER, meeting.close())
    assert isinstance(event, Settled)
    # Two voters share 27, 13 each, and the 13 of the silent one, 6 each; what is left over is the learner's.
    assert sorted(meeting.in_seats()) == [-13, 19, 19]
    assert meeting.parties() == (-90 + 1 + 1, 63)


def test_a_seat_that_has_lost_half_its_bond_is_benched_when_the_encounter_ends() -> None:
    meeting = Meeting(VALIDATORS[:3]).opens().at(5).reports(True, True, True)
    silent = meeting.seats()[2]
    poor = meeting.book.registry.seats[silent]
    assert poor is not None
    poor.balance, lost = 62, 38
    meeting.book.purse.give(named(9), lost)  # so that the books still balance
    for place in range(2):
        meeting.does(STRANGER, meeting.reveal(place, True))
    events = meeting.at(46).does(STRANGER, meeting.close())
    assert events[0] == SeatLeft(silent)
    assert isinstance(events[1], Settled)
    assert poor.balance == 49


def test_a_place_whose_seat_was_given_up_neither_gets_nor_loses() -> None:
    """No seat can be vacated as soon as that; the end of an encounter does not rely on it."""
    meeting = Meeting(VALIDATORS[:3]).opens().draws()
    seat, holder, registry = meeting.seats()[0], meeting.holder(0), meeting.book.registry
    meeting.does(holder, Leave(seat))
    left = registry.seats[seat]
    assert left is not None
    left.left_at = -UNBOND - 1
    meeting.does(holder, Vacate(seat))
    meeting.at(5).reports()
    meeting.at(26).does(STRANGER, meeting.close())
    assert meeting.in_seats() == [-13, -13]
    assert meeting.book.balances(holder).free == FUNDS
    assert meeting.parties() == (0, 26)


# -- many at once ------------------------------------------------------------------------------------------------------


def test_a_batch_opens_and_settles_all_or_nothing() -> None:
    meeting = Meeting(VALIDATORS[:3], other(TERMS, prepayment=Amount(40)))
    first, second = meeting.terms, other(meeting.terms, lane=1)
    names = [meeting.papers.encounter(terms, meeting.details) for terms in (first, second)]
    sign = meeting.signatures.sign
    parts = tuple(
        SignedOpening(terms, meeting.details, sign(LEARNER, name), sign(NEIGHBOR, name))
        for terms, name in zip((first, second), names, strict=True)
    )
    unsigned = replace(parts[1], learner=UNSIGNED)
    assert meeting.refused(STRANGER, OpenMany((parts[0], unsigned))) == "encounters: unsigned by learner"
    wrong = replace(parts[1], neighbor=parts[0].neighbor)
    assert meeting.refused(STRANGER, OpenMany((parts[0], wrong))) == "encounters: unsigned by neighbor"
    assert len(meeting.does(LEARNER, OpenMany((parts[0], unsigned)))) == 2, "whoever sends it need not sign"
    opened = meeting.block
    meeting.where = where_.opened(3, opened)
    meeting.at(1)
    claims = []
    for terms in (first, second):
        meeting.agree(terms)
        claims.append(meeting.settlement(True, True, True))
    broken = replace(claims[1], votes=claims[1].votes[:2])
    assert meeting.refused(STRANGER, SettleMany((claims[0], broken))) == "encounters: not all votes"
    assert len(meeting.does(STRANGER, SettleMany(tuple(claims)))) == 2
    # Of forty, 28 are the neighbor's and of the pool of twelve each voter has four; twice.
    assert meeting.parties() == (-80, 56)
    assert meeting.in_seats() == [8, 8, 8]
