"""Blobs as files. What an earlier run left is kept, the oldest counting as the least recently used.

``<name>`` is a whole blob. ``<name>.part`` is one that is being fetched: each piece at its place, the others holes.
Which pieces are there is not written down anywhere: each is hashed again when the fetch goes on, so that a crash in the
midst of a write costs that one piece.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import trio

from p2pfd.errors import StorageError
from p2pfd.network.api import Cid
from p2pfd.network.blobs import Ledger, Parts
from p2pfd.network.manifest import HASH_BYTES, MARK, PIECE, Manifest, describe, name_of

PART = ".part"
T = TypeVar("T")


class DiskBlobs:
    """A directory of blobs."""

    def __init__(self, directory: Path, quota: int) -> None:
        self._directory = directory
        self._ledger = Ledger(quota)
        self._quota = quota
        self._lock = trio.Lock()
        self._manifests: dict[Cid, Manifest] = {}
        self._begun: dict[Cid, dict[int, Parts]] = {}
        try:
            directory.mkdir(parents=True, exist_ok=True)
            files = [(entry.stat(), entry) for entry in directory.iterdir() if entry.is_file()]
            for stat, path in sorted(files, key=lambda item: (item[0].st_mtime_ns, item[1].name)):
                self._adopt(path, stat.st_size)
        except OSError as error:
            raise StorageError(f"cannot keep blobs in {directory}: {error}", "choose another directory") from error

    def _adopt(self, path: Path, size: int) -> None:
        try:
            cid = Cid(bytes.fromhex(path.name.removesuffix(PART)))
        except ValueError:
            return  # not ours
        if len(cid) != HASH_BYTES:
            return
        if size > self._quota or cid in self._ledger:
            path.unlink()
            return
        self._remove(self._ledger.make_room(cid, size))

    def _path(self, cid: Cid) -> Path:
        return self._directory / cid.hex()

    def _part(self, cid: Cid) -> Path:
        return self._directory / (cid.hex() + PART)

    def _remove(self, gone: list[Cid]) -> None:
        for old in gone:
            self._manifests.pop(old, None)
            self._path(old).unlink(missing_ok=True)
            self._part(old).unlink(missing_ok=True)

    async def put(self, cid: Cid, blob: bytes, manifest: Manifest | None = None) -> None:
        """Keep a blob: written beside its place and moved into it, so that no half of it is ever found there."""
        async with self._lock:
            if self._path(cid).exists() and cid in self._ledger:
                self._ledger.touch(cid)
                return
            gone = [] if cid in self._ledger else self._ledger.make_room(cid, len(blob))
            await self._do(cid, lambda: self._write(cid, blob, gone))
            if manifest is not None:
                self._manifests[cid] = manifest

    def _write(self, cid: Cid, blob: bytes, gone: list[Cid]) -> None:
        self._remove(gone)
        part = self._part(cid)
        part.write_bytes(blob)
        os.replace(part, self._path(cid))

    async def get(self, cid: Cid) -> bytes | None:
        """The blob, if it is here and undamaged; a damaged file is removed."""
        async with self._lock:
            return await self._read(cid)

    async def _read(self, cid: Cid) -> bytes | None:
        if cid not in self._ledger or not self._path(cid).exists():
            return None
        found = await trio.to_thread.run_sync(self._load, cid)
        if found is None:
            self._ledger.drop(cid)
            self._manifests.pop(cid, None)
            return None
        self._ledger.touch(cid)
        self._manifests[cid], blob = found
        return blob

    def _load(self, cid: Cid) -> tuple[Manifest, bytes] | None:
        try:
            blob = self._path(cid).read_bytes()
        except OSError:
            return None
        manifest = describe(blob)
        if name_of(manifest, blob[: len(MARK)]) != cid:
            self._path(cid).unlink(missing_ok=True)
            return None
        return manifest, blob

    async def manifest(self, cid: Cid) -> Manifest | None:
        """Its manifest, if it is here: the whole file is read and checked when it is first asked for."""
        async with self._lock:
            if cid not in self._manifests or not self._path(cid).exists():
                await self._read(cid)
                return self._manifests.get(cid) if self._path(cid).exists() else None
            self._ledger.touch(cid)
            return self._manifests[cid]

    async def piece(self, cid: Cid, index: int) -> bytes | None:
        """A piece of it. It was checked when the manifest was made; whoever fetches it checks it again."""
        if await self.manifest(cid) is None:
            return None
        try:
            return await trio.to_thread.run_sync(_read_at, self._path(cid), index)
        except OSError:
            return None  # it was removed to make room

    async def begin(self, cid: Cid, manifest: Manifest) -> set[int]:
        """Make room, and look which pieces an earlier attempt left."""
        async with self._lock:
            self._ledger.drop(cid)  # what an earlier run left was counted as far as it had come
            gone = self._ledger.make_room(cid, manifest.size)
            await self._do(cid, lambda: self._remove(gone))
            self._ledger.pin(cid, True)
            self._manifests[cid] = manifest
            self._begun[cid] = await self._do(cid, lambda: self._resume(cid, manifest))
            return set(self._begun[cid])

    def _resume(self, cid: Cid, manifest: Manifest) -> dict[int, Parts]:
        pieces: dict[int, Parts] = {}
        with open(self._part(cid), "a+b") as file:
            for index in range(len(manifest.pieces)):
                file.seek(index * PIECE)
                raw = file.read(manifest.length(index))
                if manifest.is_piece(cid, index, [raw]):
                    pieces[index] = [raw]
        return pieces

    async def keep(self, cid: Cid, index: int, parts: Parts) -> None:
        """Write a piece to its place."""
        self._begun[cid][index] = parts
        await self._do(cid, lambda: _write_at(self._part(cid), index, parts))

    async def finish(self, cid: Cid) -> bytes:
        """All pieces are here: the file gets its name."""
        pieces = self._begun.pop(cid)
        async with self._lock:
            await self._do(cid, lambda: os.replace(self._part(cid), self._path(cid)))
            self._ledger.pin(cid, False)
        return b"".join(part for index in sorted(pieces) for part in pieces[index])

    async def leave(self, cid: Cid) -> None:
        """The pieces stay on the disk, until something else needs their room."""
        self._begun.pop(cid, None)
        self._ledger.pin(cid, False)

    async def _do(self, cid: Cid, work: Callable[[], T]) -> T:
        try:
            return await trio.to_thread.run_sync(work)
        except OSError as error:
            self._ledger.drop(cid)
            raise StorageError(f"cannot keep a blob in {self._directory}: {error}", "free some space") from error


def _read_at(path: Path, index: int) -> bytes:
    with path.open("rb") as file:
        return os.pread(file.fileno(), PIECE, index * PIECE)


def _write_at(path: Path, index: int, parts: Parts) -> None:
    with path.open("r+b") as file:
        file.seek(index * PIECE)
        file.writelines(parts)
