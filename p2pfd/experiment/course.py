"""How a mesh of encounters fares as time passes: votes that are right, what is learnt, and who still has a stake.

The experimenter knows what validators do not: which answers were altered by a behaviour. A vote is right if it finds
such an answer invalid, or any other one valid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from p2pfd.core.encounter_events import Defaulted, Opened, Settled, Voided
from p2pfd.core.ids import Account
from p2pfd.incentives.encounter_award import INVALID, VALID

EVERY = 10
"""Seconds of virtual time, which are blocks of the simulated chain, between two points of a course."""
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Of the changes that validators see, from the worst on: such shares are no better than what stands in a result."""
_BITS = 2


@dataclass(frozen=True, slots=True)
class Point:
    """What happened in ``EVERY`` seconds, and how things stood at their end. Amounts are in prepayments."""

    second: int
    accuracy: float
    """The mean over honest nodes, on the test samples."""
    votes: int = 0
    right: int = 0
    """Of the votes on answers that are what they should be: so many found them valid."""
    bad_votes: int = 0
    bad_right: int = 0
    """Of the votes on altered answers: so many found them invalid."""
    altered: int = 0
    passed: int = 0
    """Altered answers that were judged, and those that were accepted."""
    stake: float = 0.0
    """What those who misbehave hold, apart from their seats, in the mean."""
    out: int = 0
    """How many of those who misbehave hold less than the threshold."""
    honest_out: int = 0


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one node's stake: when it first fell below the threshold, if ever, and what came after that."""

    fell: int = -1
    begun: int = 0
    """Encounters that it was a party to and that began later."""
    back: int = 0
    """How often it rose to the threshold again."""


@dataclass(slots=True)
class _Now:
    votes: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    answers: list[int] = field(default_factory=lambda: [0, 0])


class Recorder:
    """Is told what happens, in its order, and writes the course."""

    def __init__(
        self,
        accounts: Sequence[Account],
        honest: Sequence[bool],
        free: Callable[[Account], int],
        threshold: int,
        prepayment: int,
        until: int,
    ) -> None:
        """``until`` is the second in which devices begin to take their tokens out."""
        self._accounts, self._honest, self._free = accounts, honest, free
        self._threshold, self._prepayment, self._until = threshold, prepayment, until
        self._node_of = {who: node for node, who in enumerate(accounts)}
        self._bound = [0] * len(accounts)
        self._parties: dict[int, tuple[int, int]] = {}
        self._held = [0] * len(accounts)
        """What each node had when the chain was looked at last."""
        self._fates = [Fate()] * len(accounts)
        self._had = [False] * len(accounts)
        self._below = [False] * len(accounts)
        self._accuracy = [0.0] * len(accounts)
        self._now = _Now()
        self._written = 0
        self._last = 0
        self._points: list[Point] = []
        self._changes: tuple[list[float], list[float]] = ([], [])
        self.altered: set[int] = set()
        """The encounters whose answers were altered."""

    # -- what happens --------------------------------------------------------------------------------------------------

    def graded(self, node: int, accuracy: float) -> None:
        """How good a node is now."""
        self._accuracy[node] = accuracy

    def judged(self, key: int, change: float) -> None:
        """By how much accuracy a validator found an answer better than the request."""
        self._changes[key in self.altered].append(change)

    def opened(self, second: int, event: Opened, parties: tuple[Account, Account]) -> None:
        """Both parties have put a prepayment in."""
        self._pass(second)
        nodes = self._node_of[parties[0]], self._node_of[parties[1]]
        self._parties[event.key] = nodes
        for node in nodes:
            self._bound[node] += self._prepayment
            fate = self._fates[node]
            if fate.fell >= 0:
                self._fates[node] = Fate(fate.fell, fate.begun + 1, fate.back)

    def ended(self, second: int, event: Settled | Defaulted | Voided) -> None:
        """An encounter is over, by votes or without."""
        self._pass(second)
        for node in self._parties.pop(event.key, ()):
            self._bound[node] -= self._prepayment
        if not isinstance(event, Settled):
            return
        self._last = second
        states = []
        ballot = event.ballot
        while ballot:
            states.append(ballot & (1 << _BITS) - 1)
            ballot >>= _BITS
        valid, invalid = states.count(VALID), states.count(INVALID)
        now = self._now
        if event.key in self.altered:
            now.votes[2] += valid + invalid
            now.votes[3] += invalid
            now.answers[0] += 1
            now.answers[1] += valid > invalid
        else:
            now.votes[0] += valid + invalid
            now.votes[1] += valid

    def weighed(self, second: int) -> None:
        """Something has changed on the chain: who holds how much?"""
        self._pass(second)
        self._held = [self._free(who) + bound for who, bound in zip(self._accounts, self._bound, strict=True)]
        if second >= self._until:
            return
        for node, held in enumerate(self._held):
            low = held < self._threshold
            self._had[node] |= not low
            if not self._had[node] or low == self._below[node]:
                continue
            self._below[node] = low
            fate = self._fates[node]
            if low and fate.fell < 0:
                self._fates[node] = Fate(second, fate.begun, fate.back)
            elif not low:
                self._fates[node] = Fate(fate.fell, fate.begun, fate.back + 1)

    # -- what came of it -----------------------------------------------------------------------------------------------

    def points(self) -> tuple[Point, ...]:
        """The course up to the last encounter that was judged."""
        self._pass(self._last + EVERY)
        return tuple(self._points[: -(-self._last // EVERY) + 1])

    def fates(self) -> tuple[Fate, ...]:
        """What became of each node's stake."""
        return tuple(self._fates)

    def changes(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """How much better answers were on validators' samples, at each of ``SHARES``: unaltered ones, and altered."""
        found = [sorted(changes) for changes in self._changes]
        plain, altered = (tuple(round(one[int(share * len(one))], 6) for share in SHARES if one) for one in found)
        return plain, altered

    def _pass(self, second: int) -> None:
        """Write the points that lie before this second."""
        while self._written * EVERY < second:
            self._points.append(self._point(self._written * EVERY))
            self._now = _Now()
            self._written += 1

    def _point(self, second: int) -> Point:
        nodes = range(len(self._accounts))
        honest = [node for node in nodes if self._honest[node]]
        others = [node for node in nodes if not self._honest[node]]
        votes, answers = self._now.votes, self._now.answers
        held = sum(self._held[node] for node in others)
        return Point(
            second=second,
            accuracy=round(sum(self._accuracy[node] for node in honest) / len(honest), 6),
            votes=votes[0],
            right=votes[1],
            bad_votes=votes[2],
            bad_right=votes[3],
            altered=answers[0],
            passed=answers[1],
            stake=round(held / len(others) / self._prepayment, 4) if others else 0.0,
            out=sum(self._below[node] for node in others),
            honest_out=sum(self._below[node] for node in honest),
        )
