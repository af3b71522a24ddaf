"""A machine that can be killed and come back from what it persisted, as a process can, under any driver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from p2pfd.core.effects import CancelTimer, Compute, Effect, Persist, SetTimer
from p2pfd.core.events import Computed, Event, Restored, Started
from p2pfd.core.machine import Machine
from p2pfd.core.ticks import Tick


@dataclass(frozen=True, slots=True)
class Killed(Started):
    """The process is gone, with all that was not persisted."""


@dataclass(frozen=True, slots=True)
class Returned(Started):
    """The process runs again."""


class Mortal:
    """Wraps a machine. While it is dead it hears nothing; afterwards it starts anew from its last snapshot."""

    __slots__ = ("_alive", "_life", "_make", "_saved", "_timers", "machine")

    def __init__(self, make: Callable[[], Machine]) -> None:
        self._make = make
        self.machine = make()
        self._alive = True
        self._life = 0
        self._saved: bytes | None = None
        self._timers: set[str] = set()

    def handle(self, now: Tick, event: Event) -> tuple[Effect, ...]:
        """What follows, for the life that the machine is in."""
        if isinstance(event, Killed):
            self._alive = False
            stopped = tuple(CancelTimer(name) for name in sorted(self._timers))
            self._timers.clear()
            return stopped
        if isinstance(event, Returned):
            return self._return(now)
        if not self._alive:
            return ()
        if isinstance(event, Computed):
            life, _, job = event.job.partition("|")
            if int(life) != self._life:
                return ()  # asked for in an earlier life: that computation died with the process
            event = replace(event, job=job)
        return self._live(self.machine.handle(now, event))

    def _return(self, now: Tick) -> tuple[Effect, ...]:
        self._alive = True
        self._life += 1
        self.machine = self._make()
        if self._saved is None:
            return self._live(self.machine.handle(now, Started()))
        self.machine.restore(self._saved)
        return self._live(self.machine.handle(now, Restored()))

    def _live(self, effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
        passed: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Persist):
                self._saved = self.machine.snapshot()
            elif isinstance(effect, SetTimer):
                self._timers.add(effect.name)
            elif isinstance(effect, Compute):
                effect = replace(effect, job=f"{self._life}|{effect.job}")
            passed.append(effect)
        return tuple(passed)

    def snapshot(self) -> bytes:
        """The machine's own."""
        return self.machine.snapshot()

    def restore(self, raw: bytes) -> None:
        """The machine's own."""
        self.machine.restore(raw)
