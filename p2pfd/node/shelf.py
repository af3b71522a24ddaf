"""Where a board's invitations are on disk: a file each, written whole or not at all, so that no crash damages another.

A file's name says when it came and from where; what it holds is checked again when it is read.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from p2pfd.durable import sync_directory, write_whole
from p2pfd.errors import StorageError
from p2pfd.node.notices import OWN, TEXT_BYTES, Notice, Notices

FOLDER = "board"
_NAME = re.compile(rf"(\d{{15}})-([0-9a-f]{{12}}|{OWN})-([0-9a-f]{{16}})\.p2pfd")
_READ = 8192
"""So many files are looked at; more than any board holds were put there by somebody else."""

log = logging.getLogger("p2pfd.node")


class Shelf:
    """A folder with the invitations of one board."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._at: dict[bytes, Path] = {}
        self._last = 0

    def load(self, notices: Notices) -> None:
        """Hang up again what is there. What cannot be hung up any more is removed, and said."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = sorted(entry for entry in self._folder.iterdir() if _NAME.fullmatch(entry.name))[:_READ]
            for part in self._folder.glob(".*.new"):
                part.unlink()  # a process ended while it wrote this one
            for path in found:
                self._hang(path, notices)
        except OSError as error:
            raise StorageError(
                f"cannot read {error.filename or self._folder}: {error.strerror}", "check its owner and mode"
            ) from error

    def _hang(self, path: Path, notices: Notices) -> None:
        match = _NAME.fullmatch(path.name)
        assert match is not None, "it was chosen by its name"
        with path.open("rb") as file:
            raw = file.read(TEXT_BYTES + 1)
        self._last = max(self._last, int(match[1]))
        outcome, notice, gone = notices.put(raw, match[2])
        if notice is None:
            log.warning("%s hangs no longer: %s", path, outcome)
            path.unlink()
        else:
            self._at[notice.mark] = path
        self.remove(gone)

    def keep(self, notice: Notice, gone: Sequence[Notice]) -> None:
        """Write one, then remove those that went for it. When this returns, it outlives the machine's next crash."""
        self._last += 1
        name = f"{self._last:015}-{notice.source}-{notice.mark.hex()}.p2pfd"
        path = self._folder / name
        try:
            write_whole(path, notice.text.encode() + b"\n")
            self._at[notice.mark] = path
            if gone:
                self.remove(gone)
                sync_directory(self._folder)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}", "check space and owner") from error

    def remove(self, gone: Iterable[Notice]) -> None:
        """Remove what hangs no longer."""
        for notice in gone:
            path = self._at.pop(notice.mark, None)
            if path is not None:
                path.unlink(missing_ok=True)
