"""One stream of events per node, a JSON object a line: what `logs`, `status` and reports read."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from p2pfd.core.ticks import Clock
from p2pfd.errors import EnvironmentProblem

FILE = "events.jsonl"
MOST_BYTES = 32 * 1024 * 1024
"""Of events a node keeps between once and twice as much."""
Emitter = Callable[[str, Mapping[str, object]], None]


def _text(value: object) -> object:
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    return str(value)


_ENCODER = json.JSONEncoder(default=_text, separators=(",", ":"), ensure_ascii=False)


def older(path: Path) -> Path:
    """Where the lines are that came before those in a file."""
    return path.with_name(f"{path.stem}.1{path.suffix}")


class Lines(AbstractContextManager["Lines"]):
    """A file to which whole lines are added. Each is one write, so that a process that is killed leaves no half of one.

    A full disk may take a part of one; what is written next, by this process or a later one, begins a line of its own.
    """

    def __init__(self, path: Path, most: int = MOST_BYTES) -> None:
        """With ``most`` bytes in it the file is put aside as `older`, over the one before, and begun anew."""
        self._path = path
        self._most = most
        self._open()

    def _open(self) -> None:
        self._file = self._path.open("a+b", buffering=0)
        self._size = self._file.seek(0, os.SEEK_END)
        self._torn = False
        if self._size:
            self._file.seek(self._size - 1)
            self._torn = self._file.read(1) != b"\n"

    def write(self, text: str) -> None:
        """Add a line, which brings its own end; EnvironmentProblem where it cannot be written."""
        raw = (b"\n" if self._torn else b"") + text.encode(errors="replace")
        try:
            if self._size and self._size + len(raw) > self._most:
                full = self._file
                self._path.replace(older(self._path))
                self._open()
                full.close()
            written = self._file.write(raw)
        except OSError as error:
            raise self._problem(error.strerror or "it fails") from error
        self._size += written
        if written < len(raw):
            self._torn = self._torn or written > 0
            raise self._problem(os.strerror(errno.ENOSPC))
        self._torn = False

    def flush(self) -> None:
        """Nothing is held back."""

    def _problem(self, why: str) -> EnvironmentProblem:
        return EnvironmentProblem(f"cannot write {self._path}: {why}", "free some disk space")

    def __exit__(self, *exc: object) -> None:
        self._file.close()


def event_stream(path: Path, node: str, clock: Clock) -> tuple[Emitter, Lines]:
    """A function that writes events to a file, line by line, and the file to close in the end."""
    stream = Lines(path)

    def emit(name: str, fields: Mapping[str, object]) -> None:
        stream.write(_ENCODER.encode({"t": clock.now(), "node": node, "event": name, **fields}) + "\n")

    return emit, stream
