"""Where a node keeps blobs: in memory, or as files named by their hash. Bounded; the least recently used go first."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import trio

from p2pfd.errors import NetworkError, StorageError
from p2pfd.network.api import Cid
from p2pfd.network.settings import NetworkSettings


def cid_of(blob: bytes) -> Cid:
    """A blob's name."""
    return Cid(hashlib.sha256(blob).digest())


class BlobStore(Protocol):
    """A bounded place for blobs."""

    async def put(self, cid: Cid, blob: bytes) -> None:
        """Keep a blob whose hash has been checked; NetworkError when it is larger than the whole store."""
        ...

    async def get(self, cid: Cid) -> bytes | None:
        """The blob, if it is here."""
        ...


class _Ledger:
    """Sizes in order of use; says what has to go to make room."""

    def __init__(self, quota: int) -> None:
        self._quota = quota
        self._used = 0
        self._sizes: OrderedDict[Cid, int] = OrderedDict()

    def __contains__(self, cid: Cid) -> bool:
        return cid in self._sizes

    def touch(self, cid: Cid) -> None:
        self._sizes.move_to_end(cid)

    def drop(self, cid: Cid) -> None:
        self._used -= self._sizes.pop(cid, 0)

    def make_room(self, cid: Cid, size: int) -> list[Cid]:
        if size > self._quota:
            raise NetworkError(f"a blob of {size} bytes, the store holds {self._quota}", "raise network.blob_quota")
        gone = []
        while self._used + size > self._quota:
            oldest, freed = self._sizes.popitem(last=False)
            self._used -= freed
            gone.append(oldest)
        self._sizes[cid] = size
        self._used += size
        return gone


class MemoryBlobs:
    """Blobs in memory."""

    def __init__(self, quota: int) -> None:
        self._ledger = _Ledger(quota)
        self._blobs: dict[Cid, bytes] = {}

    async def put(self, cid: Cid, blob: bytes) -> None:
        """Keep a blob."""
        if cid not in self._ledger:
            for gone in self._ledger.make_room(cid, len(blob)):
                del self._blobs[gone]
            self._blobs[cid] = blob
        self._ledger.touch(cid)

    async def get(self, cid: Cid) -> bytes | None:
        """The blob, if it is here."""
        blob = self._blobs.get(cid)
        if blob is not None:
            self._ledger.touch(cid)
        return blob


class DiskBlobs:
    """Blobs as files. What an earlier run left is kept, the oldest counting as the least recently used."""

    def __init__(self, directory: Path, quota: int) -> None:
        self._directory = directory
        self._ledger = _Ledger(quota)
        self._lock = trio.Lock()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            files = [(entry.stat(), entry) for entry in directory.iterdir() if entry.is_file()]
            for stat, path in sorted(files, key=lambda item: (item[0].st_mtime_ns, item[1].name)):
                self._adopt(path, stat.st_size, quota)
        except OSError as error:
            raise StorageError(f"cannot keep blobs in {directory}: {error}", "choose another directory") from error

    def _adopt(self, path: Path, size: int, quota: int) -> None:
        try:
            cid = Cid(bytes.fromhex(path.name))
        except ValueError:
            cid = Cid(b"")
        if len(cid) != hashlib.sha256().digest_size:
            if path.suffix == ".part":  # a write that a crash cut short
                path.unlink()
            return  # anything else is not ours
        if size > quota:
            path.unlink()
            return
        for gone in self._ledger.make_room(cid, size):
            self._path(gone).unlink(missing_ok=True)

    def _path(self, cid: Cid) -> Path:
        return self._directory / cid.hex()

    async def put(self, cid: Cid, blob: bytes) -> None:
        """Keep a blob: written beside its place and moved into it, so that no half of it is ever found there."""
        async with self._lock:
            if cid in self._ledger:
                self._ledger.touch(cid)
                return
            gone = self._ledger.make_room(cid, len(blob))
            try:
                await trio.to_thread.run_sync(self._write, cid, blob, gone)
            except OSError as error:
                self._ledger.drop(cid)
                raise StorageError(f"cannot keep a blob in {self._directory}: {error}", "free some space") from error

    def _write(self, cid: Cid, blob: bytes, gone: list[Cid]) -> None:
        for old in gone:
            self._path(old).unlink(missing_ok=True)
        part = self._path(cid).with_suffix(".part")
        part.write_bytes(blob)
        os.replace(part, self._path(cid))

    async def get(self, cid: Cid) -> bytes | None:
        """The blob, if it is here and undamaged; a damaged file is removed."""
        async with self._lock:
            if cid not in self._ledger:
                return None
            blob = await trio.to_thread.run_sync(self._read, cid)
            if blob is None:
                self._ledger.drop(cid)
            else:
                self._ledger.touch(cid)
            return blob

    def _read(self, cid: Cid) -> bytes | None:
        try:
            blob = self._path(cid).read_bytes()
        except OSError:
            return None
        if cid_of(blob) != cid:
            self._path(cid).unlink(missing_ok=True)
            return None
        return blob


def open_store(settings: NetworkSettings) -> BlobStore:
    """The store that the settings ask for."""
    if settings.blob_directory:
        return DiskBlobs(Path(settings.blob_directory), settings.blob_quota)
    return MemoryBlobs(settings.blob_quota)
