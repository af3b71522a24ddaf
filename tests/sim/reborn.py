"""A machine that is replaced by its own snapshot before every event."""

from __future__ import annotations

from collections.abc import Callable

from p2pfd.core.effects import Effect
from p2pfd.core.events import Event
from p2pfd.core.machine import Machine
from p2pfd.core.ticks import Tick


class Reborn:
    """Before each event, a new machine takes the old one's place through its snapshot."""

    def __init__(self, make: Callable[[int], Machine], node: int) -> None:
        self.make, self.node = make, node
        self.machine = make(node)

    def handle(self, now: Tick, event: Event) -> tuple[Effect, ...]:
        raw = self.machine.snapshot()
        self.machine = self.make(self.node)
        self.machine.restore(raw)
        assert self.machine.snapshot() == raw
        return self.machine.handle(now, event)

    def snapshot(self) -> bytes:
        return self.machine.snapshot()

    def restore(self, raw: bytes) -> None:
        self.machine.restore(raw)
