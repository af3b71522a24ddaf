"""The validator: what it believes, what it is bound to, and when it shows it; by signatures, and vote by vote."""

from __future__ import annotations

import dataclasses

import pytest

from p2pfd.core.effects import Compute, Persist, Send, SetTimer, Submit
from p2pfd.core.encounter_claims import CloseEncounter, CommitVote, ReportResult, RevealVote, SettleEncounter
from p2pfd.core.encounter_events import Committed, Defaulted, Drawn, Reported, Revealed, Settled
from p2pfd.core.events import ChainSaw, Computed, Restored
from p2pfd.core.ids import Digest
from p2pfd.core.verdict import ACCEPT, Reject
from p2pfd.roles.encounter.validator import Validator
from p2pfd.roles.encounter.work import Judge, Judged, Recall, Recalled, Sign
from p2pfd.wire.messages import Bind, Brief, Deliver, Show
from tests.unit.roles.encounter.actors import (
    ACCOUNTS,
    AFTER,
    BEFORE,
    COMMITTEE,
    OTHER,
    PAPERS,
    SEATS,
    SIGNATURES,
    Actor,
    Meeting,
    refusing,
    validator,
    where_drawn,
)


def briefed() -> Meeting:
    """All three have both messages, and judge."""
    meeting = Meeting().agreed().opened().served().drawn()
    for judge in meeting.judges.values():
        assert judge.hear("neighbor", meeting.deal.brief()) is ACCEPT
        assert judge.hear("neighbor", meeting.delivery) is ACCEPT
    return meeting


def bound(good: bool | None = True) -> tuple[Meeting, dict[str, Bind]]:
    """All three are bound, and nobody has heard the others."""
    meeting = briefed()
    binds = {}
    for name, judge in meeting.judges.items():
        judge.compute(Judged(good))
        judge.sign()
        binds[name] = next(iter(judge.said(Bind).values()))
    return meeting, binds


def shown() -> tuple[Meeting, dict[str, Show]]:
    """All three have signed the ballot."""
    meeting, binds = bound()
    shows = {}
    for name, judge in meeting.judges.items():
        for other in COMMITTEE:
            if other != name:
                assert judge.hear(other, binds[other]) is ACCEPT
        judge.sign()
        shows[name] = next(iter(judge.said(Show).values()))
    return meeting, shows


def reported(meeting: Meeting, at: int, commitments: tuple[bytes, ...], result: bytes = b"") -> Reported:
    return Reported(meeting.deal.terms.key, result or meeting.result, where_drawn() | at << 208, commitments)


# -- who is called -----------------------------------------------------------------------------------------------------


def test_it_asks_the_chain_what_it_was_drawn_for():
    meeting = Meeting().agreed().opened()
    ada = validator("ada")
    ada.see(Drawn(meeting.deal.terms.key, where_drawn()))
    assert ada.work(Recall) == Recall(meeting.deal.terms.key)
    ada.compute(None, "no endpoint answers")
    ada.fire("again")
    assert ada.work(Recall)
    ada.compute(Recalled(meeting.deal.terms, meeting.name))
    assert ada.told("validator.drawn")["place"] == 0
    assert ada.stage == "wait"


def test_whoever_was_not_drawn_is_not_called():
    meeting = Meeting().agreed().opened()
    assert not any(isinstance(each, Compute) for each in meeting.neighbor.see(Drawn(9 << 96, where_drawn())))
    cyd = validator("cyd")
    cyd.see(Drawn(meeting.deal.terms.key, where_drawn(("ada", "ben"))))
    assert cyd.stage == "gone"


def test_the_holder_of_seat_0_looks_whether_it_was_drawn_at_all():
    # Places that a small committee does not have look like seat 0.
    meeting = Meeting().agreed().opened()
    ada = validator("ada")
    ada.see(Drawn(meeting.deal.terms.key, where_drawn(("ben", "cyd"))))
    assert ada.stage == "called"
    ada.compute(Recalled(dataclasses.replace(meeting.deal.terms, size=2), meeting.name))
    assert ada.stage == "gone"


# -- what it believes --------------------------------------------------------------------------------------------------


def test_it_judges_what_it_was_told_truly_whoever_told_it():
    meeting = Meeting().agreed().opened().served().drawn()
    ada = meeting.judges["ada"]
    assert ada.hear("ben", meeting.deal.brief()) is ACCEPT
    refusing(lambda: ada.hear("learner", meeting.deal.brief()), "heard before")
    deliver = meeting.delivery
    assert ada.hear("neighbor", deliver) is ACCEPT
    work = ada.work(Judge)
    assert work == Judge(meeting.deal.terms.key, BEFORE, 1000, AFTER, 1100, 20_000)
    assert ada.said(Deliver) == {"learner": deliver}, "so that nobody can keep the learner from knowing"


