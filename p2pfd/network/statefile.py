"""A small file that is written whole or not at all, and put aside when it cannot be read."""

from __future__ import annotations

import itertools
import json
import logging
import math
import threading
from pathlib import Path

from p2pfd.core import boundedjson
from p2pfd.durable import write_whole
from p2pfd.errors import StorageError

LIMIT = 8 * 1024 * 1024

log = logging.getLogger("p2pfd.network")


class StateFile:
    """One JSON value on disk. What it holds is convenient to know, never needed: a node goes on without it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._taken = itertools.count(1)
        self._written = 0

    def load(self) -> object:
        """The value; None when there is no file, or when it was damaged and has been put aside."""
        try:
            with self.path.open("rb") as file:
                raw = file.read(LIMIT + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror}", "check its owner and mode") from error
        if len(raw) > LIMIT:
            self.put_aside(f"it has more than {LIMIT} bytes")
            return None
        try:
            value: object = boundedjson.loads(raw)
        except (ValueError, RecursionError) as error:
            self.put_aside(f"it is no JSON: {error}")
            return None
        return value

    def put_aside(self, why: str) -> None:
        """Keep a damaged file for whoever wants to look, out of the way."""
        aside = self.path.with_name(self.path.name + ".damaged")
        log.warning("%s is damaged and is now %s; going on without it: %s", self.path, aside.name, why)
        try:
            self.path.replace(aside)
        except OSError as error:
            raise StorageError(f"cannot move {self.path}: {error.strerror}", "check the folder's owner") from error

    def ticket(self) -> int:
        """A number for what is to be saved, in the order in which it came about."""
        return next(self._taken)

    def save(self, value: object, ticket: int) -> None:
        """Write the value, unless a later one is written; a reader, and a power cut, see the old one or the new one."""
        with self._lock:
            if ticket > self._written:
                self._write(value)
                self._written = ticket

    def _write(self, value: object) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(self.path, json.dumps(value, separators=(",", ":")).encode("ascii"), 0o600)
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror}", "check space and owner") from error


def finite(value: object) -> float:
    """The number; ValueError for anything else that stands in its place."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)
