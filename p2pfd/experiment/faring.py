"""How meshes of encounters fared, as figures: shares of right votes, and who lost its stake; means over the seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from p2pfd.experiment.course import EVERY, Fate, Point
from p2pfd.experiment.result import Result
from p2pfd.experiment.spread import Spread, spread

Curve = tuple[tuple[float, float], ...]
"""Seconds of virtual time, and a value at each."""


@dataclass(frozen=True, slots=True)
class Faring:
    """What became of votes and stakes in a row's meshes. None where there was nothing of the kind."""

    right: Spread | None
    """The share of the votes that were right, of all."""
    valid: Spread | None
    """Of those on answers that nobody altered: the rest are false alarms."""
    caught: Spread | None
    """Of those on altered answers."""
    altered: float
    """How many altered answers were judged in a mesh."""
    passed: Spread | None
    """The share of these that was accepted all the same."""
    others: float
    """How many nodes of a mesh misbehave."""
    out: Spread | None
    """How many of them have less than the threshold in the end."""
    fell: float | None
    """The mean second in which these fell below it."""
    begun: float
    """In how many encounters they were a party after that."""
    honest_out: Spread
    """How many honest nodes have less than the threshold in the end."""
    changes: tuple[tuple[float, ...], tuple[float, ...]]
    """What validators saw; see `p2pfd.experiment.course.SHARES`."""
    accuracy: Curve
    votes: Curve
    below: Curve
    """How many of those who misbehave are below the threshold."""


def faring_of(found: Sequence[Result]) -> Faring | None:
    """The figures of one row's results; None where they have no course."""
    if not all(result.course for result in found):
        return None
    totals = [_total(result.course) for result in found]
    misbehave = [_of_others(result) for result in found]
    fell = [fate.fell for fates in misbehave for fate in fates if fate.fell >= 0]
    return Faring(
        right=_share([(one[1] + one[3], one[0] + one[2]) for one in totals]),
        valid=_share([(one[1], one[0]) for one in totals]),
        caught=_share([(one[3], one[2]) for one in totals]),
        altered=fmean(one[4] for one in totals),
        passed=_share([(one[5], one[4]) for one in totals]),
        others=fmean(len(fates) for fates in misbehave),
        out=spread([result.course[-1].out for result in found]) if any(misbehave) else None,
        fell=fmean(fell) if fell else None,
        begun=fmean(sum(fate.begun for fate in fates) for fates in misbehave),
        honest_out=spread([result.course[-1].honest_out for result in found]),
        changes=_changes(found),
        accuracy=_curve(found, lambda point: point.accuracy),
        votes=_curve(found, _right),
        below=_curve(found, lambda point: float(point.out)) if any(misbehave) else (),
    )


def _of_others(result: Result) -> list[Fate]:
    return [fate for fate, one in zip(result.fates, result.members, strict=True) if not one.honest]


def _total(course: Sequence[Point]) -> tuple[int, ...]:
    rows = [(one.votes, one.right, one.bad_votes, one.bad_right, one.altered, one.passed) for one in course]
    return tuple(sum(column) for column in zip(*rows, strict=True))


def _share(parts: Sequence[tuple[int, int]]) -> Spread | None:
    found = [part / whole for part, whole in parts if whole]
    return spread(found) if found else None


def _changes(found: Sequence[Result]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    means = []
    for which in (0, 1):
        rows = [result.changes[which] for result in found if result.changes[which]]
        means.append(tuple(fmean(column) for column in zip(*rows, strict=True)) if rows else ())
    return means[0], means[1]


def _right(point: Point) -> float | None:
    votes = point.votes + point.bad_votes
    return (point.right + point.bad_right) / votes if votes else None


def _curve(found: Sequence[Result], value: Callable[[Point], float | None]) -> Curve:
    """The mean over the meshes that are not over yet, and have something to tell."""
    longest = max(len(result.course) for result in found)
    out = []
    for place in range(longest):
        values = [value(result.course[place]) for result in found if place < len(result.course)]
        told = [one for one in values if one is not None]
        if told:
            out.append((float(place * EVERY), fmean(told)))
    return tuple(out)
