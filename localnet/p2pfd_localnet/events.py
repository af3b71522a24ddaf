"""What nodes report, as values: read from their `events.jsonl` while they write it, and from the status pipe."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pfd.node.telemetry import older

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """One thing that happened at one node; ``t`` is microseconds since the epoch, 0 when it has none."""

    t: int
    node: str
    name: str
    fields: Mapping[str, Any]

    def whole(self, key: str) -> int:
        """A field that is a whole number; 0 when it is missing."""
        value = self.fields.get(key, 0)
        return value if isinstance(value, int) else 0

    def fraction(self, key: str) -> float | None:
        """A field that is a number."""
        value = self.fields.get(key)
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def text(self, key: str) -> str:
        """A field that is text; empty when it is missing."""
        value = self.fields.get(key, "")
        return value if isinstance(value, str) else ""


def parse(line: bytes | str) -> NodeEvent | None:
    """The event on a line; None for a line that is none, such as one that a dying node could not finish."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("event"), str):
        return None
    node, t = value.get("node", ""), value.get("t", 0)
    if not isinstance(node, str) or not isinstance(t, int):
        return None
    rest = {key: field for key, field in value.items() if key not in ("t", "node", "event")}
    return NodeEvent(t, node, value["event"], rest)


class Tail:
    """Reads a growing file of events from where it stopped last time; only lines that are finished.

    A file that has become too long is put aside and begun anew: what was put aside last is read first, and to its end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._older = older(path)
        self._inode = 0
        self._at = 0
        self._rest = b""

    def new(self) -> Iterator[NodeEvent]:
        """The events that were added."""
        for line in self.lines():
            event = parse(line)
            if event is not None:
                yield event

    def lines(self) -> Iterator[bytes]:
        """The lines that were added, without their ends, whatever they say."""
        while raw := self._read():
            *lines, self._rest = (self._rest + raw).split(b"\n")
            yield from lines

    def _read(self) -> bytes:
        """The next piece; of the file that is read now, or of the one after it."""
        for path in (self._older, self.path):
            try:
                with path.open("rb") as file:
                    inode = os.fstat(file.fileno()).st_ino
                    if self._inode not in (0, inode) and path == self._older:
                        continue  # it was read before the present one was begun
                    if inode != self._inode:
                        self._inode, self._at, self._rest = inode, 0, b""
                    file.seek(self._at)
                    raw = file.read(CHUNK)
            except FileNotFoundError:
                continue
            self._at += len(raw)
            if raw:
                return raw
        return b""
