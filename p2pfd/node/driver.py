"""The trio driver: waits for what is next on a machine's agenda, and has its effects carried out.

It knows no socket, chain or disk. What effects mean is decided by the `Ports` that it is given: the real ones in a
node, a simulated world's in a test. The order of events is the agenda's, so a run under a mock clock is the run of the
simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, assert_never

import trio

from p2pfd.core.agenda import Agenda, Kind
from p2pfd.core.claims import Claim
from p2pfd.core.effects import (
    Answer,
    CancelTimer,
    Compute,
    Effect,
    Emit,
    Field,
    Persist,
    Publish,
    Send,
    SetTimer,
    Submit,
    Work,
)
from p2pfd.core.events import Event, Message
from p2pfd.core.ids import PeerId
from p2pfd.core.machine import Machine
from p2pfd.core.ticks import SECOND, Clock, Tick
from p2pfd.core.verdict import Verdict

_BURST = 64
"""So many events are handled before other tasks get their turn."""
LONGEST_WAIT = 30.0
"""It looks at its clock again after so long, for that goes on while the machine sleeps, and trio's does not."""
LATE = 1 * SECOND
"""An event that comes later than this happens when it comes."""
Observer = Callable[[Tick, Event, tuple[Effect, ...]], None]


class Ports(Protocol):
    """Carries out effects. No method waits: what takes time is begun, and reported later through `Driver.post`."""

    def answer(self, delivery: int, verdict: Verdict) -> None:
        """Tell the network what the machine thinks of a delivery."""
        ...

    def publish(self, message: Message) -> None:
        """Say it to everyone in the task."""
        ...

    def send(self, peer: PeerId, message: Message) -> None:
        """Say it to one peer."""
        ...

    def compute(self, job: str, work: Work) -> None:
        """Begin a work."""
        ...

    def submit(self, intent: str, claim: Claim) -> None:
        """Put a claim on the chain, once."""
        ...

    def persist(self, snapshot: bytes) -> None:
        """Have the snapshot on disk when this returns."""
        ...

    def emit(self, name: str, fields: Mapping[str, Field]) -> None:
        """Tell whoever watches."""
        ...


class Driver:
    """Runs one machine."""

    def __init__(self, machine: Machine, ports: Ports, clock: Clock, observe: Observer | None = None) -> None:
        self.machine = machine
        self.clock = clock
        self._ports = ports
        self._observe = observe
        self._agenda = Agenda()
        self._wake = trio.Event()
        self._latest = Tick(0)

    def post(
        self, kind: Kind, event: Event, at: Tick | None = None, source: int = 0, number: int | None = None
    ) -> None:
        """Let this happen to the machine: now, or at a tick. Without a number, in the order of posting."""
        when = self.clock.now() if at is None else at
        self._agenda.post(when, kind, source, self._agenda.number() if number is None else number, event)
        self._wake.set()

    async def run(self) -> None:
        """Handle events until cancelled."""
        burst = 0
        while True:
            now = self.clock.now()
            due = self._agenda.pop(now)
            if due is None:
                await self._wait()
                burst = 0
                continue
            planned, event = due
            # What comes late comes now. A machine that slept, or whose clock is ahead of a deadline that it was told,
            # would else live through the time between in a moment: one timer after the other, and no answer to any.
            at = self._latest = max(planned, self._latest, Tick(now - LATE))
            effects = self.machine.handle(at, event)
            if self._observe is not None:
                self._observe(at, event, effects)
            for effect in effects:
                self._perform(effect)
            burst += 1
            if burst == _BURST:
                await trio.lowlevel.checkpoint()
                burst = 0

    async def _wait(self) -> None:
        if self._wake.is_set():
            self._wake = trio.Event()
        following = self._agenda.next
        timeout = float("inf")
        if following is not None:
            timeout = min(LONGEST_WAIT, max(0, following - self.clock.now()) / SECOND)
        with trio.move_on_after(timeout):
            await self._wake.wait()

    def _perform(self, effect: Effect) -> None:
        ports = self._ports
        match effect:
            case Answer(delivery, verdict):
                ports.answer(delivery, verdict)
            case Publish(message):
                ports.publish(message)
            case Send(peer, message):
                ports.send(peer, message)
            case SetTimer(name, at):
                self._agenda.set_timer(name, at)
            case CancelTimer(name):
                self._agenda.cancel_timer(name)
            case Compute(job, work):
                ports.compute(job, work)
            case Submit(intent, claim):
                ports.submit(intent, claim)
            case Persist():
                ports.persist(self.machine.snapshot())
            case Emit(name, fields):
                ports.emit(name, fields)
            case _:
                assert_never(effect)
