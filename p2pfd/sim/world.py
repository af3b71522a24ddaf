"""The world between the nodes: who hears whom, how long it takes, what is lost, who is away.

Every draw comes from the sender's own stream, in the order in which that sender sends, so that the world is the same
however a driver happens to interleave the nodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from p2pfd.core.rng import Rng
from p2pfd.core.ticks import MILLISECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.sim import faults
from p2pfd.sim.faults import Absence, Delay, Duplicates, Fault, Loss, Partition, Trouble
from p2pfd.sim.graphs import CIRCLE, GRAPHS, graph_of

__all__ = ["SIGNED", "Absence", "Partition", "World", "WorldPlan"]

SIGNED = b"signed"
"""Stands for the bytes that a peer signed: without such evidence, machines hold nothing against anyone."""

_LOSS_PARTS = 1 << 20
_DRAW_BYTES = 6
_TROUBLED_BYTES = 16


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """A simulated world and its faults. ``loss`` is in millionths, and there all the time."""

    nodes: int
    degree: int = 3
    latency_low: int = 20 * MILLISECOND
    latency_high: int = 80 * MILLISECOND
    loss: int = 0
    partitions: tuple[Partition, ...] = ()
    absences: tuple[Absence, ...] = ()
    graph: str = CIRCLE
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= 100_000:
            raise PlanError(f"{self.nodes} nodes", "between 1 and 100,000 can be simulated")
        if not 1 <= self.degree <= 32:
            raise PlanError(f"degree {self.degree}", "between 1 and 32")
        if not 1 <= self.latency_low <= self.latency_high:
            raise PlanError(
                f"latency from {self.latency_low} to {self.latency_high} microseconds",
                "it must be at least one microsecond, and not end before it begins",
            )
        if not 0 <= self.loss <= 1_000_000:
            raise PlanError(f"loss of {self.loss} millionths", "between 0 and 1,000,000")
        if self.graph not in GRAPHS:
            raise PlanError(f"there is no graph {self.graph[:40]!r}", f"the choice is {', '.join(GRAPHS)}")
        for fault in self.all_faults:
            faults.check(fault, self.nodes)

    @property
    def all_faults(self) -> tuple[Fault, ...]:
        """Every fault, wherever in the plan it stands."""
        return (*self.absences, *self.partitions, *self.faults)


class World:
    """Carries what nodes publish to their neighbours."""

    def __init__(self, plan: WorldPlan, rng: Rng) -> None:
        self.plan = plan
        self.neighbours = graph_of(plan.graph, rng.split("graph"), plan.nodes, plan.degree)
        self._seeds = [rng.split("link", node).seed for node in range(plan.nodes)]
        self._sendings = [0] * plan.nodes
        self._span = plan.latency_high - plan.latency_low + 1
        self._busy_until = [[0] * len(neighbours) for neighbours in self.neighbours]
        """For each neighbour, in their order: a connection keeps the order of what is sent over it."""
        self._lost_below = plan.loss * _LOSS_PARTS // 1_000_000
        self._troubles = tuple(fault for fault in plan.all_faults if isinstance(fault, Trouble))

    def carry(self, sender: int, now: Tick) -> list[tuple[int, Tick]]:
        """Which neighbours hear what this node publishes now, and when."""
        number = self._sendings[sender] = self._sendings[sender] + 1
        if self._troubles:
            troubles = [trouble for trouble in self._troubles if trouble.begin <= now < trouble.end]
            if troubles:
                return self._carry_through(sender, now, number, troubles)
        neighbours = self.neighbours[sender]
        # One hash a sending, and of it 48 bits for each neighbour: twenty for loss, twenty-eight for latency.
        hashed = hashlib.shake_128(self._seeds[sender] + number.to_bytes(8, "big")).digest(
            _DRAW_BYTES * len(neighbours)
        )
        draws = int.from_bytes(hashed, "big")
        low, span, lost_below = now + self.plan.latency_low, self._span, self._lost_below
        busy = self._busy_until[sender]
        arrivals: list[tuple[int, Tick]] = []
        for place, neighbour in enumerate(neighbours):
            at = low + ((draws & 0xFFFFFFF) * span >> 28)
            lost = lost_below and (draws >> 28 & 0xFFFFF) < lost_below
            draws >>= 48
            if lost:
                continue
            if at < busy[place]:
                at = busy[place]
            busy[place] = at
            arrivals.append((neighbour, at))  # type: ignore[arg-type] # a tick; naming it costs a call
        return arrivals

    def _carry_through(
        self, sender: int, now: Tick, number: int, troubles: Sequence[Trouble]
    ) -> list[tuple[int, Tick]]:
        """The same through these troubles; of several losses at once the worst counts, and delays add up."""
        lost_below = max(
            [self._lost_below, *(_parts(trouble.share) for trouble in troubles if isinstance(trouble, Loss))]
        )
        twice_below = max([0, *(_parts(trouble.share) for trouble in troubles if isinstance(trouble, Duplicates))])
        delays = [trouble for trouble in troubles if isinstance(trouble, Delay)]
        cuts = [trouble.cut for trouble in troubles if isinstance(trouble, Partition)]
        low, span, busy = now + self.plan.latency_low, self._span, self._busy_until[sender]
        neighbours = self.neighbours[sender]
        hashed = hashlib.shake_128(self._seeds[sender] + number.to_bytes(8, "big")).digest(
            _TROUBLED_BYTES * len(neighbours)
        )
        arrivals = []
        for place, neighbour in enumerate(neighbours):
            draws = int.from_bytes(hashed[_TROUBLED_BYTES * place : _TROUBLED_BYTES * (place + 1)], "big")
            if draws & 0xFFFFF < lost_below or any((sender < cut) != (neighbour < cut) for cut in cuts):
                continue
            at = low + ((draws >> 20 & 0xFFFFFFF) * span >> 28)
            for delay in delays:
                at += delay.least + ((draws >> 48 & 0xFFFFF) * (delay.most - delay.least + 1) >> 20)
            at = busy[place] = max(at, busy[place])
            arrivals.append((neighbour, Tick(at)))
            if draws >> 68 & 0xFFFFF < twice_below:
                arrivals.append((neighbour, Tick(at + 1 + ((draws >> 88 & 0xFFFFFFF) * span >> 28))))
        return arrivals


def _parts(share: int) -> int:
    return share * _LOSS_PARTS // 1_000_000
