"""A bad network around a running node, for those who want to see what it does then: loss, delay, peers out of reach.

Nothing of it is there until somebody makes a `Faults`. It puts itself before what a transport does: who is let in, what
is done with a message that arrives, what answers a stream, and how one is opened. What is lost is lost before anybody
has looked at it, as on a wire: another neighbour's copy may still come, and so may what is asked for later.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.host.exceptions import StreamFailure
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2

from p2pfd.core.ids import PeerId
from p2pfd.core.rng import Rng
from p2pfd.network.libp2p import Libp2pTransport
from p2pfd.network.sockets import socket_of

WHOLE = 1_000_000
MOST_HELD = 4096
"""So many messages are held back at one time; what comes on top is lost."""
OURS = "/p2pfd/"
"""How the protocols begin whose streams are delayed and lost: questions, answers and blobs."""

Handle = Callable[[INetStream], Awaitable[None]]


class Faults:
    """What is wrong with one node's network. ``seen`` counts what became of what came in."""

    def __init__(self, transport: Libp2pTransport, nursery: trio.Nursery, rng: Rng) -> None:
        self._links, self._gossip = transport._links, transport._gossip
        self._nursery = nursery
        self._rng, self._of_streams = rng.split("messages"), rng.split("streams")
        self._away: frozenset[PeerId] = frozenset()
        self._share = 0
        self._least = self._most = 0.0
        self._waiting: dict[ID, deque[tuple[float, rpc_pb2.Message]]] = {}
        self._held = 0
        self.seen: Counter[str] = Counter()
        self._is_refused, self._links.is_refused = self._links.is_refused, self._refuses
        self._take, self._gossip.arrive = self._gossip.arrive, self._arrive
        host = self._gossip.host
        self._open, host.new_stream = host.new_stream, self._new_stream
        handlers = host.multiselect.handlers
        for protocol, handle in tuple(handlers.items()):
            if protocol is not None and protocol.startswith(OURS):
                handlers[protocol] = self._around(handle)

    def cut(self, peers: Iterable[PeerId]) -> None:
        """These, and nobody else, are out of reach from now on: connections to them end, and none comes about."""
        self._away = frozenset(peers)
        for connection in self._links.connections():
            if connection.muxed_conn.peer_id.to_base58() in self._away:
                wire = socket_of(connection)
                if wire is not None:
                    wire.cut()
        self._links.stir()

    def lose(self, share: int) -> None:
        """Lose so many millionths of what comes in."""
        self._share = share

    def delay(self, least: float, most: float) -> None:
        """Let what comes in come later, by as many seconds as are drawn for it; each neighbour keeps its order."""
        self._least, self._most = least, most

    def _refuses(self, peer: PeerId) -> bool:
        return peer in self._away or self._is_refused(peer)

    def _loses(self, rng: Rng, what: str) -> bool:
        lost = self._share > 0 and rng.chance(self._share, WHOLE)
        self.seen[f"{what} lost" if lost else f"{what} taken"] += 1
        return lost

    def _pause(self, rng: Rng) -> float:
        return self._least + (self._most - self._least) * rng.unit() if self._most else 0.0

    # -- gossip --------------------------------------------------------------------------------------------------------

    def _arrive(self, via: ID, message: rpc_pb2.Message) -> None:
        if self._loses(self._rng, "messages"):
            return
        pause = self._pause(self._rng)
        queue = self._waiting.get(via)
        if queue is None and not pause:
            self._take(via, message)
        elif self._held >= MOST_HELD:
            self.seen["messages lost"] += 1
        else:
            self._held += 1
            if queue is None:
                queue = self._waiting[via] = deque()
                self._nursery.start_soon(self._release, via, queue)
            queue.append((trio.current_time() + pause, message))

    async def _release(self, via: ID, queue: deque[tuple[float, rpc_pb2.Message]]) -> None:
        """One after the other: of tasks that wake at one moment, each may be the first."""
        while queue:
            await trio.sleep_until(queue[0][0])
            self._held -= 1
            self._take(via, queue.popleft()[1])
        del self._waiting[via]

    # -- streams -------------------------------------------------------------------------------------------------------

    def _around(self, handle: Handle) -> Handle:
        async def handled(stream: INetStream) -> None:
            if self._loses(self._of_streams, "streams"):
                await stream.reset()
                return
            await trio.sleep(self._pause(self._of_streams))
            await handle(stream)

        return handled

    async def _new_stream(self, peer: ID, protocols: Sequence[TProtocol], *early: Any) -> INetStream:
        """What this node asks is answered late as well, or not at all."""
        if all(protocol.startswith(OURS) for protocol in protocols):
            if self._loses(self._of_streams, "streams"):
                raise StreamFailure(f"a stream to {peer} is lost")
            await trio.sleep(self._pause(self._of_streams))
        stream: INetStream = await self._open(peer, protocols, *early)
        return stream
