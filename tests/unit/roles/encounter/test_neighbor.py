"""The neighbor: what it takes on, what it signs, how it delivers, and how it gets its escrow back."""

from __future__ import annotations

import dataclasses

import pytest

from p2pfd.core.effects import Compute, Persist, Send, Submit
from p2pfd.core.encounter_claims import (
    MAX_SIZE,
    CloseEncounter,
    DrawCommittee,
    EncounterTerms,
    ReportResult,
    SettleEncounter,
)
from p2pfd.core.encounter_events import Defaulted, Drawn, Opened, Reported, Settled, Voided
from p2pfd.core.events import Computed, Restored
from p2pfd.core.verdict import ACCEPT
from p2pfd.roles.encounter.deal import terms_of
from p2pfd.roles.encounter.work import Audit, Recall, Recalled, Serve, Weigh, Weighed
from p2pfd.sim.encounters import BOND
from p2pfd.wire.messages import Agree, Brief, Deliver, Propose
from tests.unit.roles.encounter.actors import (
    ACCOUNTS,
    AFTER,
    BEFORE,
    COMMITTEE,
    OTHER,
    PAPERS,
    SIGNATURES,
    Meeting,
    neighbor,
    refusing,
    where_drawn,
)


def proposal(**changes: int) -> Propose:
    """The learner's, with other terms."""
    meeting = Meeting()
    terms = terms_of(meeting.propose.terms, ACCOUNTS["learner"], ACCOUNTS["neighbor"])
    changed = dataclasses.replace(terms, **{k: v for k, v in changes.items() if k != "tolerance"})
    out = dataclasses.replace(meeting.propose, terms=changed.packed().to_bytes(32, "big"))
    return dataclasses.replace(out, tolerance=changes.get("tolerance", out.tolerance))


def at() -> EncounterTerms:
    """The learner's own terms."""
    return terms_of(Meeting().propose.terms, ACCOUNTS["learner"], ACCOUNTS["neighbor"])


ABSURD = [
    ({"prepayment": 0}, "prepayment"),
    ({"prepayment": 999}, "prepayment"),
    ({"prepayment": BOND + 1}, "prepayment"),
    ({"prepayment": 2**64 - 1}, "prepayment"),
    ({"share": 699_999}, "share"),
    ({"share": 1_000_001}, "share"),
    ({"share": 2**24 - 1}, "share"),
    ({"size": 0}, "committee"),
    ({"size": 2}, "committee"),
    ({"size": MAX_SIZE + 1}, "committee"),
    ({"size": 255}, "committee"),
    ({"rule": 0}, "rule"),
    ({"rule": 3}, "rule"),
    ({"rule": 255}, "rule"),
    ({"tolerance": 19_999}, "tolerance"),
    ({"open_by": 0}, "too late to open"),
    ({"open_by": 2**40 - 1, "learn_by": 2**40 - 1}, "too long"),
    ({"learn_by": 0}, "too little time to learn"),
    ({"learn_by": 2**40 - 1}, "lasts too long"),
    ({"vote_seconds": 0}, "too little time to vote"),
    ({"vote_seconds": 2**24 - 1}, "lasts too long"),
    ({"nonce": 1}, "nonce"),
    ({"nonce": 2**40 - 1}, "nonce"),
]


@pytest.mark.parametrize(("changes", "reason"), ABSURD, ids=[str(changes) for changes, _ in ABSURD])
def test_absurd_terms_are_not_even_weighed(changes: dict[str, int], reason: str):
    actor = neighbor()
    refusing(lambda: actor.hear("learner", proposal(**changes)), reason)
    assert actor.stage == "gone"
    assert not actor.all(Compute)


def test_better_terms_are_taken():
    actor = neighbor()
    assert actor.hear("learner", proposal(prepayment=1_500, share=800_000, size=5, tolerance=30_000)) is ACCEPT


def test_it_serves_no_more_than_it_said_and_one_proposal_of_each_learner():
    actor = neighbor(serves=1)
    assert actor.hear("learner", proposal()) is ACCEPT
    refusing(lambda: actor.hear("ada", proposal()), "serves no more")
    more = neighbor(serves=2)
    assert more.hear("learner", proposal()) is ACCEPT
    refusing(lambda: more.hear("learner", proposal(lane=1)), "another proposal of this learner")
    assert more.hear("ada", proposal()) is ACCEPT
    refusing(lambda: neighbor(serves=0).hear("learner", proposal()), "serves no more")
    refusing(lambda: neighbor(until=99).hear("learner", proposal()), "serves no more")


