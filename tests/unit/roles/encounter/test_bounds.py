"""Where a device's rules change, to the unit: terms it takes, habits it may have, what it does with its tokens."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from p2pfd.core.claims import Deposit, Unstake, Withdraw
from p2pfd.core.effects import Submit
from p2pfd.core.encounter_claims import Collect, ComeBack, EncounterTerms, Join, Leave, TopUp, Vacate
from p2pfd.core.encounter_spec import EncounterSpec
from p2pfd.core.events import Started
from p2pfd.core.ids import Account, Amount
from p2pfd.errors import PlanError
from p2pfd.roles.encounter import Habits
from p2pfd.roles.encounter.deal import unfair
from p2pfd.roles.encounter.office import NEVER
from p2pfd.roles.encounter.work import Audited, Held
from p2pfd.sim.encounters import with_habits
from tests.unit.roles.encounter.actors import Actor

LEARNER, NEIGHBOR = Account("0x" + "01" * 20), Account("0x" + "02" * 20)
SECOND = 1_000
HABITS = with_habits(prepayment=100, bond=900, open_seconds=10, learn_seconds=60, vote_seconds=20, longest=200)
OWN = EncounterTerms(
    LEARNER,
    NEIGHBOR,
    Amount(100),
    open_by=SECOND + 10,
    learn_by=SECOND + 70,
    nonce=0,
    vote_seconds=20,
    share=700_000,
    size=3,
    rule=2,
)
"""What a learner of the same habits proposes in this second."""


def reason(tolerance: int = 20_000, **changed: Any) -> str | None:
    return unfair(replace(OWN, **changed), tolerance, SECOND, HABITS)


def test_ones_own_terms_are_fair() -> None:
    assert reason() is None


@pytest.mark.parametrize(
    ("last", "beyond", "said"),
    [
        ({"prepayment": 900}, {"prepayment": 901}, "the prepayment is out of range"),
        ({"prepayment": 100}, {"prepayment": 99}, "the prepayment is out of range"),
        ({"share": 1_000_000}, {"share": 1_000_001}, "the share is too small, or none"),
        ({"share": 700_000}, {"share": 699_999}, "the share is too small, or none"),
        ({"size": 7}, {"size": 8}, "the committee is smaller than one's own, or too large"),
        ({"size": 3}, {"size": 2}, "the committee is smaller than one's own, or too large"),
        ({"rule": 2}, {"rule": 1}, "no such rule, or not one's own"),
        ({"tolerance": 20_000}, {"tolerance": 19_999}, "the tolerance is smaller than one's own"),
        ({"open_by": SECOND + 1}, {"open_by": SECOND}, "it is too late to open"),
        (
            {"open_by": SECOND + 20, "learn_by": SECOND + 80},
            {"open_by": SECOND + 21, "learn_by": SECOND + 81},
            "it may be opened for too long",
        ),
        ({"learn_by": SECOND + 70}, {"learn_by": SECOND + 69}, "there is too little time to learn"),
        ({"vote_seconds": 20}, {"vote_seconds": 19}, "there is too little time to vote"),
        ({"learn_by": SECOND + 160}, {"learn_by": SECOND + 161}, "it lasts too long"),
        ({"vote_seconds": 65}, {"vote_seconds": 66}, "it lasts too long"),
        ({}, {"neighbor": LEARNER}, "the learner is this device"),
    ],
    ids=str,
)
def test_a_neighbor_takes_terms_up_to_the_bound_and_names_what_lies_beyond(
    last: dict[str, Any], beyond: dict[str, Any], said: str
) -> None:
    assert reason(**last) is None
    assert reason(**beyond) == said


@pytest.mark.parametrize(
    ("last", "beyond"),
    [
        ({"prepayment": 1}, {"prepayment": 0}),
        ({"prepayment": 10_000}, {"prepayment": 10_001}),
        ({"share": 0}, {"share": -1}),
        ({"share": 1_000_000}, {"share": 1_000_001}),
        ({"size": 1}, {"size": 0}),
        ({"size": 7}, {"size": 8}),
        ({"rule": 0}, {"rule": -1}),
        ({"rule": 2}, {"rule": 3}),
        ({"open_seconds": 1}, {"open_seconds": 0}),
        ({"vote_seconds": 1}, {"vote_seconds": 0}),
        ({"nudge": 1}, {"nudge": 0}),
        ({"patience": 1}, {"patience": 0}),
        ({"look": 1}, {"look": 0}),
        ({"margin_seconds": 1}, {"margin_seconds": 0}),
        ({"margin_seconds": 59}, {"margin_seconds": 60}),
        ({"lanes": 1}, {"lanes": 0}),
        ({"lanes": 256}, {"lanes": 257}),
        ({"longest": 110}, {"longest": 109}),
    ],
    ids=str,
)
def test_habits_are_legal_up_to_what_the_contract_holds(last: dict[str, int], beyond: dict[str, int]) -> None:
    with_habits(**last)
    with pytest.raises(PlanError):
        with_habits(**beyond)


def test_a_device_that_is_told_nothing_else_has_the_habits_of_a_task_that_says_nothing_else() -> None:
    ours = {each.name: each.default for each in fields(Habits)}
    theirs = {each.name: each.default for each in fields(EncounterSpec)}
    shared = ["share", "size", "tolerance", "open_seconds", "learn_seconds", "vote_seconds", "margin_seconds"]
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}
    assert ours["rule"] == ["paper", "symmetric", "serum"].index(str(theirs["rule"]))


# -- tokens ------------------------------------------------------------------------------------------------------------

BOND, STAKE, PREPAYMENT, NEEDED, LONGEST, UNBOND = 10_000, 8_000, 1_000, 2_000, 200, 240


def wish(held: Audited, now: int = 100, **habits: object) -> object:
    """The claim that follows from this look; None where nothing is to be done."""
    actor = Actor("ada", now, **{"encounters": 0, "serves": 1, "validates": True, "until": NEVER, **habits})
    actor.live(Started())
    actor.compute(held)
    claims = [each.claim for each in actor.all(Submit)]
    return claims[0] if claims else None


def seat(balance: int = BOND, left_at: int = 0) -> Held:
    return Held(3, balance, left_at)


@pytest.mark.parametrize(
    ("held", "claim"),
    [
        (Audited(1, STAKE + BOND - 1), Deposit(Amount(1))),
        (Audited(1, STAKE + BOND), Join()),
        (Audited(0, NEEDED + BOND), Join()),
        (Audited(0, NEEDED + BOND - 1), None),
        (Audited(5, STAKE - 1, seats=(seat(),)), Deposit(Amount(1))),
        (Audited(5, STAKE, seats=(seat(),)), None),
        (Audited(0, NEEDED + 1, seats=(seat(BOND - 1),)), TopUp(3, Amount(1))),
        (Audited(0, NEEDED, seats=(seat(BOND - 1),)), None),
        (Audited(0, STAKE, seats=(seat(BOND + PREPAYMENT),)), Collect(3)),
        (Audited(0, STAKE, seats=(seat(BOND + PREPAYMENT - 1),)), None),
    ],
    ids=str,
)
def test_it_pays_in_joins_fills_up_and_collects_from_this_unit_on(held: Audited, claim: object) -> None:
    assert wish(held) == claim


def test_a_seat_that_was_left_comes_back_after_the_longest_encounter_and_its_second() -> None:
    benched = Audited(0, STAKE, seats=(seat(left_at=50),))
    assert wish(benched, 50 + LONGEST + 1) is None
    assert wish(benched, 50 + LONGEST + 2) == ComeBack(3)
    poor = Audited(0, NEEDED, seats=(seat(BOND - 1, left_at=50),))
    assert wish(poor, 10_000) is None, "not with less than the bond"
    assert wish(benched, 10_000, validates=False) is None


def test_who_neither_learns_nor_serves_needs_nothing_free() -> None:
    assert wish(Audited(0, BOND), serves=0) == Join()
    assert wish(Audited(0, BOND - 1), serves=0) is None


@pytest.mark.parametrize(
    ("held", "now", "claim"),
    [
        (Audited(0, STAKE, seats=(seat(),)), 100, Leave(3)),
        (Audited(0, STAKE, seats=(seat(left_at=100),)), 100 + UNBOND, None),
        (Audited(0, STAKE, seats=(seat(left_at=100),)), 100 + UNBOND + 1, Vacate(3)),
        (Audited(0, 7), 100, Unstake(Amount(7))),
        (Audited(0, 0, unbonding=7, ready=100), 100, None),
        (Audited(0, 0, unbonding=7, ready=100), 101, Withdraw()),
    ],
    ids=str,
)
def test_it_leaves_when_the_chain_lets_it_go_and_not_a_second_before(held: Audited, now: int, claim: object) -> None:
    assert wish(held, now, until=99) == claim
