"""Whoever does not act costs itself, after its time, and anyone may say that the time is over."""

from __future__ import annotations

import copy
import dataclasses

import pytest

from p2pfd.core.claims import Deposit, Unstake, Withdraw
from p2pfd.core.encounter_claims import (
    UNSIGNED,
    ComeBack,
    CommitVote,
    DrawCommittee,
    Join,
    Leave,
    TopUp,
    Vacate,
)
from p2pfd.core.encounter_events import Defaulted, SeatLeft, Settled, Voided
from p2pfd.core.ids import Amount
from tests.contracts.chain import key
from tests.contracts.encounter_chain import BOND, LONGEST, UNBOND
from tests.contracts.encounter_stage import (
    AFTER,
    FREE,
    LEARNER,
    NEIGHBOR,
    OF,
    STRANGER,
    VALIDATORS,
    Stage,
    with_new_seat,
)

R, POOL = 600_000, 180_000
"""The prepayment of the stage's terms, and the voters' part of it."""


@pytest.fixture
def stage() -> Stage:
    return Stage()


# -- parties -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixed", [False, True])
def test_a_neighbor_that_never_delivers_pays_the_learner(stage: Stage, fixed: bool) -> None:
    stage.open()
    if fixed:
        stage.draw()
    stage.chain.now = stage.terms.learn_by
    assert stage.chain.refused(STRANGER, stage.close()) == "encounters: too early"
    stage.chain.now += 1
    _, events = stage.chain.done(STRANGER, stage.close())
    assert events == (Defaulted(stage.terms.key, R - POOL),)
    assert stage.parties() == (R - POOL, POOL - R)
    stage.check(len(VALIDATORS))
    stage.open()  # and the lane is free again


def test_what_comes_after_the_time_to_learn_is_too_late(stage: Stage) -> None:
    stage.open()
    settle = stage.settlement()
    report = stage.chain.report(stage.terms, stage.details, stage.where, NEIGHBOR, (), AFTER)
    stage.chain.now = stage.terms.learn_by + 1
    assert stage.chain.refused(STRANGER, settle) == "encounters: too late"
    assert stage.chain.refused(STRANGER, report) == "encounters: too late"
    assert stage.chain.refused(STRANGER, DrawCommittee(stage.terms, stage.name, stage.where)) == "encounters: too late"


def test_a_learner_that_vanishes_holds_up_nothing(stage: Stage) -> None:
    """After the opening it has no step to take: neighbor and validators end the encounter on either path."""
    stage.open()
    stage.chain.done(NEIGHBOR, dataclasses.replace(stage.settlement(), neighbor=UNSIGNED))
    stage.open()
    stage.report([True, True, True])
    for place in range(3):
        stage.chain.done(STRANGER, stage.reveal(place, vote=True))
    assert stage.parties()[1] == 2 * (R - POOL)
    stage.check(len(VALIDATORS))


def test_a_learner_that_never_opens_binds_nobody_for_long(stage: Stage) -> None:
    terms, details = stage.chain.terms(LEARNER, NEIGHBOR), stage.chain.details()
    claim = stage.chain.opening(terms, details, NEIGHBOR)
    later = stage.chain.opening(dataclasses.replace(terms, open_by=terms.open_by + 1), details, NEIGHBOR)
    stage.chain.now = terms.open_by + 1
    assert stage.chain.refused(LEARNER, claim) == "encounters: too late to open"
    stage.chain.done(LEARNER, later)


def test_who_has_too_little_can_begin_nothing_and_can_top_up() -> None:
    stage = Stage()
    chain = stage.chain
    chain.done(STRANGER, Deposit(Amount(999)))
    small = {"prepayment": 10}
    terms, details = chain.terms(STRANGER, NEIGHBOR, **small), chain.details()
    assert chain.refused(STRANGER, chain.opening(terms, details, NEIGHBOR)) == "encounters: learner's stake low"
    back, other = chain.terms(LEARNER, STRANGER, **small), chain.details(2)
    assert chain.refused(LEARNER, chain.opening(back, other, STRANGER)) == "encounters: neighbor's stake low"
    chain.done(STRANGER, Deposit(Amount(1)))
    chain.done(STRANGER, chain.opening(terms, details, NEIGHBOR))
    assert chain.refused(LEARNER, chain.opening(back, other, STRANGER)) == "encounters: neighbor's stake low"
    chain.done(STRANGER, Deposit(Amount(10)))
    chain.done(LEARNER, chain.opening(back, other, STRANGER))


