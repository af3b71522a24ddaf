"""Files from elsewhere: looked for on this machine, else downloaded from their home, and known by their SHA-256."""

from __future__ import annotations

import hashlib
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
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


def _download(archive: Archive, target: Path, out: TextIO) -> None:
    """Fetch from the first home that has it, going on where an earlier attempt broke off."""
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        reason = "it has no home"
        for home in archive.homes:
            try:
                _pull(home, archive, part, out)
            except (urllib.error.URLError, OSError) as error:
                if (
                    isinstance(error, OSError)
                    and error.filename is not None
                    and not isinstance(error, urllib.error.URLError)
                ):
                    raise  # of the disk, not of the network
                reason = str(error.reason if isinstance(error, urllib.error.URLError) else error)
                continue
            found = file_hash(part)
            if found == archive.sha256:
                part.replace(target)
                return
            part.unlink()
            reason = f"what {home} sent has the SHA-256 {found}, not {archive.sha256}"
    except OSError as error:
        raise StorageError(
            f"cannot write {target}: {error.strerror}", f"set {VARIABLE} to a folder with room"
        ) from error
    raise EnvironmentProblem(
        f"{archive.path} is not here and cannot be downloaded: {reason}",
        f"put {archive.homes[0]} at {target} (SHA-256 {archive.sha256[:16]}…), "
        f"or set {VARIABLE} to a folder that has it",
    )


def _pull(home: str, archive: Archive, part: Path, out: TextIO) -> None:
    have = part.stat().st_size if part.is_file() else 0
    if have > archive.size:
        part.unlink()
        have = 0
    if have == archive.size:
        return
    request = urllib.request.Request(home, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - our own list of addresses
        if answer.status != _RANGE_HONOURED:
            have = 0
        with part.open("ab" if have else "wb") as file:
            progress = _Progress(archive, have, out)
            while chunk := answer.read(_CHUNK):
                have += len(chunk)
                if have > archive.size:
                    raise urllib.error.URLError(f"more than the {archive.size} bytes that the file has")
                file.write(chunk)
                progress.at(have)
            progress.end()
    if have < archive.size:
        raise urllib.error.URLError(f"the connection ended after {have} of {archive.size} bytes")


class _Progress:
    """One line on a terminal that is rewritten, and elsewhere two lines."""

    def __init__(self, archive: Archive, have: int, out: TextIO) -> None:
        self._size, self._out, self._shown = archive.size, out, -1
        self._live = out.isatty()
        self._name = archive.path
        if not self._live:
            out.write(f"downloading {archive.path}, {_mib(archive.size - have)} from {archive.homes[0]}\n")

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
