"""The learner: whom it asks, what it opens, what it takes, and every way in which it goes on without."""

from __future__ import annotations

import dataclasses

import pytest

from p2pfd.core.effects import Persist, Submit
from p2pfd.core.encounter_claims import CloseEncounter, OpenEncounter, ReportResult, SettleEncounter
from p2pfd.core.encounter_events import Defaulted, Drawn, Opened, Reported, Settled, Voided
from p2pfd.core.ids import Digest
from p2pfd.core.verdict import ACCEPT, Reject
from p2pfd.roles.encounter.learner import TAKES, Learner
from p2pfd.roles.encounter.side import CLOSES
from p2pfd.roles.encounter.work import Ask, Asked, Confirm, Confirmed, Recall, Recalled, Take, Taken
from p2pfd.wire.limits import MAX_OFFERED
from p2pfd.wire.messages import Agree, Brief, Deliver, Propose
from tests.unit.roles.encounter.actors import (
    ACCOUNTS,
    AFTER,
    BEFORE,
    COMMITTEE,
    OTHER,
    PAPERS,
    Meeting,
    learner,
    refusing,
    started,
    where_drawn,
)

SETTLED = 2 | 2 << 2 | 2 << 4
"""All three voted valid."""
AGAINST = 3 | 3 << 2 | 2 << 4


def outcome(ballot: int, to_learner: int = 0, to_neighbor: int = 1_700) -> int:
    return to_learner << 128 | to_neighbor << 64 | ballot


def delivered() -> Meeting:
    """The learner knows what the neighbor is liable for, and the committee."""
    meeting = Meeting().agreed().opened().served()
    assert meeting.learner.hear("neighbor", meeting.neighbor.said(Deliver)["learner"]) is ACCEPT
    return meeting.drawn()


def test_it_proposes_to_one_after_the_other_and_then_tries_anew():
    actor = learner()
    asked = []
    while actor.device.sides:
        [(name, message)] = actor.said(Propose).items()
        asked.append(name)
        assert message.before == BEFORE
        assert actor.all(Persist), "whom it asked is on disk before anybody hears of it"
        assert actor.timer("patience") == actor.now // 10**6 + 5
        actor.wait(5)
        actor.fire("patience")
    assert sorted(asked) == ["ada", "ben", "cyd", "neighbor"]
    assert actor.told("learner.alone") == {"part": actor.told("learner.alone")["part"], "asked": 4}


def test_what_may_have_been_lost_is_said_again():
    actor = learner()
    first = actor.said(Propose)
    actor.wait(1)
    actor.fire("nudge")
    assert actor.said(Propose) == first


def test_a_request_that_cannot_be_made_ends_it():
    actor = started("learner", encounters=1, serves=0, validates=False)
    actor.work(Ask)
    actor.compute(None, "no data")
    assert actor.told("learner.failed")["why"] == "no data"
    assert actor.stage == "gone"


def test_an_agreement_is_opened_with_the_signature_that_came():
    meeting = Meeting().agreed()
    actor, agree = meeting.learner, meeting.neighbor.said(Agree)["learner"]
    assert actor.hear("neighbor", agree) is ACCEPT
    claim = actor.claim(OpenEncounter)
    assert PAPERS.encounter(claim.terms, claim.details) == agree.name == meeting.name
    assert actor.done.index(Persist()) < next(at for at, each in enumerate(actor.done) if isinstance(each, Submit))
    assert actor.stage == "opening"
    assert actor.timer("lapse") == claim.terms.open_by + 3


@pytest.mark.parametrize(
    ("sender", "change", "reason"),
    [
        ("ada", {}, "no encounter that is known"),
        ("neighbor", {"salt": bytes(32)}, "another proposal"),
        ("neighbor", {"name": Digest(bytes(32))}, "another proposal"),
        ("neighbor", {"signature": bytes(64)}, "has not signed"),
        ("neighbor", {"signature": b"\xff" * 64}, "has not signed"),
        ("stranger", {}, "no account vouches"),
    ],
    ids=["another one's", "another salt", "another name", "no signature", "no curve point", "a stranger's"],
)
def test_agreements_that_are_none(sender: str, change: dict[str, bytes], reason: str):
    meeting = Meeting().agreed()
    agree = dataclasses.replace(meeting.neighbor.said(Agree)["learner"], **change)  # type: ignore[arg-type]
    refusing(lambda: meeting.learner.hear(sender, agree), reason)
    assert meeting.learner.stage == "offer"
    assert not meeting.learner.all(Submit)


