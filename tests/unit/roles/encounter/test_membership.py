"""Membership: what it pays in, the seat it takes and keeps filled, and how it gets everything back."""

from __future__ import annotations

import pytest

from p2pfd.core.claims import Deposit, Unstake, Withdraw
from p2pfd.core.effects import Compute, Submit
from p2pfd.core.encounter_claims import Collect, ComeBack, Join, Leave, TopUp, Vacate
from p2pfd.core.encounter_events import SeatLeft
from p2pfd.core.events import Restored, Started
from p2pfd.core.ids import Amount
from p2pfd.roles.encounter.work import Audit, Audited, Held
from p2pfd.sim.encounters import BOND
from tests.unit.roles.encounter.actors import Actor, started

FREE = 8_000
"""What it wants to have free, by its habits."""


def member(**habits: object) -> Actor:
    """A validator that asks nobody and serves one."""
    actor = Actor("ada", **{"encounters": 0, "serves": 1, "validates": True, **habits})
    actor.live(Started())
    assert actor.work(Audit)
    return actor


def test_it_pays_in_takes_a_seat_and_is_ready():
    actor = member()
    actor.compute(Audited(50_000, 0))
    assert actor.claim(Deposit) == Deposit(Amount(FREE + BOND))
    actor.settle()
    assert actor.work(Audit), "it looks after each claim"
    actor.compute(Audited(32_000, FREE + BOND))
    assert actor.claim(Join) == Join()
    actor.settle()
    actor.compute(Audited(32_000, FREE, seats=(Held(0, BOND),)))
    assert not actor.all(Submit)
    assert actor.device.member.stage == "ready"


def test_it_pays_in_no_more_than_it_has_and_says_when_that_is_too_little():
    actor = member()
    actor.compute(Audited(500, 0))
    assert actor.claim(Deposit) == Deposit(Amount(500))
    actor.settle()
    actor.compute(Audited(0, 500))
    assert not actor.all(Submit)
    assert actor.told("member.low") == {"part": "member", "free": 500, "needed": 2_000}


def test_whoever_does_not_validate_takes_no_seat():
    actor = member(validates=False)
    actor.compute(Audited(50_000, 0))
    assert actor.claim(Deposit) == Deposit(Amount(FREE))
    actor.settle()
    actor.compute(Audited(42_000, FREE))
    assert not actor.all(Submit)


@pytest.mark.parametrize(
    ("held", "claim"),
    [
        (Audited(0, FREE, seats=(Held(3, BOND - 700),)), TopUp(3, Amount(700))),
        (Audited(0, 2_100, seats=(Held(3, BOND - 700),)), TopUp(3, Amount(100))),
        (Audited(0, FREE, seats=(Held(3, 4_000, left_at=50),)), TopUp(3, Amount(6_000))),
        (Audited(0, FREE, seats=(Held(3, BOND + 1_000),)), Collect(3)),
    ],
    ids=["under the bond", "not below what it needs itself", "benched", "far above the bond"],
)
def test_a_seat_is_kept_at_its_bond(held: Audited, claim: object):
    actor = member()
    actor.compute(held)
    assert actor.claim(type(claim)) == claim


def test_a_benched_seat_comes_back_once_its_encounters_are_over():
    actor = member()
    actor.compute(Audited(0, FREE, seats=(Held(3, BOND, left_at=50),)))
    assert not actor.all(Submit), "200 seconds, which an encounter may last, have not passed"
    assert actor.timer("look") == 110
    actor.wait(160)
    actor.live(Restored())
    actor.fire_member("look")
    actor.compute(Audited(0, FREE, seats=(Held(3, BOND, left_at=50),)))
    assert actor.claim(ComeBack) == ComeBack(3)


def test_it_looks_at_once_when_the_chain_says_that_its_seat_was_left():
    actor = started("ada", encounters=0, serves=1, validates=True)
    actor.see(SeatLeft(1))
    assert not actor.all(Compute), "somebody else's"
    actor.see(SeatLeft(0))
    assert actor.work(Audit)


def test_a_refusal_and_a_chain_that_does_not_answer_are_tried_again_later():
    actor = member()
    actor.compute(None, "no endpoint answers")
    assert actor.timer("look") == 110
    actor.fire_member("look")
    actor.compute(Audited(50_000, 0))
    actor.settle(refused="erc20: transfer amount exceeds balance")
    assert actor.device.member.stage == "ready"
    actor.fire_member("look")
    actor.compute(Audited(50_000, 0))
    [again] = actor.all(Submit)
    assert ".2." in again.intent.replace("deposit", ""), "another attempt is another intent"


def test_after_a_restart_the_same_claim_has_the_same_intent_so_that_it_is_carried_out_once():
    actor = member()
    actor.compute(Audited(50_000, 0))
    [submit] = actor.all(Submit)
    fresh = actor.fresh()
    fresh.restore(actor.device.snapshot())
    actor.device = fresh
    actor.live(Restored())
    assert actor.all(Submit) == [submit]


def test_it_stands_down_step_by_step_and_waits_as_long_as_it_must():
    actor = member(until=99)
    actor.compute(Audited(0, FREE, seats=(Held(3, BOND),)))
    assert actor.claim(Leave) == Leave(3)
    actor.settle()
    actor.compute(Audited(0, FREE, seats=(Held(3, BOND, left_at=100),)))
    assert not actor.all(Submit)
    actor.wait(241)
    actor.fire_member("look")
    actor.compute(Audited(0, FREE, seats=(Held(3, BOND, left_at=100),)))
    assert actor.claim(Vacate) == Vacate(3)
    actor.settle()
    actor.compute(Audited(0, FREE + BOND))
    assert actor.claim(Unstake) == Unstake(Amount(FREE + BOND))
    actor.settle()
    actor.compute(Audited(0, 0, unbonding=FREE + BOND, ready=581))
    assert not actor.all(Submit)
    actor.wait(242)
    actor.fire_member("look")
    actor.compute(Audited(0, 0, unbonding=FREE + BOND, ready=581))
    assert actor.claim(Withdraw) == Withdraw()
    actor.settle()
    actor.compute(Audited(FREE + BOND, 0))
    assert actor.told("member.left") == {"part": "member", "wallet": FREE + BOND}
    assert actor.device.member.over


def test_it_does_not_stand_down_in_the_midst_of_an_encounter():
    actor = started("learner", encounters=1, serves=0, validates=False, until=10**9)
    assert actor.stage == "ask"
    actor.wait(2_000)
    actor.fire_member("look")
    actor.compute(Audited(0, FREE))
    assert not actor.all(Submit)
