"""A machine's future: events in the one order in which they will be handled, and its timers.

Events of one tick are ordered by what they are, then by where they come from, then by number: never by when somebody
happened to put them here. Two drivers that agree on ticks therefore hand a machine the same events in the same order.
"""

from __future__ import annotations

from enum import IntEnum
from heapq import heappop, heappush

from p2pfd.core.events import Event, TimerFired
from p2pfd.core.ticks import Tick


class Kind(IntEnum):
    """The order of events that are due at the same tick."""

    LIFE = 0
    COMPUTED = 1
    CHAIN = 2
    HEARD = 3
    TIMER = 4


class Agenda:
    """What is yet to happen to one machine."""

    __slots__ = ("_due", "_number", "_timers")

    def __init__(self) -> None:
        self._due: list[tuple[Tick, int, int, int, Event]] = []
        self._timers: dict[str, int] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._due)

    @property
    def next(self) -> Tick | None:
        """When there is something to do next; a cancelled timer may still wake whoever waits for this."""
        return self._due[0][0] if self._due else None

    def number(self) -> int:
        """A fresh number for what this machine itself set off."""
        self._number += 1
        return self._number

    def post(self, at: Tick, kind: Kind, source: int, number: int, event: Event) -> None:
        """Let this event happen at that tick. Two events never share kind, source and number."""
        heappush(self._due, (at, kind, source, number, event))

    def set_timer(self, name: str, at: Tick) -> None:
        """Let a timer fire at that tick, and not when it was to fire before."""
        number = self.number()
        self._timers[name] = number
        heappush(self._due, (at, Kind.TIMER, 0, number, TimerFired(name)))

    def cancel_timer(self, name: str) -> None:
        """Forget the timer, if there is one."""
        self._timers.pop(name, None)

    def pop(self, now: Tick) -> tuple[Tick, Event] | None:
        """The next event that is due by now, with its tick."""
        due = self._due
        while due and due[0][0] <= now:
            at, kind, _, number, event = heappop(due)
            if kind == Kind.TIMER and isinstance(event, TimerFired):
                if self._timers.get(event.name) != number:
                    continue  # moved or cancelled
                del self._timers[event.name]
            return at, event
        return None
