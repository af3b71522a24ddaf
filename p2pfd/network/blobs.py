"""Where a node keeps blobs: in memory, or on disk. Bounded; the least recently used go first.

A blob that is being fetched is *begun*: its pieces are kept as they come, and are still there for the next attempt when
one fails. `open_store` chooses the store that the settings ask for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from p2pfd.errors import NetworkError
from p2pfd.network.api import Cid
from p2pfd.network.manifest import PIECE, Manifest, describe
from p2pfd.network.settings import NetworkSettings

Parts = Sequence[bytes]
"""The bytes of a piece, as they came."""


class BlobStore(Protocol):
    """A bounded place for blobs."""

    async def put(self, cid: Cid, blob: bytes, manifest: Manifest | None = None) -> None:
        """Keep a blob whose name has been checked; NetworkError when it is larger than the whole store."""
        ...

    async def get(self, cid: Cid) -> bytes | None:
        """The blob, if it is here, whole."""
        ...

    async def manifest(self, cid: Cid) -> Manifest | None:
        """The manifest of a blob that is here, whole."""
        ...

    async def piece(self, cid: Cid, index: int) -> bytes | None:
        """A piece of a blob that is here, whole."""
        ...

    async def begin(self, cid: Cid, manifest: Manifest) -> set[int]:
        """Make room for a blob to be fetched; which of its pieces are here. NetworkError when it is too large."""
        ...

    async def keep(self, cid: Cid, index: int, parts: Parts) -> None:
        """Keep a piece, checked, of a blob that was begun."""
        ...

    async def finish(self, cid: Cid) -> bytes:
        """All pieces are here: the blob is whole from now on."""
        ...

    async def leave(self, cid: Cid) -> None:
        """The fetch has failed for now; the pieces stay as long as there is room for them."""
        ...


class Ledger:
    """Sizes in order of use; says what has to go to make room. What is pinned stays."""

    def __init__(self, quota: int) -> None:
        self._quota = quota
        self._used = 0
        self._sizes: OrderedDict[Cid, int] = OrderedDict()
        self._pinned: set[Cid] = set()

    def __contains__(self, cid: Cid) -> bool:
        return cid in self._sizes

    def touch(self, cid: Cid) -> None:
        """It was used just now."""
        self._sizes.move_to_end(cid)

    def pin(self, cid: Cid, held: bool) -> None:
        """It must stay, or need not any more."""
        if held:
            self._pinned.add(cid)
        else:
            self._pinned.discard(cid)

    def drop(self, cid: Cid) -> None:
        """It is gone."""
        self._used -= self._sizes.pop(cid, 0)
        self._pinned.discard(cid)

    def make_room(self, cid: Cid, size: int) -> list[Cid]:
        """Count it in; what has to go for that."""
        if size > self._quota:
            raise NetworkError(f"a blob of {size} bytes, the store holds {self._quota}", "raise network.blob_quota")
        free, gone = self._quota - self._used, []
        for oldest, freed in self._sizes.items():
            if free >= size:
                break
            if oldest not in self._pinned:
                gone.append(oldest)
                free += freed
        if free < size:
            raise NetworkError(
                f"no room for {size} bytes beside the blobs that are being fetched",
                "raise network.blob_quota, or fetch fewer at a time",
            )
        for old in gone:
            self.drop(old)
        self._sizes[cid] = size
        self._used += size
        return gone


class MemoryBlobs:
    """Blobs in memory."""

    def __init__(self, quota: int) -> None:
        self._ledger = Ledger(quota)
        self._blobs: dict[Cid, bytes] = {}
        self._begun: dict[Cid, dict[int, Parts]] = {}
        self._manifests: dict[Cid, Manifest] = {}

    async def put(self, cid: Cid, blob: bytes, manifest: Manifest | None = None) -> None:
        """Keep a blob."""
        if cid not in self._ledger:
            self._make_room(cid, len(blob))
        if cid not in self._blobs:  # it may have been begun, and has now come by itself
            self._blobs[cid] = blob
        if manifest is not None:
            self._manifests[cid] = manifest
        self._ledger.touch(cid)

    def _make_room(self, cid: Cid, size: int) -> None:
        for gone in self._ledger.make_room(cid, size):
            self._blobs.pop(gone, None)
            self._begun.pop(gone, None)
            self._manifests.pop(gone, None)

    async def get(self, cid: Cid) -> bytes | None:
        """The blob, if it is here."""
        blob = self._blobs.get(cid)
        if blob is not None:
            self._ledger.touch(cid)
        return blob

    async def manifest(self, cid: Cid) -> Manifest | None:
        """Its manifest, if it is here; made now, where it was not handed over with the blob."""
        blob = await self.get(cid)
        if blob is not None and cid not in self._manifests:
            self._manifests[cid] = describe(blob)
        return None if blob is None else self._manifests[cid]

    async def piece(self, cid: Cid, index: int) -> bytes | None:
        """A piece of it."""
        blob = await self.get(cid)
        if blob is None or len(blob) <= PIECE:
            return blob
        return blob[index * PIECE : (index + 1) * PIECE]

    async def begin(self, cid: Cid, manifest: Manifest) -> set[int]:
        """Make room; which pieces are here."""
        self._ledger.drop(cid)  # an earlier attempt may have been told another size
        self._make_room(cid, manifest.size)
        self._manifests[cid] = manifest
        self._ledger.pin(cid, True)
        return set(self._begun.setdefault(cid, {}))

    async def keep(self, cid: Cid, index: int, parts: Parts) -> None:
        """Keep a piece."""
        self._begun[cid][index] = parts

    async def finish(self, cid: Cid) -> bytes:
        """Put the pieces together."""
        pieces = self._begun.pop(cid)
        self._ledger.pin(cid, False)
        blob = self._blobs[cid] = b"".join(part for index in sorted(pieces) for part in pieces[index])
        return blob

    async def leave(self, cid: Cid) -> None:
        """The pieces stay until something else needs their room."""
        self._ledger.pin(cid, False)


def open_store(settings: NetworkSettings) -> BlobStore:
    """The store that the settings ask for."""
    from p2pfd.network.diskblobs import DiskBlobs

    if settings.blob_directory:
        return DiskBlobs(Path(settings.blob_directory), settings.blob_quota)
    return MemoryBlobs(settings.blob_quota)
