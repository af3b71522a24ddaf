"""Trouble for one node, as whoever started it asks for it. An honest node does not load this module."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import trio

from p2pfd.core.ids import PeerId
from p2pfd.core.rng import Rng
from p2pfd.network.faults import WHOLE, Faults
from p2pfd.network.libp2p import Libp2pTransport
from p2pfd.node.store import Store
from p2pfd.node.telemetry import Emitter

MOST_SECONDS = 3_600.0
MOST_PEERS = 4_096
_WRITES = ("insert", "update")


@dataclass(frozen=True, slots=True)
class Cut:
    """These peers, and nobody else, are out of reach."""

    peers: tuple[PeerId, ...]
    also: bool = False
    """They are out of reach beside those who were before."""


@dataclass(frozen=True, slots=True)
class Lose:
    """So many millionths of what comes in are lost."""

    share: int


@dataclass(frozen=True, slots=True)
class Late:
    """What comes in comes later by as many seconds as are drawn for it."""

    least: float
    most: float


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """Each write to the database takes so many seconds longer."""

    seconds: float


Trouble = Cut | Lose | Late | SlowDisk


def trouble_of(line: Mapping[str, object]) -> Trouble | None:
    """The trouble that a line of control asks for; None for one that asks for none."""
    match line:
        case {"cut": list(peers), **rest} if not rest:
            names = [PeerId(peer) for peer in peers if isinstance(peer, str)]
            return Cut(tuple(names)) if len(names) == len(peers) <= MOST_PEERS else None
        case {"cut-also": list(peers), **rest} if not rest:
            names = [PeerId(peer) for peer in peers if isinstance(peer, str)]
            return Cut(tuple(names), also=True) if len(names) == len(peers) <= MOST_PEERS else None
        case {"lose": int(share), **rest} if not rest and not isinstance(share, bool):
            return Lose(share) if 0 <= share <= WHOLE else None
        case {"late": [least, most], **rest} if not rest:
            first, last = _seconds(least), _seconds(most)
            return None if first is None or last is None or first > last else Late(first, last)
        case {"slow-disk": pause, **rest} if not rest:
            found = _seconds(pause)
            return None if found is None else SlowDisk(found)
        case _:
            return None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOST_SECONDS:
        return None
    return float(value)


async def suffer(
    troubles: AsyncIterator[Mapping[str, object]], rng: Rng, transport: Libp2pTransport, store: Store, emit: Emitter
) -> None:
    """Let go wrong what is asked for, for as long as the node runs. Until something is, its network is untouched."""
    async with trio.open_nursery() as nursery:
        suffering: Suffering | None = None
        async for line in troubles:
            suffering = suffering or Suffering(transport, store, nursery, rng, emit)
            suffering.take(line)


class Suffering:
    """One node's trouble. A disk that is slow holds up the whole node, as a real one does."""

    def __init__(
        self,
        transport: Libp2pTransport,
        store: Store,
        nursery: trio.Nursery,
        rng: Rng,
        emit: Emitter,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._faults = Faults(transport, nursery, rng)
        self._store = store
        self._emit = emit
        self._wait = wait
        self._away: frozenset[PeerId] = frozenset()

    def take(self, line: Mapping[str, object]) -> None:
        """Do what a line asks for, and say so in the node's own stream of events."""
        match trouble_of(line):
            case Cut(peers, also):
                self._away = (self._away if also else frozenset()) | frozenset(peers)
                self._faults.cut(self._away)
                self._emit("chaos.cut", {"peers": len(self._away)})
            case Lose(share):
                self._faults.lose(share)
                self._emit("chaos.loss", {"share": share / WHOLE})
            case Late(least, most):
                self._faults.delay(least, most)
                self._emit("chaos.delay", {"least": least, "most": most})
            case SlowDisk(seconds):
                self._store.trace(self._slowly(seconds) if seconds else None)
                self._emit("chaos.disk", {"seconds": seconds})
            case None:
                self._emit("control.garbled", {"line": str(dict(line))[:80]})

    def _slowly(self, seconds: float) -> Callable[[str], None]:
        def pause(statement: str) -> None:
            if statement.lstrip().lower().startswith(_WRITES):
                self._wait(seconds)

        return pause
