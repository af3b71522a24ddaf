"""Until when a side tries again what the chain refused, to the tick: longer would be in vain, and cost gas."""

from __future__ import annotations

import dataclasses

import pytest

from p2pfd.core.effects import Submit
from p2pfd.core.encounter_events import Committed
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.core.verdict import ACCEPT
from p2pfd.roles.encounter.case import Case
from p2pfd.roles.encounter.deal import terms_of
from p2pfd.roles.encounter.work import Judged
from p2pfd.wire.messages import Bind, Brief, Deliver
from tests.unit.roles.encounter.actors import (
    ACCOUNTS,
    COMMITTEE,
    OTHER,
    Actor,
    Meeting,
    bound,
    briefed,
    reported,
    shown,
)

REPORTED, WINDOW, NOTHING = 150, 20, bytes(32)


def refuse(actor, submits: list[Submit], reason: str = "encounters: no") -> None:
    """The chain refuses the one claim among these."""
    actor.done = list(submits)
    actor.settle(refused=reason)


@pytest.mark.parametrize("late", [False, True])
def test_a_commitment_is_sent_again_until_its_window_is_over(late: bool) -> None:
    meeting, _ = bound()
    ben = meeting.judges["ben"]
    ben.see(reported(meeting, REPORTED, (NOTHING,) * 3))
    submits = ben.all(Submit)
    ben.now = Tick((REPORTED + WINDOW) * SECOND + late)
    refuse(ben, submits)
    assert ("commit" in ben.side().due) != late
    if not late:
        assert ben.side().due["commit"] == ben.now + 2 * SECOND, "ben has the second place"


@pytest.mark.parametrize("late", [False, True])
def test_a_vote_is_shown_again_until_the_second_window_is_over(late: bool) -> None:
    meeting, binds = bound()
    ada = meeting.judges["ada"]
    ada.see(reported(meeting, REPORTED, (binds["ada"].commitment, OTHER, OTHER)))
    ada.fire("reveal")
    submits = ada.all(Submit)
    ada.now = Tick((REPORTED + 2 * WINDOW) * SECOND + late)
    refuse(ada, submits)
    assert ada.stage == ("revealed" if late else "reveal")
    if not late:
        assert ada.side().due["reveal"] == ada.now + 1 * SECOND, "the nudge of quick simulations"


def test_a_vote_is_shown_the_second_after_the_first_window_or_at_once_when_it_is_past() -> None:
    for now, second in ((REPORTED + 1, REPORTED + WINDOW + 1), (REPORTED + WINDOW + 9, REPORTED + WINDOW + 9)):
        meeting, binds = bound()
        ada = meeting.judges["ada"]
        ada.now = Tick(now * SECOND)
        ada.see(reported(meeting, REPORTED, (binds["ada"].commitment, OTHER, NOTHING)))
        assert ada.side().due["reveal"] == second * SECOND


def test_another_s_commitment_does_not_make_one_reveal_what_is_not_bound() -> None:
    meeting, binds = bound()
    ada = meeting.judges["ada"]
    ada.see(reported(meeting, REPORTED, (NOTHING,) * 3))
    ada.see(Committed(meeting.deal.terms.key, 1, OTHER))
    assert ada.stage == "commit"
    ada.see(Committed(meeting.deal.terms.key, 0, binds["ada"].commitment))
    assert ada.stage == "reveal"


@pytest.mark.parametrize("late", [False, True])
def test_a_report_is_sent_again_before_the_time_to_learn_is_over(late: bool) -> None:
    meeting = Meeting().agreed().opened().served().drawn()
    actor, terms = meeting.neighbor, meeting.deal.terms
    actor.fire("report")
    submits = actor.all(Submit)
    actor.now = Tick(terms.learn_by * SECOND - 1 + late)
    refuse(actor, submits)
    assert ("report" in actor.side().due) != late


