"""Who a node is connected to, whom it hears, and what it has sent: the event ``node.network``.

It is told after each round or encounter of its own, and whenever the connected peers change, and names what changed
only, so that it stays a line of some hundred bytes in a mesh of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import trio

from p2pfd.core.ids import PeerId
from p2pfd.network.api import Traffic
from p2pfd.network.counters import Counters
from p2pfd.node.telemetry import Emitter

EVENT = "node.network"
AFTER = ("round.absorbed", "learner.settled")
SECONDS = 1.0
"""How often the connected peers are looked at."""
MOST = 64
"""So many peers are named in one event, at most."""


class Surroundings(Protocol):
    """What is read of a transport."""

    @property
    def counters(self) -> Counters:
        """What it counts."""
        ...

    def peers(self) -> tuple[PeerId, ...]:
        """The peers connected now."""
        ...

    def traffic(self) -> Traffic:
        """What went over the wire."""
        ...

    def is_refused(self, peer: PeerId) -> bool:
        """Whether a peer is not welcome at present, for what it did."""
        ...


class Neighbours:
    """Tells of a transport through a node's events."""

    def __init__(self, transport: Surroundings, emit: Emitter, figures: Callable[[], Mapping[str, int]]) -> None:
        """``figures`` are more numbers to tell; those that are zero are left out."""
        self._transport = transport
        self._emit = emit
        self._figures = figures
        self._peers: frozenset[PeerId] | None = None
        self._heard: dict[str, int] = {}
        self._offences: dict[str, int] = {}
        self._refused: set[str] = set()

    def emit(self, name: str, fields: Mapping[str, object]) -> None:
        """The node's emitter, which tells of the network after each round."""
        self._emit(name, fields)
        if name in AFTER:
            self.tell()

    async def run(self) -> None:
        """Tell of it whenever the connected peers are others than they were."""
        while True:
            if frozenset(self._transport.peers()) != self._peers:
                self.tell()
            await trio.sleep(SECONDS)

    def tell(self) -> None:
        """One event: who is connected, if that changed, and from whom how much came since the last one."""
        peers = frozenset(self._transport.peers())
        traffic = self._transport.traffic()
        told: dict[str, object] = {"bytes_sent": traffic.sent, "bytes_received": traffic.received}
        if peers != self._peers:
            self._peers = peers
            told["peers"] = sorted(peers)[:MOST]
        rows = self._transport.counters.peers
        heard = {peer: row.accepted for peer, row in rows.items() if row.accepted}
        new = {peer: count - self._heard.get(peer, 0) for peer, count in sorted(heard.items())}
        if any(new.values()):
            told["heard"] = {peer: count for peer, count in new.items() if count > 0}
        offences = {peer: row.offences for peer, row in rows.items() if row.offences}
        if offences != self._offences:
            told["offences"] = dict(sorted(offences.items()))
        refused = {peer for peer in offences if self._transport.is_refused(PeerId(peer))}
        if refused != self._refused:
            told["refused"] = sorted(refused)
        self._refused = refused
        self._heard, self._offences = heard, offences
        more = {key: value for key, value in self._figures().items() if value}
        self._emit(EVENT, {**told, **more})
