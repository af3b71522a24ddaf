"""The world between the nodes: who hears whom, how long it takes, what is lost, who is away.

Every draw comes from the sender's own stream, in the order in which that sender sends, so that the world is the same
however a driver happens to interleave the nodes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from p2pfd.core.rng import Rng
from p2pfd.core.ticks import MILLISECOND, Tick
from p2pfd.errors import PlanError

_LOSS_PARTS = 1 << 20
_DRAW_BYTES = 6


@dataclass(frozen=True, slots=True)
class Partition:
    """From one tick to another, nodes below ``cut`` and the rest do not hear each other."""

    begin: Tick
    end: Tick
    cut: int


@dataclass(frozen=True, slots=True)
class Absence:
    """A node is killed at one tick and comes back, from its last snapshot, at another."""

    node: int
    begin: Tick
    end: Tick


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """The faults of a simulated world. ``loss`` is in millionths."""

    nodes: int
    degree: int = 3
    latency_low: int = 20 * MILLISECOND
    latency_high: int = 80 * MILLISECOND
    loss: int = 0
    partitions: tuple[Partition, ...] = ()
    absences: tuple[Absence, ...] = ()

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
        for absence in self.absences:
            if not 0 <= absence.node < self.nodes or not 0 < absence.begin < absence.end:
                raise PlanError(f"an absence of node {absence.node}", "name an existing node, and let it end later")


def circle_with_chords(rng: Rng, nodes: int, degree: int) -> tuple[tuple[int, ...], ...]:
    """Whom each node hears: a ring, so that all are connected, and random chords up to about `degree` neighbours."""
    links: list[set[int]] = [set() for _ in range(nodes)]

    def join(one: int, other: int) -> None:
        links[one].add(other)
        links[other].add(one)

    if nodes > 1:
        for node in range(nodes):
            join(node, (node + 1) % nodes)
    wanted = min(degree, nodes - 1)
    order = list(range(nodes))
    rng.shuffle(order)
    for node in order:
        tries = 0
        while len(links[node]) < wanted and tries < 16 * degree:
            other = rng.below(nodes)
            tries += 1
            if other != node and len(links[other]) < wanted:
                join(node, other)
    return tuple(tuple(sorted(neighbours)) for neighbours in links)


class World:
    """Carries what nodes publish to their neighbours."""

    def __init__(self, plan: WorldPlan, rng: Rng) -> None:
        self.plan = plan
        self.neighbours = circle_with_chords(rng.split("graph"), plan.nodes, plan.degree)
        self._seeds = [rng.split("link", node).seed for node in range(plan.nodes)]
        self._sendings = [0] * plan.nodes
        self._span = plan.latency_high - plan.latency_low + 1
        self._busy_until = [dict.fromkeys(neighbours, 0) for neighbours in self.neighbours]
        self._lost_below = plan.loss * _LOSS_PARTS // 1_000_000

    def carry(self, sender: int, now: Tick) -> list[tuple[int, Tick]]:
        """Which neighbours hear what this node publishes now, and when."""
        number = self._sendings[sender] = self._sendings[sender] + 1
        neighbours = self.neighbours[sender]
        # One hash a sending, and of it 48 bits for each neighbour: twenty for loss, twenty-eight for latency.
        hashed = hashlib.shake_128(self._seeds[sender] + number.to_bytes(8, "big")).digest(
            _DRAW_BYTES * len(neighbours)
        )
        draws = int.from_bytes(hashed, "big")
        low, span, lost_below = now + self.plan.latency_low, self._span, self._lost_below
        busy = self._busy_until[sender]
        cuts = self.plan.partitions
        arrivals = []
        for neighbour in neighbours:
            at = low + ((draws & 0xFFFFFFF) * span >> 28)
            lost = lost_below and (draws >> 28 & 0xFFFFF) < lost_below
            draws >>= 48
            if lost or (cuts and self._cut(sender, neighbour, now)):
                continue
            if at < busy[neighbour]:
                at = busy[neighbour]  # a connection keeps the order of what is sent over it
            busy[neighbour] = at
            arrivals.append((neighbour, Tick(at)))
        return arrivals

    def _cut(self, one: int, other: int, now: Tick) -> bool:
        for partition in self.plan.partitions:
            if partition.begin <= now < partition.end and (one < partition.cut) != (other < partition.cut):
                return True
        return False
