"""An opening that was given up for late may have been taken after all: the chain says which agreement it was."""

from __future__ import annotations

import hashlib

from p2pfd.core.claims import Unknown
from p2pfd.core.effects import Submit
from p2pfd.core.encounter_claims import CloseEncounter, OpenEncounter
from p2pfd.core.encounter_events import Opened, Reported
from p2pfd.core.events import Settled
from p2pfd.core.ids import Account
from p2pfd.core.verdict import ACCEPT
from p2pfd.roles.encounter.deal import Deal
from p2pfd.roles.encounter.learner import Learner
from p2pfd.roles.encounter.office import Office
from p2pfd.roles.encounter.side import CLOSES
from p2pfd.roles.encounter.work import Recall, Recalled, Weighed
from p2pfd.wire.messages import Agree, Propose
from tests.unit.roles.encounter.actors import ACCOUNTS, PAPERS, Actor, Meeting, learner, seated, started, where_drawn


def agrees(actor: Actor) -> str:
    """Whoever was asked last signs, and the learner opens; who it is."""
    [(name, propose)] = actor.said(Propose).items()
    partner = started(name, encounters=0, serves=2, validates=False)
    partner.now = actor.now
    assert partner.hear("learner", propose) is ACCEPT
    partner.compute(Weighed())
    partner.sign()
    assert actor.hear(name, partner.said(Agree)["learner"]) is ACCEPT
    return name


def side(actor: Actor) -> Learner:
    found = actor.side("learner")
    assert isinstance(found, Learner)
    return found


def test_of_two_agreements_the_one_that_the_chain_knows_goes_on() -> None:
    actor = learner(encounters=1)
    first = agrees(actor)
    opened = actor.claim(OpenEncounter).terms
    actor.wait(13)
    actor.fire("lapse")
    second = agrees(actor)
    later = actor.claim(OpenEncounter).terms
    assert first != second
    assert later.learn_by == opened.learn_by + 13
    actor.see(Opened(opened.key, 3))
    assert actor.work(Recall) == Recall(opened.key)
    assert side(actor).case.sure.neighbor == ACCOUNTS[second]
    actor.compute(None, "no endpoint answers")
    assert actor.timer("recall") == actor.now // 10**6 + 1
    actor.fire("recall")
    assert actor.work(Recall) == Recall(opened.key)
    agreements: list[Deal] = [deal for deal, _ in side(actor).agreed]
    actor.compute(Recalled(opened, agreements[0].name(PAPERS)))
    assert side(actor).case.sure == opened
    assert actor.timer("close") == opened.learn_by + 1 + 2 + 1
    assert [deal.terms for deal, _ in side(actor).agreed] == [opened]


def test_what_the_chain_names_and_nobody_agreed_to_changes_nothing() -> None:
    actor = learner(encounters=1)
    agrees(actor)
    actor.wait(13)
    actor.fire("lapse")
    second = agrees(actor)
    actor.see(Opened(actor.claim(OpenEncounter).terms.key, 3))
    actor.compute(Recalled(side(actor).case.sure, b"?" * 32))
    assert side(actor).case.sure.neighbor == ACCOUNTS[second]
    assert len(side(actor).agreed) == 2


def test_one_agreement_needs_no_question() -> None:
    actor = learner(encounters=1)
    agrees(actor)
    opened = actor.claim(OpenEncounter).terms
    actor.see(Opened(opened.key, 3))
    assert actor.stage == "learn"
    assert "recall" not in side(actor).jobs
    told = actor.told("learner.opened")
    assert (told["neighbor"], told["prepayment"]) == (opened.neighbor, 1_000)


def test_an_encounter_under_ones_own_key_that_one_did_not_open_is_left() -> None:
    actor = learner(encounters=1)
    actor.see(Opened(side(actor).case.key, 3))
    assert actor.told("learner.strange")
    assert actor.stage == "gone"


def test_a_chain_that_is_away_has_refused_no_close() -> None:
    actor = Meeting().agreed().opened().learner
    intents = set()
    for _ in range(3 * CLOSES):
        actor.fire("close")
        [submit] = actor.all(Submit)
        intents.add(submit.intent)
        actor.live(Settled(submit.intent, Unknown("", "the chain could not be reached")))
    assert len(intents) == 1, "the same claim, however often it is made"
    assert actor.stage == "learn"


