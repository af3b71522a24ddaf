"""One stream of a yamux connection: its windows, what has arrived, and what may be sent."""

from __future__ import annotations

import contextlib
import struct
from collections import deque
from types import TracebackType
from typing import Protocol

import trio
from libp2p.abc import IMuxedStream
from libp2p.stream_muxer.exceptions import (
    MuxedStreamClosed,
    MuxedStreamEOF,
    MuxedStreamError,
    MuxedStreamReset,
)

from p2pfd.network.counters import Volume

HEADER = struct.Struct("!BBHII")
DATA, WINDOW, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
WINDOW_BYTES = 256 * 1024
MAX_WINDOW = 4 * 1024 * 1024
SMALL = 4096
"""Smaller parts are put together, so that many of them take no more memory than their bytes."""
EXTRA = 16 * 1024 * 1024
"""What one connection may hold above the first window of each of its streams, where nothing else is said."""
PAYLOAD = 65_507  # with its header and the cipher's sixteen bytes one noise message of the largest size
CREDIT_SECONDS = 15.0


class Connection(Protocol):
    """What a stream asks of its connection."""

    extra: int
    """What its streams were allowed above the window that each has from the beginning."""
    most_extra: int
    """And how much of that there may be."""

    def held(self, more: int) -> None:
        """So many bytes more, or fewer, have arrived and were not read."""
        ...

    async def send(self, kind: int, flags: int, number: int, length: int, payload: bytes | memoryview = b"") -> None:
        """A frame."""
        ...

    async def answer(self, kind: int, flags: int, number: int, length: int) -> None:
        """A frame that goes now, or with the one that is under way."""
        ...

    def forget(self, stream: MuxStream) -> None:
        """A side has said all."""
        ...

    def get_remote_address(self) -> tuple[str, int] | None:
        """The other end of the socket."""
        ...


