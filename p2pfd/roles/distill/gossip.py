"""Distillation with no chain: each node rules on the phases itself, by what it heard and by deadlines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2pfd.core.canonical import Plain
from p2pfd.core.effects import CancelTimer, Effect, Publish, SetTimer
from p2pfd.core.events import Restored, Started, TimerFired
from p2pfd.core.ids import Account, RoundId
from p2pfd.core.ticks import Tick, after
from p2pfd.roles.ballot import LOOKAHEAD
from p2pfd.roles.distill.round import DistillRound
from p2pfd.roles.distill.seat import Phase

DEADLINE = "deadline"


class GossipDistill(DistillRound):
    """A phase ends when everyone in the circle has acted, or at this node's own deadline."""

    __slots__ = ("ahead", "committed", "revealing", "waits_until")
    kind = "distill.gossip"

    def __init__(self, *args: object, **keywords: object) -> None:
        super().__init__(*args, **keywords)  # type: ignore[arg-type]
        self.revealing = False
        self.committed: frozenset[Account] = frozenset()
        self.waits_until = Tick(0)
        self.ahead: dict[Account, int] = {}
        """How far those are whose commitments come too early to be kept: one number each, and only of the circle."""

    def _state(self) -> dict[str, Plain]:
        return {
            **super()._state(),
            "revealing": self.revealing,
            "committed": sorted(self.committed),
            "waits_until": self.waits_until,
            "ahead": [[who, rnd] for who, rnd in sorted(self.ahead.items())],
        }

    def _fill(self, value: Mapping[str, Any]) -> None:
        super()._fill(value)
        self.revealing = bool(value["revealing"])
        self.committed = frozenset(value["committed"])
        self.waits_until = Tick(value["waits_until"])
        self.ahead = {who: int(rnd) for who, rnd in value["ahead"]}

    # -- events --------------------------------------------------------------------------------------------------------

    def _on_started(self, now: Tick, event: Started) -> list[Effect]:
        if self.phase is not Phase.IDLE:
            return self._greet()  # the others were heard first, and the round is open already
        if len(self.circle) >= self.seat.seats:
            return [*self._greet(), *self._open(now, RoundId(0))]
        return [*self._greet(), self._wait(now, self.seat.enrol_ticks)]

    def _on_restored(self, now: Tick, event: Restored) -> list[Effect]:
        if self.phase is Phase.IDLE:
            return self._on_started(now, Started())
        if self.phase is Phase.REST:
            return self._rested(now)
        effects = self._resume()
        if self.phase in (Phase.STUDY, Phase.COMMIT, Phase.REVEAL, Phase.WATCH):
            # Should the machine's clock have been set back meanwhile, no phase becomes longer than it is.
            length = self.seat.reveal_ticks if self.revealing else self.seat.commit_ticks
            effects.append(SetTimer(DEADLINE, min(max(now, self.waits_until), after(now, length))))
        return effects

    def _on_timer(self, now: Tick, event: TimerFired) -> list[Effect]:
        if event.name != DEADLINE:
            return []
        if self.phase is Phase.IDLE:
            return self._open(now, RoundId(0))
        if self.phase not in (Phase.STUDY, Phase.COMMIT, Phase.REVEAL, Phase.WATCH):
            return []
        return self._close_reveals(now) if self.revealing else self._open_reveals(now)

    def _met(self, now: Tick) -> list[Effect]:
        complete = self.phase is Phase.IDLE and len(self.circle) >= self.seat.seats
        return self._open(now, RoundId(0)) if complete else []

    def _took(self, now: Tick, who: Account, rnd: RoundId) -> list[Effect]:
        if rnd == self.round:
            return self._check(now)
        return [] if self.revealing else self._catch_up(now)

    def _outrun(self, now: Tick, who: Account, rnd: RoundId) -> list[Effect]:
        self.ahead[who] = rnd
        return [] if self.revealing else self._catch_up(now)

    def _studied(self, now: Tick, labels: bytes) -> list[Effect]:
        _, effects = self.bind(labels)
        return effects + self._check(now)

    def _rested(self, now: Tick) -> list[Effect]:
        following = max(RoundId(self.round + 1), self._front())
        return self._open(now, following) if following < self.seat.rounds else self.conclude()

    def _room(self) -> int:
        return self.seat.seats

    # -- catching up ---------------------------------------------------------------------------------------------------

    def _catch_up(self, now: Tick) -> list[Effect]:
        """Leave a round that most others have left: they have closed it without this node, which was away."""
        if self.phase not in (Phase.STUDY, Phase.COMMIT, Phase.WATCH):
            return []
        front = self._front()
        return [self.tell("round.outrun", to=front), *self._open(now, front)] if front > self.round else []

    def _front(self) -> RoundId:
        """The furthest round in which more than half of the others are bound; the present one if there is none."""
        others = len(self.workers) - 1
        far = {who: rnd for who, rnd in self.ahead.items() if rnd > self.round} if self.ahead else {}
        for rnd in range(self.round + 1, self.round + LOOKAHEAD + 1):
            for who in self.ballot.committed(rnd):
                far[who] = max(rnd, far.get(who, 0))
        if others < 1 or 2 * len(far) <= others:
            return self.round
        front = sorted(far.values(), reverse=True)[others // 2]
        return RoundId(front) if front < self.seat.rounds else self.round

    # -- the referee ---------------------------------------------------------------------------------------------------

    def _open(self, now: Tick, rnd: RoundId) -> list[Effect]:
        known = len(self.workers) == len(self.circle)  # a circle only ever grows
        effects = self.begin(rnd, self.workers if known else self.circle.everyone())
        self.revealing, self.committed = False, frozenset()
        return [*effects, self._wait(now, self.seat.commit_ticks)]

    def _check(self, now: Tick) -> list[Effect]:
        """End the phase if nobody is missing any more."""
        phase = self.phase
        if phase is Phase.COMMIT:
            # Everyone who may commit is in the circle, so the number alone tells.
            missing = len(self.ballot.present.commitments) < len(self.workers)
            return [] if missing else self._open_reveals(now)
        if self.revealing and (phase is Phase.REVEAL or phase is Phase.WATCH):
            shown = self.ballot.present.labels
            missing = len(shown) < len(self.committed) or not shown.keys() >= self.committed
            return [] if missing else self._close_reveals(now)
        return []

    def _open_reveals(self, now: Tick) -> list[Effect]:
        self.revealing, self.committed = True, frozenset(self.ballot.book(self.round).commitments)
        told = self._progress("round.committed", len(self.committed), len(self.workers))
        wait = self._wait(now, self.seat.reveal_ticks)
        if self.phase is not Phase.COMMIT:  # still studying: too late for this round
            self.phase = Phase.WATCH
            return [*told, self.tell("round.late"), wait, *self._check(now)]
        return [*told, Publish(self.show()), wait, *self._check(now)]

    def _close_reveals(self, now: Tick) -> list[Effect]:
        # Only who was bound before the reveals began counts: a later commitment may have been copied from them.
        counted = tuple(sorted(self.committed & self.ballot.book(self.round).labels.keys()))
        told = self._progress("round.revealed", len(counted), len(self.committed))
        effects: list[Effect] = [CancelTimer(DEADLINE), *told, *self.close(counted)]
        return effects if self.phase is Phase.ABSORB else [*effects, *self._rested(now)]

    def _progress(self, name: str, have: int, of: int) -> list[Effect]:
        return [self.tell(name, have=have, of=of)] if self.seat.chatty else []

    def _wait(self, now: Tick, length: int) -> Effect:
        self.waits_until = after(now, length)
        return SetTimer(DEADLINE, self.waits_until)
