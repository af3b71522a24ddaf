"""How an encounter stands while it is in play, and the moment in which something is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum


class Phase(IntEnum):
    """Where a lane stands."""

    IDLE = 0
    OPEN = 1
    DRAWN = 2
    REPORTED = 3


@dataclass(frozen=True, slots=True)
class Moment:
    """When something happens: the second, the block it is in, and the hashes of blocks before."""

    now: int
    block: int
    hash_of: Callable[[int], bytes]


@dataclass(slots=True)
class Lane:
    """A learner's place for one encounter at a time. The tag is what every call must bring along."""

    nonce: int = 0
    phase: Phase = Phase.IDLE
    escrow: int = 0
    tag: tuple[object, ...] = ()
    ballot: int = 0

    def state(self, place: int) -> int:
        """Of a place: 0 nothing, 1 committed, 2 valid, 3 invalid."""
        return self.ballot >> 2 * place & 3

    def states(self, size: int) -> list[int]:
        """Of all places."""
        return [self.state(place) for place in range(size)]
