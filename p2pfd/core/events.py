"""What can happen to a machine. A closed union: a new kind of event is a change to every machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pfd.core.ids import PeerId

if TYPE_CHECKING:
    from p2pfd.core.claims import ChainEvent, Receipt


class Message:
    """Base of what peers say to one another; the closed union of them stands in `p2pfd.wire.messages`."""

    __slots__ = ()


class Outcome:
    """Base of what a computation yields; each role names its own beside the `Work` that asks for it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Started:
    """The machine runs for the first time."""


@dataclass(frozen=True, slots=True)
class Restored:
    """The machine runs again, from a snapshot: timers and computations of before are gone."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A peer said something, and the signature is the peer's own. ``raw`` is what it signed: it may become evidence."""

    delivery: int
    sender: PeerId
    message: Message
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that the machine set has come."""

    name: str


@dataclass(frozen=True, slots=True)
class Computed:
    """A computation is done, or failed: then ``outcome`` is None and ``failure`` says why."""

    job: str
    outcome: Outcome | None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """A claim's receipt; `Pending` is never reported."""

    intent: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class ChainSaw:
    """The chain says so, as final as its profile asks; ``block`` is where, for roles that ask (0: not told)."""

    event: ChainEvent
    block: int = 0


Event = Started | Restored | Heard | TimerFired | Computed | Settled | ChainSaw
