"""Devices on a table: a test says what each hears and when, and sees what each does. Nothing happens by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

from p2pfd.core import encounter_where as where_
from p2pfd.core.claims import ChainEvent, Included, Reverted
from p2pfd.core.effects import Answer, Compute, Effect, Emit, Send, SetTimer, Submit
from p2pfd.core.encounter_claims import EncounterClaim
from p2pfd.core.encounter_events import Drawn, EncounterEvent, Opened, Reported, SeatTaken
from p2pfd.core.events import ChainSaw, Computed, Event, Heard, Message, Outcome, Settled, Started, TimerFired
from p2pfd.core.ids import Account, Digest, TaskId, peer_id_of
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.core.verdict import ACCEPT, Verdict
from p2pfd.roles.encounter import Desk, Device, Habits
from p2pfd.roles.encounter.deal import Deal
from p2pfd.roles.encounter.side import Side
from p2pfd.roles.encounter.work import (
    Ask,
    Asked,
    Audit,
    Audited,
    Held,
    Judged,
    Recall,
    Recalled,
    Serve,
    Served,
    Sign,
    Signed,
    Weigh,
    Weighed,
)
from p2pfd.sim.encounter_chain import Signatures
from p2pfd.sim.encounters import BOND, with_habits
from p2pfd.wire.messages import Agree, Bind, Deliver, Propose, Show

TASK = TaskId(hashlib.sha256(b"a task of encounters").digest())
SIGNATURES = Signatures(Rng(3))
PAPERS = SIGNATURES.papers
NAMES = ("learner", "neighbor", "ada", "ben", "cyd", "stranger")
PEERS = {name: peer_id_of(hashlib.sha256(name.encode()).digest()) for name in NAMES}
ACCOUNTS = {name: Account("0x" + hashlib.sha256(name.encode()).hexdigest()[:40]) for name in NAMES}
BEFORE, AFTER, OTHER = (Digest(letter * 32) for letter in (b"b", b"a", b"o"))
COMMITTEE = ("ada", "ben", "cyd")
SEATS = {name: number for number, name in enumerate(COMMITTEE)}
FAR_SEATS = (3, 4)
T = TypeVar("T")


class Actor:
    """One device, and all that it has done."""

    def __init__(self, name: str, now: int = 100, **habits: object) -> None:
        self.name = name
        self.account = ACCOUNTS[name]
        self.now = Tick(now * SECOND)
        self.settings: Habits = with_habits(**habits)
        self.members = {PEERS[each]: ACCOUNTS[each] for each in NAMES if each not in (name, "stranger")}
        self.device = self.fresh()
        self.done: list[Effect] = []
        """What followed from the last event."""
        self.asked: Compute | None = None
        self._deliveries = 0

    def fresh(self) -> Device:
        """A device of the same account, as it is before it starts."""
        desk = Desk(
            task=TASK,
            peer=PEERS[self.name],
            account=self.account,
            secret=self.name.encode(),
            papers=PAPERS,
            signer=SIGNATURES.signer,
            habits=self.settings,
            members=self.members,
        )
        return Device(desk)

    # -- what happens to it --------------------------------------------------------------------------------------------

    def live(self, event: Event) -> tuple[Effect, ...]:
        """One event; what follows is remembered."""
        effects = self.device.handle(self.now, event)
        self.done = list(effects)
        self.asked = next(reversed(self.all(Compute)), self.asked)
        return effects

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now = Tick(self.now + round(seconds * SECOND))

    def hear(self, sender: str, message: Message, raw: bytes = b"raw") -> Verdict:
        """A peer says something; the verdict on it."""
        self._deliveries += 1
        effects = self.live(Heard(self._deliveries, PEERS[sender], message, raw))
        answers = [effect for effect in effects if isinstance(effect, Answer)]
        assert len(answers) == 1
        assert answers[0].delivery == self._deliveries
        return answers[0].verdict

    def fire(self, name: str, role: str = "") -> tuple[Effect, ...]:
        """A timer of its part comes."""
        return self.live(TimerFired(f"{self.side(role).id}/{name}"))

    def fire_member(self, name: str) -> tuple[Effect, ...]:
        """A timer of its membership comes."""
        return self.live(TimerFired(f"member/{name}"))

    def see(self, event: EncounterEvent, block: int = 7) -> tuple[Effect, ...]:
        """The chain tells something."""
        return self.live(ChainSaw(cast("ChainEvent", event), block))

    def settle(self, *, refused: str = "") -> tuple[Effect, ...]:
        """What becomes of the claim that it made last."""
        [submit] = self.all(Submit)
        receipt = Reverted("1", refused) if refused else Included("1", 7, 0)
        return self.live(Settled(submit.intent, receipt))

    def compute(self, outcome: Outcome | None, why: str = "") -> tuple[Effect, ...]:
        """What comes of the work that it asked for last."""
        assert self.asked is not None
        return self.live(Computed(self.asked.job, outcome, why))

    def sign(self) -> tuple[Effect, ...]:
        """The driver signs what it asked for last."""
        work = self.work(Sign)
        return self.compute(Signed(SIGNATURES.sign(self.account, work.paper)))

    # -- what it does --------------------------------------------------------------------------------------------------

    def all(self, kind: type[T]) -> list[T]:
        """The effects of one kind, of the last event."""
        return [effect for effect in self.done if isinstance(effect, kind)]

    def work(self, kind: type[T]) -> T:
        """The one work that it asked for, of this kind."""
        [work] = [effect.work for effect in self.all(Compute)]
        assert isinstance(work, kind), work
        return cast("T", work)

    def claim(self, kind: type[T]) -> T:
        """The one claim that it made, of this kind."""
        [claim] = [cast("EncounterClaim", effect.claim) for effect in self.all(Submit)]
        assert isinstance(claim, kind), claim
        return claim

    def said(self, kind: type[T]) -> dict[str, T]:
        """To whom it said something of this kind, and what."""
        names = {peer: name for name, peer in PEERS.items()}
        return {names[each.peer]: each.message for each in self.all(Send) if isinstance(each.message, kind)}

    def told(self, name: str) -> dict[str, Any]:
        """What it told whoever watches."""
        [emit] = [each for each in self.all(Emit) if each.name == name]
        return dict(emit.fields)

    def timer(self, name: str) -> int:
        """The second of a timer that it set."""
        [timer] = [each for each in self.all(SetTimer) if each.name.endswith(f"/{name}")]
        return timer.at // SECOND

    def side(self, role: str = "") -> Side:
        """Its one part of a role."""
        [side] = [each for each in self.device.sides.values() if each.role == role or not role]
        return side

    @property
    def stage(self) -> str:
        """Where its one part stands; "gone" where it is over."""
        return self.side().stage if self.device.sides else "gone"


def seated(actor: Actor) -> None:
    """The chain has told who sits where; somebody far away has enough seats to judge what validators take part in."""
    for each, number in SEATS.items():
        actor.see(SeatTaken(number, ACCOUNTS[each]), block=2)
    for number in FAR_SEATS:
        actor.see(SeatTaken(number, ACCOUNTS["stranger"]), block=2)


def started(name: str, free: int = 8_000, **habits: object) -> Actor:
    """A device that has looked at its balances, and knows who sits where."""
    actor = Actor(name, **habits)
    actor.live(Started())
    seat = SEATS.get(name)
    actor.work(Audit)
    seated(actor)
    actor.compute(Audited(0, free, seats=() if seat is None else (Held(seat, BOND),)))
    return actor


def learner(**habits: object) -> Actor:
    """A learner that has proposed to somebody."""
    actor = started("learner", **{"encounters": 1, "serves": 0, "validates": False, **habits})
    actor.work(Ask)
    actor.compute(Asked(BEFORE, 1000))
    return actor


def neighbor(**habits: object) -> Actor:
    """A device that only serves."""
    return started("neighbor", **{"encounters": 0, "serves": 2, "validates": False, **habits})


def validator(name: str = "ada") -> Actor:
    """A device that only judges."""
    return started(name, encounters=0, serves=0, validates=True)


def where_drawn(order: tuple[str, ...] = COMMITTEE) -> int:
    """What the chain tells of a committee."""
    return where_.drawn([SEATS[name] for name in order], 7)


class Meeting:
    """A learner and a neighbor who have agreed, and validators who were drawn: each as far as a test takes it."""

    def __init__(self) -> None:
        self.learner = learner()
        # Whom it asks first is drawn: the others do not answer.
        while "neighbor" not in self.learner.said(Propose):
            self.learner.wait(5)
            self.learner.fire("patience")
        self.propose = self.learner.said(Propose)["neighbor"]
        self.neighbor = neighbor()
        self.neighbor.now = self.learner.now
        self.judges: dict[str, Actor] = {}

    def agreed(self) -> Meeting:
        """The neighbor has the request, and has signed."""
        assert self.neighbor.hear("learner", self.propose) is ACCEPT
        assert self.neighbor.work(Weigh) == Weigh(BEFORE, 1000)
        self.neighbor.compute(Weighed())
        self.neighbor.sign()
        return self

    def opened(self) -> Meeting:
        """It is open on the chain, and served."""
        agree = self.neighbor.said(Agree)["learner"]
        assert self.learner.hear("neighbor", agree) is ACCEPT
        self.learner.settle()
        self.learner.see(Opened(self.deal.terms.key, 3))
        self.neighbor.see(Opened(self.deal.terms.key, 3))
        assert self.neighbor.work(Recall) == Recall(self.deal.terms.key)
        self.neighbor.compute(Recalled(self.deal.terms, self.name))
        assert self.neighbor.work(Serve) == Serve(self.deal.terms.key, BEFORE, 1000)
        return self

    def served(self) -> Meeting:
        """The answer is made and signed; the committee is not drawn yet."""
        self.neighbor.compute(Served(AFTER, 1100))
        self.neighbor.sign()
        return self

    def drawn(self) -> Meeting:
        """The committee is known to all."""
        event = Drawn(self.deal.terms.key, where_drawn())
        self.neighbor.see(event)
        self.learner.see(event)
        for name in COMMITTEE:
            judge = self.judges[name] = validator(name)
            judge.now = self.learner.now
            judge.see(event)
            judge.compute(Recalled(self.deal.terms, self.name))
        return self

    @property
    def deal(self) -> Deal:
        """What was agreed."""
        deal = self.neighbor.side().case.deal
        assert deal is not None
        return deal

    @property
    def delivery(self) -> Deliver:
        """What the neighbor is liable for."""
        message = self.neighbor.side().case.delivery()
        assert message is not None
        return message

    @property
    def name(self) -> bytes:
        """The encounter's name."""
        return self.deal.name(PAPERS)

    @property
    def result(self) -> bytes:
        """What is voted on."""
        return PAPERS.result(self.name, AFTER)


def refusing(act: Callable[[], Verdict], part: str) -> None:
    """The verdict is not to accept, and its reason says this."""
    reason = getattr(act(), "reason", "")
    assert part in reason, reason


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
