"""A run as event files that TensorBoard reads: one run for the mesh, and one for each node.

The format is small enough to be written here: records of a length, a body and checksums of both; bodies are messages
of protocol buffers with a time, a step, and named numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from p2pfd.core.ticks import SECOND, Clock
from p2pfd_localnet.events import NodeEvent
from p2pfd_localnet.view import MeshView, NodeView

MESH = "mesh"
_VERSION = b"brain.Event:2"
_POLYNOMIAL = 0x82F63B78
_MASK = 0xA282EAD8


def _row(place: int) -> int:
    for _ in range(8):
        place = place >> 1 ^ (_POLYNOMIAL if place & 1 else 0)
    return place


_TABLE = tuple(map(_row, range(256)))


def crc32c(raw: bytes) -> int:
    """The checksum of Castagnoli, as iSCSI has it."""
    found = 0xFFFFFFFF
    for byte in raw:
        found = _TABLE[(found ^ byte) & 0xFF] ^ found >> 8
    return found ^ 0xFFFFFFFF


def record(raw: bytes) -> bytes:
    """A body with its length and both checksums, which are turned and moved, as the format has it."""
    length = struct.pack("<Q", len(raw))
    return length + _masked(length) + raw + _masked(raw)


def _masked(raw: bytes) -> bytes:
    found = crc32c(raw)
    return struct.pack("<I", ((found >> 15 | found << 17) + _MASK) & 0xFFFFFFFF)


def scalars(seconds: float, step: int, values: Mapping[str, float]) -> bytes:
    """A message that holds these numbers at a step."""
    parts = [
        _bytes(1, _bytes(1, tag.encode()) + b"\x15" + struct.pack("<f", value))  # a tag, and a float with the number 2
        for tag, value in values.items()
    ]
    return _head(seconds) + b"\x10" + _varint(step) + _bytes(5, b"".join(parts))


def _head(seconds: float) -> bytes:
    return b"\x09" + struct.pack("<d", seconds)


def _bytes(number: int, raw: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


class Scalars:
    """Writes what a mesh reports as it comes; it takes events after the view has taken them."""

    def __init__(self, folder: Path, view: MeshView, clock: Clock) -> None:
        self._folder = folder
        self._view = view
        self._clock = clock
        self._files: dict[str, BinaryIO] = {}
        self._told: set[tuple[str, int]] = set()

    def take(self, event: NodeEvent) -> None:
        """Write what there is to be drawn in an event."""
        node = self._view.nodes.get(event.node)
        if node is None or not event.t:  # by the status pipe it comes once more
            return
        match event.name:
            case "round.absorbed":
                self._learned(event, node, event.whole("round"))
            case "learner.learnt":
                self._learned(event, node, len(node.learnt) - 1)
            case "round.paid" if node.account and node.account == event.text("account"):
                self._write(event, node.name, event.whole("round") + 1, {"paid": event.whole("amount") / 1e6})
            case "round.settled" if self._is_new("settled", event.whole("round")):
                self._write(event, MESH, event.whole("round") + 1, {"paid": event.whole("paid") / 1e6})
            case "node.network":
                told = {"bytes/sent": event.whole("bytes_sent"), "bytes/received": event.whole("bytes_received")}
                self._write(event, node.name, node.rounds, told)
            case "node.finished" if node.together is not None:
                ends = {"accuracy/alone": node.alone or 0.0, "accuracy/together": node.together}
                self._write(event, node.name, node.rounds, ends)
            case _:
                pass

    def _learned(self, event: NodeEvent, node: NodeView, rnd: int) -> None:
        accuracy = event.fraction("accuracy")
        if accuracy is not None and self._is_new(node.name, rnd):
            self._write(event, node.name, rnd + 1, {"accuracy/validation": accuracy})
        mean = self._view.accuracy(rnd)
        if mean is not None and self._view.absorbed(rnd) >= len(self._view.living()) and self._is_new(MESH, rnd):
            self._write(event, MESH, rnd + 1, {"accuracy/validation": mean})

    def _is_new(self, what: str, rnd: int) -> bool:
        new = (what, rnd) not in self._told
        self._told.add((what, rnd))
        return new

    def _write(self, event: NodeEvent, run: str, step: int, values: Mapping[str, float]) -> None:
        if run not in self._files:
            self._files[run] = self._open(run)
        self._files[run].write(record(scalars(event.t / SECOND, step, values)))
        self._files[run].flush()

    def _open(self, run: str) -> BinaryIO:
        folder = self._folder / run
        folder.mkdir(parents=True, exist_ok=True)
        now = self._clock.now()
        file = (folder / f"events.out.tfevents.{now // SECOND}.p2pfd").open("ab")
        file.write(record(_head(now / SECOND) + _bytes(3, _VERSION)))
        return file

    def close(self) -> None:
        """Nothing more comes."""
        while self._files:
            self._files.popitem()[1].close()
