"""The validator: what it believes, and how it votes on chain where not all signatures came."""

from __future__ import annotations

import dataclasses

import pytest

from p2pfd.core.effects import Compute, Publish, SetTimer, Submit
from p2pfd.core.encounter_claims import CloseEncounter, CommitVote, ReportResult, RevealVote
from p2pfd.core.encounter_events import Committed, Defaulted, Drawn, Revealed, Settled
from p2pfd.core.events import ChainSaw, Computed
from p2pfd.core.ids import Digest
from p2pfd.core.verdict import ACCEPT, Reject
from p2pfd.roles.encounter.validator import Validator
from p2pfd.roles.encounter.work import Judge, Judged, Recall, Recalled
from p2pfd.wire.messages import Bind, Brief, Deliver, Hello, Show
from tests.unit.roles.encounter.actors import (
    ACCOUNTS,
    AFTER,
    BEFORE,
    OTHER,
    PAPERS,
    PEERS,
    SEATS,
    SIGNATURES,
    Actor,
    Meeting,
    bound,
    briefed,
    refusing,
    reported,
    validator,
    where_drawn,
)

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


def test_whoever_was_drawn_says_who_it_is_so_that_it_can_be_briefed():
    meeting = Meeting().agreed().opened()
    ada = validator("ada")
    hello = Hello(PEERS["ada"], ACCOUNTS["ada"], bytes(64), bytes(65))
    object.__setattr__(ada.device.desk, "hello", hello)
    ada.see(Drawn(meeting.deal.terms.key, where_drawn()))
    ada.compute(Recalled(meeting.deal.terms, meeting.name))
    assert ada.all(Publish) == [Publish(hello)]


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
