"""A device as a whole: who it listens to, which encounter a message is for, and what it begins."""

from __future__ import annotations

import dataclasses

import pytest

from p2pfd.core.effects import Compute, Publish, SetTimer
from p2pfd.core.encounter_events import Drawn, Opened, SeatTaken, SeatVacated, Settled, Voided
from p2pfd.core.events import Computed, Heard, Restored, Started, TimerFired
from p2pfd.core.ids import Digest, RoundId
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.core.verdict import ACCEPT
from p2pfd.errors import PlanError
from p2pfd.roles.encounter import Device, Habits, Learner
from p2pfd.roles.encounter.device import GREET, MOST_JUDGED, NEXT
from p2pfd.roles.encounter.work import Ask, Asked, Audited, Weigh
from p2pfd.sim.encounters import with_habits
from p2pfd.wire.messages import Agree, Commit, Hello, Propose
from tests.unit.roles.encounter.actors import (
    ACCOUNTS,
    BEFORE,
    FAR_SEATS,
    PEERS,
    Actor,
    Meeting,
    learner,
    neighbor,
    refusing,
    seated,
    started,
    validator,
    where_drawn,
)

HELLO = Hello(PEERS["ada"], ACCOUNTS["ada"], bytes(64), bytes(65))


def test_it_introduces_itself_and_again_to_newcomers():
    actor = Actor("ada")
    desk = dataclasses.replace(actor.device.desk, hello=HELLO)
    actor.device = Device(desk)
    assert Publish(HELLO) in actor.live(Started())
    newcomer = Hello(PEERS["stranger"], ACCOUNTS["stranger"], bytes(64), bytes(65))
    effects = actor.live(Heard(1, PEERS["stranger"], newcomer))
    assert [each.name for each in effects if isinstance(each, SetTimer)] == [GREET]
    assert not [each for each in actor.live(Heard(2, PEERS["stranger"], newcomer)) if isinstance(each, SetTimer)]
    assert Publish(HELLO) in actor.live(TimerFired(GREET))
    assert actor.device.office.peer_of(ACCOUNTS["stranger"]) == PEERS["stranger"]
    assert Publish(HELLO) in actor.live(Restored())


def test_messages_of_other_roles_and_of_strangers_are_ignored():
    actor = started("ada")
    refusing(lambda: actor.hear("ben", Commit(RoundId(0), Digest(bytes(32)))), "means nothing to this role")
    refusing(lambda: actor.hear("stranger", Agree(Digest(bytes(32)), bytes(32), bytes(64))), "no account vouches")


def test_it_begins_nothing_before_it_has_looked_and_nothing_it_cannot_pay():
    actor = Actor("learner", encounters=1, serves=0, validates=False)
    actor.live(Started())
    seated(actor)
    assert actor.stage == "gone"
    actor.compute(Audited(0, 1_999))
    assert actor.stage == "gone", "the threshold is 2,000"
    actor.fire_member("look")
    actor.compute(Audited(0, 2_000))
    actor.wait(5)
    actor.live(TimerFired(NEXT))
    assert actor.stage == "ask"


def test_it_begins_nothing_where_nobody_else_is():
    actor = Actor("learner", encounters=1, serves=0, validates=False)
    actor.members.clear()
    actor.device = actor.fresh()
    actor.live(Started())
    seated(actor)
    actor.compute(Audited(0, 8_000))
    assert actor.stage == "gone"


def test_as_many_encounters_as_it_wants_and_no_more():
    actor = started("learner", encounters=1, serves=0, validates=False)
    key = actor.side().case.key
    actor.compute(Asked(BEFORE, 10))
    actor.side().case.agree(Meeting().agreed().deal)
    actor.see(Opened(key, 3))
    actor.see(Voided(key))
    actor.wait(60)
    actor.live(TimerFired(NEXT))
    assert actor.device.done == 1
    assert actor.stage == "gone"


