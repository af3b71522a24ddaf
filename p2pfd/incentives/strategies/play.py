"""Drawing what the seats report: every draw comes from a named stream of the rng that is passed in.

The honest reports of a round depend on the rng alone, not on the strategy, so a strategy is compared with honesty on
the same items, the same judgements of the others, and the same coalition.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from p2pfd.core.rng import Rng
from p2pfd.incentives.strategies.game import Channel, Game, Strategy, coalition_sizes, honest

Labels = NDArray[np.intp]
_WORD = 2**32


@dataclass(frozen=True, slots=True)
class Round:
    """One set of items: their truth, and what every seat would honestly report."""

    truth: Labels
    honest: tuple[bytes, ...]


class Player:
    """Draws the reports of a game."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self._prior = _thresholds((game.prior,))
        self._honest = _thresholds(honest(game.classes, game.accuracy))

    def round(self, rng: Rng) -> Round:
        """Items, and the honest reports on them."""
        blank = np.zeros(self.game.items, dtype=np.intp)
        truth = _draw(self._prior, blank, 1, rng.split("truth"))[0]
        return Round(truth, _rows(_draw(self._honest, truth, self.game.seats, rng.split("honest"))))

    def reports(self, strategy: Strategy, played: Round, rng: Rng) -> tuple[int, tuple[bytes, ...]]:
        """How many seats deviate, the first ones, and what all seats report."""
        count = _size(coalition_sizes(self.game, strategy.share), rng.split("size"))
        if strategy.copies is not None:
            return 1, (self._copied(strategy, played, rng), *played.honest[1:])
        own = _thresholds(strategy.channel)
        drawn = _rows(_draw(own, played.truth, 1 if strategy.shared else count, rng.split("own")))
        return count, (*(drawn * count if strategy.shared else drawn), *played.honest[count:])

    def _copied(self, strategy: Strategy, played: Round, rng: Rng) -> bytes:
        if strategy.copies == "peer":
            return played.honest[1]
        if strategy.copies == "majority":
            return plurality(played.honest[1:], self.game.classes)
        # Others' errors are drawn anew for the round before: where they persist, a copier does better still.
        before = _draw(self._honest, played.truth, self.game.seats - 1, rng.split("before"))
        return plurality(_rows(before), self.game.classes)


def plurality(rows: tuple[bytes, ...], classes: int) -> bytes:
    """The commonest label of each item; of equals the lowest."""
    table = np.array([np.frombuffer(row, dtype=np.uint8) for row in rows])
    counts = np.array([(table == label).sum(axis=0) for label in range(classes)])
    commonest: NDArray[np.uint8] = counts.argmax(axis=0).astype(np.uint8)
    return commonest.tobytes()


def _size(sizes: tuple[tuple[int, Fraction], ...], rng: Rng) -> int:
    if len(sizes) == 1:
        return sizes[0][0]
    at = Fraction(rng.bits(64), 2**64)
    for size, chance in sizes:
        at -= chance
        if at < 0:
            return size
    raise AssertionError("the chances come to one")


def _thresholds(channel: Channel) -> NDArray[np.int64]:
    """Where each label's part of the 32-bit numbers ends, but the last one's, which is the end of all."""
    sums = np.array([[_WORD * sum(row[: at + 1]) // sum(row) for at in range(len(row) - 1)] for row in channel])
    return sums.astype(np.int64)


def _draw(thresholds: NDArray[np.int64], truth: Labels, rows: int, rng: Rng) -> NDArray[np.uint8]:
    size = rows * len(truth)
    words = np.frombuffer(rng.bytes(4 * size), dtype="<u4").astype(np.int64).reshape(rows, len(truth))
    drawn: NDArray[np.uint8] = (words[:, :, None] >= thresholds[truth]).sum(axis=2).astype(np.uint8)
    return drawn


def _rows(table: NDArray[np.uint8]) -> tuple[bytes, ...]:
    return tuple(row.tobytes() for row in table)
