"""Time is an integer of microseconds since the Unix epoch (or since zero, in a simulation)."""

from __future__ import annotations

from typing import NewType, Protocol

Tick = NewType("Tick", int)

MICROSECOND = 1
MILLISECOND = 1_000
SECOND = 1_000_000


def seconds(count: float) -> int:
    """A length of time in ticks."""
    return round(count * SECOND)


def after(now: Tick, length: int) -> Tick:
    """The tick that comes `length` ticks later."""
    return Tick(now + length)


class Clock(Protocol):
    """Where a driver reads the time; nothing below a driver ever does."""

    def now(self) -> Tick:
        """The present tick; it never runs backwards."""
        ...
