"""Yamux, the stream multiplexer, as the specification has it: github.com/hashicorp/yamux/blob/master/spec.md.

py-libp2p's own spends a third of the cost of a gossip message on locks and on log lines that nobody reads, and keeps
whatever a peer sends beyond the window it was given. This one has no lock but the one around the socket, hands bytes on
as they came, and ends the connection of a peer that sends more than it may.
"""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from libp2p.abc import IMuxedConn, ISecureConn
from libp2p.connection_types import ConnectionType
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import (
    MuxedConnUnavailable,
    MuxedStreamError,
    MuxedStreamReset,
)
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID
from multiaddr import Multiaddr

from p2pfd.network.counters import Drop
from p2pfd.network.holdings import Holdings
from p2pfd.network.muxstream import ACK, DATA, EXTRA, FIN, GO_AWAY, HEADER, PING, RST, SYN, WINDOW, MuxStream
from p2pfd.network.negotiation import QuickSelector
from p2pfd.network.quicklock import QuickLock

NO_LIMIT = 2**62
ANSWERS = 64 * 1024
"""Bytes of answers that wait because a peer takes none: enough for thousands of pings, and then it is no peer."""

Blame = Callable[[ID, Drop, str], None]

log = logging.getLogger("p2pfd.network")


def nobody(_peer: ID, _reason: Drop, _why: str) -> None:
    """Nobody wants to know what a peer did."""


