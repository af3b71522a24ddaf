"""Files from elsewhere: looked for on this machine, else downloaded from their home, and known by their SHA-256."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TextIO

from p2pfd.errors import EnvironmentProblem, StorageError
from p2pfd.learning.data.places import VARIABLE, download_folder, folders

_CHUNK = 256 * 1024
_SECONDS = 30.0
_RANGE_HONOURED = 206


@dataclass(frozen=True, slots=True)
class Archive:
    """A file of a data set: where it lies in a folder of data, its size and hash, and the homes that have it."""

    path: str
    size: int
    sha256: str
    homes: tuple[str, ...]


def files_hash(archives: Sequence[Archive]) -> bytes:
    """What names a set whose content is known by its files: SHA-256 over their hashes in this order."""
    return hashlib.sha256(b"p2pfd-files-1:" + "\n".join(archive.sha256 for archive in archives).encode()).digest()


def obtain(archive: Archive, given: Path | None, out: TextIO | None = None) -> Path:
    """The file, checked: from a folder of data, else downloaded; each error says what to put where."""
    for folder in folders(given):
        path = folder / archive.path
        if path.is_file():
            _check(archive, path)
            return path
    target = download_folder(given) / archive.path
    _download(archive, target, sys.stderr if out is None else out)
    return target


def file_hash(path: Path) -> str:
    """A file's SHA-256 in hexadecimal; StorageError when it cannot be read."""
    state = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                state.update(chunk)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", "see to its permissions") from error
    return state.hexdigest()


def _check(archive: Archive, path: Path) -> None:
    found = file_hash(path)
    if found != archive.sha256:
        raise StorageError(
            f"{path} has the SHA-256 {found}, not {archive.sha256}",
            f"delete it, and it is downloaded again from {archive.homes[0]}",
        )


class _LostError(Exception):
    """A home did not send the file; the text says why."""


def _download(archive: Archive, target: Path, out: TextIO) -> None:
    """Fetch from the first home that has it, going on where an earlier attempt broke off."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(target.parent):
            if target.is_file():  # another process was faster
                return _check(archive, target)
            reason = _try(archive, target, out)
    except OSError as error:
        raise StorageError(
            f"cannot write {target}: {error.strerror}", f"set {VARIABLE} to a folder with room"
        ) from error
    if reason:
        raise EnvironmentProblem(
            f"{archive.path} is not here and cannot be downloaded: {reason}",
            f"put {archive.homes[0]} at {target} (SHA-256 {archive.sha256[:16]}…), "
            f"or set {VARIABLE} to a folder that has it",
        )
    return None


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Nobody else downloads into this folder meanwhile: the nodes of a mesh all start at once."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _try(archive: Archive, target: Path, out: TextIO) -> str:
    """Put the file in place and return nothing, or return why that was not possible."""
    part = target.with_name(target.name + ".part")
    reason = "it has no home"
    homes = archive.homes[:1] + archive.homes if part.is_file() else archive.homes  # the part itself may be damaged
    for home in homes:
        try:
            _pull(home, archive, part, out)
        except _LostError as error:
            reason = f"{home}: {error}"
            continue
        found = file_hash(part)
        if found == archive.sha256:
            part.replace(target)
            return ""
        part.unlink()
        reason = f"what {home} sent has the SHA-256 {found}, not {archive.sha256}"
    return reason


def _pull(home: str, archive: Archive, part: Path, out: TextIO) -> None:
    have = part.stat().st_size if part.is_file() else 0
    if have > archive.size:
        part.unlink()
        have = 0
    if have == archive.size:
        return
    request = urllib.request.Request(home, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    opener = urllib.request.build_opener()  # one of our own: the process's may hold on to proxies of earlier
    with _losing(), opener.open(request, timeout=_SECONDS) as answer:
        if answer.status != _RANGE_HONOURED:
            have = 0
        progress = _Progress(archive, home, have, out)
        with part.open("ab" if have else "wb") as file:
            while chunk := answer.read(_CHUNK):
                have += len(chunk)
                if have > archive.size:
                    raise _LostError(f"more than the {archive.size} bytes that the file has")
                try:
                    file.write(chunk)
                except OSError as error:
                    raise _full(part, error) from error
                progress.at(have)
        progress.end()
    if have < archive.size:
        raise _LostError(f"the connection ended after {have} of {archive.size} bytes")


@contextmanager
def _losing() -> Iterator[None]:
    """What goes wrong with a home is a `_LostError`."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise _LostError(f"status {error.code}") from error
    except urllib.error.URLError as error:
        raise _LostError(str(error.reason)) from error
    except (OSError, HTTPException) as error:
        raise _LostError(str(error) or type(error).__name__) from error


def _full(part: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot write {part}: {error.strerror}", f"set {VARIABLE} to a folder with room")


class _Progress:
    """One line on a terminal that is rewritten, and elsewhere two lines."""

    def __init__(self, archive: Archive, home: str, have: int, out: TextIO) -> None:
        self._size, self._out, self._shown = archive.size, out, -1
        self._live = out.isatty()
        self._name = archive.path
        if not self._live:
            out.write(f"downloading {archive.path}, {_mib(archive.size - have)} from {home}\n")

    def at(self, have: int) -> None:
        """So many bytes are here."""
        share = have * 100 // self._size
        if self._live and share != self._shown:
            self._out.write(f"\rdownloading {self._name} {share:3}% of {_mib(self._size)}")
            self._out.flush()
            self._shown = share

    def end(self) -> None:
        """No more bytes come."""
        self._out.write("\n" if self._live else f"downloaded  {self._name}\n")


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
