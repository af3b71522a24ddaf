"""What a chain says of a round, told apart from what else it says, and in a form for snapshots."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeGuard

from p2pfd.core.canonical import Plain
from p2pfd.core.claims import (
    ChainEvent,
    LabelsCommitted,
    LabelsRevealed,
    RevealsClosed,
    RevealsOpened,
    RoundOpened,
    RoundSettled,
    TaskClosed,
)
from p2pfd.core.ids import TaskId
from p2pfd.errors import DecodeError

MOST_ROUNDS = 16
"""A node that is further behind skips rounds, and takes over the others' student in the end."""

RoundEvent = RoundOpened | LabelsCommitted | RevealsOpened | LabelsRevealed | RevealsClosed | RoundSettled
_OF_ROUNDS = (RoundOpened, LabelsCommitted, RevealsOpened, LabelsRevealed, RevealsClosed, RoundSettled)
_KINDS: Mapping[str, Any] = MappingProxyType({kind.__name__: kind for kind in (*_OF_ROUNDS, TaskClosed)})


def of_round(saw: ChainEvent, after: int) -> TypeGuard[RoundEvent]:
    """Whether the chain speaks of how a round later than this one goes."""
    return isinstance(saw, _OF_ROUNDS) and saw.round > after


def to_plain(saw: RoundEvent | TaskClosed) -> list[Plain]:
    """The event, for a snapshot of its task."""
    fields = [getattr(saw, entry.name) for entry in dataclasses.fields(saw) if entry.name != "task"]
    return [type(saw).__name__, *fields]


def from_plain(task: TaskId, value: list[Any]) -> RoundEvent | TaskClosed:
    """The event that `to_plain` wrote."""
    name, *fields = value
    kind = _KINDS.get(name)
    if kind is None:
        raise DecodeError("a snapshot that holds no event of a chain")
    made: RoundEvent | TaskClosed = kind(task, *(tuple(part) if isinstance(part, list) else part for part in fields))
    return made
