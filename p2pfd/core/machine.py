"""The machine protocol: every role is a pure state machine that turns ``(now, Event)`` into ``Effect``s."""

from __future__ import annotations

from typing import Protocol

from p2pfd.core.effects import Effect
from p2pfd.core.events import Event
from p2pfd.core.ticks import Tick


class Machine(Protocol):
    """A role. It keeps no clock, socket or file, and two machines given the same events answer with the same effects.

    The driver's side of the bargain:

    * ``handle`` is called with events in the order of their ticks; ``now`` never runs backwards;
    * effects are carried out in the order in which they stand, and `Persist` is on disk before what follows it leaves;
    * every `Heard` is answered by exactly one `Answer`, in the effects of that same call.

    ``restore(snapshot())`` is the identity: the restored machine answers every later event as the first would have.
    A restored machine is told so by `Restored`, and sets its timers and asks for its computations anew.
    """

    def handle(self, now: Tick, event: Event) -> tuple[Effect, ...]:
        """What follows from this event."""
        ...

    def snapshot(self) -> bytes:
        """The whole state as canonical bytes."""
        ...

    def restore(self, raw: bytes) -> None:
        """Become the machine that `snapshot` described; DecodeError when the bytes are not a snapshot of this role."""
        ...
