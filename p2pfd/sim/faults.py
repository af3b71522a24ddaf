"""What can go wrong in a simulated mesh, as values: when, to whom, and how badly.

Shares are in millionths and times in ticks. A fault that names no nodes draws them from the seed and from what it says
itself, so that another fault beside it changes nothing about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from p2pfd.core.rng import Rng
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import PlanError

WHOLE = 1_000_000
RELAYS, HOLDERS, ANYONE = "relays", "holders", "anyone"
VICTIMS = (RELAYS, HOLDERS, ANYONE)
LONGEST = 30 * 86_400 * SECOND


@dataclass(frozen=True, slots=True)
class Absence:
    """A node is killed at one tick and comes back, from its last snapshot, at another, or (``None``) never."""

    kind: ClassVar[str] = "absence"
    node: int
    begin: Tick
    end: Tick | None = None


@dataclass(frozen=True, slots=True)
class Churn:
    """A share of the nodes leaves, each once between two ticks, and each is away as long as is drawn for it."""

    kind: ClassVar[str] = "churn"
    begin: Tick
    end: Tick
    share: int
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Partition:
    """From one tick to another, nodes below ``cut`` and the rest do not hear each other."""

    kind: ClassVar[str] = "partition"
    begin: Tick
    end: Tick
    cut: int


@dataclass(frozen=True, slots=True)
class Loss:
    """A share of what is sent in this time is lost."""

    kind: ClassVar[str] = "loss"
    begin: Tick
    end: Tick
    share: int


@dataclass(frozen=True, slots=True)
class Delay:
    """What is sent in this time comes later, by as much as is drawn for it."""

    kind: ClassVar[str] = "delay"
    begin: Tick
    end: Tick
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Duplicates:
    """A share of what is sent in this time comes twice, the second time behind whatever was sent meanwhile."""

    kind: ClassVar[str] = "duplicates"
    begin: Tick
    end: Tick
    share: int


@dataclass(frozen=True, slots=True)
class ChainAway:
    """No node reaches the chain; its clock goes on."""

    kind: ClassVar[str] = "chain-away"
    begin: Tick
    end: Tick


@dataclass(frozen=True, slots=True)
class Disaster:
    """At one moment a share of the nodes is gone for good: the best connected, those with most data, or anyone."""

    kind: ClassVar[str] = "disaster"
    begin: Tick
    share: int
    whom: str


Fault = Absence | Churn | Partition | Loss | Delay | Duplicates | ChainAway | Disaster
KINDS: tuple[type[Fault], ...] = (Absence, Churn, Partition, Loss, Delay, Duplicates, ChainAway, Disaster)
Trouble = Partition | Loss | Delay | Duplicates
"""What happens to messages on their way."""
Span = tuple[Tick, Tick | None]
"""When a node is away; with no end, for good."""


def check(fault: Fault, nodes: int) -> None:
    """PlanError where a fault makes no sense in a mesh of so many nodes."""

    def need(holds: bool, what: str, fix: str) -> None:
        if not holds:
            raise PlanError(f"{fault.kind}: {what}", fix)

    end = None if isinstance(fault, Disaster) else fault.end
    # A node is there before it can be killed: whoever is killed at tick 0 would never have begun.
    first = 1 if isinstance(fault, (Absence, Disaster)) else 0
    need(first <= fault.begin <= LONGEST, "it begins before anything does, or too late", "begin after 0 seconds")
    need(end is None or fault.begin < end <= LONGEST, "it ends before it begins, or too late", "let it end later")
    if isinstance(fault, Absence):
        need(0 <= fault.node < nodes, f"there is no node {fault.node}", f"nodes are 0 to {nodes - 1}")
    if isinstance(fault, Partition):
        need(0 < fault.cut < nodes, f"cut at {fault.cut}", f"nodes below the cut lose the rest: 1 to {nodes - 1}")
    if isinstance(fault, (Churn, Loss, Duplicates, Disaster)):
        need(0 <= fault.share <= WHOLE, f"a share of {fault.share} millionths", "between 0 and 1,000,000")
    if isinstance(fault, (Churn, Delay)):
        need(0 < fault.least <= fault.most <= LONGEST, "the shortest is longer than the longest", "let them rise")
    if isinstance(fault, Disaster):
        need(fault.whom in VICTIMS, f"nobody is called {fault.whom!r}", f"the choice is {', '.join(VICTIMS)}")


def spans(
    faults: Iterable[Fault], rng: Rng, degrees: Sequence[int], data: Sequence[int]
) -> dict[int, tuple[Span, ...]]:
    """When which nodes are away, in order and without overlap; `degrees` and `data` say who is a relay or a holder."""
    away: dict[int, list[Span]] = {}
    for fault in faults:
        own = rng.split(repr(fault))
        if isinstance(fault, Absence):
            away.setdefault(fault.node, []).append((fault.begin, fault.end))
        elif isinstance(fault, Churn):
            for node in own.sample(range(len(degrees)), _count(fault.share, len(degrees))):
                begin = max(1, own.between(fault.begin, fault.end - 1))
                end = Tick(begin + own.between(fault.least, fault.most))
                away.setdefault(node, []).append((Tick(begin), end))
        elif isinstance(fault, Disaster):
            for node in victims(fault, own, degrees, data):
                away.setdefault(node, []).append((fault.begin, None))
    return {node: _merged(found) for node, found in sorted(away.items())}


def victims(fault: Disaster, rng: Rng, degrees: Sequence[int], data: Sequence[int]) -> list[int]:
    """Whom a disaster hits; among equals, whoever is drawn."""
    order = list(range(len(degrees)))
    rng.shuffle(order)
    if fault.whom != ANYONE:
        worth = degrees if fault.whom == RELAYS else data
        order.sort(key=lambda node: worth[node], reverse=True)  # the sort keeps the drawn order among equals
    return order[: _count(fault.share, len(degrees))]


def _count(share: int, nodes: int) -> int:
    return (share * nodes + WHOLE // 2) // WHOLE


def _merged(found: list[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for begin, end in sorted(found, key=lambda span: span[0]):
        if merged and (merged[-1][1] is None or begin <= merged[-1][1]):
            before, last = merged[-1]
            merged[-1] = (before, None if last is None or end is None else max(last, end))
        else:
            merged.append((begin, end))
    return tuple(merged)


def away_at(found: Sequence[Span], tick: Tick) -> bool:
    """Whether a node with these absences is away at this tick."""
    return any(begin <= tick and (end is None or tick < end) for begin, end in found)