class Mux(IMuxedConn):  # type: ignore[misc]
    """A connection with streams on it; the peer may hold so many of them open."""

    def __init__(
        self, secured_conn: ISecureConn, peer_id: ID, inbound: int = 256, blame: Blame = nobody,
        most_extra: int = EXTRA, holdings: Holdings | None = None,
    ) -> None:  # fmt: skip
        self.secured_conn = secured_conn
        self._blame = blame
        self.most_extra = most_extra
        self._holdings = holdings or Holdings(NO_LIMIT)
        self._reading = trio.CancelScope()
        self.peer_id = peer_id
        self.on_close: Callable[[], Awaitable[Any]] | None = None  # the swarm hangs its own in here
        self.event_started = trio.Event()
        self.extra = 0
        """What streams were allowed above the window that each has from the beginning."""
        self._limit = inbound
        self._next = 1 if secured_conn.is_initiator else 2
        self._streams: dict[int, MuxStream] = {}
        self._silent: OrderedDict[int, MuxStream] = OrderedDict()
        self._opened, self._accepted = trio.open_memory_channel[MuxStream](inbound)
        self._sending = QuickLock()
        self._answers = bytearray()
        self._wake = trio.Event()
        self._over = False
        self._rest = b""
        self._body: MuxStream | None = None
        self._left = 0
        self._last = False

    # -- sending ---------------------------------------------------------------------------------------------------

    async def send(self, kind: int, flags: int, number: int, length: int, payload: bytes | memoryview = b"") -> None:
        """One frame, and with it the answers that wait."""
        async with self._sending:
            if self._over:
                raise MuxedStreamReset("the connection is closed")
            answers, self._answers = self._answers, bytearray()
            await self._write(b"".join((answers, HEADER.pack(0, kind, flags, number, length), payload)))

    async def _write(self, raw: bytes) -> None:
        try:
            await self.secured_conn.write(raw)
        except Exception as error:  # whatever a socket says, the connection is over
            self._end()
            raise MuxedStreamReset(f"the connection to {self.peer_id} broke") from error

    async def answer(self, kind: int, flags: int, number: int, length: int) -> None:
        """A frame that goes now, or with the one that is under way."""
        self._put(kind, flags, number, length)
        if not self._sending.locked():
            await self._flush()

    async def _flush(self) -> None:
        async with self._sending:
            if self._answers and not self._over:
                answers, self._answers = bytes(self._answers), bytearray()
                await self._write(answers)

    def _put(self, kind: int, flags: int, number: int, length: int) -> None:
        """What the reading side says: it never waits itself, because two readers that did would wait for each other."""
        self._answers += HEADER.pack(0, kind, flags, number, length)
        if len(self._answers) > ANSWERS:
            raise MuxedStreamError(f"{self.peer_id} asks and takes no answers")
        self._wake.set()

    def ping(self, number: int) -> None:
        """Ask for a sign of life, with the next thing that goes out, and nobody waits until it has."""
        if not self._over:
            self._put(PING, SYN, 0, number)

    async def _keep_answering(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await self._flush()

    # -- receiving -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read until the connection ends. Runs as a task of the swarm's."""
        try:
            async with trio.open_nursery() as nursery:
                self._reading = nursery.cancel_scope
                nursery.start_soon(self._keep_answering)
                self.event_started.set()
                while raw := await self.secured_conn.read():
                    if not self._feed(raw):
                        break
                nursery.cancel_scope.cancel()
        except* Exception as errors:  # noqa: BLE001 - whatever a socket, a cipher or a stranger's bytes bring about ends here
            for error in errors.exceptions:
                if type(error) is MuxedStreamError:  # those below it say that the connection is gone
                    self._blame(self.peer_id, Drop.WINDOW, str(error))
            log.debug("the connection to %s ended: %r", self.peer_id, errors.exceptions)
        finally:
            self._end()

    def _feed(self, raw: bytes) -> bool:
        """Take what came in; False when the other side says farewell."""
        view = memoryview(self._rest + raw if self._rest else raw)
        at = 0
        while True:
            if self._left:
                part = view[at : at + self._left]
                at += len(part)
                self._left -= len(part)
                if part and self._body is not None and not self._body.arrive(part):
                    raise MuxedStreamError(f"{self.peer_id} sent more than it was allowed to")
                if self._left:
                    break
                self._end_of_frame()
            if len(view) - at < HEADER.size:
                break
            version, kind, flags, number, length = HEADER.unpack_from(view, at)
            at += HEADER.size
            if version or kind > GO_AWAY:
                raise MuxedStreamError(f"{self.peer_id} speaks no yamux: version {version}, type {kind}")
            if kind == GO_AWAY:
                return False
            if kind == PING:
                if flags & SYN:
                    self._put(PING, ACK, 0, length)
                continue
            self._begin_frame(kind, flags, number, length)
        self._rest = bytes(view[at:])
        return True

    def _begin_frame(self, kind: int, flags: int, number: int, length: int) -> None:
        stream = self._streams.get(number)
        if flags & SYN:
            stream = self._welcome(number)
        self._body, self._last = stream, bool(flags & FIN)
        if stream is not None and flags & RST:
            stream.end(broken=True)
            self.forget(stream)
            self._body = None
        if kind == DATA:
            self._left = length
        elif stream is not None and length:
            stream.earn(length)
        if not self._left:
            self._end_of_frame()

    def _end_of_frame(self) -> None:
        if self._last and self._body is not None:
            self._body.end(broken=False)
            self.forget(self._body)
        self._body, self._last = None, False

    def _welcome(self, number: int) -> MuxStream | None:
        """A stream that the other side opens."""
        if number in self._streams or number % 2 == self._next % 2 or not number:
            raise MuxedStreamError(f"{self.peer_id} opened stream {number}, which is not its to open")
        stream = MuxStream(number, self)
        try:
            if sum(other % 2 == number % 2 for other in self._streams) >= self._limit:
                raise trio.WouldBlock
            self._opened.send_nowait(stream)
        except trio.WouldBlock:  # too many are open, or too many came and went before the host looked at one
            self._blame(self.peer_id, Drop.STREAMS, f"stream {number}")
            self._put(WINDOW, RST, number, 0)
            return None
        self._streams[number] = stream
        self._put(WINDOW, ACK, number, 0)
        return stream

    # -- streams ---------------------------------------------------------------------------------------------------

    async def open_stream(self) -> MuxStream:
        """A new stream to the other side."""
        if self._over:
            raise MuxedStreamError("the connection is closed")
        number, self._next = self._next, self._next + 2
        stream = self._streams[number] = MuxStream(number, self)
        self._put(WINDOW, SYN, number, 0)  # in one write with what is said first, when that is at once
        await trio.lowlevel.checkpoint_if_cancelled()
        return stream

    async def accept_stream(self) -> MuxStream:
        """The next stream that the other side opened; MuxedConnUnavailable when the connection is closed."""
        try:
            return await self._accepted.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise MuxedConnUnavailable("the connection is closed") from None

    def forget(self, stream: MuxStream) -> None:
        """A side has said all. What neither side uses is dropped, and so are old ones whose other side says nothing."""
        number = stream.stream_id
        if stream.is_closed:
            self._silent.pop(number, None)
            if self._streams.pop(number, None) is not None:
                self.extra -= stream.extra
                stream.let_go()
        elif stream.closed and number in self._streams:
            self._silent[number] = stream
            if len(self._silent) > self._limit:
                oldest = next(iter(self._silent.values()))
                oldest.end(broken=True)
                self.forget(oldest)
                self._put(WINDOW, RST, oldest.stream_id, 0)

    def held(self, more: int) -> None:
        """So many bytes more, or fewer, are held for whoever is to read them."""
        if not self._over:
            self._holdings.change(self, more)

    def shed(self) -> None:
        """All connections together hold too much, and this one the most: it ends, and nobody is to blame."""
        self._blame(self.peer_id, Drop.MEMORY, "it held the most")
        self._end()
        self._reading.cancel()

    # -- what the swarm asks ---------------------------------------------------------------------------------------

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        self._holdings.forget(self)
        for stream in self._streams.values():
            stream.end(broken=not stream.ended)
        self._streams.clear()
        self._silent.clear()
        self._opened.close()

    async def close(self) -> None:
        """Say farewell, as far as it can be said at once, and close."""
        if not self._over and not self._sending.locked():
            with contextlib.suppress(MuxedStreamReset):
                await self.send(GO_AWAY, 0, 0, 0)
        self._end()
        with contextlib.suppress(BaseLibp2pError, OSError, trio.ClosedResourceError, trio.BrokenResourceError):
            await self.secured_conn.close()
        if self.on_close is not None:
            await self.on_close()

    @property
    def is_initiator(self) -> bool:
        """Whether we dialled."""
        return bool(self.secured_conn.is_initiator)

    @property
    def is_established(self) -> bool:
        """Whether streams can be opened."""
        return self.event_started.is_set() and not self._over

    @property
    def is_closed(self) -> bool:
        """Whether it is over."""
        return self._over

    def get_transport_addresses(self) -> list[Multiaddr]:
        """Where the other side is."""
        return list(self.secured_conn.get_transport_addresses())

    def get_connection_type(self) -> ConnectionType:
        """How it is reached."""
        return self.secured_conn.get_connection_type()

    def get_remote_address(self) -> tuple[str, int] | None:
        """The other end of the socket."""
        address: tuple[str, int] | None = self.secured_conn.get_remote_address()
        return address


class Muxers(MuxerMultistream):  # type: ignore[misc]
    """Negotiates yamux and nothing else, and uses the one above. 0.8.1 names its own class there."""

    def __init__(self, inbound: int, blame: Blame, most_extra: int, holdings: Holdings) -> None:
        super().__init__({PROTOCOL_ID: Mux})
        self._selector = QuickSelector({PROTOCOL_ID: Mux})
        self._inbound = inbound
        self._blame = blame
        self._most_extra = most_extra
        self._holdings = holdings

    async def new_conn(self, conn: ISecureConn, peer_id: ID) -> IMuxedConn:
        """A connection with streams over a secure one."""
        protocol, _ = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        mux = Mux(conn, peer_id, self._inbound, self._blame, self._most_extra, self._holdings)
        return self._annotate_connection(mux, conn, protocol)