class MuxStream(IMuxedStream):  # type: ignore[misc]
    """One stream of a connection."""

    def __init__(self, number: int, conn: Connection) -> None:
        self.stream_id = number
        self.muxed_conn = conn
        self._arrived: deque[memoryview | bytearray] = deque()
        self._held = 0
        self.volume = Volume()
        """Where its bytes are counted; the host says, once it knows what the stream is for."""
        self.counted = True
        """What it holds is the connection's; not any more once that has let it go."""
        self._allowed = self._window = WINDOW_BYTES
        self.extra = 0
        self._credit = WINDOW_BYTES
        self._news = trio.Event()
        self._room = trio.Event()
        self.ended = False
        """The other side has said all."""
        self.closed = False
        """We have."""
        self.broken = False

    # -- what the connection tells ---------------------------------------------------------------------------------

    def arrive(self, part: memoryview) -> bool:
        """Bytes came in; False when they are more than was allowed."""
        if len(part) > self._allowed or self.ended:
            return False
        self._allowed -= len(part)
        self._held += len(part)
        self.volume.bytes_in += len(part)
        self.muxed_conn.held(len(part))
        if len(part) >= SMALL:  # a view holds on to all that came with it: at most as much again
            self._arrived.append(part if 2 * len(part) >= memoryview(part.obj).nbytes else memoryview(bytes(part)))
        elif self._arrived and isinstance(last := self._arrived[-1], bytearray) and len(last) < SMALL:
            last += part
        else:
            self._arrived.append(bytearray(part))
        self._news.set()
        return True

    def earn(self, credit: int) -> None:
        """The other side takes so much more."""
        self._credit += credit
        self._room.set()

    def end(self, broken: bool) -> None:
        """Nothing more will come in; nor can anything go out when it is broken."""
        self.ended = True
        self.broken = self.broken or broken
        self._news.set()
        self._room.set()

    @property
    def held(self) -> int:
        """Bytes that have arrived and were not read."""
        return self._held

    # -- what the host does ----------------------------------------------------------------------------------------

    async def read(self, n: int | None = None) -> bytes:
        """Some bytes, at most n; MuxedStreamEOF at the end."""
        while not self._held:
            if self.broken:
                raise MuxedStreamReset(f"stream {self.stream_id} was reset")
            if self.ended:
                raise MuxedStreamEOF(f"stream {self.stream_id} has ended")
            if self._news.is_set():
                self._news = trio.Event()
            await self._news.wait()
        return await self._take(self._held if n is None or n < 0 else min(n, self._held))

    async def _take(self, wanted: int) -> bytes:
        first = self._arrived[0]
        if len(first) > wanted:
            self._arrived[0] = first[wanted:]
            out = bytes(first[:wanted])
        else:
            parts = [self._arrived.popleft()]
            size = len(first)
            while self._arrived and size + len(self._arrived[0]) <= wanted:
                parts.append(self._arrived.popleft())
                size += len(parts[-1])
            out = b"".join(parts)
        self._held -= len(out)
        if self.counted:
            self.muxed_conn.held(-len(out))
        if not self.ended and self._window - self._allowed - self._held >= self._window // 2:
            await self._allow_more()
        return out

    def let_go(self) -> None:
        """The connection does not know it any more."""
        if self.counted:
            self.counted = False
            self.muxed_conn.held(-self._held)

    async def _allow_more(self) -> None:
        """Give back what was read, and as much again while the reader is quicker than what comes in."""
        if (
            not self._held
            and self._window < MAX_WINDOW
            and self.muxed_conn.extra + self._window <= self.muxed_conn.most_extra
        ):
            self.extra += self._window
            self.muxed_conn.extra += self._window
            self._window *= 2
        credit = self._window - self._allowed - self._held
        self._allowed += credit
        await self.muxed_conn.answer(WINDOW, 0, self.stream_id, credit)

    async def write(self, data: bytes) -> None:
        """All of the bytes, as the other side takes them; MuxedStreamError when it takes none for long."""
        start, view = 0, memoryview(data)
        while start < len(view):
            if self.broken or self.closed:
                error = MuxedStreamReset if self.broken else MuxedStreamClosed
                raise error(f"stream {self.stream_id} is closed")
            if not self._credit:
                await self._wait_for_room()
                continue
            size = min(self._credit, PAYLOAD, len(view) - start)
            self._credit -= size
            await self.muxed_conn.send(DATA, 0, self.stream_id, size, view[start : start + size])
            start += size
        self.volume.bytes_out += start
        await trio.lowlevel.checkpoint()

    async def _wait_for_room(self) -> None:
        if self._room.is_set():
            self._room = trio.Event()
        with trio.move_on_after(CREDIT_SECONDS) as patience:
            await self._room.wait()
        if patience.cancelled_caught:
            raise MuxedStreamError(f"the peer took nothing from stream {self.stream_id} for {CREDIT_SECONDS:g} s")

    async def close(self) -> None:
        """We have said all; the other side may go on."""
        if not self.closed and not self.broken:
            self.closed = True
            self.muxed_conn.forget(self)
            await self._say(FIN)

    async def reset(self) -> None:
        """Neither side says anything any more."""
        if not self.broken:
            finished = self.closed and self.ended
            self.end(broken=True)
            self.closed = True
            self.muxed_conn.forget(self)
            if not finished:
                await self._say(RST)

    async def _say(self, flag: int) -> None:
        """The end, to the other side; when the connection is over, it knows."""
        with contextlib.suppress(MuxedStreamReset):
            await self.muxed_conn.send(WINDOW, flag, self.stream_id, 0)

    @property
    def is_closed(self) -> bool:
        """Whether it is of no use any more."""
        return self.broken or (self.closed and self.ended)

    def set_deadline(self, ttl: int) -> None:
        """Limits are the callers' cancel scopes."""
        raise ValueError("a yamux stream has no deadline: cancel what reads it")

    def get_remote_address(self) -> tuple[str, int] | None:
        """Where the other side is."""
        return self.muxed_conn.get_remote_address()

    async def __aenter__(self) -> MuxStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.close()