def test_only_the_forger_of_a_signature_is_blamed():
    meeting = Meeting().agreed()
    agree = meeting.neighbor.said(Agree)["learner"]
    forged = dataclasses.replace(agree, signature=bytes(64))
    verdict = meeting.learner.hear("neighbor", forged, b"what it signed")
    assert verdict == Reject("an agreement that its sender's account has not signed", (b"what it signed",))


def test_a_refused_opening_goes_to_the_next():
    meeting = Meeting().agreed()
    actor = meeting.learner
    actor.hear("neighbor", meeting.neighbor.said(Agree)["learner"])
    actor.settle(refused="encounters: neighbor's stake low")
    assert actor.told("learner.refused")["why"] == "encounters: neighbor's stake low"
    assert actor.stage == "gone" or "neighbor" not in actor.said(Propose)


def test_an_opening_that_comes_late_is_recognised_by_what_the_chain_says():
    meeting = Meeting().agreed()
    actor = meeting.learner
    actor.hear("neighbor", meeting.neighbor.said(Agree)["learner"])
    first = actor.claim(OpenEncounter)
    side = actor.side()
    assert isinstance(side, Learner)
    side.asked = side.asked[-1:]  # there is somebody left to ask
    actor.wait(13)
    actor.fire("lapse")
    assert actor.stage == "offer"
    side.agreed.append((dataclasses.replace(side.agreed[0][0], size=7), side.agreed[0][1]))
    actor.see(Opened(first.terms.key, 3))
    assert actor.stage == "learn"
    assert actor.work(Recall) == Recall(first.terms.key)
    actor.compute(Recalled(first.terms, meeting.name))
    assert side.case.name == meeting.name
    assert len(side.agreed) >= 1


def test_it_briefs_the_committee_and_again_those_who_are_silent():
    meeting = delivered()
    actor = meeting.learner
    assert set(actor.said(Brief)) == set(COMMITTEE)
    assert actor.said(Brief)["ada"] == meeting.deal.brief()
    actor.wait(1)
    actor.fire("nudge")
    assert set(actor.said(Brief)) == set(COMMITTEE)


def test_what_was_delivered_counts_only_if_the_neighbor_signed_it():
    meeting = Meeting().agreed().opened().served()
    actor, message = meeting.learner, meeting.neighbor.said(Deliver)["learner"]
    refusing(lambda: actor.hear("neighbor", dataclasses.replace(message, after=OTHER)), "has not signed")
    refusing(lambda: actor.hear("ada", dataclasses.replace(message, after=OTHER)), "not signed by the neighbor")
    refusing(lambda: actor.hear("neighbor", dataclasses.replace(message, name=OTHER)), "no encounter that is known")
    assert actor.hear("ada", message) is ACCEPT, "a validator may pass it on"
    refusing(lambda: actor.hear("neighbor", message), "heard before")


def test_nothing_is_taken_before_the_chain_has_accepted_it():
    meeting = delivered()
    actor = meeting.learner
    assert actor.stage == "learn"
    actor.device.office.mark(ACCOUNTS["neighbor"])
    actor.see(Settled(meeting.deal.terms.key, outcome(SETTLED)))
    assert actor.told("learner.settled")["accepted"] is True
    assert actor.device.office.marks == {}, "it has kept its word this time"
    # It saw no commitments, so it asks the chain which of the neighbor's answers was voted on.
    assert actor.work(Confirm) == Confirm(meeting.deal.terms.key)
    actor.compute(Confirmed(AFTER))
    assert actor.work(Take) == Take(meeting.deal.terms.key, AFTER, 1100)
    actor.compute(Taken(OTHER, {"accuracy": 5}))
    assert actor.told("learner.learnt")["accuracy"] == 5
    assert actor.stage == "gone"


def test_an_answer_that_nobody_judged_is_not_taken():
    meeting = delivered()
    actor = meeting.learner
    actor.see(Settled(meeting.deal.terms.key, outcome(SETTLED)))
    actor.compute(Confirmed(OTHER))  # the neighbor had signed two
    assert actor.work(Take) == Take(meeting.deal.terms.key, OTHER, MAX_OFFERED)


