"""The table: what each strategy earns under each rule, with its error, and whether honesty is the best reply to it.

Honest pay is what the same seats earn when they judge honestly, all else equal: for one seat that is its best reply to
an honest crowd, for a coalition it is whether acting together pays more than honest work by all of its members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

from p2pfd.core.rng import Rng
from p2pfd.incentives.strategies.exact import expected
from p2pfd.incentives.strategies.game import Game, Strategy, strategies, truthful
from p2pfd.incentives.strategies.play import Player
from p2pfd.incentives.strategies.rules import UNIT, Rule, is_market, is_per_item, pays

Z_95 = 1.959964
MOST_EXACT_SEATS = 7
Best = Literal["yes", "no", "within noise"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Cell:
    """One strategy under one rule. Pay is in units: of the rate in a market, of the prepayment on a committee."""

    strategy: str
    rule: Rule
    pay: float
    half: float
    """Half of the 95 % interval of the pay; zero where it was computed exactly."""
    honest: float
    gain: float
    """Pay less honest pay, on the same draws."""
    gain_half: float
    beside: float | None
    """What an honest seat earns next to these."""
    best: Best | None
    """Whether honesty is the best reply; None for a strategy that is honest itself."""
    needs: str
    exact: bool


class Tally:
    """Mean and spread of a series of ratios, one a round, from sums of whole numbers."""

    def __init__(self, scale: int) -> None:
        self._scale = scale
        self._count = self._sum = self._squares = 0

    def add(self, amount: int, parts: int) -> None:
        """A round's amount, shared by so many: kept in millionths of a unit of money, rounded down."""
        value = amount * UNIT // (parts * self._scale)
        self._count += 1
        self._sum += value
        self._squares += value * value

    def mean(self) -> float:
        """The mean, in units of pay."""
        return self._sum / self._count / UNIT / UNIT

    def half(self) -> float:
        """Half of the 95 % interval of the mean."""
        if self._count < 2:
            return float("inf")
        spread = self._count * self._squares - self._sum * self._sum
        return Z_95 * sqrt(spread / (self._count * self._count * (self._count - 1))) / UNIT / UNIT

    def __bool__(self) -> bool:
        return self._count > 0


def verdict(gain: float, half: float) -> Best:
    """Whether honesty is the best reply to what gains so much more, or less; equal pay leaves honesty the best."""
    if gain - half > 0:
        return "no"
    return "yes" if gain + half < 0 or half == 0 else "within noise"


def table(
    rules: Sequence[Rule], market: Game, committee: Game, rounds: int, rng: Rng, progress: Progress | None = None
) -> tuple[Cell, ...]:
    """Every strategy under every one of these rules: exactly where that is cheap, else from so many rounds."""
    cells: dict[tuple[Rule, str], Cell] = {}
    drawn: dict[bool, list[Rule]] = {True: [], False: []}
    for rule in rules:
        if is_per_item(rule) and committee.seats <= MOST_EXACT_SEATS:
            cells |= {(rule, cell.strategy): cell for cell in exactly(rule, committee)}
        else:
            drawn[is_market(rule)].append(rule)
    whole = rounds * sum(bool(group) for group in drawn.values())
    done = 0
    for on_market, group in drawn.items():
        if not group:
            continue
        game = market if on_market else committee

        def tell(played: int, before: int = done) -> None:
            if progress is not None:
                progress(before + played, whole)

        cells |= {(cell.rule, cell.strategy): cell for cell in played(group, game, rounds, rng, tell)}
        done += rounds
    order = {rule: [one.name for one in strategies(market if is_market(rule) else committee)] for rule in rules}
    return tuple(cells[rule, name] for rule in rules for name in order[rule])


def exactly(rule: Rule, game: Game) -> Iterable[Cell]:
    """Every strategy under a rule that looks at one encounter alone."""
    one = Game(game.seats, game.classes, 1, game.prior, game.accuracy, game.pool)
    base = expected(rule, one, truthful(one)).pay
    for strategy in strategies(one):
        found = expected(rule, one, strategy)
        pay, honest = float(found.pay) / UNIT, float(base) / UNIT
        beside = None if found.beside is None else float(found.beside) / UNIT
        best = verdict(float(found.pay - base), 0) if strategy.deviates else None
        gain = float(found.pay - base) / UNIT
        yield Cell(strategy.name, rule, pay, 0.0, honest, gain, 0.0, beside, best, strategy.needs, exact=True)


@dataclass(frozen=True, slots=True)
class _Tallies:
    pay: Tally
    honest: Tally
    gain: Tally
    beside: Tally


def played(rules: Sequence[Rule], game: Game, rounds: int, rng: Rng, progress: Callable[[int], None]) -> Iterable[Cell]:
    """Every strategy under these rules of one game, all on the same draws."""
    chosen = strategies(game)
    player = Player(game)
    tallies: dict[tuple[Rule, str], _Tallies] = {}
    for rule in rules:
        scale = 1 if is_market(rule) else game.items
        for strategy in chosen:
            tallies[rule, strategy.name] = _Tallies(*(Tally(scale) for _ in range(4)))
    for number in range(rounds):
        stream = rng.split("market" if not game.pool else "committee", number)
        items = player.round(stream)
        base = {rule: pays(rule, items.honest, game.classes) for rule in rules}
        for strategy in chosen:
            plain = strategy == chosen[0]
            count, rows = (1, items.honest) if plain else player.reports(strategy, items, stream.split(strategy.name))
            for rule in rules:
                earned = base[rule] if plain else pays(rule, rows, game.classes)
                _count(tallies[rule, strategy.name], earned, base[rule], game.seats if plain else count)
        progress(number + 1)
    for rule in rules:
        for strategy in chosen:
            yield _cell(rule, strategy, tallies[rule, strategy.name])


def _count(into: _Tallies, earned: Sequence[int], base: Sequence[int], count: int) -> None:
    own, honest = sum(earned[:count]), sum(base[:count])
    into.pay.add(own, count)
    into.honest.add(honest, count)
    into.gain.add(own - honest, count)
    if count < len(earned):
        into.beside.add(sum(earned[count:]), len(earned) - count)


def _cell(rule: Rule, strategy: Strategy, got: _Tallies) -> Cell:
    gain, half = got.gain.mean(), got.gain.half()
    best = verdict(gain, half) if strategy.deviates else None
    beside = got.beside.mean() if got.beside else None
    return Cell(
        strategy.name,
        rule,
        got.pay.mean(),
        got.pay.half(),
        got.honest.mean(),
        gain,
        half,
        beside,
        best,
        strategy.needs,
        exact=False,
    )