@pytest.mark.parametrize(
    "change",
    [
        {"before": OTHER},
        {"tolerance": 999_999},
        {"neighbor": ACCOUNTS["ada"]},
        {"learner_salt": bytes(32)},
        {"neighbor_salt": bytes(32)},
        {"terms": bytes(32)},
    ],
    ids=["another model", "another tolerance", "another neighbor", "a salt", "the other salt", "other terms"],
)
def test_a_brief_of_anything_else_is_ignored(change: dict[str, object]):
    meeting = Meeting().agreed().opened().served().drawn()
    ada = meeting.judges["ada"]
    brief = dataclasses.replace(meeting.deal.brief(), **change)  # type: ignore[arg-type]
    assert ada.hear("learner", brief) is not ACCEPT
    assert ada.side().case.deal is None


def test_a_delivery_that_the_neighbor_has_not_signed_is_nothing():
    meeting = Meeting().agreed().opened().served().drawn()
    ada = meeting.judges["ada"]
    deliver = meeting.delivery
    forged = dataclasses.replace(deliver, after=OTHER)
    assert isinstance(ada.hear("neighbor", forged), Reject)
    refusing(lambda: ada.hear("learner", forged), "not signed by the neighbor")
    own = dataclasses.replace(forged, signature=forged.signature[:32] + bytes(32))
    assert isinstance(ada.hear("neighbor", own), Reject)
    assert ada.hear("neighbor", deliver) is ACCEPT


def test_a_second_answer_of_the_neighbors_is_not_judged_unless_it_is_reported():
    meeting = Meeting().agreed().opened().served().drawn()
    ada, name = meeting.judges["ada"], meeting.name
    first = meeting.delivery
    result = PAPERS.result(name, OTHER)
    signature = SIGNATURES.sign(ACCOUNTS["neighbor"], result)
    raw = signature.r.to_bytes(32, "big") + signature.vs.to_bytes(32, "big")
    second = Deliver(Digest(name), OTHER, 5, raw)
    ada.hear("neighbor", meeting.deal.brief())
    ada.hear("neighbor", first)
    ada.compute(Judged(True))
    ada.sign()
    assert ada.stage == "bound"
    refusing(lambda: ada.hear("neighbor", second), "nothing that is waited for")
    ada.see(reported(meeting, 150, (bytes(32),) * 3, result))
    assert ada.stage == "wait", "its commitment is to another result: it judges anew"
    refusing(lambda: ada.hear("neighbor", first), "another result was reported")
    assert ada.hear("neighbor", second) is ACCEPT
    assert ada.work(Judge).after == OTHER
    ada.compute(Judged(False))
    claim = ada.claim(CommitVote)
    assert claim.result == result
    side = ada.side()
    assert isinstance(side, Validator)
    assert side.vote is False


# -- by signatures -----------------------------------------------------------------------------------------------------


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


# -- vote by vote ------------------------------------------------------------------------------------------------------


def test_whoever_is_bound_already_only_reveals():
    meeting, binds = bound()
    ada = meeting.judges["ada"]
    ada.see(reported(meeting, 150, (binds["ada"].commitment, bytes(32), bytes(32))))
    assert ada.stage == "reveal"
    assert ada.timer("reveal") == 150 + 20 + 1
    ada.see(Committed(meeting.deal.terms.key, 1, OTHER))
    assert ada.timer("reveal") == 171
    ada.see(Committed(meeting.deal.terms.key, 2, OTHER))
    assert ada.timer("reveal") == ada.now // 10**6, "all are bound: at once"
    ada.fire("reveal")
    claim = ada.claim(RevealVote)
    assert claim.bound == (binds["ada"].commitment, OTHER, OTHER)
    assert PAPERS.commitment(meeting.result, SEATS["ada"], claim.opening) == binds["ada"].commitment
    ada.settle(refused="encounters: commitments not over")
    assert ada.stage == "reveal"
    ada.fire("reveal")
    ada.see(Revealed(meeting.deal.terms.key, 2))
    assert ada.stage == "revealed"
    ada.fire("close")
    assert ada.claim(CloseEncounter)