def test_it_binds_no_more_than_it_has_free():
    actor = neighbor()
    actor.device.member.free = 2_000
    assert actor.hear("learner", proposal()) is ACCEPT
    refusing(lambda: actor.hear("ada", proposal()), "too little free")


def test_a_stranger_and_a_device_that_learns_from_itself_are_ignored():
    refusing(lambda: neighbor().hear("stranger", proposal()), "no account vouches")
    refusing(lambda: neighbor().hear("neighbor", proposal()), "the learner is this device")


def test_it_signs_only_what_it_can_serve():
    actor = neighbor()
    actor.hear("learner", proposal())
    assert actor.work(Weigh) == Weigh(BEFORE, 1000)
    actor.compute(None, "not a model of this task")
    assert actor.stage == "gone"
    assert not actor.all(Send)


def test_it_is_on_disk_before_it_agrees_and_agrees_again_when_asked_again():
    meeting = Meeting().agreed()
    actor = meeting.neighbor
    kinds = [type(each) for each in actor.done]
    assert kinds.index(Persist) < kinds.index(Send)
    agree = actor.said(Agree)["learner"]
    assert SIGNATURES.sign(ACCOUNTS["neighbor"], meeting.name).vs.to_bytes(32, "big") == agree.signature[32:]
    assert actor.hear("learner", meeting.propose) is ACCEPT
    assert actor.said(Agree) == {"learner": agree}
    refusing(lambda: actor.hear("learner", dataclasses.replace(meeting.propose, before=OTHER)), "other terms")


def test_a_signature_that_nobody_uses_lapses():
    meeting = Meeting().agreed()
    actor, terms = meeting.neighbor, meeting.deal.terms
    assert actor.timer("lapse") == terms.open_by + 3
    actor.fire("lapse")
    assert actor.work(Recall) == Recall(terms.key), "the chain's news may be late: it is asked"
    actor.compute(None, "nothing was opened under this key")
    assert actor.told("neighbor.lapsed")
    assert actor.stage == "gone"
    assert actor.device.office.marks == {ACCOUNTS["learner"]: 1}


def test_learners_that_leave_what_was_signed_never_get_all_the_room():
    actor = neighbor(serves=2, stake=40_000)
    actor.device.member.free = 40_000
    actor.device.office.mark(ACCOUNTS["learner"])
    assert actor.hear("ada", proposal()) is ACCEPT
    refusing(lambda: actor.hear("learner", proposal()), "serves no more")
    assert actor.hear("ben", proposal()) is ACCEPT
    actor.device.office.clear(ACCOUNTS["learner"])
    assert actor.device.office.serves(ACCOUNTS["learner"]) == 2


def test_it_serves_only_what_was_opened_with_itself():
    meeting = Meeting().agreed()
    actor, terms = meeting.neighbor, meeting.deal.terms
    actor.see(Opened(terms.key, 3))
    elsewhere = dataclasses.replace(terms, neighbor=ACCOUNTS["ada"])
    actor.compute(Recalled(elsewhere, PAPERS.encounter(elsewhere, bytes(32))))
    assert actor.told("neighbor.lapsed")
    assert actor.stage == "gone"


def test_a_learner_that_opens_elsewhere_meanwhile_is_let_go():
    actor = neighbor()
    actor.hear("learner", proposal())
    actor.see(Opened(at().key, 3))
    assert actor.stage == "gone"


def test_where_the_chain_cannot_be_asked_it_is_asked_again():
    meeting = Meeting().agreed()
    actor = meeting.neighbor
    actor.see(Opened(meeting.deal.terms.key, 3))
    actor.compute(None, "no endpoint answers")
    assert actor.stage == "check"
    actor.fire("again")
    assert actor.work(Recall)


def test_what_failed_is_tried_again():
    meeting = Meeting().agreed().opened()
    actor = meeting.neighbor
    actor.compute(None, "out of memory")
    assert actor.stage == "serve"
    actor.fire("again")
    assert actor.work(Serve)
    meeting.served()
    assert actor.stage == "draw"


