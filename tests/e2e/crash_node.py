"""A node that is killed at a place in its code: the real node, with counters where its life matters most.

Beside its settings lies ``doom.json``: the place, which crossing of it, and how long after. A life reads it when it is
born, and again on SIGUSR1. The end is SIGKILL to itself, which no code can answer, buffer or clean up after.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

FILE, PID = "doom.json", "pid"
BORN = "born"
"""A place that every life crosses once, before it has read anything."""


class Doom:
    """When this process is to die."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = ""
        self._left = 0
        self._delay = 0.0

    def read(self) -> None:
        """Take what the file says; a file that is not there changes nothing."""
        if self._path.exists():
            told = json.loads(self._path.read_text())
            self._path.unlink()
            self._place, self._left, self._delay = told["place"], told["crossing"], told["delay"]

    def at(self, place: str) -> None:
        """This place is crossed."""
        if place != self._place:
            return
        self._left -= 1
        if self._left == 0 and self._delay:
            threading.Thread(target=self._later, daemon=True).start()
        elif self._left == 0:
            _die()

    def _later(self) -> None:
        time.sleep(self._delay)
        _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


PLACES = {
    "store.before": 3,
    "store.after": 3,
    "outbox.before": 4,
    "outbox.commit": 4,
    "outbox.after": 4,
    "cast.before": 2,
    "cast.after": 2,
    "receipt": 2,
    "effect": 60,
    "event": 40,
}
"""Where a life may end while it works, and at which crossing at the latest."""
KEPT = {"file": 1, "blob.before": 1, "blob.after": 1}
"""The same of nodes that learn in encounters: they keep where others are, and what others are to fetch."""
START = (BORN, "opened", "restored", "listening", "reached")


def _around(doom: Doom, owner: Any, name: str, before: str, after: str) -> None:
    original: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*args: Any, **keywords: Any) -> Any:
        doom.at(before)
        found = original(*args, **keywords)
        doom.at(after)
        return found

    setattr(owner, name, wrapped)


def _around_async(doom: Doom, owner: Any, name: str, before: str, after: str) -> None:
    original: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(original)
    async def wrapped(*args: Any, **keywords: Any) -> Any:
        doom.at(before)
        found = await original(*args, **keywords)
        doom.at(after)
        return found

    setattr(owner, name, wrapped)


def _watch(doom: Doom) -> None:
    """Have the places counted, in this process."""
    from p2pfd.network.diskblobs import DiskBlobs
    from p2pfd.network.statefile import StateFile
    from p2pfd.node import runtime
    from p2pfd.node.driver import Driver
    from p2pfd.node.neighbours import Neighbours
    from p2pfd.node.settling import ChainSide
    from p2pfd.node.store import Store
    from p2pfd.settlement.outbox import Outbox
    from p2pfd.settlement.pen import Pen

    none = ""
    _around(doom, Store, "_write", "store.before", "store.after")
    _around_async(doom, Pen, "cast", "cast.before", "cast.after")
    _around(doom, Outbox, "finish", "receipt", none)
    _around(doom, StateFile, "_write", "file", none)
    _around(doom, DiskBlobs, "_write", "blob.before", "blob.after")
    _around(doom, Driver, "_perform", "effect", none)
    _around(doom, Driver, "post", "event", none)
    _around(doom, Store, "__init__", none, "opened")
    _around(doom, runtime, "_restore", none, "restored")
    _around(doom, Neighbours, "__init__", "listening", none)
    _around_async(doom, ChainSide, "_follow", "reached", none)
    written: Callable[[Outbox], AbstractContextManager[None]] = Outbox._written

    @contextmanager
    def watched(self: Outbox) -> Iterator[None]:
        doom.at("outbox.before")
        with written(self):
            yield
            doom.at("outbox.commit")
        doom.at("outbox.after")

    Outbox._written = watched  # type: ignore[method-assign]


def run(config: Path, control: int, status: int) -> int:
    """A life of a node: the entry of the process that forks it."""
    from p2pfd.node import process

    doom = Doom(config.parent / FILE)
    doom.read()
    (config.parent / PID).write_text(str(os.getpid()))
    signal.signal(signal.SIGUSR1, lambda _number, _frame: doom.read())
    _watch(doom)
    doom.at(BORN)
    return process.run(config, control, status)
