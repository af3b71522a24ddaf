"""Blobs and requests between two peers, each on a stream of its own.

``/p2pfd/blob/2``: the asker sends a blob's name and a number in four bytes, as often as it likes, and the answers come
in the same order. All ones ask for the manifest: the size in eight bytes and, of more than one piece, their hashes; or
eight bytes of ones when there is no such blob. Any other number asks for that piece: a one and the piece, or a zero
when it is gone. ``/p2pfd/req/<name>/1``: length in four bytes and body, either way. Every length is checked before its
body is read, every exchange has a time limit, and whatever goes wrong costs one stream.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.network.stream.exceptions import StreamEOF, StreamReset
from libp2p.peer.id import ID

from p2pfd.core.ids import PeerId
from p2pfd.errors import NetworkError
from p2pfd.network.api import Cid
from p2pfd.network.blobs import BlobStore, Parts
from p2pfd.network.counters import Counters, Drop
from p2pfd.network.manifest import HASH_BYTES, SIZE_BYTES, Manifest, count_of
from p2pfd.network.names import check_request
from p2pfd.network.pull import WrongBytesError
from p2pfd.network.reach import reason_of
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.shares import Shares, StreamFaultError

BLOB_PROTOCOL = "/p2pfd/blob/2"
CHUNK = 65_507  # with its two headers one yamux frame, and that one noise message; 64 KiB would make two
READ = 1024 * 1024
EARLY = 16 * 1024
"""A request up to this size goes along with the question whether it is served there at all."""
INDEX_BYTES = 4
LENGTH_BYTES = 4
WHOLE = b"\xff" * INDEX_BYTES
ABSENT = b"\xff" * SIZE_BYTES

log = logging.getLogger("p2pfd.network")


def protocol_name(name: str) -> str:
    """The protocol on the wire behind the name of a request."""
    check_request(name)
    return f"/p2pfd/req/{name}/1"


async def read_exactly(stream: INetStream, count: int) -> bytes:
    """So many bytes. The library's own gives up after a hundred reads, which is some 6.8 MB."""
    buffer = bytearray()
    while len(buffer) < count:
        try:
            part = await stream.read(min(READ, count - len(buffer)))
        except StreamEOF:
            part = b""
        if not part:
            what = f"the peer stopped after {len(buffer)} of {count} bytes"
            raise StreamFaultError(Drop.STREAM_ERROR, what, offence=True)
        buffer += part
    return bytes(buffer)


async def write_all(stream: INetStream, raw: bytes) -> None:
    """All of the bytes, in pieces of the best size."""
    for start in range(0, len(raw), CHUNK):
        await stream.write(raw[start : start + CHUNK])


class BlobStream:
    """A `p2pfd.network.pull.Source` at the end of a stream."""

    def __init__(self, stream: INetStream, peer: PeerId, settings: NetworkSettings) -> None:
        self._stream = stream
        self._peer = peer
        self._settings = settings

    async def manifest(self, cid: Cid, limit: int) -> Manifest | None:
        """Ask for a blob's manifest; its size is compared with the limit before its hashes are read."""
        with trio.fail_after(self._settings.request_seconds):
            await self._stream.write(cid + WHOLE)
            size = int.from_bytes(head := await read_exactly(self._stream, SIZE_BYTES), "big")
            if head == ABSENT:
                return None
            if size > limit:
                raise NetworkError(f"{self._peer} offers {size} bytes for {cid.hex()}, the limit is {limit}")
            count = count_of(size)
            raw = cid if count == 1 else await read_exactly(self._stream, HASH_BYTES * count)
        manifest = Manifest(size, tuple(raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)))
        if not manifest.may_be(cid):
            raise WrongBytesError(f"{self._peer} sent a manifest that is not that of {cid.hex()}")
        return manifest

    async def ask(self, cid: Cid, index: int) -> None:
        """Ask for a piece."""
        with trio.fail_after(self._settings.blob_seconds):
            await self._stream.write(cid + index.to_bytes(INDEX_BYTES, "big"))

    async def take(self, length: int) -> Parts:
        """The piece that was asked for first, of those that have not come."""
        parts = []
        with trio.fail_after(self._settings.blob_seconds):
            if await read_exactly(self._stream, 1) != b"\1":
                raise NetworkError(f"{self._peer} has the blob no longer")
            while length:
                part = await self._stream.read(min(READ, length))
                if not part:
                    raise NetworkError(f"{self._peer} stopped in the midst of a piece")
                parts.append(part)
                length -= len(part)
        return parts


