"""Votes by signatures: bound before anything is shown, shown once all are bound, settled in turns."""

from __future__ import annotations

import dataclasses

import pytest

from p2pfd.core.effects import Compute, Persist, Send
from p2pfd.core.encounter_claims import SettleEncounter
from p2pfd.core.encounter_events import Drawn, Settled
from p2pfd.core.events import Computed, Restored
from p2pfd.core.ids import Digest
from p2pfd.core.verdict import ACCEPT, Reject
from p2pfd.roles.encounter.validator import Validator
from p2pfd.roles.encounter.work import Judged, Recalled, Sign, Signed
from p2pfd.wire.messages import Bind, Show
from tests.unit.roles.encounter.actors import (
    ACCOUNTS,
    AFTER,
    COMMITTEE,
    OTHER,
    PAPERS,
    SIGNATURES,
    bound,
    briefed,
    refusing,
    shown,
    validator,
    where_drawn,
)


def test_it_is_on_disk_before_anybody_hears_of_its_commitment_and_is_bound_to_it_after_a_restart():
    meeting = briefed()
    ada = meeting.judges["ada"]
    ada.compute(Judged(True))
    assert ada.all(Persist)
    paper = ada.work(Sign).paper
    ada.sign()
    kinds = [type(each) for each in ada.done]
    assert kinds.index(Persist) < kinds.index(Send)
    assert set(ada.said(Bind)) == {"ben", "cyd", "learner", "neighbor"}
    mine = ada.said(Bind)["ben"]
    assert PAPERS.bound(meeting.result, mine.commitment) == paper
    fresh = ada.fresh()
    fresh.restore(ada.device.snapshot())
    ada.device = fresh
    ada.live(Restored())
    ada.live(Computed(f"{ada.side().id}/judge", Judged(False)))
    ada.fire("nudge")
    assert ada.said(Bind)["ben"] == mine, "a second judgement changes nothing"


def test_votes_are_shown_only_once_all_are_bound():
    meeting, binds = bound()
    ada = meeting.judges["ada"]
    ada.hear("ben", binds["ben"])
    assert ada.stage == "bound"
    assert not ada.all(Compute)
    ada.hear("cyd", binds["cyd"])
    assert ada.work(Sign).paper == PAPERS.ballot(meeting.result, [binds[name].commitment for name in COMMITTEE])
    ada.sign()
    assert set(ada.said(Show)) == {"ben", "cyd", "learner", "neighbor"}
    assert int.from_bytes(ada.said(Show)["ben"].opening, "big") & 1 == 1


@pytest.mark.parametrize("good", [True, False, None])
def test_its_vote_is_what_it_found_and_in_doubt_for_the_neighbor(good: bool | None):
    meeting, _ = bound(good)
    side = meeting.judges["ben"].side()
    assert isinstance(side, Validator)
    assert side.vote is (good is not False)
    assert side.opening() & 1 == (good is not False)


def test_forged_foreign_and_repeated_commitments():
    meeting, binds = bound()
    ada = meeting.judges["ada"]
    ben = binds["ben"]
    assert isinstance(ada.hear("ben", dataclasses.replace(ben, commitment=OTHER)), Reject)
    assert isinstance(ada.hear("cyd", ben), Reject), "a commitment that somebody else signed"
    refusing(lambda: ada.hear("ben", dataclasses.replace(ben, place=2)), "not of the committee")
    refusing(lambda: ada.hear("ben", dataclasses.replace(ben, place=6)), "another result")
    stray = SIGNATURES.sign(ACCOUNTS["learner"], PAPERS.bound(meeting.result, OTHER))
    raw = stray.r.to_bytes(32, "big") + stray.vs.to_bytes(32, "big")
    refusing(lambda: ada.hear("learner", Bind(Digest(meeting.result), 1, OTHER, raw)), "not of the committee")
    assert ada.hear("ben", ben) is ACCEPT
    refusing(lambda: ada.hear("ben", ben), "heard before")