def test_a_close_is_asked_for_eight_times_at_most() -> None:
    actor = Meeting().agreed().opened().learner
    asked = 0
    while actor.device.sides:
        actor.fire("close")
        if actor.all(Submit):
            asked += 1
            actor.settle(refused="encounters: too early")
    assert asked == 8


def test_a_close_is_tried_again_a_second_later_each_time_and_not_while_the_chain_owes_an_answer() -> None:
    actor = Meeting().agreed().opened().learner
    waits = []
    for _ in range(3):
        actor.fire("close")
        assert isinstance(actor.all(Submit)[0].claim, CloseEncounter)
        waits.append(actor.timer("close") - actor.now // 10**6)
        pending = actor.all(Submit)
        actor.fire("close")
        assert actor.all(Submit) == []
        actor.done = list(pending)
        actor.settle(refused="encounters: too early")
    assert waits == [3, 4, 5], "with two seconds of slack"


def test_reports_and_closes_are_a_second_apart_in_the_order_of_the_turns() -> None:
    meeting = Meeting().agreed().opened().served().drawn()
    terms = meeting.deal.terms
    sides = [meeting.neighbor, meeting.learner, *meeting.judges.values()]
    assert [each.side().turn() for each in sides] == [0, 1, 2, 3, 4]
    closes = [each.side().due["close"] // 10**6 for each in sides]
    assert closes == [terms.learn_by + 3 + turn for turn in range(5)]
    assert [each.side().due["report"] // 10**6 for each in sides[1:]] == [
        terms.learn_by - 20 + turn for turn in range(1, 5)
    ]
    for each in sides:
        each.see(Reported(terms.key, meeting.result, where_drawn() | 140 << 208, (bytes(32),) * 3))
    assert [each.side().due["close"] // 10**6 for each in sides] == [140 + 40 + 3 + turn for turn in range(5)]


# -- what an office knows ----------------------------------------------------------------------------------------------


def office() -> Office:
    actor = Actor("ada", serves=5)
    seated(actor)
    return actor.device.office


def test_the_next_nonce_of_a_lane_is_one_more_than_the_last_that_ended() -> None:
    here, who = office(), ACCOUNTS["ben"]
    assert here.nonce(who, 3) == 0
    for ended, expected in ((4, 5), (2, 5), (5, 6)):
        here.ended(int(who, 16) << 96 | 3 << 40 | ended)
        assert here.nonce(who, 3) == expected
    assert (here.nonce(who, 2), here.nonce(ACCOUNTS["cyd"], 3)) == (0, 0)
    here.ended(int(who, 16) << 96 | 255 << 40 | 2**40 - 1)
    assert here.nonce(who, 255) == 2**40


def test_who_let_this_device_down_is_asked_last_and_gets_half_its_room() -> None:
    here = office()
    order: list[Account] = []
    while (partner := here.partner(7, order)) is not None:
        order.append(partner)
    assert ACCOUNTS["ada"] not in order
    assert len(order) == 4
    here.mark(order[0])
    assert here.serves(order[0]) == 2
    assert here.serves(order[1]) == 5
    assert here.partner(7, ()) == order[1]
    here.mark(order[1])
    here.mark(order[1])
    assert here.partner(7, order[2:]) == order[0], "one mark before two"
    here.clear(order[1])
    assert here.partner(7, order[2:]) == order[1]


def test_what_is_hidden_is_another_for_every_question() -> None:
    here = office()
    questions = [("a", "bc"), ("ab", "c"), ("abc",), ("a", b"bc", 1), ("a", "bc", 11), (1, 11), (11, 1)]
    answers = [here.hidden(*question) for question in questions]
    assert len(set(answers)) == len(questions)
    assert answers == [here.hidden(*question) for question in questions]


def test_what_is_hidden_is_what_other_versions_of_this_program_would_answer() -> None:
    """An encounter may outlast an update: its opening must still be the one that was committed to."""
    seed = hashlib.blake2b(b"ada", digest_size=32, person=b"p2pfd-encounter")
    for part in (b"opening", b"\7" * 32, b"2", b"True"):
        seed.update(len(part).to_bytes(4, "big") + part)
    assert office().hidden("opening", b"\7" * 32, 2, True) == seed.digest()