class Exchange:
    """Fetches and serves blobs and requests over one host."""

    def __init__(
        self, host: Any, store: BlobStore, settings: NetworkSettings, shares: Shares, counters: Counters
    ) -> None:
        self._host = host
        self._shares = shares
        self._counters = counters
        self._store = store
        self._settings = settings
        self._services = trio.Semaphore(settings.services)
        host.set_stream_handler(TProtocol(BLOB_PROTOCOL), self._serve_blob)

    def waiting(self) -> dict[str, int]:
        """Blobs and requests that are served, of as many as may be."""
        return {"services": self._settings.services - self._services.value}

    @contextlib.asynccontextmanager
    async def _stream(
        self, peer: PeerId, protocol: str, seconds: float, to_open: float = math.inf, early: bytes = b""
    ) -> AsyncIterator[INetStream]:
        """A stream to a peer for a limited time; every failure of the library comes out as a NetworkError."""
        stream: INetStream | None = None
        done = False
        try:
            with trio.fail_after(seconds):
                with trio.fail_after(to_open):
                    stream = await self._host.new_stream(ID.from_base58(peer), [TProtocol(protocol)], early)
                yield stream
                await stream.close()
                done = True
        except trio.TooSlowError:
            raise NetworkError(f"{peer} did not answer {protocol} in time", "try again, or later") from None
        except (BaseLibp2pError, OSError) as error:
            reason = reason_of(error)
            raise NetworkError(
                f"{peer} failed at {protocol}: {reason}", "is it connected, and serving this?"
            ) from error
        finally:
            if stream is not None and not done:
                with trio.CancelScope(shield=True):  # bounded: writing to a socket is
                    await stream.reset()

    @contextlib.asynccontextmanager
    async def provider(self, peer: PeerId) -> AsyncIterator[BlobStream]:
        """A peer that may have blobs, for `Pull`."""
        async with self._stream(peer, BLOB_PROTOCOL, math.inf, self._settings.connect_seconds) as stream:
            yield BlobStream(stream, peer, self._settings)

    async def _serve_blob(self, stream: INetStream) -> None:
        """Answer until the asker closes, or has asked nothing for too long."""
        peer = PeerId(stream.muxed_conn.peer_id.to_base58())
        while True:
            with trio.fail_after(self._settings.blob_seconds):
                try:
                    first = await stream.read(HASH_BYTES + INDEX_BYTES)
                except (StreamEOF, StreamReset):
                    return
                if not first:
                    break
                asked = first + await read_exactly(stream, HASH_BYTES + INDEX_BYTES - len(first))
                async with self._service(peer):
                    answer = await self._answer_blob(Cid(asked[:HASH_BYTES]), asked[HASH_BYTES:])
                    await self._write(stream, peer, answer)
        await stream.close()

    async def _answer_blob(self, cid: Cid, index: bytes) -> bytes:
        if index != WHOLE:
            piece = await self._store.piece(cid, int.from_bytes(index, "big"))
            return b"\0" if piece is None else b"\1" + piece
        manifest = await self._store.manifest(cid)
        if manifest is None:
            return ABSENT
        hashes = b"".join(manifest.pieces) if len(manifest.pieces) > 1 else b""
        return manifest.size.to_bytes(SIZE_BYTES, "big") + hashes

    async def _write(self, stream: INetStream, peer: PeerId, raw: bytes) -> None:
        """An answer, to a reader that takes it in time: a place is taken meanwhile, and the answer is in memory."""
        for start in range(0, len(raw), CHUNK):
            with trio.move_on_after(self._settings.stall_seconds) as patience:
                await stream.write(raw[start : start + CHUNK])
            if patience.cancelled_caught:
                raise StreamFaultError(Drop.SLOW_READER, f"{peer} does not take what it asked for")
        self._counters.peer(peer).served += len(raw)
        self._shares.of(peer).served(len(raw))

    async def request(self, peer: PeerId, name: str, raw: bytes, limit: int) -> bytes:
        """Ask, and take an answer of at most `limit` bytes."""
        asked = len(raw).to_bytes(LENGTH_BYTES, "big") + raw
        early, rest = (asked, b"") if len(asked) <= EARLY else (b"", asked)
        async with self._stream(peer, protocol_name(name), self._settings.request_seconds, early=early) as stream:
            await write_all(stream, rest)
            return await self._read_body(stream, limit, f"{peer} answers {name} with")

    def serve(self, name: str, limit: int, answer: Callable[[PeerId, bytes], bytes | Awaitable[bytes]]) -> None:
        """Answer requests of at most `limit` bytes, at once or after a while."""

        async def handle(stream: INetStream) -> None:
            peer = PeerId(stream.muxed_conn.peer_id.to_base58())
            with trio.fail_after(self._settings.request_seconds):
                async with self._service(peer):
                    raw = await self._read_request(stream, limit, f"{peer} asks {name} with")
                    try:
                        found = answer(peer, raw)
                        said = found if isinstance(found, bytes) else await found
                    except Exception as error:
                        raise StreamFaultError(Drop.SERVICE, f"{name} failed: {error!r}") from error
                    await self._write(stream, peer, len(said).to_bytes(LENGTH_BYTES, "big") + said)
                await stream.close()

        self._host.set_stream_handler(TProtocol(protocol_name(name)), handle)

    async def _read_request(self, stream: INetStream, limit: int, what: str) -> bytes:
        size = int.from_bytes(await read_exactly(stream, LENGTH_BYTES), "big")
        if size > limit:
            raise StreamFaultError(Drop.REQUEST_SIZE, f"{what} {size} bytes, the limit is {limit}", offence=True)
        return await read_exactly(stream, size)

    async def _read_body(self, stream: INetStream, limit: int, what: str) -> bytes:
        size = int.from_bytes(await read_exactly(stream, LENGTH_BYTES), "big")
        if size > limit:
            raise NetworkError(f"{what} {size} bytes, the limit is {limit}")
        return await read_exactly(stream, size)

    @contextlib.asynccontextmanager
    async def _service(self, peer: PeerId) -> AsyncIterator[None]:
        """A place to serve one question: first among those of the peer, then among all."""
        share = self._shares.of(peer)
        await share.be_served()
        async with share.places, self._services:
            self._counters.peer(peer).requests += 1
            yield