def test_nothing_in_play_can_be_withdrawn(stage: Stage) -> None:
    stage.open()
    for who in (LEARNER, NEIGHBOR):
        assert stage.chain.refused(who, Unstake(Amount(FREE - R + 1))) == "purse: not enough free"
        stage.chain.done(who, Unstake(Amount(FREE - R)))
        assert stage.chain.refused(who, Withdraw()) == "purse: still unbonding"
    stage.chain.done(STRANGER, stage.settlement((False, False, False)))
    assert stage.free(NEIGHBOR) == 0
    stage.check(len(VALIDATORS))


# -- validators --------------------------------------------------------------------------------------------------------


def a_sleeper_costs_itself(stage: Stage) -> None:
    """One never commits, one commits and does not reveal: both lose half the pool to those who voted."""
    stage.open(size=5)
    members = stage.report([True, True, True, True, None])
    for place in range(3):
        late = stage.reveal(place, vote=True)
        assert stage.chain.refused(STRANGER, late) == "encounters: commitments not over"
    stage.chain.now += stage.terms.vote_seconds + 1
    own = stage.chain.commitment(stage.terms, stage.result, stage.where, stage.bound, 4, vote=True)
    assert stage.chain.refused(members[4][1], own) == "encounters: too late to commit"
    for place in range(3):
        stage.chain.done(STRANGER, stage.reveal(place, vote=True))
    assert stage.chain.refused(STRANGER, stage.close()) == "encounters: too early"
    stage.chain.now += stage.terms.vote_seconds
    assert stage.chain.refused(STRANGER, stage.reveal(3, vote=True)) == "encounters: too late to reveal"
    _, events = stage.chain.done(STRANGER, stage.close())
    assert isinstance(events[-1], Settled)
    share = POOL // 3 + 2 * (POOL // 2) // 3
    assert [stage.in_seat(seat) - BOND for seat, _ in members] == [share, share, share, -POOL // 2, -POOL // 2]
    assert stage.parties() == (-R, R - POOL)
    stage.check(len(VALIDATORS))


def test_a_validator_that_sleeps_costs_only_itself(stage: Stage) -> None:
    a_sleeper_costs_itself(stage)


def test_if_all_validators_sleep_the_parties_have_theirs_back_and_the_neighbor_the_forfeits(stage: Stage) -> None:
    stage.open()
    stage.report()
    stage.chain.now += stage.terms.vote_seconds
    assert stage.chain.refused(STRANGER, stage.close()) == "encounters: too early"
    stage.chain.now += 1
    stage.chain.done(STRANGER, stage.close())
    assert stage.parties() == (0, 3 * (POOL // 2))
    stage.check(len(VALIDATORS))


def test_a_minority_decides_nothing(stage: Stage) -> None:
    stage.open()
    members = stage.report([False, None, None])
    stage.chain.now += stage.terms.vote_seconds + 1
    stage.chain.done(STRANGER, stage.reveal(0, vote=False))
    assert stage.parties() == (0, 0)
    assert stage.in_seat(members[0][0]) == BOND + 2 * (POOL // 2)


def test_a_validator_that_nobody_takes_along_votes_by_itself(stage: Stage) -> None:
    """The report leaves commitments out; their owners send their own, and count as the others."""
    stage.open()
    members = stage.report([None, True, None])
    for place in (0, 2):
        stage.commit(place, members[place][1], vote=True)
    for place in range(3):
        stage.chain.done(members[place][1], stage.reveal(place, vote=True))
    assert [stage.in_seat(seat) - BOND for seat, _ in members] == [POOL // 3] * 3


def test_two_that_commit_at_once_both_get_in(stage: Stage) -> None:
    stage.open()
    members = stage.report()
    claims = [
        stage.chain.commitment(stage.terms, stage.result, stage.where, stage.bound, place, vote=True)
        for place in range(2)
    ]
    stage.commit(0, members[0][1], vote=True)
    assert stage.chain.refused(members[1][1], claims[1]) == "encounters: not these terms"
    again: CommitVote = dataclasses.replace(claims[1], bound=stage.bound)
    stage.chain.done(members[1][1], again)


def a_leaver_is_still_slashed(stage: Stage) -> None:
    """It leaves once it was drawn, sleeps, and cannot take its bond away before it has paid."""
    stage.open()
    stage.draw()
    seat, who = stage.chain.members(stage.terms, stage.where, {each.account: each for each in VALIDATORS})[0]
    stage.chain.done(who, Leave(seat))
    left = stage.chain.now
    stage.report([None, True, True])
    stage.chain.now += stage.terms.vote_seconds + 1
    for place in (1, 2):
        stage.chain.done(STRANGER, stage.reveal(place, vote=True))
    stage.chain.done(STRANGER, stage.close()) if stage.chain.says("lane_of", LEARNER.account, 0)[0] else None
    assert stage.in_seat(seat) == BOND - POOL // 2
    stage.chain.now = left + UNBOND
    assert stage.chain.refused(who, Vacate(seat)) == "registry: still unbonding"
    stage.chain.now += 1
    stage.chain.done(who, Vacate(seat))
    assert stage.free(who) == BOND - POOL // 2
    stage.check(len(VALIDATORS))


def test_a_validator_that_leaves_stays_slashable(stage: Stage) -> None:
    a_leaver_is_still_slashed(stage)


def nobody_is_drawn_once_it_left(stage: Stage) -> None:
    """By the hash of the block in which it left, and of those before that; all six are needed."""
    seat, who = 0, VALIDATORS[0]
    stage.open(size=6)
    stage.chain.mine(254)
    stage.chain.done(who, Leave(seat))
    assert stage.chain.ledger.head.number == (stage.where & 2**40 - 1) + 256, "whose hash draws next"
    _, events = stage.chain.done(STRANGER, DrawCommittee(stage.terms, stage.name, stage.where))
    assert events == (Voided(stage.terms.key),)
    stage.chain.now += LONGEST + 1
    stage.chain.done(who, ComeBack(seat))
    stage.open(size=6)
    stage.chain.mine(255)
    stage.chain.done(who, Leave(seat))
    stage.draw()
    assert who in [holder for _, holder in stage.chain.members(stage.terms, stage.where, OF)]


def test_a_validator_is_drawn_by_no_block_in_which_it_had_left(stage: Stage) -> None:
    nobody_is_drawn_once_it_left(stage)


def nobody_is_drawn_before_it_came(stage: Stage) -> None:
    """A seat that somebody had, taken in the very block whose hash draws: its new holder is passed over."""
    seat, who = 0, VALIDATORS[0]
    stage.chain.done(who, Leave(seat))
    stage.chain.now += UNBOND + 1
    stage.chain.done(who, Vacate(seat))
    stage.chain.done(STRANGER, Deposit(Amount(BOND)))
    stage.open(size=6)
    stage.chain.mine(254)
    stage.chain.done(STRANGER, Join())
    assert stage.chain.says("seat_of", seat)[4] == (stage.where & 2**40 - 1) + 256
    _, events = stage.chain.done(NEIGHBOR, DrawCommittee(stage.terms, stage.name, stage.where))
    assert events == (Voided(stage.terms.key),)


def test_who_takes_a_seat_is_drawn_by_later_blocks_alone(stage: Stage) -> None:
    nobody_is_drawn_before_it_came(stage)


def no_seat_loses_more_than_it_has(stage: Stage, rule: int) -> None:
    """One of three validators is in three committees at once, and loses in each of them: more than a bond, in all."""
    games = [three_judge(stage, lane, rule) for lane in range(3)]
    seat = next(seat for seat, who in games[0].members() if who == VALIDATORS[0])
    places = [[at for at, _ in game.members()].index(seat) for game in games]
    games[0].report([None if place == places[0] else True for place in range(3)])
    stage.chain.now += games[0].terms.vote_seconds + 1
    for place in {0, 1, 2} - {places[0]}:
        stage.chain.done(STRANGER, games[0].reveal(place, vote=True))
    assert stage.in_seat(seat) == BOND // 2
    for game, lost, rest in zip(games[1:], places[1:], (BOND // 2 - BOND // 3 if rule == 2 else 0, 0), strict=True):
        stage.chain.done(STRANGER, game.settlement([place != lost for place in range(3)]))
        assert stage.in_seat(seat) == rest
    stage.check(3)


def three_judge(stage: Stage, lane: int, rule: int) -> Stage:
    """An encounter in another lane, with a pool as large as a bond."""
    stage.nonce = 0
    stage.open(lane=lane, rule=rule, share=0, prepayment=BOND)
    return copy.copy(stage)


@pytest.mark.parametrize("rule", [1, 2])
def test_no_seat_loses_more_than_it_has(rule: int) -> None:
    no_seat_loses_more_than_it_has(Stage(validators=VALIDATORS[:3]), rule)


def test_no_encounter_outlasts_the_delay(stage: Stage) -> None:
    assert stage.chain.says("longest")[0] <= stage.chain.says("unbond_seconds")[0]
    terms, details = (
        stage.chain.terms(LEARNER, NEIGHBOR, learn_by=stage.chain.now + LONGEST - 99),
        stage.chain.details(),
    )
    assert stage.chain.refused(LEARNER, stage.chain.opening(terms, details, NEIGHBOR)) == "encounters: lasts too long"
    terms = dataclasses.replace(terms, learn_by=terms.learn_by - 1)
    stage.chain.done(LEARNER, stage.chain.opening(terms, details, NEIGHBOR))


def a_new_holder_pays_nothing(stage: Stage) -> None:
    """Nobody closes for long; meanwhile a seat is vacated and taken by somebody who has nothing to do with it."""
    stage.open()
    members = stage.report([True, True, None])
    seat, who = members[2]
    stage.chain.done(who, Leave(seat))
    stage.chain.now += UNBOND + 1
    stage.chain.done(who, Vacate(seat))
    with_new_seat(stage, STRANGER)
    assert stage.chain.says("seat_of", seat)[0] == STRANGER.account
    stage.chain.done(STRANGER, stage.close())
    assert stage.in_seat(seat) == BOND
    stage.check(len(VALIDATORS))


def test_whoever_takes_a_seat_later_pays_for_nothing_from_before(stage: Stage) -> None:
    a_new_holder_pays_nothing(stage)


def test_a_seat_that_lost_too_much_is_benched_and_can_come_back() -> None:
    stage = Stage(validators=VALIDATORS[:3])
    for _ in range(6):
        stage.open(share=0, prepayment=BOND // 2)
        seats = stage.report()
        stage.chain.now += stage.terms.vote_seconds + 1
        _, events = stage.chain.done(STRANGER, stage.close())
        if any(isinstance(event, SeatLeft) for event in events):
            break
    assert all(stage.in_seat(seat) < BOND // 2 for seat, _ in seats)
    stage.open()
    _, events = stage.chain.done(STRANGER, DrawCommittee(stage.terms, stage.name, stage.where))
    assert events == (Voided(stage.terms.key),)
    seat, who = seats[0]
    stage.chain.done(who, Deposit(Amount(BOND)))
    stage.chain.done(who, TopUp(seat, Amount(BOND)))
    assert stage.chain.refused(who, Leave(seat)) == "registry: already left"
    stage.check(3)


# -- too few -----------------------------------------------------------------------------------------------------------


def test_with_too_few_validators_both_have_theirs_back() -> None:
    stage = Stage(validators=VALIDATORS[:2])
    with_new_seat(stage, LEARNER)
    stage.open()
    settle = stage.chain.settlement(
        stage.terms, stage.details, stage.where, NEIGHBOR, [(0, VALIDATORS[0])] * 3, [True] * 3, AFTER
    )
    assert stage.chain.refused(STRANGER, settle) == "encounters: too few validators"
    _, events = stage.chain.done(STRANGER, DrawCommittee(stage.terms, stage.name, stage.where))
    assert events == (Voided(stage.terms.key),)
    assert stage.parties() == (0, 0)
    terms, details = stage.chain.terms(LEARNER, NEIGHBOR, 1, size=4), stage.chain.details()
    assert stage.chain.refused(LEARNER, stage.chain.opening(terms, details, NEIGHBOR)) == "encounters: too few seats"


def test_a_seat_costs_its_bond() -> None:
    stage = Stage()
    stage.chain.done(STRANGER, Deposit(Amount(BOND - 1)))
    assert stage.chain.refused(STRANGER, Join()) == "purse: not enough free"
    assert stage.chain.refused(key(1), Leave(0)) == "registry: not your seat"
