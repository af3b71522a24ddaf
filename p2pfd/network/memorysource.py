"""A provider of blobs in the same process, for `Pull`: only the time that bytes take is between here and there."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import trio

from p2pfd.core.ids import PeerId
from p2pfd.errors import NetworkError
from p2pfd.network.api import Cid
from p2pfd.network.blobs import BlobStore, Parts
from p2pfd.network.manifest import HASH_BYTES, SIZE_BYTES, Manifest
from p2pfd.network.pull import WrongBytesError

QUESTION_BYTES = HASH_BYTES + 4


class MemorySource:
    """Another node's store."""

    def __init__(
        self, peer: PeerId, store: BlobStore, travel: Callable[[int, int], Awaitable[None]], seconds: float
    ) -> None:
        self._peer = peer
        self._store = store
        self._travel = travel
        self._seconds = seconds
        self._asked: deque[tuple[Cid, int]] = deque()

    async def _bring(self, size: int) -> None:
        with trio.move_on_after(self._seconds):
            await self._travel(QUESTION_BYTES, size)
            return
        raise NetworkError(f"{self._peer} did not answer in time", "try again, or later")

    async def manifest(self, cid: Cid, limit: int) -> Manifest | None:
        """What it says of the blob."""
        manifest = await self._store.manifest(cid)
        await self._bring(SIZE_BYTES + (0 if manifest is None else HASH_BYTES * len(manifest.pieces)))
        if manifest is not None and manifest.size > limit:
            raise NetworkError(f"{self._peer} offers {manifest.size} bytes for {cid.hex()}, the limit is {limit}")
        if manifest is not None and not manifest.may_be(cid):
            raise WrongBytesError(f"{self._peer} sent a manifest that is not that of {cid.hex()}")
        return manifest

    async def ask(self, cid: Cid, index: int) -> None:
        """Ask for a piece."""
        self._asked.append((cid, index))

    async def take(self, length: int) -> Parts:
        """The piece that was asked for first."""
        piece = await self._store.piece(*self._asked.popleft())
        await self._bring(1 if piece is None else len(piece))
        if piece is None:
            raise NetworkError(f"{self._peer} has the blob no longer")
        return [piece]