def test_two_commitments_of_one_member_are_proof_against_it():
    meeting, binds = bound()
    ada = meeting.judges["ada"]
    assert ada.hear("ben", binds["ben"]) is ACCEPT
    signature = SIGNATURES.sign(ACCOUNTS["ben"], PAPERS.bound(meeting.result, OTHER))
    raw = signature.r.to_bytes(32, "big") + signature.vs.to_bytes(32, "big")
    verdict = ada.hear("ben", Bind(Digest(meeting.result), 1, OTHER, raw), b"second")
    assert isinstance(verdict, Reject)
    assert verdict.evidence == (b"second", binds["ben"].commitment + binds["ben"].signature)


def test_wrong_openings_and_other_ballots():
    meeting, shows = shown()
    learner = meeting.learner
    assert learner.hear("neighbor", meeting.delivery) is ACCEPT
    refusing(lambda: learner.hear("ada", shows["ada"]), "not all commitments")
    for name, judge in meeting.judges.items():
        judge.fire("nudge")
        assert learner.hear(name, judge.said(Bind)["learner"]) is ACCEPT
    flipped = (int.from_bytes(shows["ada"].opening, "big") ^ 1).to_bytes(32, "big")
    assert isinstance(learner.hear("ada", dataclasses.replace(shows["ada"], opening=flipped)), Reject)
    refusing(lambda: learner.hear("ben", shows["ada"]), "not all commitments")
    refusing(lambda: learner.hear("ada", dataclasses.replace(shows["ada"], signature=bytes(64))), "another ballot")
    assert learner.hear("ada", shows["ada"]) is ACCEPT
    refusing(lambda: learner.hear("ada", shows["ada"]), "heard before")


def test_with_all_votes_it_settles_in_its_turn():
    meeting, shows = shown()
    cyd = meeting.judges["cyd"]
    cyd.hear("ada", shows["ada"])
    assert "settle" not in cyd.side().due
    cyd.hear("ben", shows["ben"])
    assert cyd.timer("settle") == cyd.now // 10**6 + 2 + 2, "after neighbor, learner, ada and ben"
    cyd.fire("settle")
    claim = cyd.claim(SettleEncounter)
    assert [vote.opening & 1 for vote in claim.votes] == [1, 1, 1]
    assert claim.after == AFTER
    cyd.settle(refused="encounters: not in play")
    assert cyd.stage == "shown"
    cyd.see(Settled(claim.terms.key, 42))
    assert cyd.stage == "gone"


def test_a_signature_that_could_not_be_had_is_asked_for_again():
    meeting = briefed()
    ada = meeting.judges["ada"]
    ada.compute(Judged(True))
    paper = ada.work(Sign).paper
    ada.compute(None, "no endpoint answers")
    assert ada.stage == "bind"
    ada.fire("again")
    assert ada.work(Sign).paper == paper
    meeting, binds = bound()
    ben = meeting.judges["ben"]
    ben.hear("ada", binds["ada"])
    ben.hear("cyd", binds["cyd"])
    ben.compute(None, "no endpoint answers")
    assert ben.stage == "ballot"
    ben.fire("again")
    assert ben.work(Sign)


def test_the_last_one_to_be_bound_has_its_ballot_signed_at_once():
    meeting, binds = bound()
    late = validator("ben")
    late.now = meeting.learner.now
    late.see(Drawn(meeting.deal.terms.key, where_drawn()))
    late.compute(Recalled(meeting.deal.terms, meeting.name))
    late.hear("neighbor", meeting.deal.brief())
    late.hear("neighbor", meeting.delivery)
    late.compute(Judged(True))
    late.work(Sign)
    asked = late.asked
    assert late.hear("ada", binds["ada"]) is ACCEPT
    assert late.hear("cyd", binds["cyd"]) is ACCEPT
    assert late.stage == "bind"
    late.asked = asked
    paper = PAPERS.bound(meeting.result, binds["ben"].commitment)
    late.compute(Signed(SIGNATURES.sign(ACCOUNTS["ben"], paper)))
    assert late.stage == "ballot"
    assert set(late.said(Bind)) == {"ada", "cyd", "learner", "neighbor"}


def test_who_says_its_commitment_again_has_not_heard_ours():
    meeting, shows = shown()
    ada = meeting.judges["ada"]
    cyd = meeting.judges["cyd"]
    cyd.fire("nudge")
    again = cyd.said(Bind)["ada"]
    assert ada.hear("cyd", shows["cyd"]) is ACCEPT
    refusing(lambda: ada.hear("cyd", again), "heard before")
    assert set(ada.said(Bind)) == {"cyd"}
