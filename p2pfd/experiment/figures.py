"""From results to rows of figures: what a mesh learnt, and what each kind of node was paid; means over the seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from p2pfd.experiment.encounters import PREPAYMENT
from p2pfd.experiment.faring import Faring, faring_of
from p2pfd.experiment.plan import ENCOUNTERS, UNIT, Plan
from p2pfd.experiment.result import HONEST, Member, Result
from p2pfd.experiment.spread import Spread, spread

PARTS = ("honest, most data", "honest, middle", "honest, least data")
_FEWEST = 6
"""So many honest nodes are divided into three by their data, where it differs much."""


@dataclass(frozen=True, slots=True)
class Group:
    """The nodes of one kind in a row's meshes.

    In a market, ``pay`` is what it paid a node in a round, in units of the rate; ``gain`` a node's balance in the end
    less that in the beginning, in tokens; ``passed`` the share of its labels that the serum's gate let through; ``own``
    the accuracy of the models behind its labels. In encounters all amounts are in prepayments: ``pay`` what a node
    gained by an answer that it served, ``vote`` by an encounter that it judged; ``passed`` is the share of its answers
    that were found valid. None where there is nothing to tell.
    """

    kind: str
    nodes: float
    samples: float
    pay: Spread | None
    gain: Spread | None
    own: Spread | None
    passed: Spread | None
    by_round: tuple[float, ...]
    """Pay round by round, in units of the rate; nothing in encounters."""
    vote: Spread | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the experiment: what its meshes learnt, and what each kind of node got."""

    title: str
    accuracy: Spread
    first: float
    curve: tuple[float, ...]
    groups: tuple[Group, ...]
    short: float
    seconds: float
    seeds: int
    faring: Faring | None = None
    """Where nodes meet in encounters."""


def line_of(title: str, plan: Plan, found: Sequence[Result]) -> Line:
    """The figures of one row's results, one for each seed."""
    return Line(
        title=title,
        accuracy=spread([result.accuracy[-1] for result in found]),
        first=fmean(result.accuracy[0] for result in found),
        curve=tuple(fmean(values) for values in zip(*(result.accuracy for result in found), strict=True)),
        groups=tuple(groups_of(plan, found)),
        short=fmean(result.short for result in found),
        seconds=fmean(result.seconds for result in found),
        seeds=len(found),
        faring=faring_of(found) if plan.kind == ENCOUNTERS else None,
    )


def groups_of(plan: Plan, found: Sequence[Result]) -> list[Group]:
    """Honest nodes first, then their thirds by how much data they have, then all who misbehave."""
    kinds = [HONEST, *sorted({one.kind for result in found for one in result.members} - {HONEST})]
    chosen: list[tuple[str, list[list[Member]]]] = []
    for kind in kinds:
        chosen.append((kind, [[one for one in result.members if one.kind == kind] for result in found]))
        if kind == HONEST and all(_differ(members) for members in chosen[0][1]):
            thirds = [_thirds(members) for members in chosen[0][1]]
            chosen += [(name, [third[place] for third in thirds]) for place, name in enumerate(PARTS)]
    return [_group(plan, kind, members) for kind, members in chosen]


def _differ(members: Sequence[Member]) -> bool:
    sizes = [one.samples for one in members]
    return len(sizes) >= _FEWEST and max(sizes) >= 2 * min(sizes)


def _thirds(members: Sequence[Member]) -> tuple[list[Member], list[Member], list[Member]]:
    ordered = sorted(members, key=lambda one: -one.samples)
    third = len(ordered) // 3
    return ordered[:third], ordered[third:-third], ordered[-third:]


def _told(seeds: Sequence[Sequence[Member]], value: Callable[[Member], Sequence[float]]) -> Spread | None:
    """The mean over all nodes of a seed, and its spread over the seeds."""
    each = [[one for member in members for one in value(member)] for members in seeds]
    return spread([fmean(values) for values in each if values]) if any(each) else None


def _ratio(seeds: Sequence[Sequence[Member]], what: int, by: Callable[[Member], int]) -> Spread | None:
    """What all nodes of a seed gained in one part, over how often they had it."""
    times = [sum(by(one) for one in members) for members in seeds]
    sums = [sum(one.parts[what] for one in members) / PREPAYMENT for members in seeds]
    found = [total / count for total, count in zip(sums, times, strict=True) if count]
    return spread(found) if found else None


def _group(plan: Plan, kind: str, seeds: Sequence[Sequence[Member]]) -> Group:
    return (_in_encounters if plan.kind == ENCOUNTERS else _in_market)(plan, kind, seeds)


def _in_encounters(plan: Plan, kind: str, seeds: Sequence[Sequence[Member]]) -> Group:
    return Group(
        kind=kind,
        nodes=fmean(len(members) for members in seeds),
        samples=fmean(one.samples for members in seeds for one in members),
        pay=_ratio(seeds, 1, lambda one: len(one.turns)),
        gain=_told(seeds, lambda one: [one.gain / PREPAYMENT]),
        own=None,
        passed=_told(seeds, lambda one: [turn.vote for turn in one.turns if turn.vote is not None]),
        by_round=(),
        vote=_ratio(seeds, 2, lambda one: one.parts[3]),
    )


def _in_market(plan: Plan, kind: str, seeds: Sequence[Sequence[Member]]) -> Group:
    rate, rounds = plan.money.rate, plan.rounds
    pays = plan.chain != "none" and rate > 0

    by_round = [
        fmean(one.turns[rnd].paid / rate for members in seeds for one in members) for rnd in range(rounds) if pays
    ]
    return Group(
        kind=kind,
        nodes=fmean(len(members) for members in seeds),
        samples=fmean(one.samples for members in seeds for one in members),
        pay=_told(seeds, lambda one: [one.paid / rate / rounds]) if pays else None,
        gain=_told(seeds, lambda one: [one.gain / UNIT]) if plan.chain != "none" else None,
        own=_told(seeds, lambda one: [turn.own for turn in one.turns if turn.own is not None]),
        passed=_told(seeds, lambda one: [turn.vote for turn in one.turns if turn.vote is not None]),
        by_round=tuple(by_round),
    )
