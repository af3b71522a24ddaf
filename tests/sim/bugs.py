"""Machines with known bugs, for a checker that must find them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p2pfd.core.claims import ChainEvent, RevealsOpened, WorkerPaid
from p2pfd.core.effects import Compute, Effect, SetTimer
from p2pfd.core.events import Restored, Started, TimerFired
from p2pfd.core.ids import Account, RoundId, TaskId
from p2pfd.core.ticks import SECOND, Tick, after
from p2pfd.core.verdict import Ignore, Reject, Verdict
from p2pfd.incentives.market import Market
from p2pfd.roles.ballot import Ballot
from p2pfd.roles.distill import DistillRound, GossipDistill, Phase, SettledDistill
from p2pfd.sim.check import MakeCast
from p2pfd.sim.run import Cast


class Shy(SettledDistill):
    """Does not show its labels once it has been restarted."""

    restarted = False

    def _on_restored(self, now: Tick, event: Restored) -> list[Effect]:
        self.restarted = True
        return super()._on_restored(now, event)

    def _reveals_opened(self, now: Tick, saw: RevealsOpened) -> list[Effect]:
        effects = super()._reveals_opened(now, saw)
        return [effect for effect in effects if isinstance(effect, SetTimer)] if self.restarted else effects


class HarshBallot(Ballot):
    """Holds it against a peer that its commitment has not come."""

    def hear_reveal(self, who: Account, rnd: RoundId, salt: bytes, packed: bytes, raw: bytes) -> Verdict:
        verdict = super().hear_reveal(who, rnd, salt, packed, raw)
        known = rnd < self.current or who in self.book(rnd).commitments
        return verdict if known or not isinstance(verdict, Ignore) else Reject("labels without a commitment")


class Harsh(GossipDistill):
    """Rejects what it cannot check."""

    def __init__(self, *args: object, **keywords: object) -> None:
        super().__init__(*args, **keywords)
        self.ballot = HarshBallot(self.seat.task, self.seat.samples, self.seat.classes)


class Idle(SettledDistill):
    """Does not take up again what it was computing when it stopped."""

    def _on_restored(self, now: Tick, event: Restored) -> list[Effect]:
        return [effect for effect in super()._on_restored(now, event) if not isinstance(effect, Compute)]


class Patient(GossipDistill):
    """Waits for everybody's labels, however long that takes."""

    def _open_reveals(self, now: Tick) -> list[Effect]:
        effects = super()._open_reveals(now)
        missing = self.phase in (Phase.REVEAL, Phase.WATCH)
        return [effect for effect in effects if not (missing and isinstance(effect, SetTimer))]


class TwoFaced(GossipDistill):
    """Draws a new salt after a restart, and so is bound to something else."""

    lives = 0

    def _on_restored(self, now: Tick, event: Restored) -> list[Effect]:
        self.lives += 1
        return super()._on_restored(now, event)

    def _salt(self) -> bytes:
        return bytes([self.lives]) + super()._salt()[1:]


class Brittle(GossipDistill):
    """Fails when its labels are ready."""

    def _studied(self, now: Tick, labels: bytes) -> list[Effect]:
        raise KeyError(self.round)


class Restless(GossipDistill):
    """Always has one more timer to wait for."""

    def _on_started(self, now: Tick, event: Started) -> list[Effect]:
        return [*super()._on_started(now, event), SetTimer("again", after(now, SECOND))]

    def _on_timer(self, now: Tick, event: TimerFired) -> list[Effect]:
        return [*super()._on_timer(now, event), SetTimer("again", after(now, SECOND))]


class Generous(Market):
    """Pays twice, and the second time with money that nobody paid in."""

    def _settle(self, now: int, task_id: TaskId, rnd: RoundId) -> tuple[ChainEvent, ...]:
        events = super()._settle(now, task_id, rnd)
        paid = [event for event in events if isinstance(event, WorkerPaid)]
        for event in paid:
            self.staking._wallet[event.worker] += event.amount
        return (*paid, *events)


@dataclass(frozen=True)
class Bug:
    """Machines with a bug, and what kind of wrong comes of it."""

    name: str
    kind: str
    gossip: type[DistillRound] = GossipDistill
    settled: type[DistillRound] = SettledDistill
    slow: bool = False


BUGS: Sequence[Bug] = (
    Bug("shy", "forfeit", settled=Shy),
    Bug("harsh", "rejected", gossip=Harsh),
    Bug("idle", "unfinished", settled=Idle, slow=True),
    Bug("patient", "unfinished", gossip=Patient),
    Bug("two-faced", "rejected", gossip=TwoFaced, slow=True),
)


def cast_with(bug: Bug) -> MakeCast:
    """Nodes that all have the bug."""

    class Buggy(Cast):
        def role(self, node: int) -> type[DistillRound]:
            return bug.settled if self.plan.settled else bug.gossip

    return lambda schedule: Buggy(schedule.plan())