def test_it_has_the_committee_drawn_once_the_answer_is_signed():
    meeting = Meeting().agreed().opened().served()
    actor = meeting.neighbor
    assert set(actor.said(Deliver)) == {"learner"}
    claim = actor.claim(DrawCommittee)
    assert claim == DrawCommittee(meeting.deal.terms, meeting.name, 3 << 40 | 7)
    actor.settle(refused="encounters: no block since")
    assert actor.stage == "draw"
    actor.fire("draw")
    assert actor.claim(DrawCommittee) == claim
    actor.settle()
    assert actor.stage == "draw", "being included is not enough: the event tells who was drawn"


def test_a_committee_that_somebody_else_had_drawn_is_used():
    meeting = Meeting().agreed().opened()
    meeting.neighbor.see(Drawn(meeting.deal.terms.key, where_drawn()))
    assert meeting.neighbor.stage == "serve"
    meeting.served()
    assert meeting.neighbor.stage == "gather"
    assert set(meeting.neighbor.said(Brief)) == set(COMMITTEE)


def test_it_briefs_and_delivers_to_the_committee_and_again_to_the_silent():
    meeting = Meeting().agreed().opened().served().drawn()
    actor = meeting.neighbor
    assert set(actor.said(Brief)) == set(COMMITTEE)
    assert set(actor.said(Deliver)) == {"learner", *COMMITTEE}
    assert actor.timer("report") == min(actor.now // 10**6 + 20, meeting.deal.terms.learn_by - 20)
    actor.wait(1)
    actor.fire("nudge")
    assert set(actor.said(Deliver)) == set(COMMITTEE)


def test_without_all_signatures_it_reports():
    meeting = Meeting().agreed().opened().served().drawn()
    actor = meeting.neighbor
    actor.fire("report")
    claim = actor.claim(ReportResult)
    assert (claim.after, claim.signed, claim.where) == (AFTER, (None, None, None), where_drawn())
    actor.settle(refused="encounters: no block since")
    actor.fire("report")
    assert actor.claim(ReportResult) == claim
    where = where_drawn() | 140 << 208
    actor.see(Reported(claim.terms.key, meeting.result, where, (bytes(32),) * 3))
    assert actor.stage == "vote"
    assert set(actor.said(Brief)) == set(COMMITTEE)
    assert actor.timer("close") == 140 + 40 + 1 + 2
    actor.fire("close")
    assert actor.claim(CloseEncounter).paper == PAPERS.bound_result(meeting.result, (bytes(32),) * 3)


def test_after_the_time_to_learn_it_reports_no_more():
    meeting = Meeting().agreed().opened().served().drawn()
    actor = meeting.neighbor
    actor.fire("report")
    actor.wait(100)
    actor.settle(refused="encounters: too late")
    assert "report" not in actor.side().due
    actor.fire("close")
    assert actor.claim(CloseEncounter).paper == meeting.name


@pytest.mark.parametrize(
    ("event", "end", "got"),
    [
        (lambda key: Settled(key, 300 << 128 | 1_700 << 64 | 42), "settled", 1_700),
        (lambda key: Defaulted(key, 700), "defaulted", 300),
        (lambda key: Voided(key), "voided", 1_000),
    ],
    ids=["settled", "defaulted", "voided"],
)
def test_every_end_is_told(event, end: str, got: int):
    meeting = Meeting().agreed().opened()
    meeting.neighbor.see(event(meeting.deal.terms.key))
    told = meeting.neighbor.told("neighbor.over")
    assert (told["end"], told["got"]) == (end, got)
    assert meeting.neighbor.stage == "gone"
    assert meeting.neighbor.work(Audit), "it looks at its balances"


def test_settling_needs_all_votes():
    meeting = Meeting().agreed().opened().served().drawn()
    meeting.neighbor.fire("settle")
    assert not [each for each in meeting.neighbor.all(Submit) if isinstance(each.claim, SettleEncounter)]


def test_an_answer_to_what_was_weighed_before_a_restart_is_not_waited_for():
    actor = neighbor()
    actor.hear("learner", proposal())
    [asked] = actor.all(Compute)
    fresh = actor.fresh()
    fresh.restore(actor.device.snapshot())
    actor.device = fresh
    effects = actor.live(Restored())
    assert asked in effects, "what was asked for is asked for again"
    actor.live(Computed("neighbor-0/weigh", Weighed()))
    assert actor.stage == "weigh"
