"""One machine's part of a mesh: its zygote, its nodes' files, and what they say, for whoever asks.

A host knows nothing of Ray: it is an object whose methods Ray calls from elsewhere. Nobody asks for longer than
`LEASE`, and it ends its nodes: a supervisor that is gone, or cannot be reached any more, leaves nobody behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2pfd.node import config, keys
from p2pfd.node.telemetry import FILE as EVENTS_FILE
from p2pfd_localnet.events import Tail
from p2pfd_localnet.hatch import hatch, words_of
from p2pfd_localnet.homes import save_settings
from p2pfd_localnet.logs import shorten
from p2pfd_localnet.state import State
from p2pfd_localnet.zygote import GRACE

LEASE = 30.0
"""Seconds after which both sides take the other for gone."""
LOOK = 0.2
"""How often the nodes' files are looked at."""
BATCH_BYTES = 1 << 20
OUTPUT_FILE = "output.log"
ROOT = "P2PFD_MESHES"
"""The variable that says where meshes of a cluster are kept; else in the user's own cache."""


@dataclass(frozen=True)
class News:
    """What happened on a machine since it was asked last. What nodes wrote comes before what they said."""

    number: int = 0
    files: tuple[tuple[str, str, bytes], ...] = ()
    """A node, the name of its file, and the whole lines that were added to it."""
    lines: tuple[bytes, ...] = ()
    over: bool = False
    """Whether nothing more will come."""


@dataclass
class _Lines:
    """The whole lines of a growing file."""

    node: str
    tail: Tail

    def new(self) -> bytes:
        """What was added, as far as it is finished; a long file comes piece by piece."""
        found = bytearray()
        for line in self.tail.lines():
            found += line + b"\n"
        return bytes(found)


def root() -> Path:
    """Where this machine keeps its parts of meshes."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get(ROOT) or cache / "p2pfd" / "meshes")


@dataclass
class Host:
    """The nodes of one machine. Its methods may be called from several threads."""

    folder: str
    lease: float = LEASE
    clock: Callable[[], float] = time.monotonic
    _process: subprocess.Popen[bytes] | None = None
    _said: list[bytes] = field(default_factory=list)
    _tails: dict[tuple[str, str], _Lines] = field(default_factory=dict)
    _last: News = News()
    _asked: float = 0.0
    _over: bool = False
    _news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def state(self) -> State:
        """The directory of this machine's part, laid out as that of a whole mesh."""
        return State(root() / self.folder)

    def open(self, task: str, entry: str, *, isolate: bool, warm: bool) -> None:
        """Start the zygote. ``task`` is the text of the task's file, as far as that is known, to warm up with."""
        home = self.state.home
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.state.task.write_text(task, encoding="utf-8")
        words = words_of(entry, (str(self.state.task),) if warm else (), isolate=isolate)
        self._process = hatch(self.state.zygote_log, words)
        (home / "zygote.pid").write_text(str(self._process.pid), encoding="ascii")
        self._asked = self.clock()
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._mind_lease, daemon=True).start()

    def task(self, text: str) -> None:
        """The task as it was founded."""
        part = self.state.task.with_suffix(".new")
        part.write_text(text, encoding="utf-8")
        part.replace(self.state.task)

    def spawn(self, name: str, settings: Mapping[str, Any], seed: int) -> None:
        """Start a node with these settings, in a directory of its own here; its keys follow from the mesh's seed."""
        home = self.state.node(name)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        keys.save(keys.throwaway(seed, name), home / "keys")
        known = {**settings, "home": str(home), "task": str(self.state.task), "bootstrap": ()}
        path = save_settings(config.NodeConfig(**known), home)
        with self._news:
            for file in (EVENTS_FILE, OUTPUT_FILE):
                self._tails.setdefault((name, file), _Lines(name, Tail(home / file)))
        self.order({"spawn": name, "config": str(path)})

    def order(self, order: Mapping[str, Any]) -> None:
        """Pass an order on to the zygote; one that is gone takes none."""
        process = self._process
        if process is None or process.stdin is None:
            return
        with self._news, contextlib.suppress(BrokenPipeError, ValueError):
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()

    def news(self, seen: int, wait: float) -> News:
        """What there is to tell, as soon as there is anything, and after ``wait`` seconds in any case.

        ``seen`` is the number of the last news that came: if there are later ones, they were lost, and come again.
        """
        until = self.clock() + wait
        with self._news:
            while self._last.number <= seen:
                self._asked = self.clock()
                said, self._said = tuple(self._said), []
                files = self._written()
                if said or files or self._over or self.clock() >= until:
                    self._last = News(self._last.number + 1, files, said, self._over and not files)
                    break
                self._news.wait(min(LOOK, max(0.0, until - self.clock())))
            return self._last

    def close(self) -> None:
        """End the nodes: what they did until their end is in the news."""
        process = self._process
        if process is None:
            return
        with self._news, contextlib.suppress(BrokenPipeError, ValueError):
            assert process.stdin is not None
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE + 2)
        self.kill()

    def kill(self) -> None:
        """End them all at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    # -- threads -------------------------------------------------------------------------------------------------------

    def _written(self) -> tuple[tuple[str, str, bytes], ...]:
        found, size = [], 0
        for (name, file), lines in self._tails.items():
            raw = lines.new()
            if raw:
                found.append((name, file, raw))
                size += len(raw)
                if file == OUTPUT_FILE:
                    shorten(self.state.node(name) / file)
            if size > BATCH_BYTES:
                break
        return tuple(found)

    def _listen(self) -> None:
        """Take what the zygote and the nodes say, until all of them are gone."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with self._news:
                    self._said.append(line.rstrip(b"\n"))
                    self._news.notify_all()
        code = process.wait()
        self.kill()
        with self._news:
            self._said.append(json.dumps({"event": "zygote.ended", "code": code}).encode())
            self._over = True
            self._news.notify_all()

    def _mind_lease(self) -> None:
        while not self._over:
            time.sleep(min(1.0, self.lease / 4))
            with self._news:
                late = self.clock() - self._asked > self.lease
            if late:
                self.close()


def wipe(folder: str) -> bool:
    """Delete what a machine has of a mesh, and end what may still run of it; whether there was anything."""
    home = root() / folder
    if not folder or "/" in folder or folder.startswith(".") or not home.is_dir():
        return False
    with contextlib.suppress(OSError, ValueError):
        _end_group(int((home / "zygote.pid").read_text(encoding="ascii")), str(home))
    shutil.rmtree(home)
    return True


def _end_group(group: int, home: str) -> None:
    """End the processes of a group that were started for this directory; another's may have got its number by now."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = (entry / "stat").read_text(encoding="ascii", errors="replace")
            surroundings = (entry / "environ").read_bytes().decode(errors="replace")
            if int(stat.rpartition(")")[2].split()[2]) == group and f"={home}/" in surroundings:
                os.kill(int(entry.name), signal.SIGKILL)
