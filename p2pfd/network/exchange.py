"""Blobs and requests between two peers, each on a stream of its own.

``/p2pfd/blob/1``: the asker sends a SHA-256; the other answers with the size in eight bytes, and the blob, or with
eight bytes of ones when it does not have it. ``/p2pfd/req/<name>/1``: length in four bytes and body, either way. Every
length is checked before its body is read, every exchange has a time limit, and whatever goes wrong costs one stream.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.id import ID

from p2pfd.core.ids import PeerId
from p2pfd.errors import NetworkError
from p2pfd.network.api import Cid
from p2pfd.network.blobs import BlobStore
from p2pfd.network.links import reason_of
from p2pfd.network.names import check_request
from p2pfd.network.settings import NetworkSettings

BLOB_PROTOCOL = "/p2pfd/blob/1"
CHUNK = 65_507  # with its two headers one yamux frame, and that one noise message; 64 KiB would make two
READ = 1024 * 1024
HASH_BYTES = 32
SIZE_BYTES = 8
LENGTH_BYTES = 4
ABSENT = 2**64 - 1

log = logging.getLogger("p2pfd.network")


def protocol_name(name: str) -> str:
    """The protocol on the wire behind the name of a request."""
    check_request(name)
    return f"/p2pfd/req/{name}/1"


async def read_exactly(stream: INetStream, count: int) -> bytes:
    """So many bytes. The library's own gives up after a hundred reads, which is some 6.8 MB."""
    buffer = bytearray()
    while len(buffer) < count:
        part = await stream.read(min(READ, count - len(buffer)))
        if not part:
            raise NetworkError(f"the peer stopped after {len(buffer)} of {count} bytes")
        buffer += part
    return bytes(buffer)


async def write_all(stream: INetStream, raw: bytes) -> None:
    """All of the bytes, in pieces of the best size."""
    for start in range(0, len(raw), CHUNK):
        await stream.write(raw[start : start + CHUNK])


class Exchange:
    """Fetches and serves blobs and requests over one host."""

    def __init__(self, host: Any, store: BlobStore, settings: NetworkSettings) -> None:
        self._host = host
        self._store = store
        self._settings = settings
        self._pulls = trio.Semaphore(settings.blob_pulls)
        self._services = trio.Semaphore(settings.services)
        host.set_stream_handler(TProtocol(BLOB_PROTOCOL), self._serve_blob)

    @contextlib.asynccontextmanager
    async def _stream(self, peer: PeerId, protocol: str, seconds: float) -> AsyncIterator[INetStream]:
        """A stream to a peer for a limited time; every failure of the library comes out as a NetworkError."""
        stream: INetStream | None = None
        done = False
        try:
            with trio.fail_after(seconds):
                stream = await self._host.new_stream(ID.from_base58(peer), [TProtocol(protocol)])
                yield stream
                await stream.close()
                done = True
        except trio.TooSlowError:
            raise NetworkError(
                f"{peer} did not answer {protocol} within {seconds:g} s", "try again, or later"
            ) from None
        except (BaseLibp2pError, OSError) as error:
            reason = reason_of(error)
            raise NetworkError(
                f"{peer} failed at {protocol}: {reason}", "is it connected, and serving this?"
            ) from error
        finally:
            if stream is not None and not done:
                with trio.CancelScope(shield=True):  # bounded: writing to a socket is
                    await stream.reset()

    async def fetch(self, peer: PeerId, cid: Cid, limit: int) -> bytes | None:
        """The blob from this peer, or None when it has it not; NetworkError when it fails, or sends something else."""
        async with self._pulls, self._stream(peer, BLOB_PROTOCOL, self._settings.blob_seconds) as stream:
            await stream.write(cid)
            size = int.from_bytes(await read_exactly(stream, SIZE_BYTES), "big")
            if size == ABSENT:
                return None
            if size > limit:
                raise NetworkError(f"{peer} offers {size} bytes for {cid.hex()}, the limit is {limit}")
            blob = bytearray()
            digest = hashlib.sha256()
            while len(blob) < size:
                part = await stream.read(min(READ, size - len(blob)))
                if not part:
                    raise NetworkError(f"{peer} stopped after {len(blob)} of {size} bytes of {cid.hex()}")
                digest.update(part)  # as it comes, not in one long stretch at the end
                blob += part
        if digest.digest() != cid:
            raise NetworkError(f"{peer} sent {size} bytes that are not {cid.hex()}")
        return bytes(blob)

    async def _serve_blob(self, stream: INetStream) -> None:
        async with self._service(stream, self._settings.blob_seconds):
            cid = Cid(await read_exactly(stream, HASH_BYTES))
            blob = await self._store.get(cid)
            size = ABSENT if blob is None else len(blob)
            await stream.write(size.to_bytes(SIZE_BYTES, "big"))
            if blob is not None:
                await write_all(stream, blob)

    async def request(self, peer: PeerId, name: str, raw: bytes, limit: int) -> bytes:
        """Ask, and take an answer of at most `limit` bytes."""
        async with self._stream(peer, protocol_name(name), self._settings.request_seconds) as stream:
            await write_all(stream, len(raw).to_bytes(LENGTH_BYTES, "big") + raw)
            return await self._read_body(stream, limit, f"{peer} answers {name} with")

    def serve(self, name: str, limit: int, answer: Callable[[PeerId, bytes], bytes]) -> None:
        """Answer requests of at most `limit` bytes."""

        async def handle(stream: INetStream) -> None:
            peer = PeerId(stream.muxed_conn.peer_id.to_base58())
            async with self._service(stream, self._settings.request_seconds):
                raw = answer(peer, await self._read_body(stream, limit, f"{peer} asks {name} with"))
                await write_all(stream, len(raw).to_bytes(LENGTH_BYTES, "big") + raw)

        self._host.set_stream_handler(TProtocol(protocol_name(name)), handle)

    async def _read_body(self, stream: INetStream, limit: int, what: str) -> bytes:
        size = int.from_bytes(await read_exactly(stream, LENGTH_BYTES), "big")
        if size > limit:
            raise NetworkError(f"{what} {size} bytes, the limit is {limit}")
        return await read_exactly(stream, size)

    @contextlib.asynccontextmanager
    async def _service(self, stream: INetStream, seconds: float) -> AsyncIterator[None]:
        """Serve one stream for a limited time; not too many at once. The host turns what it raises into a reset."""
        with trio.fail_after(seconds):
            async with self._services:
                yield
            await stream.close()
