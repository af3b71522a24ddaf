"""What a machine can ask of its driver. A closed union, carried out in the order in which the effects stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from p2pfd.core.events import Message
from p2pfd.core.ids import PeerId
from p2pfd.core.ticks import Tick
from p2pfd.core.verdict import ACCEPT, Verdict

if TYPE_CHECKING:
    from p2pfd.core.claims import Claim

Field = str | int | bool | bytes | None | tuple["Field", ...]


class Work:
    """Base of what a machine wants computed; each role names its own beside the `Outcome` it expects."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict on a delivery: the only effect that a `Heard` must have."""

    delivery: int
    verdict: Verdict


@lru_cache(maxsize=1024)
def accepted(delivery: int) -> Answer:
    """The commonest effect there is. In a simulation, neighbours hear messages under the same number."""
    return Answer(delivery, ACCEPT)


@dataclass(frozen=True, slots=True)
class Publish:
    """Say this to everyone in the task."""

    message: Message


@dataclass(frozen=True, slots=True)
class Send:
    """Say this to one peer."""

    peer: PeerId
    message: Message


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Wake the machine at this tick; a timer of the same name is moved."""

    name: str
    at: Tick


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget the timer; it is no error when there is none."""

    name: str


@dataclass(frozen=True, slots=True)
class Compute:
    """Do this off the event loop and report it under the job's name; a later job of the same name replaces it."""

    job: str
    work: Work


@dataclass(frozen=True, slots=True)
class Submit:
    """Put this claim on the chain, once: an intent that was submitted before is not submitted again."""

    intent: str
    claim: Claim


@dataclass(frozen=True, slots=True)
class Persist:
    """Write the machine's snapshot to disk before going on."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell whoever watches; it changes nothing."""

    name: str
    fields: Mapping[str, Field] = field(default_factory=dict)


Effect = Answer | Publish | Send | SetTimer | CancelTimer | Compute | Submit | Persist | Emit
