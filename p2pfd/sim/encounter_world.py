"""What the simulated world carries for encounters: what is said to one peer alone, and blobs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from p2pfd.core.effects import Work
from p2pfd.core.events import Outcome
from p2pfd.core.ids import Digest
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import Tick
from p2pfd.sim.faults import Delay, Loss, Partition, Span, Trouble, away_at
from p2pfd.sim.world import WorldPlan

MILLION = 1_000_000


class Links:
    """Carries what one node says to another alone. Every draw comes from the sender's own stream.

    Of several losses at once the worst counts, and delays add up. Nothing comes twice: a connection sees to that.
    """

    def __init__(self, plan: WorldPlan, rng: Rng) -> None:
        self._plan = plan
        self._streams = [rng.split("direct", node) for node in range(plan.nodes)]
        self._busy: dict[tuple[int, int], int] = {}
        self._troubles = tuple(fault for fault in plan.all_faults if isinstance(fault, Trouble))

    def __call__(self, sender: int, receiver: int, now: Tick) -> Tick | None:
        """When it arrives, in the order in which it was said; None where it is lost."""
        plan, stream = self._plan, self._streams[sender]
        troubles = [trouble for trouble in self._troubles if trouble.begin <= now < trouble.end]
        at = now + stream.between(plan.latency_low, plan.latency_high)
        share = max([plan.loss, *(each.share for each in troubles if isinstance(each, Loss))])
        lost = stream.chance(share, MILLION)
        if lost or any(
            (sender < each.cut) != (receiver < each.cut) for each in troubles if isinstance(each, Partition)
        ):
            return None
        at += sum(stream.between(each.least, each.most) for each in troubles if isinstance(each, Delay))
        at = max(at, self._busy.get((sender, receiver), 0))
        self._busy[sender, receiver] = at
        return Tick(at)


class Blobs:
    """Who holds which blob. A fetch fails when nobody who holds it is there, and as often as messages are lost."""

    def __init__(
        self, plan: WorldPlan, rng: Rng, clock: Callable[[], Tick], away: Mapping[int, Sequence[Span]]
    ) -> None:
        """``away`` says when which nodes are not there."""
        self._plan = plan
        self._away = away
        self._streams = [rng.split("fetch", node) for node in range(plan.nodes)]
        self._clock = clock
        self._held: dict[Digest, tuple[bytes, set[int]]] = {}
        self.withheld: set[int] = set()
        """Nodes that give nothing away."""

    def put(self, node: int, raw: bytes) -> Digest:
        """Hold a blob for whoever asks."""
        name = Digest(hashlib.sha256(raw).digest())
        self._held.setdefault(name, (raw, set()))[1].add(node)
        return name

    def get(self, node: int, name: Digest, limit: int) -> bytes | str:
        """The blob, which this node then holds as well; or why it cannot be had."""
        raw, holders = self._held.get(name, (b"", set()))
        there = [each for each in sorted(holders) if each == node or self._there(each)]
        if not there:
            return "nobody who is there has it"
        if len(raw) > limit:
            return f"{len(raw)} bytes, at most {limit} are taken"
        if node not in holders and self._streams[node].chance(self._plan.loss, MILLION):
            return "the connection broke"
        holders.add(node)
        return raw

    def _there(self, node: int) -> bool:
        return not away_at(self._away.get(node, ()), self._clock()) and node not in self.withheld


class Bench(Protocol):
    """A node's learning: does the works of encounters that take a model."""

    def do(self, work: Work) -> tuple[int, Outcome | str]:
        """How many ticks it takes, and what comes of it; a text says why it failed."""
        ...

    def figures(self) -> Mapping[str, int]:
        """How well the node does, for the report."""
        ...
