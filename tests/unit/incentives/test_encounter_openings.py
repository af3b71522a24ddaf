"""How an encounter begins: terms and their bounds, who is bound by what, and who is drawn to judge it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p2pfd.core import encounter_where as where_
from p2pfd.core.encounter_claims import (
    UNSIGNED,
    Unstake,
)
from p2pfd.core.encounter_events import (
    Drawn,
    Opened,
    Voided,
)
from p2pfd.core.ids import Amount
from p2pfd.incentives.encounter_state import Lane, Phase
from tests.unit.incentives.meetings import (
    BOND,
    FUNDS,
    LEARNER,
    LONGEST,
    NEIGHBOR,
    STRANGER,
    TERMS,
    VALIDATORS,
    Meeting,
    other,
)


def lane(meeting: Meeting) -> Lane:
    return meeting.book.lanes[LEARNER, meeting.terms.lane]


# -- opening -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"prepayment": 0},
        {"prepayment": BOND + 1},
        {"open_by": 50},
        {"vote_seconds": 0},
        {"share": 1_000_001},
        {"size": 0},
        {"size": 8},
        {"rule": 3},
    ],
    ids=str,
)
def test_terms_out_of_range_open_nothing(changed: dict[str, Any]) -> None:
    meeting = Meeting()
    assert meeting.refused(LEARNER, meeting.opening(other(TERMS, **changed))) == "encounters: terms out of range"


@pytest.mark.parametrize(
    "changed",
    [
        {"prepayment": 1},
        {"prepayment": BOND},
        {"open_by": 49},
        {"vote_seconds": 1},
        {"vote_seconds": (LONGEST - 50) // 2},
        {"share": 1_000_000},
        {"share": 0},
        {"size": 1},
        {"size": 5},
        {"rule": 2},
        {"rule": 0},
    ],
    ids=str,
)
def test_terms_at_their_bounds_bind_both_parties_for_the_prepayment_each(changed: dict[str, Any]) -> None:
    meeting = Meeting()
    terms = other(TERMS, **changed)
    assert meeting.does(LEARNER, meeting.opening(terms)) == (Opened(terms.key, 5),)
    assert meeting.parties() == (-terms.prepayment, -terms.prepayment)
    assert lane(meeting).escrow == 2 * terms.prepayment


def test_what_lasts_longer_than_a_seat_must_stay_is_not_opened() -> None:
    meeting = Meeting()
    longer = other(TERMS, learn_by=51, vote_seconds=(LONGEST - 50) // 2)
    assert meeting.refused(LEARNER, meeting.opening(longer)) == "encounters: lasts too long"
    meeting.at(1).does(LEARNER, meeting.opening(longer))


def test_an_opening_is_good_until_its_second_has_passed() -> None:
    Meeting().at(10).opens()
    meeting = Meeting().at(11)
    assert meeting.refused(LEARNER, meeting.opening()) == "encounters: too late to open"


def test_both_parties_have_what_is_at_stake_and_the_threshold_if_that_is_more() -> None:
    for who, reason in ((LEARNER, "learner's stake low"), (NEIGHBOR, "neighbor's stake low")):
        for prepayment, needed in ((90, 90), (5, 40)):
            meeting = Meeting(terms=other(TERMS, prepayment=Amount(prepayment)))
            meeting.does(who, Unstake(Amount(FUNDS - needed + 1)))
            assert meeting.refused(LEARNER, meeting.opening()) == f"encounters: {reason}"
            meeting = Meeting(terms=other(TERMS, prepayment=Amount(prepayment)))
            meeting.does(who, Unstake(Amount(FUNDS - needed)))
            meeting.opens()


def test_nobody_is_bound_without_its_signature_nor_to_itself() -> None:
    meeting = Meeting()
    right = meeting.opening()
    assert meeting.refused(LEARNER, replace(right, neighbor=UNSIGNED)) == "encounters: unsigned by neighbor"
    assert meeting.refused(STRANGER, right) == "encounters: unsigned by neighbor", "it would be another learner's"
    own = other(TERMS, neighbor=LEARNER)
    assert meeting.refused(LEARNER, meeting.opening(own)) == "encounters: own neighbor"


def test_a_lane_holds_one_encounter_and_each_has_the_next_number() -> None:
    meeting = Meeting(terms=other(TERMS, prepayment=Amount(20)))
    assert meeting.refused(LEARNER, meeting.opening(other(meeting.terms, nonce=1))) == "encounters: wrong nonce"
    meeting.opens()
    assert meeting.refused(LEARNER, meeting.opening(other(meeting.terms, nonce=1))) == "encounters: lane in use"
    meeting.does(LEARNER, meeting.opening(other(meeting.terms, lane=1)))
    meeting.at(51).does(STRANGER, meeting.close())
    assert (lane(meeting).nonce, lane(meeting).phase, lane(meeting).escrow) == (1, Phase.IDLE, 0)


def test_there_must_be_as_many_seats_as_judges() -> None:
    meeting = Meeting(VALIDATORS[:2])
    assert meeting.refused(LEARNER, meeting.opening()) == "encounters: too few seats"
    Meeting(VALIDATORS[:3]).opens()


# -- the committee -----------------------------------------------------------------------------------------------------


def test_the_block_of_the_opening_draws_and_only_later_blocks_know_it() -> None:
    meeting = Meeting()
    (event,) = meeting.does(LEARNER, meeting.opening())
    opened = meeting.block
    meeting.where = where_.opened(event.seats, opened)
    assert meeting.refused(STRANGER, meeting.drawing()) == "encounters: no block since"
    first = meeting.at(0).seats()
    meeting.block = opened + 256
    assert meeting.seats() == first, "the same, as long as its hash can be read"
    meeting.draws()
    assert where_.drawn_by(meeting.where) == opened
    assert lane(meeting).phase == Phase.DRAWN
    assert meeting.refused(STRANGER, meeting.drawing()) == "encounters: not open"


def test_a_hash_that_can_be_read_no_more_is_followed_by_one_that_can() -> None:
    meeting = Meeting().opens()
    opened = meeting.block - 1
    meeting.block = opened + 257
    meeting.draws()
    assert where_.drawn_by(meeting.where) == opened + 256


def test_neither_party_judges_its_own_encounter() -> None:
    """All seats but two are the parties' own: three judges cannot be found, and both get their money back."""
    meeting = Meeting((LEARNER, NEIGHBOR, LEARNER, *VALIDATORS[:2])).opens()
    assert meeting.does(STRANGER, meeting.drawing()) == (Voided(TERMS.key),)
    assert meeting.book.balances(LEARNER).free == FUNDS - 2 * BOND
    assert meeting.book.balances(NEIGHBOR).free == FUNDS - BOND


def test_a_committee_is_drawn_while_there_is_time_to_learn() -> None:
    Meeting().opens().at(50).draws()
    meeting = Meeting().opens().at(51)
    assert meeting.refused(STRANGER, meeting.drawing()) == "encounters: too late"
    assert meeting.refused(STRANGER, meeting.settlement(True, True, True)) == "encounters: too late"
    assert meeting.refused(NEIGHBOR, meeting.report()) == "encounters: too late"


def test_what_is_brought_along_is_what_was_agreed() -> None:
    meeting = Meeting().opens()
    for wrong in (
        replace(meeting.drawing(), name=bytes(32)),
        replace(meeting.drawing(), where=meeting.where + 1),
        replace(meeting.drawing(), terms=other(TERMS, size=1)),
    ):
        assert meeting.refused(STRANGER, wrong) == "encounters: not these terms"


def test_drawn_tells_the_committee_and_the_block() -> None:
    meeting = Meeting().opens()
    seats, block = meeting.seats(), meeting.block - 1
    assert meeting.does(STRANGER, meeting.drawing()) == (Drawn(TERMS.key, where_.drawn(seats, block)),)
    assert len(set(seats)) == 3