@pytest.mark.parametrize("ballot", [AGAINST, 2, 2 | 3 << 2, 0], ids=["voted down", "too few", "a tie", "no vote"])
def test_what_was_not_accepted_is_not_taken(ballot: int):
    meeting = delivered()
    actor = meeting.learner
    actor.see(Settled(meeting.deal.terms.key, outcome(ballot)))
    assert actor.told("learner.settled")["accepted"] is False
    assert actor.stage == "gone"
    assert actor.device.office.marks == {ACCOUNTS["neighbor"]: 1}


def test_an_answer_that_cannot_be_had_is_given_up_in_the_end():
    meeting = delivered()
    actor = meeting.learner
    actor.see(Settled(meeting.deal.terms.key, outcome(SETTLED)))
    actor.compute(Confirmed(AFTER))
    for _ in range(TAKES - 1):
        actor.compute(None, "nobody has it")
        assert actor.stage == "take"
        actor.wait(5)
        actor.fire("again")
    actor.compute(None, "nobody has it")
    assert actor.told("learner.lost")
    assert actor.stage == "gone"


def test_votes_on_chain_are_waited_for_and_closed_if_nobody_ends_them():
    meeting = delivered()
    actor, terms = meeting.learner, meeting.deal.terms
    where = where_drawn() | 150 << 208
    bound = (b"c" * 32, bytes(32), bytes(32))
    actor.see(Reported(terms.key, meeting.result, where, bound))
    assert actor.stage == "vote"
    assert set(actor.said(Brief)) == set(COMMITTEE)
    # Reported in second 150, two windows of 20 seconds, the chain's slack, and the neighbor goes first.
    assert actor.timer("close") == 150 + 40 + 1 + 2 + 1
    actor.fire("close")
    assert actor.claim(CloseEncounter) == CloseEncounter(terms, PAPERS.bound_result(meeting.result, bound), where)
    actor.see(Settled(terms.key, outcome(SETTLED)))
    assert actor.work(Take).after == AFTER, "the chain named the result when it was reported"


def test_a_neighbor_that_delivers_nothing_is_closed():
    meeting = Meeting().agreed().opened()
    actor, terms = meeting.learner, meeting.deal.terms
    side = actor.side()
    assert side.due["close"] // 10**6 == terms.learn_by + 1 + 2 + 1
    actor.fire("close")
    assert actor.claim(CloseEncounter).paper == meeting.name
    actor.see(Defaulted(terms.key, 700))
    assert actor.told("learner.over") == {"part": side.id, "end": "defaulted", "got": 1_700}
    assert actor.device.office.marks == {ACCOUNTS["neighbor"]: 1}


def test_a_close_that_is_refused_for_ever_is_given_up():
    actor = Meeting().agreed().opened().learner
    for _ in range(CLOSES):
        actor.fire("close")
        assert actor.claim(CloseEncounter)
        actor.settle(refused="encounters: too early")
    actor.fire("close")
    assert actor.told("learner.stuck")
    assert actor.stage == "gone"


def test_a_void_draw_gives_everything_back():
    meeting = Meeting().agreed().opened()
    meeting.learner.see(Voided(meeting.deal.terms.key))
    assert meeting.learner.told("learner.over")["got"] == 1_000
    assert meeting.learner.device.office.marks == {}


def test_without_the_neighbors_signature_it_can_report_nothing():
    meeting = Meeting().agreed().opened()
    meeting.learner.see(Drawn(meeting.deal.terms.key, where_drawn()))
    meeting.learner.fire("report")
    assert not meeting.learner.all(Submit)
    with_it = delivered().learner
    with_it.fire("report")
    assert with_it.claim(ReportResult).signed == (None, None, None)
    with_it.fire("settle")
    assert not [each for each in with_it.all(Submit) if isinstance(each.claim, SettleEncounter)]


def test_the_next_encounter_has_the_next_nonce():
    meeting = delivered()
    actor = meeting.learner
    actor.see(Settled(meeting.deal.terms.key, outcome(AGAINST)))
    assert actor.device.office.nonce(ACCOUNTS["learner"], 0) == 1
    more = Learner(actor.device.office, 0)
    assert more.case.key == meeting.deal.terms.key + 1
    more.begin(actor.now)
    more.computed(actor.now, "ask", Asked(BEFORE, 5), "")
    assert more.asked[0] != ACCOUNTS["neighbor"], "who let it down is asked last"
