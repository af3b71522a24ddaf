"""Who plays: a crowd of honest seats that judge the same items, and the strategies that some of them may take up.

An item is a sample to label, or an encounter to vote on: a vote is a label of two classes, 1 for valid. The truth of an
item is drawn from a prior; what a seat reports is drawn from a *channel*, a distribution over labels for each truth.
Honest seats have one channel and err independently of one another, uniformly over the wrong labels. A strategy is
another channel, drawn by each deviating seat for itself or once for all of them, or a copy of what others report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import Literal

MILLION = 10**6
Channel = tuple[tuple[int, ...], ...]
"""Weights: one row for each truth, one column for each label; all rows come to the same sum."""
Copies = Literal["peer", "majority", "earlier"]
SHARES = (100_000, 200_000, 300_000, 400_000, 500_000)


@dataclass(frozen=True, slots=True)
class Game:
    """Seats that judge the same items. Probabilities are millionths; ``prior`` holds weights, one for each class."""

    seats: int
    classes: int
    items: int
    prior: tuple[int, ...]
    accuracy: int
    pool: int = 0
    """Where positive, the seats are a committee drawn from so many, and a coalition is a share of the pool."""

    def __post_init__(self) -> None:
        if self.seats < 2 or self.classes < 2 or self.items < 1 or len(self.prior) != self.classes:
            raise ValueError("a game has two seats and classes at least, an item, and a weight for each class")
        if not 0 <= self.accuracy <= MILLION or min(self.prior) < 0 or sum(self.prior) < 1:
            raise ValueError("an accuracy is a probability, and weights are not negative nor all zero")
        if self.pool and self.pool < self.seats:
            raise ValueError("a committee is drawn from at least as many as sit on it")


@dataclass(frozen=True, slots=True)
class Strategy:
    """What the deviating seats report."""

    name: str
    channel: Channel
    share: int = 0
    """The coalition's share of all, in millionths; a single seat where it is zero."""
    shared: bool = False
    """One draw for the whole coalition, and not one for each of its seats."""
    copies: Copies | None = None
    deviates: bool = True
    """False for an honest seat that is merely better or worse than the others."""
    needs: str = ""
    """What it takes beyond a seat: a rule of the protocol may withhold it."""


def label_game(seats: int, classes: int, samples: int, accuracy: int) -> Game:
    """The label market: the commonest class is nearly twice as frequent as the rarest."""
    return Game(seats, classes, samples, tuple(range(classes, 2 * classes)), accuracy)


def vote_game(seats: int, window: int, accuracy: int, valid: int, pool: int = 100) -> Game:
    """A committee that judges a window of encounters, of which ``valid`` millionths are in order."""
    return Game(seats, 2, window, (MILLION - valid, valid), accuracy, pool)


# -- channels ----------------------------------------------------------------------------------------------------------


def honest(classes: int, accuracy: int) -> Channel:
    """The truth with this probability, else any other label."""
    wrong, right = MILLION - accuracy, accuracy * (classes - 1)
    return tuple(tuple(right if label == truth else wrong for label in range(classes)) for truth in range(classes))


def contrary(classes: int, accuracy: int) -> Channel:
    """An honest judgement, reported as the next class: a vote turned round."""
    return tuple((row[-1], *row[:-1]) for row in honest(classes, accuracy))


def blind(weights: Sequence[int]) -> Channel:
    """The same distribution whatever the truth."""
    return (tuple(weights),) * len(weights)


def constant(classes: int, label: int) -> Channel:
    """Always this label."""
    return blind([int(c == label) for c in range(classes)])


# -- strategies --------------------------------------------------------------------------------------------------------


def truthful(game: Game) -> Strategy:
    """What everybody is compared with."""
    return Strategy("honest", honest(game.classes, game.accuracy), deviates=False)


def strategies(game: Game) -> tuple[Strategy, ...]:
    """Every strategy of the table: of a label market, or of a committee where the game has a pool."""
    classes, uniform = game.classes, blind([1] * game.classes)
    signal = honest(classes, game.accuracy)
    sight = "sees labels before it commits" if not game.pool else "sees votes before it commits"
    if game.pool:
        lazy = [
            Strategy("lazy: always valid", constant(classes, 1)),
            Strategy("lazy: always invalid", constant(classes, 0)),
        ]
        coalition = [Strategy(f"colluding {_percent(s)}: always invalid", constant(classes, 0), s) for s in SHARES[2:]]
        stale = []
    else:
        lazy = [Strategy("lazy: constant", constant(classes, classes - 1))]
        coalition = []
        stale = [
            Strategy(
                "copying the last majority", signal, copies="earlier", needs="the same samples in the round before"
            )
        ]
    return (
        truthful(game),
        *(Strategy(f"honest, accuracy {_percent(a)}", honest(classes, a), deviates=False) for a in _others(game)),
        *lazy,
        Strategy("lazy: random", uniform),
        Strategy("lazy: random by the prior", blind(game.prior)),
        Strategy("contrary", contrary(classes, game.accuracy)),
        Strategy("copying a peer", signal, copies="peer", needs=sight),
        Strategy("copying the majority", signal, copies="majority", needs=sight),
        *stale,
        *(Strategy(f"colluding {_percent(s)}: a secret code", uniform, s, shared=True) for s in SHARES),
        *coalition,
        *(Strategy(f"Sybil {_percent(s)}: one judgement", signal, s, shared=True) for s in SHARES[1:]),
    )


def _others(game: Game) -> list[int]:
    return [a for a in (500_000, 650_000, 950_000) if a != game.accuracy]


def _percent(millionths: int) -> str:
    return f"{millionths / 10_000:g} %"


def coalition_sizes(game: Game, share: int) -> tuple[tuple[int, Fraction], ...]:
    """How many seats deviate, with which probability, seen from one that does.

    In a market the share of the seats, rounded; on a committee what the draw from the pool gives, the one seat aside.
    """
    if not share:
        return ((1, Fraction(1)),)
    if not game.pool:
        return ((max(1, round(share * game.seats / MILLION)), Fraction(1)),)
    members = max(1, round(share * game.pool / MILLION)) - 1
    rest, drawn = game.pool - 1, game.seats - 1
    ways = [(1 + j, comb(members, j) * comb(rest - members, drawn - j)) for j in range(min(members, drawn) + 1)]
    return tuple((size, Fraction(count, comb(rest, drawn))) for size, count in ways if count)
