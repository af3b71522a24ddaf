"""A connection through a relay: circuit relay v2 as libp2p's specification has it, the messages and the stream.

The library's own relay believes whoever asks for a place to be whom it says it is, so that one stranger takes all of
them; its transport keeps no reservation alive unless it is wired by hand. The messages are the library's.
"""

from __future__ import annotations

from typing import TypeVar

import trio
from google.protobuf.message import Message
from libp2p.abc import INetStream
from libp2p.connection_types import ConnectionType
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.utils.varint import encode_varint_prefixed, read_varint_prefixed_bytes_limited
from multiaddr import Multiaddr

from p2pfd.network.sockets import READ_AHEAD, Meter, Wire

HOP = TProtocol("/libp2p/circuit/relay/0.2.0/hop")
STOP = TProtocol("/libp2p/circuit/relay/0.2.0/stop")
MESSAGE_BYTES = 4096

M = TypeVar("M", bound=Message)


async def read_message(stream: INetStream, kind: type[M]) -> M:
    """One message; its length is checked before its body is read."""
    message = kind()
    message.ParseFromString(await read_varint_prefixed_bytes_limited(stream, MESSAGE_BYTES))
    return message


async def write_message(stream: INetStream, message: Message) -> None:
    """One message."""
    await stream.write(encode_varint_prefixed(message.SerializeToString()))


def is_relayed(stream: INetStream) -> bool:
    """Whether a stream's connection runs through a relay itself."""
    return bool(stream.muxed_conn.get_connection_type() is ConnectionType.RELAYED)


class RelayedStream(ReadWriteCloser, Wire):  # type: ignore[misc]
    """A stream to a relay, and through it to a peer, in the place of a socket."""

    def __init__(self, stream: INetStream, meter: Meter, nursery: trio.Nursery) -> None:
        self.stream_to_relay = stream
        self.meter = meter
        self.since = self.heard = trio.current_time()
        self.over = trio.Event()
        self._nursery = nursery
        self._ahead = bytearray()

    async def read(self, n: int | None = None) -> bytes:
        """At most `n` bytes; nothing at the end."""
        if not self._ahead:
            try:
                got = bytes(await self.stream_to_relay.read(READ_AHEAD))
            except StreamEOF:
                return b""
            except BaseLibp2pError as error:
                raise ConnectionClosedError("the relay has ended it", transport="circuit") from error
            self.heard = trio.current_time()
            if n is None or len(got) <= n:
                return got
            self._ahead += got
        wanted = len(self._ahead) if n is None else n
        out = bytes(self._ahead[:wanted])
        del self._ahead[:wanted]
        return out

    async def write(self, data: bytes) -> None:
        """All of the bytes, even when cancelled meanwhile: the cipher above has counted them as sent."""
        deadline = trio.current_time() + self.meter.stall_seconds
        try:
            with trio.CancelScope(deadline=deadline, shield=True) as patience:
                await self.stream_to_relay.write(data)
        except BaseLibp2pError as error:
            raise ConnectionClosedError("the relay has ended it", transport="circuit") from error
        if patience.cancelled_caught:
            self.cut()
            raise ConnectionClosedError("the relay takes nothing", transport="circuit")

    def cut(self) -> None:
        """End it at once; the stream is reset in the background."""
        if not self.over.is_set():
            self._nursery.start_soon(self.close)

    async def close(self) -> None:
        """End it."""
        self.over.set()
        with trio.CancelScope(deadline=trio.current_time() + self.meter.stall_seconds, shield=True):
            await self.stream_to_relay.reset()

    def get_remote_address(self) -> tuple[str, int] | None:
        """Nobody's: only the relay knows."""
        return None


def relayed(stream: RelayedStream, initiator: bool, relay: str) -> RawConnection:
    """The stream as a connection that handshakes can be done on; ``relay`` is the address of the relay."""
    where = [Multiaddr(f"{relay}/p2p-circuit")] if relay else []
    return RawConnection(stream, initiator, ConnectionType.RELAYED, where)