def test_lanes_are_filled_one_after_the_other_and_an_agreement_finds_its_own():
    actor = started("learner", encounters=4, lanes=2, serves=0, validates=False)
    actor.live(TimerFired(NEXT))
    lanes = [side for side in actor.device.sides.values() if isinstance(side, Learner)]
    assert [side.lane for side in lanes] == [0, 1]
    proposals: list[Propose] = []
    for side in lanes:
        actor.live(Computed(f"{side.id}/ask", Asked(BEFORE, 1000)))
        while "neighbor" not in actor.said(Propose):
            actor.live(TimerFired(f"{side.id}/patience"))
        proposals.append(actor.said(Propose)["neighbor"])
    other = neighbor()
    assert other.hear("learner", proposals[1]) is ACCEPT
    assert other.work(Weigh)
    other.compute(None)
    # Both lanes ask the same neighbor; its agreement to the second one finds the second one.
    meeting = Meeting()
    meeting.propose, meeting.neighbor = proposals[1], neighbor()
    meeting.agreed()
    assert actor.hear("neighbor", meeting.neighbor.said(Agree)["learner"]) is ACCEPT
    assert [side.stage for side in lanes] == ["offer", "opening"]


def test_who_sits_where_is_what_the_chain_told_last():
    actor = started("ada")
    actor.see(SeatVacated(1))
    far = dict.fromkeys(FAR_SEATS, ACCOUNTS["stranger"])
    assert actor.device.office.seats == {0: ACCOUNTS["ada"], 2: ACCOUNTS["cyd"], **far}
    actor.see(SeatTaken(1, ACCOUNTS["learner"]))
    assert actor.device.office.seats[1] == ACCOUNTS["learner"]


def test_so_many_encounters_are_judged_at_a_time():
    ada = validator("ada")
    for number in range(MOST_JUDGED):
        ada.see(Drawn(1 << 96 | number, where_drawn()))
    assert len(ada.device.sides) == MOST_JUDGED
    ada.see(Drawn(1 << 96 | MOST_JUDGED, where_drawn()))
    assert ada.told("validator.full")
    ada.see(Settled(1 << 96, 0))
    assert len(ada.device.sides) == MOST_JUDGED - 1


def test_a_device_is_all_roles_at_once():
    ada = started("ada", encounters=1, serves=1, validates=True)
    assert ada.work(Ask) == Ask(ada.side("learner").case.key)
    assert ada.hear("learner", Meeting().propose) is ACCEPT
    ada.see(Drawn(5 << 96, where_drawn()))
    assert {side.role for side in ada.device.sides.values()} == {"learner", "neighbor", "validator"}
    again = ada.fresh()
    again.restore(ada.device.snapshot())
    assert again.snapshot() == ada.device.snapshot()


def test_outcomes_receipts_and_timers_of_nobody_change_nothing():
    actor = learner()
    before = actor.device.snapshot()
    actor.live(Computed("judge", None))
    actor.live(Computed("neighbor-1/weigh", None))
    actor.live(Computed(f"{actor.side().id}/take", None))
    actor.live(TimerFired("nobody/again"))
    actor.live(TimerFired("elsewhere"))
    assert actor.device.snapshot() == before
    assert not actor.all(Compute)


@pytest.mark.parametrize(
    "wrong",
    [
        {"prepayment": 0},
        {"prepayment": 10_001},
        {"size": 8},
        {"size": 0},
        {"share": 1_000_001},
        {"rule": 3},
        {"lanes": 257},
        {"nudge": 0},
        {"margin_seconds": 60},
        {"learn_seconds": 400},
    ],
    ids=str,
)
def test_habits_that_the_contract_would_refuse(wrong: dict[str, int]):
    with pytest.raises(PlanError):
        with_habits(**wrong)


def test_habits_by_default_fit_one_another():
    habits = Habits(
        encounters=1,
        serves=1,
        validates=True,
        prepayment=1,
        bond=1,
        threshold=1,
        stake=1,
        longest=900,
        unbond_seconds=900,
    )
    assert habits.open_seconds + habits.learn_seconds + 2 * habits.vote_seconds == 900
    assert habits.until > Tick(10**15 * SECOND // 10**6)
