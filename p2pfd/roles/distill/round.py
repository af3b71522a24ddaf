"""What every distillation round has in common, whoever rules on its phases."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

from p2pfd.core.canonical import Plain, decode, encode
from p2pfd.core.effects import Answer, Compute, Effect, Emit, Field, Persist, Publish, accepted
from p2pfd.core.events import ChainSaw, Computed, Event, Heard, Restored, Settled, Started, TimerFired
from p2pfd.core.ids import Account, Digest, RoundId
from p2pfd.core.labels import pack
from p2pfd.core.ticks import Tick
from p2pfd.core.verdict import ACCEPT, Ignore, Verdict
from p2pfd.errors import DecodeError
from p2pfd.roles.ballot import EARLY, Ballot
from p2pfd.roles.circle import GREET, MOST_MEMBERS, Circle
from p2pfd.roles.distill.seat import Phase, Seat
from p2pfd.roles.work import Absorb, Absorbed, Adopt, Adopted, Conclude, Concluded, Studied, Study
from p2pfd.wire.messages import Commit, Hello, Offer, Reveal

SNAPSHOT_LIMIT = 64 * 1024 * 1024
_SNAPSHOT_VERSION = 3
_BEFORE = 2
"""In snapshots of this version, students stood beside the books."""
_STRANGER = Ignore("no account vouches for this peer yet")


class DistillRound:
    """The machine's common part. Subclasses rule on phases: they call `begin`, `show` and `close`."""

    __slots__ = (
        "_ready",
        "ballot",
        "circle",
        "counted",
        "greeting",
        "labels",
        "phase",
        "round",
        "seat",
        "student",
        "workers",
    )
    kind: ClassVar[str] = "distill"

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.phase = Phase.IDLE
        self.round = RoundId(0)
        self.workers: tuple[Account, ...] = ()
        self.counted: tuple[Account, ...] = ()
        self.labels = b""
        self.student: Digest | None = None
        self.circle = Circle({**seat.members, seat.peer: seat.account}, self._room())
        self.ballot = Ballot(seat.task, seat.samples, seat.classes, seat.opener)
        self.greeting = False
        self._ready: Reveal | None = None

    # -- the machine protocol ------------------------------------------------------------------------------------------

    def handle(self, now: Tick, event: Event) -> tuple[Effect, ...]:
        """What follows from this event."""
        if type(event) is not Heard:
            return tuple(self._react(now, event))
        # What peers say is most of what happens: this path is kept short.
        message = event.message
        who = self.circle.accounts.get(event.sender)
        verdict: Verdict
        if isinstance(message, Hello):
            return self._heard_hello(now, event, message)
        if who is None:
            self.circle.keep(event.sender, message, event.raw)
            verdict = _STRANGER
        elif isinstance(message, Commit):
            verdict = self.ballot.hear_commit(who, message, event.raw)
            if verdict is ACCEPT:
                followed = self._took(now, who, message.round)
                return (accepted(event.delivery), *followed) if followed else (accepted(event.delivery),)
            if verdict is EARLY:
                return (Answer(event.delivery, verdict), *self._outrun(now, who, message.round))
        elif isinstance(message, Reveal):
            verdict = self.ballot.hear_reveal(who, message.round, message.salt, message.labels, event.raw)
            if verdict is ACCEPT:
                followed = self._took(now, who, message.round)
                return (accepted(event.delivery), *followed) if followed else (accepted(event.delivery),)
        else:
            verdict = Ignore(f"a {type(message).__name__} means nothing to this role")
        return (Answer(event.delivery, verdict),)

    def _react(self, now: Tick, event: Event) -> list[Effect]:
        match event:
            case TimerFired(name) if name == GREET:
                return self._greet()
            case TimerFired():
                return self._on_timer(now, event)
            case Computed():
                return self._on_computed(now, event)
            case ChainSaw():
                return self._on_chain(now, event)
            case Settled():
                return self._on_settled(now, event)
            case Started():
                return self._on_started(now, event)
            case Restored():
                return self._on_restored(now, event)
            case Heard():
                return list(self.handle(now, event))

    def snapshot(self) -> bytes:
        """The whole state as canonical bytes."""
        return encode({"kind": self.kind, "version": _SNAPSHOT_VERSION, "task": self.seat.task, **self._state()})

    def restore(self, raw: bytes) -> None:
        """Become the machine of a snapshot of the same role in the same task."""
        value = decode(raw, limit=SNAPSHOT_LIMIT)
        version = value.get("version") if isinstance(value, dict) and value.get("kind") == self.kind else None
        if not isinstance(value, dict) or version not in (_SNAPSHOT_VERSION, _BEFORE):
            raise DecodeError(f"not a snapshot of {self.kind}, version {_SNAPSHOT_VERSION}")
        if value.get("task") != self.seat.task:
            raise DecodeError("a snapshot of another task")
        try:
            self._fill(_renewed(value) if version == _BEFORE else value)
        except (KeyError, TypeError, ValueError) as error:
            raise DecodeError(f"a damaged snapshot of {self.kind}") from error

    def _state(self) -> dict[str, Plain]:
        return {
            "phase": self.phase.value,
            "round": self.round,
            "workers": list(self.workers),
            "counted": list(self.counted),
            "labels": self.labels,
            "student": self.student,
            "circle": self.circle.to_plain(),
            "greeting": self.greeting,
            "ballot": self.ballot.to_plain(),
        }

    def _fill(self, value: Mapping[str, Any]) -> None:
        self.phase = Phase(value["phase"])
        self.round = RoundId(value["round"])
        self.workers = tuple(value["workers"])
        self.counted = tuple(value["counted"])
        self.labels = value["labels"]
        self.student = value["student"]
        self.circle.fill(value["circle"])
        self.greeting = bool(value["greeting"])
        self.ballot.fill(value["ballot"])

    # -- what the referees of the subclasses bring about ---------------------------------------------------------------

    def begin(self, rnd: RoundId, workers: tuple[Account, ...]) -> list[Effect]:
        """A round is open: study; first take over the others' student, if it is known by now that it is another."""
        self.round, self.workers, self.labels = rnd, workers, b""
        self.ballot.turn_to(rnd)
        self.phase = Phase.STUDY if self.seat.account in workers else Phase.WATCH
        effects: list[Effect] = [self.tell("round.opened", workers=len(workers))]
        if len(self.circle) < len(workers):
            effects += self._greet()  # somebody has not heard of this node, or this node not of them
        self.circle.forget_before(rnd)
        mended = self._mend("adopt")
        if mended:
            effects += mended
        elif self.phase is Phase.STUDY:
            effects.append(Compute(f"study/{rnd}", Study(rnd)))
        return effects

    def bind(self, labels: bytes) -> tuple[Digest, list[Effect]]:
        """Bind this node to its labels, on disk before anyone hears of it."""
        self.labels = labels
        self.phase = Phase.COMMIT
        self._ready = Reveal(self.round, self._salt(), pack(labels))
        bound = self.bound()
        self.ballot.present.commitments[self.seat.account] = (bound, b"")
        return bound, [Persist(), Publish(self._commit(bound))]

    def bound(self) -> Digest:
        """What this node is bound to in this round."""
        return self.ballot.bound(self.seat.account, self._reveal())

    def _commit(self, bound: Digest) -> Commit:
        return Commit(self.round, bound, self.student or b"" if self.seat.announce else b"")

    def show(self) -> Reveal:
        """Show this node's labels."""
        self.phase = Phase.REVEAL
        self.ballot.present.labels[self.seat.account] = self.labels
        return self._reveal()

    def _reveal(self) -> Reveal:
        ready = self._ready
        if ready is None or ready.round != self.round:  # bound before the last restart
            ready = self._ready = Reveal(self.round, self._salt(), pack(self.labels))
        return ready

    def close(self, counted: tuple[Account, ...]) -> list[Effect]:
        """The labels that count are known: learn from them, or keep one's own model where the quorum was missed."""
        self.counted = counted
        votes = self.ballot.votes(self.round, counted)
        if len(votes) < self.seat.quorum:
            self.phase = Phase.REST
            return [self.tell("round.short", votes=len(votes), quorum=self.seat.quorum)]
        self.phase = Phase.ABSORB
        return self._mend("rejoin") or [Compute(f"absorb/{self.round}", Absorb(self.round, votes))]

    def _absorb(self) -> list[Effect]:
        votes = self.ballot.votes(self.round, self.counted)
        return [Compute(f"absorb/{self.round}", Absorb(self.round, votes))]

    def conclude(self) -> list[Effect]:
        """No further round."""
        self.phase = Phase.OVER
        return [Persist(), Compute("conclude", Conclude())]

    def tell(self, name: str, **fields: Field) -> Emit:
        """Tell whoever watches, with the round."""
        return Emit(name, {"round": self.round, **fields})

    def _salt(self) -> bytes:
        """The round's salt: the same after a restart, and nobody else's to guess."""
        seed = self.seat.secret + self.seat.task + int(self.round).to_bytes(8, "big")
        return hashlib.blake2b(seed, digest_size=32, person=b"p2pfd-salt").digest()

    def _mend(self, job: str) -> list[Effect]:
        """Take over the student with which most began this round, if this node did not: it has gone astray."""
        agreed = self.ballot.agreed_student(self.workers)
        if agreed is None or agreed == self.student:
            return []
        work = Adopt(RoundId(self.round - 1), agreed)
        return [self.tell("student.astray", agreed=agreed), Compute(f"{job}/{self.round}", work)]

    # -- events --------------------------------------------------------------------------------------------------------

    def _heard_hello(self, now: Tick, event: Heard, hello: Hello) -> tuple[Effect, ...]:
        verdict, is_new = self.circle.hear(hello, self.workers)
        effects: list[Effect] = [Answer(event.delivery, verdict)]
        if not is_new:
            return tuple(effects)
        if not self.greeting and self.seat.hello is not None:
            self.greeting = True  # newcomers come in crowds: greet them all at once, a little later
            effects.append(self.circle.greeting(now))
        effects += self._met(now)
        for message, raw in self.circle.recall(hello.peer):  # it counts now as if it had been said now
            if not isinstance(message, Offer) and self.ballot.hear(hello.account, message, raw) is ACCEPT:
                effects += self._took(now, hello.account, message.round)
        return tuple(effects)

    def _greet(self) -> list[Effect]:
        self.greeting = False
        return [Publish(self.seat.hello)] if self.seat.hello is not None else []

    def _on_computed(self, now: Tick, event: Computed) -> list[Effect]:
        outcome = event.outcome
        kind, _, rnd = event.job.partition("/")
        if rnd and rnd != str(self.round):
            return [self.tell("compute.late", job=event.job)]
        if outcome is None:
            return [self.tell("compute.failed", job=event.job, why=event.failure), *self._failed(now, kind)]
        if isinstance(outcome, Studied) and self.phase is Phase.STUDY:
            labels = outcome.labels
            if len(labels) != self.seat.samples or max(labels, default=0) >= self.seat.classes:
                why = f"{len(labels)} labels that are not one of {self.seat.classes} classes for each sample"
                return [self.tell("compute.failed", job=event.job, why=why), *self._failed(now, kind)]
            return self._studied(now, labels)
        if isinstance(outcome, Absorbed) and self.phase is Phase.ABSORB:
            self.student = outcome.weights
            self.phase = Phase.REST
            return [
                Persist(),
                self.tell("round.absorbed", weights=outcome.weights, **outcome.figures),
                *self._rested(now),
            ]
        if isinstance(outcome, Adopted):
            self.student = outcome.weights
            effects: list[Effect] = [Persist(), self.tell("student.adopted", weights=outcome.weights)]
            if self.phase is Phase.STUDY:
                effects.append(Compute(f"study/{self.round}", Study(self.round)))
            elif self.phase is Phase.ABSORB and kind == "rejoin":
                effects += self._absorb()
            return effects
        if isinstance(outcome, Concluded):
            return [self.tell("task.finished", weights=outcome.weights, **outcome.figures)]
        return [self.tell("compute.late", job=event.job)]

    def _failed(self, now: Tick, kind: str) -> list[Effect]:
        """A computation failed: sit the round out; study anyway when only the others' student could not be had."""
        if kind == "adopt" and self.phase is Phase.STUDY:
            return [Compute(f"study/{self.round}", Study(self.round))]
        if kind == "rejoin" and self.phase is Phase.ABSORB:
            return self._absorb()
        if kind == "study" and self.phase is Phase.STUDY:
            self.phase = Phase.WATCH
        elif kind == "absorb" and self.phase is Phase.ABSORB:
            self.phase = Phase.REST
            return self._rested(now)
        return []

    def _resume(self) -> list[Effect]:
        """Ask again for what was under way when the node stopped."""
        match self.phase:
            case Phase.STUDY:
                return [Compute(f"study/{self.round}", Study(self.round))]
            case Phase.COMMIT | Phase.REVEAL:
                again: list[Effect] = [Publish(self._commit(self.bound()))]
                if self.phase is Phase.REVEAL:
                    again.append(Publish(self.show()))
                return again
            case Phase.ABSORB:
                return self._mend("rejoin") or self._absorb()
            case Phase.OVER:
                return [Compute("conclude", Conclude())]
            case _:
                return []

    # -- what subclasses decide ----------------------------------------------------------------------------------------

    def _on_started(self, now: Tick, event: Started) -> list[Effect]:
        raise TypeError(f"{type(self).__name__} does not say how it starts")

    def _on_restored(self, now: Tick, event: Restored) -> list[Effect]:
        raise TypeError(f"{type(self).__name__} does not say how it resumes")

    def _on_timer(self, now: Tick, event: TimerFired) -> list[Effect]:
        return []

    def _on_chain(self, now: Tick, event: ChainSaw) -> list[Effect]:
        return []

    def _on_settled(self, now: Tick, event: Settled) -> list[Effect]:
        return []

    def _met(self, now: Tick) -> list[Effect]:
        """The roster has grown."""
        return []

    def _room(self) -> int:
        """How many peers the circle takes: a name costs nothing, and each takes memory."""
        return MOST_MEMBERS

    def _outrun(self, now: Tick, who: Account, rnd: RoundId) -> list[Effect]:
        """A peer is further ahead than this node listens."""
        return []

    def _took(self, now: Tick, who: Account, rnd: RoundId) -> list[Effect]:
        """A message of this round or a later one was accepted."""
        return []

    def _studied(self, now: Tick, labels: bytes) -> list[Effect]:
        raise TypeError(f"{type(self).__name__} does not say what to do with labels")

    def _rested(self, now: Tick) -> list[Effect]:
        """The round is over for this node."""
        return []


def _renewed(value: Mapping[str, Any]) -> dict[str, Any]:
    """A snapshot of the version before: with what a round ended is what the next one begins with."""
    ballot, rnd = value["ballot"], value["round"]
    reached = [[who, student] for who, student in value["reached"]]
    books = [[*book, []] for book in ballot["books"]]
    following = [book for book in books if book[0] == rnd + 1]
    if following:
        following[0][-1] = reached
    elif reached:
        books.append([rnd + 1, [], [], [], reached])
    return {**value, "ballot": {**ballot, "books": books}}