def test_a_commitment_that_came_second_is_sent_again_with_the_first_in_its_list():
    meeting, _ = bound()
    ben = meeting.judges["ben"]
    ben.see(reported(meeting, 150, (bytes(32),) * 3))
    first = ben.claim(CommitVote)
    assert first.bound == (bytes(32),) * 3
    ben.see(Committed(meeting.deal.terms.key, 0, OTHER))
    ben.live(Computed("none", None))
    side = ben.side()
    ben.done = [Submit(f"{side.id}/{side.pending['commit']}", None)]  # type: ignore[arg-type]
    ben.settle(refused="encounters: not these terms")
    assert ben.stage == "commit"
    ben.fire("commit")
    again = ben.claim(CommitVote)
    assert (again.bound, again.commitment, again.place) == ((OTHER, bytes(32), bytes(32)), first.commitment, 1)
    ben.see(Committed(meeting.deal.terms.key, 1, again.commitment))
    assert ben.stage == "reveal"


def test_what_cannot_be_fetched_is_voted_down_just_in_time():
    meeting = briefed()
    ada = meeting.judges["ada"]
    ada.compute(None, "nobody has it")
    ada.fire("again")
    assert ada.work(Judge)
    ada.see(reported(meeting, 150, (bytes(32),) * 3))
    assert ada.timer("blind") == 150 + 15
    ada.fire("blind")
    assert ada.told("validator.blind")
    side = ada.side()
    assert isinstance(side, Validator)
    assert side.vote is False
    assert ada.claim(CommitVote).commitment == side.commitment()


def test_whoever_was_never_briefed_votes_against_what_was_reported():
    meeting = Meeting().agreed().opened().served().drawn()
    ada = meeting.judges["ada"]
    ada.see(reported(meeting, 150, (bytes(32),) * 3))
    ada.fire("blind")
    assert ada.claim(CommitVote).result == meeting.result


def test_whoever_learns_late_what_it_was_drawn_for_still_votes():
    meeting = Meeting().agreed().opened().served()
    ada = validator("ada")
    ada.see(Drawn(meeting.deal.terms.key, where_drawn()))
    ada.see(reported(meeting, 150, (bytes(32),) * 3))
    ada.compute(Recalled(meeting.deal.terms, meeting.name))
    assert ada.timer("blind") == 165
    ada.fire("blind")
    assert ada.claim(CommitVote)


def test_a_judgement_after_the_report_is_committed_on_chain():
    meeting = briefed()
    ada = meeting.judges["ada"]
    ada.see(reported(meeting, 150, (bytes(32),) * 3))
    assert ada.stage == "judge"
    ada.compute(Judged(True))
    assert ada.claim(CommitVote).result == meeting.result
    assert not [each for each in ada.all(SetTimer) if each.name.endswith("/blind")]


def test_after_its_window_it_commits_and_reveals_no_more():
    meeting, _ = bound()
    ben = meeting.judges["ben"]
    ben.see(reported(meeting, 150, (bytes(32),) * 3))
    submit = ben.all(Submit)
    ben.wait(100)
    ben.done = list(submit)
    ben.settle(refused="encounters: too late to commit")
    assert "commit" not in ben.side().due
    assert "close" in ben.side().due


def test_anyone_can_report_with_the_neighbors_signature():
    meeting, binds = bound()
    ada = meeting.judges["ada"]
    ada.hear("ben", binds["ben"])
    ada.fire("report")
    claim = ada.claim(ReportResult)
    assert [None if each is None else each.commitment for each in claim.signed] == [
        binds["ada"].commitment,
        binds["ben"].commitment,
        None,
    ]


def test_ends_of_every_kind():
    for event in (Settled, Defaulted):
        meeting = Meeting().agreed().opened().served().drawn()
        ada = meeting.judges["ada"]
        ada.live(ChainSaw(event(meeting.deal.terms.key, 0), 9))
        assert ada.stage == "gone"
        refusing(
            lambda judge=ada, deal=meeting.deal: judge.hear("neighbor", deal.brief()), "no encounter that is known"
        )


def test_messages_of_no_encounter_are_ignored():
    ada = validator("ada")
    for message in (
        Bind(OTHER, 0, OTHER, bytes(64)),
        Show(OTHER, 0, bytes(32), bytes(64)),
        Deliver(OTHER, OTHER, 1, bytes(64)),
        Brief(ACCOUNTS["ben"], ACCOUNTS["cyd"], bytes(32), OTHER, 1, 0, bytes(32), bytes(32)),
    ):
        refusing(lambda message=message: ada.hear("ben", message), "no encounter that is known")  # type: ignore[misc]
    assert isinstance(ada, Actor)
