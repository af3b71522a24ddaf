"""The clock of a running node: the wall's time when it starts, and from then on the monotonic clock's pace."""

from __future__ import annotations

import time

import trio

from p2pfd.core.ticks import SECOND, Tick


class SystemClock:
    """Microseconds since the epoch. It never runs backwards, whatever is done to the machine's wall clock.

    ``paused`` are seconds for which time stood still for a whole mesh: the clock is behind by so much.
    """

    def __init__(self, paused: int = 0) -> None:
        self._wall = time.time_ns() // 1_000 - paused * SECOND
        self._start = time.monotonic_ns() // 1_000

    def now(self) -> Tick:
        """The present tick."""
        return Tick(self._wall + time.monotonic_ns() // 1_000 - self._start)


class TrioClock:
    """Trio's own clock from zero: under `trio.testing.MockClock` this is virtual time."""

    def now(self) -> Tick:
        """The present tick."""
        return Tick(round(trio.current_time() * SECOND))
