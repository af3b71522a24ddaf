"""The exchange of contributions: train, offer, gather, merge. No vote, no settlement; anything an adapter shares.

Contributions are large, so they stay where they are: an `Offer` names one by its hash, and who wants it fetches it.
Each round the nodes stand in a circle, in an order that is new every round and that nobody chooses; each merges with
its nearest on both sides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from p2pfd.core.canonical import Plain, decode, encode
from p2pfd.core.effects import Answer, CancelTimer, Compute, Effect, Emit, Field, Persist, Publish, SetTimer, Work
from p2pfd.core.events import ChainSaw, Computed, Event, Heard, Outcome, Restored, Settled, Started, TimerFired
from p2pfd.core.ids import Account, Digest, RoundId
from p2pfd.core.ticks import Tick, after
from p2pfd.core.verdict import ACCEPT, Ignore, Reject, Verdict
from p2pfd.errors import DecodeError
from p2pfd.roles.circle import GREET, Circle
from p2pfd.roles.distill.seat import Seat
from p2pfd.roles.work import Conclude, Concluded
from p2pfd.wire.messages import Hello, Offer

DEADLINE = "deadline"
LOOKAHEAD = 4
"""Offers of so many later rounds are kept; of those who are further ahead, only how far."""
SNAPSHOT_LIMIT = 4 * 1024 * 1024
_VERSION = 1
_STRANGER = Ignore("no account vouches for this peer yet")


@dataclass(frozen=True, slots=True)
class Share(Work):
    """Train on private data, and make a contribution of it; ``again`` where that was done before a restart."""

    round: RoundId
    again: bool = False


@dataclass(frozen=True, slots=True)
class Shared(Outcome):
    """A contribution, by which others can fetch it."""

    blob: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Merge(Work):
    """Fetch these contributions and learn from them and from one's own; those that cannot be had are left out."""

    round: RoundId
    offers: tuple[tuple[Account, Digest, int], ...]


@dataclass(frozen=True, slots=True)
class Merged(Outcome):
    """The state after a round, by its hash, and figures for whoever watches."""

    weights: Digest
    figures: Mapping[str, int] = field(default_factory=dict)


class Stage(StrEnum):
    """Where a node stands in the round."""

    IDLE = "idle"
    """Waiting for the others to introduce themselves."""
    SHARE = "share"
    """Training."""
    GATHER = "gather"
    """Offered; waiting for this round's partners, or the deadline."""
    MERGE = "merge"
    """Fetching and learning."""
    OVER = "over"
    """All rounds are done."""


