"""How much a device takes on: what it has promised counts before it is bound, and what it wants it begins in time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pfd.core import encounter_where as where_
from p2pfd.core.effects import SetTimer
from p2pfd.core.encounter_events import Drawn, Opened, SeatTaken, Settled
from p2pfd.core.events import Restored, Started, TimerFired
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.core.verdict import ACCEPT, Ignore
from p2pfd.roles.encounter.deal import terms_of, word_of
from p2pfd.roles.encounter.device import MOST_JUDGED, NEXT
from p2pfd.roles.encounter.work import Audited, Held
from p2pfd.sim.encounters import BOND
from p2pfd.wire.messages import Propose
from tests.unit.roles.encounter.actors import (
    ACCOUNTS,
    PEERS,
    Actor,
    Meeting,
    neighbor,
    seated,
    started,
    validator,
    where_drawn,
)

THRESHOLD, PREPAYMENT = 2_000, 1_000


def propose(lane: int = 0, **changes: int) -> Propose:
    """A proposal that a neighbor of the same habits takes."""
    meeting = Meeting()
    terms = terms_of(meeting.propose.terms, ACCOUNTS["learner"], ACCOUNTS["neighbor"])
    return replace(meeting.propose, terms=word_of(replace(terms, lane=lane, **changes)))


def answer(actor: Actor, sender: str, message: Propose) -> str:
    verdict = actor.hear(sender, message)
    return "" if verdict is ACCEPT else verdict.reason if isinstance(verdict, Ignore) else "rejected"


@pytest.mark.parametrize(
    ("free", "second"),
    [(THRESHOLD + PREPAYMENT, ""), (THRESHOLD + PREPAYMENT - 1, "this device has too little free")],
)
def test_what_is_promised_and_not_bound_yet_is_not_promised_twice(free: int, second: str) -> None:
    actor = neighbor(serves=4)
    actor.device.member.free = free
    assert answer(actor, "learner", propose()) == ""
    assert answer(actor, "ada", propose()) == second


def test_a_prepayment_above_the_threshold_must_be_free_whole() -> None:
    for free, said in ((3_000, ""), (2_999, "this device has too little free")):
        actor = neighbor()
        actor.device.member.free = free
        assert answer(actor, "learner", propose(prepayment=3_000)) == said


def test_what_is_bound_on_chain_is_not_counted_as_a_promise_any_more() -> None:
    meeting = Meeting().agreed()
    actor = meeting.neighbor
    actor.device.member.free = THRESHOLD
    assert answer(actor, "ada", propose()) == "this device has too little free"
    actor.see(Opened(meeting.deal.terms.key, 3))
    assert answer(actor, "ada", propose()) == ""


def test_it_serves_nobody_from_the_second_on_in_which_it_stands_down() -> None:
    for until, said in ((101, ""), (100, "this device serves no more at present")):
        actor = neighbor(until=until * SECOND)
        assert answer(actor, "learner", propose()) == said


def test_a_proposal_for_another_nonce_than_the_lanes_next_is_not_weighed() -> None:
    actor = neighbor()
    actor.see(Settled(int(ACCOUNTS["learner"], 16) << 96 | 2 << 40 | 6, 0))
    assert answer(actor, "learner", propose(lane=2, nonce=6)) == "the nonce is not the lane's next one"
    assert answer(actor, "learner", propose(lane=2, nonce=7)) == ""


# -- one's own encounters ----------------------------------------------------------------------------------------------


def own(**habits: object) -> Actor:
    return started("learner", **{"serves": 0, "validates": False, **habits})


def test_lanes_are_filled_a_second_apart_and_no_further_than_it_wants() -> None:
    actor = own(encounters=2, lanes=3)
    assert [each for each in actor.all(SetTimer) if each.name == NEXT] == [SetTimer(NEXT, actor.now + SECOND)]
    assert len(actor.device.sides) == 1
    actor.wait(1)
    actor.live(TimerFired(NEXT))
    assert len(actor.device.sides) == 2
    actor.wait(1)
    actor.live(TimerFired(NEXT))
    assert len(actor.device.sides) == 2, "two are all that it wants"


def test_it_begins_another_only_with_what_the_first_leaves_free() -> None:
    for free, begun in ((THRESHOLD + PREPAYMENT, 2), (THRESHOLD + PREPAYMENT - 1, 1)):
        actor = started("learner", free, encounters=9, lanes=2, serves=0, validates=False)
        actor.wait(1)
        actor.live(TimerFired(NEXT))
        assert len(actor.device.sides) == begun


def test_an_encounter_that_was_never_opened_is_none_of_those_it_wants() -> None:
    actor = own(encounters=1)
    actor.compute(None, "no data")
    assert (actor.device.done, actor.stage) == (0, "gone")
    actor.wait(2)
    actor.compute(Audited(0, 8_000))
    actor.live(TimerFired(NEXT))
    assert actor.stage == "ask"


def test_one_other_is_enough_to_begin() -> None:
    actor = Actor("learner", encounters=1, serves=0, validates=False)
    for others, begun in ((0, 0), (1, 1)):
        actor.members = {PEERS[name]: ACCOUNTS[name] for name in ("ada", "ben")[:others]}
        actor.device = actor.fresh()
        actor.live(Started())
        seated(actor)
        actor.compute(Audited(0, 8_000))
        assert len(actor.device.sides) == begun


def test_nothing_is_begun_or_proposed_before_enough_seats_are_neither_partys() -> None:
    """It would be void, for want of validators."""
    actor = Actor("learner", encounters=1, serves=0, validates=False)
    actor.live(Started())
    actor.see(SeatTaken(0, ACCOUNTS["learner"]))
    actor.see(SeatTaken(1, ACCOUNTS["ada"]))
    actor.see(SeatTaken(2, ACCOUNTS["ben"]))
    actor.compute(Audited(0, 8_000))
    assert not actor.device.sides
    actor.see(SeatTaken(3, ACCOUNTS["cyd"]))
    actor.live(TimerFired(NEXT))
    assert actor.stage == "ask"
    office = actor.device.office
    assert office.partners() == [ACCOUNTS["neighbor"]], "each of the others has one of the three that are needed"
    actor.see(SeatTaken(4, ACCOUNTS["cyd"]))
    assert set(office.partners()) == {ACCOUNTS[name] for name in ("neighbor", "ada", "ben")}
    assert set(office.partners([ACCOUNTS["ada"]])) == {ACCOUNTS[name] for name in ("neighbor", "ben")}


def test_who_has_too_little_looks_again_when_its_patience_is_over_and_not_while_it_pays_in() -> None:
    poor = Actor("learner", encounters=1, serves=0, validates=False)
    poor.live(Started())
    seated(poor)
    poor.compute(Audited(0, THRESHOLD - 1))
    assert SetTimer(NEXT, Tick(poor.now + 5 * SECOND)) in poor.done
    paying = Actor("learner", encounters=1, serves=0, validates=False)
    paying.live(Started())
    seated(paying)
    paying.compute(Audited(9_000, THRESHOLD - 1))
    assert not [each for each in paying.all(SetTimer) if each.name == NEXT]


def test_after_a_restart_whoever_waits_for_its_next_encounter_goes_on_at_once() -> None:
    waiting, idle = own(encounters=2), own(encounters=0)
    for actor, timers in ((waiting, [SetTimer(NEXT, waiting.now)]), (idle, [])):
        again = actor.fresh()
        again.restore(actor.device.snapshot())
        actor.device = again
        actor.live(Restored())
        assert [each for each in actor.all(SetTimer) if each.name == NEXT] == timers


def test_it_begins_nothing_from_the_second_on_in_which_it_stands_down() -> None:
    assert len(own(encounters=1, until=101 * SECOND).device.sides) == 1
    assert len(own(encounters=1, until=100 * SECOND).device.sides) == 0


# -- judging -----------------------------------------------------------------------------------------------------------


def test_every_place_of_the_largest_committee_may_be_ones_own() -> None:
    for place in range(7):
        ada = validator("ada")
        seats = {7: ACCOUNTS["ada"], **dict.fromkeys(range(20, 27), ACCOUNTS["ben"])}
        ada.device.office.seats = dict(seats)
        committee = [20 + at for at in range(7)]
        committee[place] = 7
        ada.see(Drawn(5 << 96, where_.drawn(committee, 9)))
        assert len(ada.device.sides) == 1


def test_who_judges_as_many_as_it_can_says_so() -> None:
    assert MOST_JUDGED == 256
    ada = validator("ada")
    ada.see(Drawn(5 << 96, where_drawn()))
    ada.see(Drawn(5 << 96, where_drawn()))
    assert len(ada.device.sides) == 1, "seen twice"


def test_a_seat_that_is_filled_is_known_by_the_last_look() -> None:
    ada = started("ada", encounters=0, serves=1, validates=True)
    assert ada.device.member.free == 8_000
    ada.fire_member("look")
    ada.compute(Audited(5, 7_999, seats=(Held(0, BOND),)))
    assert ada.device.member.free == 7_999
    assert ada.told("member.balance") == {"part": "member", "wallet": 5, "free": 7_999, "seats": BOND}
