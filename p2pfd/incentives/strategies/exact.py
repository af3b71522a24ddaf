"""Expected pay without chance: every truth, every judgement of every seat, every size of the coalition.

For rules that look at one encounter alone, and for the others where a window is so short that it can be enumerated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from p2pfd.incentives.strategies.game import Game, Strategy, coalition_sizes, honest
from p2pfd.incentives.strategies.rules import Rule, pays


@dataclass(frozen=True, slots=True)
class Expected:
    """Mean pay an item of a deviating seat, and of an honest one beside it; None where none is beside it."""

    pay: Fraction
    beside: Fraction | None


def expected(rule: Rule, game: Game, strategy: Strategy) -> Expected:
    """What the strategy earns, exactly."""
    if strategy.copies == "earlier":
        raise ValueError("what was said in an earlier round is not enumerated")
    pay, beside, some = Fraction(0), Fraction(0), Fraction(0)
    for count, chance in coalition_sizes(game, strategy.share):
        windows: dict[tuple[tuple[int, ...], ...], Fraction] = {(): Fraction(1)}
        columns = _columns(game, strategy, count)
        for _ in range(game.items):
            windows = {
                (*window, column): before * weight
                for window, before in windows.items()
                for column, weight in columns.items()
            }
        for window, weight in windows.items():
            earned = pays(rule, [bytes(row) for row in zip(*window, strict=True)], game.classes)
            pay += chance * weight * Fraction(sum(earned[:count]), count * game.items)
            if count < game.seats:
                beside += chance * weight * Fraction(sum(earned[count:]), (game.seats - count) * game.items)
        some += chance if count < game.seats else 0
    return Expected(pay, beside / some if some else None)


def _columns(game: Game, strategy: Strategy, count: int) -> dict[tuple[int, ...], Fraction]:
    """The probability of each set of reports on one item."""
    chances: defaultdict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    crowd, labels = honest(game.classes, game.accuracy), range(game.classes)
    for truth in labels:
        start = Fraction(game.prior[truth], sum(game.prior))
        own, other = strategy.channel[truth], crowd[truth]
        for rest in product(labels, repeat=game.seats - count):
            weight = start
            for label in rest:
                weight *= Fraction(other[label], sum(other))
            if not weight:
                continue
            for deviating, chance in _deviating(strategy, own, rest, count):
                chances[*deviating, *rest] += weight * chance
    return {column: chance for column, chance in chances.items() if chance}


def _deviating(
    strategy: Strategy, own: tuple[int, ...], rest: tuple[int, ...], count: int
) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    labels, whole = range(len(own)), sum(own)
    if strategy.copies == "peer":
        yield (rest[0],), Fraction(1)
    elif strategy.copies == "majority":
        yield (max(labels, key=lambda label: (rest.count(label), -label)),), Fraction(1)
    elif strategy.shared:
        for label in labels:
            yield (label,) * count, Fraction(own[label], whole)
    else:
        for drawn in product(labels, repeat=count):
            weight = Fraction(1)
            for label in drawn:
                weight *= Fraction(own[label], whole)
            yield drawn, weight