class Exchange:
    """A node that merges with some others each round. ``partners`` is how many; none stands for everyone."""

    kind = "exchange"

    def __init__(self, seat: Seat, partners: int = 0) -> None:
        self.seat = seat
        self.partners = partners
        self.stage = Stage.IDLE
        self.round = RoundId(0)
        self.circle = Circle({**seat.members, seat.peer: seat.account}, seat.seats, keeps=(Offer,))
        self.chosen: tuple[Account, ...] = ()
        self.offers: dict[int, dict[Account, tuple[Digest, int]]] = {}
        self.front: dict[Account, int] = {}
        """The latest round of which each of the others has offered something."""
        self.mine: tuple[Digest, int] | None = None
        self.picked: tuple[tuple[Account, Digest, int], ...] = ()
        self.waits_until = Tick(0)
        self.late = False
        self.greeting = False

    # -- the machine protocol ------------------------------------------------------------------------------------------

    def handle(self, now: Tick, event: Event) -> tuple[Effect, ...]:
        """What follows from this event."""
        match event:
            case Heard():
                return tuple(self._on_heard(now, event))
            case Computed():
                return tuple(self._on_computed(now, event))
            case TimerFired(name):
                return tuple(self._on_timer(now, name))
            case Started():
                return tuple(self._on_started(now))
            case Restored():
                return tuple(self._on_restored(now))
            case Settled() | ChainSaw():
                return ()

    def snapshot(self) -> bytes:
        """The whole state as canonical bytes."""
        state: dict[str, Plain] = {
            "kind": self.kind,
            "version": _VERSION,
            "task": self.seat.task,
            "stage": self.stage.value,
            "round": self.round,
            "circle": self.circle.to_plain(),
            "chosen": list(self.chosen),
            "offers": [
                [rnd, [[who, blob, size] for who, (blob, size) in sorted(offers.items())]]
                for rnd, offers in sorted(self.offers.items())
            ],
            "front": [[who, rnd] for who, rnd in sorted(self.front.items())],
            "mine": None if self.mine is None else list(self.mine),
            "picked": [list(each) for each in self.picked],
            "waits_until": self.waits_until,
            "late": self.late,
            "greeting": self.greeting,
        }
        return encode(state)

    def restore(self, raw: bytes) -> None:
        """Become the machine of a snapshot of the same role in the same task."""
        value = decode(raw, limit=SNAPSHOT_LIMIT)
        if not isinstance(value, dict) or (value.get("kind"), value.get("version")) != (self.kind, _VERSION):
            raise DecodeError(f"not a snapshot of {self.kind}, version {_VERSION}")
        if value.get("task") != self.seat.task:
            raise DecodeError("a snapshot of another task")
        try:
            self._fill(value)
        except (KeyError, TypeError, ValueError) as error:
            raise DecodeError(f"a damaged snapshot of {self.kind}") from error

    def _fill(self, value: Mapping[str, Any]) -> None:
        self.stage = Stage(value["stage"])
        self.round = RoundId(value["round"])
        self.circle.fill(value["circle"])
        self.chosen = tuple(value["chosen"])
        self.offers = {rnd: {who: (blob, size) for who, blob, size in offers} for rnd, offers in value["offers"]}
        self.front = {who: int(rnd) for who, rnd in value["front"]}
        self.mine = None if value["mine"] is None else (value["mine"][0], value["mine"][1])
        self.picked = tuple((who, blob, size) for who, blob, size in value["picked"])
        self.waits_until = Tick(value["waits_until"])
        self.late = bool(value["late"])
        self.greeting = bool(value["greeting"])

    # -- events --------------------------------------------------------------------------------------------------------

    def _on_started(self, now: Tick) -> list[Effect]:
        if self.stage is not Stage.IDLE:
            return self._greet()  # the others were heard first, and the round is open already
        if len(self.circle) >= self.seat.seats:
            return [*self._greet(), *self._open(now, RoundId(0))]
        return [*self._greet(), self._wait(now, self.seat.enrol_ticks)]

    def _on_restored(self, now: Tick) -> list[Effect]:
        match self.stage:
            case Stage.IDLE:
                return self._on_started(now)
            case Stage.SHARE:
                return [self._share(), SetTimer(DEADLINE, max(now, self.waits_until))]
            case Stage.GATHER:  # the contribution is gone from memory: it is made once more, without training
                return [self._share(again=True), SetTimer(DEADLINE, max(now, self.waits_until))]
            case Stage.MERGE:
                return [self._share(again=True)]
            case Stage.OVER:
                return [Compute("conclude", Conclude())]

    def _on_timer(self, now: Tick, name: str) -> list[Effect]:
        if name == GREET:
            return self._greet()
        if name != DEADLINE:
            return []
        if self.stage is Stage.IDLE:
            return self._open(now, RoundId(0))
        self.late = True
        return self._merge() if self.stage is Stage.GATHER else []

    def _on_heard(self, now: Tick, event: Heard) -> list[Effect]:
        message = event.message
        if isinstance(message, Hello):
            return self._heard_hello(now, event, message)
        who = self.circle.accounts.get(event.sender)
        if who is None:
            self.circle.keep(event.sender, message, event.raw)
            return [Answer(event.delivery, _STRANGER)]
        if not isinstance(message, Offer):
            return [Answer(event.delivery, Ignore(f"a {type(message).__name__} means nothing to this role"))]
        verdict = self._take(who, message, event.raw)
        if verdict is not ACCEPT:
            return [Answer(event.delivery, verdict)]
        told = [self._offered()] if message.round == self.round else []
        return [Answer(event.delivery, verdict), *told, *self._check()]

    def _heard_hello(self, now: Tick, event: Heard, hello: Hello) -> list[Effect]:
        verdict, is_new = self.circle.hear(hello, ())
        effects: list[Effect] = [Answer(event.delivery, verdict)]
        if not is_new:
            return effects
        if not self.greeting and self.seat.hello is not None:
            self.greeting = True
            effects.append(self.circle.greeting(now))
        for message, raw in self.circle.recall(hello.peer):
            if isinstance(message, Offer):
                self._take(hello.account, message, raw)
        if self.stage is Stage.IDLE and len(self.circle) >= self.seat.seats:
            return [*effects, *self._open(now, RoundId(0))]
        return [*effects, *self._check()]

    def _take(self, who: Account, offer: Offer, raw: bytes) -> Verdict:
        if who == self.seat.account:
            return Ignore("one's own offer")
        if offer.round >= self.seat.rounds:
            return Reject("an offer of a round that there is not", (raw,))
        self.front[who] = max(self.front.get(who, -1), offer.round)
        if offer.round < self.round:
            return Ignore("an offer of a round that is over here")
        if offer.round > self.round + LOOKAHEAD:
            return Ignore("an offer of a round that is far ahead")
        offers = self.offers.setdefault(offer.round, {})
        held = offers.get(who)
        if held is not None:
            return Ignore("heard before" if held == (offer.blob, offer.size) else "a second offer of a round")
        offers[who] = (offer.blob, offer.size)
        return ACCEPT

    def _on_computed(self, now: Tick, event: Computed) -> list[Effect]:
        outcome = event.outcome
        kind, _, rnd = event.job.partition("/")
        if rnd and rnd != str(self.round):
            return [self._tell("compute.late", job=event.job)]
        if outcome is None:
            return [self._tell("compute.failed", job=event.job, why=event.failure), *self._failed(now, kind)]
        if isinstance(outcome, Shared):
            return self._shared(outcome)
        if isinstance(outcome, Merged) and self.stage is Stage.MERGE:
            told = self._tell("round.absorbed", weights=outcome.weights, **outcome.figures)
            return [told, *self._next(now)]
        if isinstance(outcome, Concluded):
            return [self._tell("task.finished", weights=outcome.weights, **outcome.figures)]
        return [self._tell("compute.late", job=event.job)]

    def _shared(self, outcome: Shared) -> list[Effect]:
        self.mine = (outcome.blob, outcome.size)
        offer = Publish(Offer(self.round, outcome.blob, outcome.size))
        if self.stage is Stage.MERGE:  # made once more after a restart
            return [offer, Compute(f"merge/{self.round}", Merge(self.round, self.picked))]
        self.stage = Stage.GATHER
        effects: list[Effect] = [Persist(), offer, self._offered()]
        return effects + (self._merge() if self.late else self._check())

    def _failed(self, now: Tick, kind: str) -> list[Effect]:
        """A computation failed: sit the round out."""
        return self._next(now) if kind in ("share", "merge") and self.stage is not Stage.OVER else []

    # -- the round -----------------------------------------------------------------------------------------------------

    def _open(self, now: Tick, rnd: RoundId) -> list[Effect]:
        self.round, self.stage, self.mine, self.picked, self.late = rnd, Stage.SHARE, None, (), False
        self.chosen = partners_of(self.seat.account, self.circle.everyone(), self.partners, self.seat.task, rnd)
        self.offers = {each: offers for each, offers in self.offers.items() if each >= rnd}
        self.circle.forget_before(rnd)
        told = self._tell("round.opened", workers=len(self.circle), partners=len(self.chosen))
        return [told, self._share(), self._wait(now, self.seat.commit_ticks)]

    def _share(self, *, again: bool = False) -> Compute:
        return Compute(f"share/{self.round}", Share(self.round, again))

    def _check(self) -> list[Effect]:
        """Merge once all partners have offered; whoever is ahead will not offer for this round any more."""
        if self.stage is not Stage.GATHER:
            return []
        here = self.offers.get(self.round, {})
        waiting = [who for who in self.chosen if who not in here and self.front.get(who, -1) <= self.round]
        return [] if waiting else self._merge()

    def _merge(self) -> list[Effect]:
        here = self.offers.get(self.round, {})
        self.picked = tuple((who, *here[who]) for who in sorted(self.chosen) if who in here)
        self.stage = Stage.MERGE
        short = len(self.picked) + 1 < min(self.seat.quorum, len(self.chosen) + 1)
        told = [self._tell("round.short", votes=len(self.picked) + 1, quorum=self.seat.quorum)] if short else []
        return [
            CancelTimer(DEADLINE),
            *told,
            Persist(),
            Compute(f"merge/{self.round}", Merge(self.round, () if short else self.picked)),
        ]

    def _next(self, now: Tick) -> list[Effect]:
        following = RoundId(max(self.round + 1, self._leaders()))
        if following < self.seat.rounds:
            outrun = [self._tell("round.outrun", to=following)] if following > self.round + 1 else []
            return [*outrun, Persist(), *self._open(now, following)]
        self.stage = Stage.OVER
        return [Persist(), Compute("conclude", Conclude())]

    def _leaders(self) -> int:
        """The round that more than half of the others have reached; a node that was away goes on from there."""
        others = sorted((rnd for rnd in self.front.values()), reverse=True)
        half = (len(self.circle) - 1) // 2
        return others[half] if len(others) > half else 0

    def _greet(self) -> list[Effect]:
        self.greeting = False
        return [Publish(self.seat.hello)] if self.seat.hello is not None else []

    def _wait(self, now: Tick, length: int) -> Effect:
        self.waits_until = after(now, length)
        return SetTimer(DEADLINE, self.waits_until)

    def _offered(self) -> Emit:
        have = len(self.offers.get(self.round, {})) + (self.mine is not None)
        return self._tell("round.offered", have=have, of=len(self.circle))

    def _tell(self, name: str, **fields: Field) -> Emit:
        return Emit(name, {"round": self.round, **fields})


def partners_of(me: Account, everyone: tuple[Account, ...], count: int, task: bytes, rnd: int) -> tuple[Account, ...]:
    """With whom a node merges: its nearest on a circle that is shuffled by the task and the round.

    If one is another's partner, so is the other its; everyone has ``count`` of them (one more where that is odd and
    the circle is not even), or all others if there are no more, or if the count is 0.
    """
    others = tuple(who for who in everyone if who != me)
    if not count or count >= len(others):
        return others
    ordered = sorted(everyone, key=lambda who: hashlib.sha256(task + rnd.to_bytes(8, "big") + who.encode()).digest())
    place, size = ordered.index(me), len(ordered)
    near = {ordered[(place + step) % size] for half in range(1, count // 2 + 1) for step in (half, -half)}
    if count % 2:
        # One more: the one across the circle. Where the circle is odd, nobody is straight across: take both.
        across = {size // 2} if size % 2 == 0 else {size // 2, -(size // 2)}
        near |= {ordered[(place + step) % size] for step in across}
    return tuple(sorted(near - {me}))
