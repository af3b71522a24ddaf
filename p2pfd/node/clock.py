"""The clock of a running node: the wall's time at its start, and from then on the pace of one that nobody sets."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Protocol

import trio

from p2pfd.core.ticks import SECOND, Tick
from p2pfd.node.telemetry import Emitter

LOOK_SECONDS = 30.0
ASTRAY = 5 * SECOND
"""By so much the machine's clock must have been set before it is told: a slower correction is no news."""
Nanoseconds = Callable[[], int]


def steady() -> Nanoseconds:
    """A clock that nobody sets, and that goes on while the machine sleeps, where the system has one."""
    which = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return time.monotonic_ns if which is None else functools.partial(time.clock_gettime_ns, which)


class SystemClock:
    """Microseconds since the epoch. It never runs backwards, whatever is done to the machine's wall clock.

    ``paused`` are seconds for which time stood still for a whole mesh: the clock is behind by so much.
    """

    def __init__(self, paused: int = 0, wall: Nanoseconds = time.time_ns, pace: Nanoseconds | None = None) -> None:
        self._pace = pace if pace is not None else steady()
        self._wall = wall
        self._base = wall() // 1_000 - paused * SECOND
        self._start = self._pace() // 1_000
        self._paused = paused * SECOND

    def now(self) -> Tick:
        """The present tick."""
        return Tick(self._base + self._pace() // 1_000 - self._start)

    def astray(self) -> int:
        """By how many microseconds the machine's clock was set forward since this one began; negative: back."""
        return self._wall() // 1_000 - self._paused - self.now()


class Settable(Protocol):
    """A clock that knows what became of the machine's."""

    def astray(self) -> int:
        """By how many microseconds the machine's clock was set forward since this one began; negative: back."""
        ...


async def watch_wall(clock: Settable, emit: Emitter) -> None:
    """Tell when the machine's clock is set. The node goes on by its own, until it is run again."""
    told = 0
    while True:
        astray = clock.astray()
        if abs(astray - told) > ASTRAY:
            told = astray
            fix = "run the node again, and it goes by the machine's new time"
            emit("clock.set", {"ahead": round(astray / SECOND, 1), "fix": fix})
        await trio.sleep(LOOK_SECONDS)


class TrioClock:
    """Trio's own clock from zero: under `trio.testing.MockClock` this is virtual time."""

    def now(self) -> Tick:
        """The present tick."""
        return Tick(round(trio.current_time() * SECOND))