def test_a_neighbor_reports_when_the_voting_time_has_passed_or_the_margin_begins_whichever_is_first() -> None:
    early = Meeting().agreed().opened().served()
    late = Meeting().agreed().opened().served()
    after = Meeting().agreed().opened().served()
    margin = early.deal.terms.learn_by - 20
    for meeting, now, second in (
        (early, margin - 21, margin - 1),
        (late, margin - 5, margin),
        (after, margin + 5, margin + 5),
    ):
        meeting.neighbor.now = Tick(now * SECOND)
        meeting.drawn()
        assert meeting.neighbor.side().due["report"] == second * SECOND


def test_what_is_refused_when_settling_is_reported_after_the_slack_in_ones_turn() -> None:
    meeting, binds = bound()
    for name, bind in binds.items():
        assert meeting.neighbor.hear(name, bind) is ACCEPT
    side = meeting.neighbor.side()
    effects = side.on_unsettled(meeting.neighbor.now)
    assert len(effects) == 1
    assert side.due["report"] == meeting.neighbor.now + 2 * SECOND


def test_those_of_whom_nothing_is_heard_are_told_again_and_nobody_else() -> None:
    meeting, binds = bound()
    neighbor, learner = meeting.neighbor, meeting.learner
    assert learner.hear("neighbor", meeting.delivery) is ACCEPT
    for actor, kind in ((neighbor, Deliver), (learner, Brief)):
        assert actor.hear("ben", binds["ben"]) is ACCEPT
        actor.fire("nudge")
        assert set(actor.said(kind)) == {"ada", "cyd"}
        assert actor.side().due["nudge"] == actor.now + 1 * SECOND
        for name in ("ada", "cyd"):
            assert actor.hear(name, binds[name]) is ACCEPT
        actor.fire("nudge")
        assert actor.said(kind) == {}
        assert "nudge" not in actor.side().due, "all are bound"


def test_after_a_report_only_those_whose_commitment_the_chain_has_are_left_alone() -> None:
    meeting, binds = bound()
    neighbor = meeting.neighbor
    for name in COMMITTEE:
        assert neighbor.hear(name, binds[name]) is ACCEPT
    neighbor.see(reported(meeting, REPORTED, (NOTHING, binds["ben"].commitment, NOTHING)))
    assert set(neighbor.said(Brief)) == {"ada", "cyd"}


def test_a_place_outside_of_the_committee_is_nobodys() -> None:
    meeting, binds = bound()
    ada = meeting.judges["ada"]
    for place in (3, 6):
        wrong: Bind = dataclasses.replace(binds["ben"], place=place)
        assert getattr(ada.hear("ben", wrong), "reason", "") == "a commitment to another result"
    assert ada.hear("ben", binds["ben"]) is ACCEPT


def test_a_vote_of_a_place_outside_of_the_committee_is_on_nothing_that_is_known() -> None:
    meeting, shows = shown()
    for place in (3, 6):
        wrong = dataclasses.replace(shows["ben"], place=place)
        assert getattr(meeting.judges["ada"].hear("ben", wrong), "reason", "") == "a vote on another result"


@pytest.mark.parametrize("size", range(1, 8))
def test_accepted_is_what_more_than_half_voted_on_and_more_of_these_for_than_against(size: int) -> None:
    case = Case(Actor("ada").device.office, 5)
    case.terms = dataclasses.replace(
        terms_of(Meeting().propose.terms, ACCOUNTS["learner"], ACCOUNTS["neighbor"]), size=size
    )
    for voting in range(size + 1):
        for valid in range(voting + 1):
            states = [2] * valid + [3] * (voting - valid) + [1] * (size - voting)
            case.end, case.outcome = "settled", sum(state << 2 * place for place, state in enumerate(states))
            assert case.accepted == (voting > size - voting and valid > voting - valid)
            case.end = "voided"
            assert not case.accepted


def test_a_vote_in_the_dark_leaves_a_quarter_of_the_window() -> None:
    meeting = briefed()
    ada = meeting.judges["ada"]
    ada.see(reported(meeting, REPORTED, (NOTHING,) * 3))
    assert ada.side().due["blind"] == (REPORTED + 15) * SECOND
    ada.compute(Judged(False))
    assert "blind" not in ada.side().due
