"""The host: streams that come in, and who it is that opens them.

Subclasses of what py-libp2p 0.8.1 has; each repair says why, as in `p2pfd.network.patches`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio
from libp2p.abc import INetConn, INetStream
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.host.basic_host import BasicHost
from libp2p.host.exceptions import StreamFailure
from libp2p.network.auto_connector import AutoConnector
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from p2pfd.core.ids import PeerId
from p2pfd.errors import P2pfdError
from p2pfd.network.counters import Counters, Drop
from p2pfd.network.muxstream import MuxStream
from p2pfd.network.negotiation import NegotiationError, agree, choose
from p2pfd.network.shares import Shares, StreamFaultError

Strike = Callable[[PeerId, str], None]
THEIRS = (P2pfdError, BaseLibp2pError, OSError, trio.TooSlowError)
"""Errors that come about by what a peer does."""

log = logging.getLogger("p2pfd.network")


class NoAutoConnector(AutoConnector):  # type: ignore[misc]
    """0.8.1 dials every address it ever heard of while fewer than half of the allowed connections are up."""

    async def maybe_connect(self) -> None:
        """Whom to connect to is decided by `Links`."""


class QuietSwarm(Swarm):  # type: ignore[misc]
    """0.8.1 starts a task for each of four listeners at either end of every stream, and none of them does anything."""

    async def notify_opened_stream(self, stream: INetStream) -> None:
        """Nobody is interested."""

    async def notify_closed_stream(self, stream: INetStream) -> None:
        """Nobody is interested, and nothing was taken for it: there is no resource manager."""
        stream._resource_released = True


class SafeHost(BasicHost):  # type: ignore[misc]
    """A host that outlives its stream handlers."""

    def __init__(
        self, network: Any, addresses: Sequence[Multiaddr], streams_per_peer: int, negotiation_seconds: float,
        counters: Counters, shares: Shares, **options: Any,
    ) -> None:  # fmt: skip
        self._counters = counters
        self._shares = shares
        self.strike: Strike = lambda _peer, _reason: None
        self.identify: Callable[[ID], Awaitable[str | None]] | None = None
        suffix = Multiaddr(f"/p2p/{network.get_peer_id()}")
        self._fixed = [address.encapsulate(suffix) for address in addresses]
        self._streams_per_peer = streams_per_peer
        self._negotiation_seconds = negotiation_seconds
        super().__init__(network, **options)

    def get_addrs(self) -> list[Multiaddr]:
        """Ours do not change. 0.8.1 builds the list anew for every RPC that it sends."""
        return list(self._fixed)

    async def _swarm_stream_handler(self, stream: INetStream) -> None:
        """In 0.8.1 an exception in any stream handler ends the swarm: one bad stream and the node is gone."""
        held = stream.swarm_conn.get_streams() if stream.swarm_conn is not None else ()
        peer = PeerId(stream.muxed_conn.peer_id.to_base58())
        if len(held) > self._streams_per_peer:
            self._counters.drop(Drop.STREAMS, peer)
            await stream.reset()
            return
        try:
            await self._shares.of(peer).ask()
            handle = await self._agreed(stream)
            if handle is None:
                self._counters.drop(Drop.PROTOCOL, peer)
                await stream.reset()
            else:
                await handle(stream)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises concerns this stream alone
            reason = Drop.STREAM_TIME if isinstance(error, trio.TooSlowError) else Drop.STREAM_ERROR
            if isinstance(error, StreamFaultError):
                reason = error.reason
                if error.offence:
                    self.strike(peer, error.what)
            self._counters.drop(reason, peer)
            # What strangers bring about is counted; a line for each would let them fill a disk. Ours is worth a line.
            ours = reason is Drop.SERVICE or not isinstance(error, THEIRS)
            log.log(logging.WARNING if ours else logging.DEBUG, "%s of %s: %r", stream.get_protocol(), peer, error)
            await stream.reset()

    async def _agreed(self, stream: INetStream) -> Callable[[INetStream], Awaitable[None]] | None:
        """What handles a stream that comes in; None when no protocol is agreed on in time."""
        try:
            with trio.fail_after(self._negotiation_seconds):
                protocol = await agree(stream, self.multiselect.handlers)
        except (NegotiationError, BaseLibp2pError, trio.TooSlowError) as error:
            log.debug("%s asks for no protocol: %r", stream.muxed_conn.peer_id, error)
            return None
        stream.set_protocol(protocol)
        self._count(stream, protocol)
        handle: Callable[[INetStream], Awaitable[None]] | None = self.multiselect.handlers[protocol]
        return handle

    async def new_stream(self, peer_id: ID, protocol_ids: Sequence[TProtocol], early: bytes = b"") -> INetStream:
        """A stream that speaks one of these; StreamFailure when the peer speaks none.

        ``early`` is said already, before it is known that the only one of these is spoken there.
        """
        stream: INetStream = await self._network.new_stream(peer_id)
        self._count(stream, protocol_ids[0])
        try:
            with trio.fail_after(self._negotiation_seconds):
                protocol = await choose(stream, protocol_ids, early)
        except BaseException as error:
            with trio.CancelScope(shield=True):  # bounded: writing to a socket is
                await stream.reset()
            if isinstance(error, (BaseLibp2pError, trio.TooSlowError)):
                raise StreamFailure(f"failed to open a stream to peer {peer_id}: {error}") from error
            raise
        stream.set_protocol(protocol)
        return stream

    def _count(self, stream: INetStream, protocol: TProtocol) -> None:
        """From here on its bytes are this protocol's."""
        if isinstance(mux := getattr(stream, "muxed_stream", None), MuxStream):
            mux.volume = self._counters.protocol(protocol)

    async def _identify_peer(self, peer_id: ID, *, reason: str) -> None:
        """0.8.1 takes a megabyte from anybody, and keeps what is in it."""
        when = await self.identify(peer_id) if self.identify is not None else None
        if when is not None and self._network.get_connections(peer_id):
            self._identified_peers[peer_id] = when

    async def _on_notifee_connected(self, conn: INetConn) -> None:
        self._counters.came(conn.muxed_conn.peer_id.to_base58())
        await super()._on_notifee_connected(conn)

    def _on_notifee_disconnected(self, conn: INetConn) -> None:
        super()._on_notifee_disconnected(conn)
        peer = conn.muxed_conn.peer_id
        if not self._network.get_connections(peer):
            self._counters.left(peer.to_base58())
