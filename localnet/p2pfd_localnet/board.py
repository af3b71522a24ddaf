"""Values under names, of which each reader is told what is new to it: what a page is made from.

Nothing is queued for anybody. A reader says up to which version it knows everything and gets what changed since, so
one that is slow gets fewer and larger parts, and costs no memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import trio

Patch = dict[str, Any]


class Board:
    """Sections of named values, and a log of the latest things that happened."""

    def __init__(self, log: int, log_at_once: int) -> None:
        self.version = 0
        self._values: dict[str, dict[str, tuple[int, Any]]] = {}
        self._log: deque[tuple[int, dict[str, Any]]] = deque(maxlen=log)
        self._at_once = log_at_once
        self._logged = 0
        self._news = trio.Event()

    def put(self, section: str, name: str, value: Any) -> None:
        """Set a value; the same once more is no news."""
        values = self._values.setdefault(section, {})
        if name in values and values[name][1] == value:
            return
        self.version += 1
        values[name] = self.version, value
        self.touch()

    def get(self, section: str, name: str) -> Any:
        """A value, or None."""
        return self._values.get(section, {}).get(name, (0, None))[1]

    def keep(self, section: str, most: int) -> None:
        """Forget the oldest names of a section, by the order in which they came, until it has so many."""
        values = self._values.get(section, {})
        while len(values) > most:
            del values[next(iter(values))]

    def log(self, entry: Mapping[str, Any]) -> None:
        """Add to the log; the oldest entry goes when it is full."""
        self.version += 1
        self._logged += 1
        self._log.append((self.version, {"n": self._logged, **entry}))
        self.touch()

    def since(self, version: int) -> Patch:
        """What changed after this version, by section and name; of the log the latest entries at most."""
        patch: Patch = {}
        for section, values in self._values.items():
            found = {name: value for name, (at, value) in values.items() if at > version}
            if found:
                patch[section] = found
        new: list[dict[str, Any]] = []
        for at, entry in reversed(self._log):
            if at <= version or len(new) == self._at_once:
                break
            new.append(entry)
        if new:
            patch["log"] = new[::-1]
        return patch

    def touch(self) -> None:
        """There may be news."""
        self._news.set()
        self._news = trio.Event()

    async def news(self) -> None:
        """Wait until something changes."""
        await self._news.wait()
