"""Event files as somebody else's parser reads them: protocol buffers by Google's library, checksums bit by bit."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st
from p2pfd_localnet.events import NodeEvent
from p2pfd_localnet.tensorboard import MESH, Scalars, crc32c, record, scalars
from p2pfd_localnet.view import MeshView

from p2pfd.core.ticks import SECOND, Tick

KIND = descriptor_pb2.FieldDescriptorProto


def messages() -> Any:
    """The class of TensorBoard's events, as its event.proto and summary.proto number them."""
    file = descriptor_pb2.FileDescriptorProto(name="events.proto", package="t", syntax="proto3")
    one = {"label": KIND.LABEL_OPTIONAL}
    value = file.message_type.add(name="Value")
    value.field.add(name="tag", number=1, type=KIND.TYPE_STRING, **one)
    value.field.add(name="simple_value", number=2, type=KIND.TYPE_FLOAT, **one)
    summary = file.message_type.add(name="Summary")
    summary.field.add(name="value", number=1, type=KIND.TYPE_MESSAGE, type_name=".t.Value", label=KIND.LABEL_REPEATED)
    event = file.message_type.add(name="Event")
    event.field.add(name="wall_time", number=1, type=KIND.TYPE_DOUBLE, **one)
    event.field.add(name="step", number=2, type=KIND.TYPE_INT64, **one)
    event.field.add(name="file_version", number=3, type=KIND.TYPE_STRING, **one)
    event.field.add(name="summary", number=5, type=KIND.TYPE_MESSAGE, type_name=".t.Summary", **one)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Event"))


EVENT = messages()


def bitwise(raw: bytes) -> int:
    """CRC-32C from its definition: a division of polynomials, most significant coefficient first, on mirrored bits."""
    rest = 0xFFFFFFFF
    for byte in raw:
        mirrored = int(f"{byte:08b}"[::-1], 2)
        rest ^= mirrored << 24
        for _ in range(8):
            rest = (rest << 1 ^ 0x1EDC6F41 if rest >> 31 else rest << 1) & 0xFFFFFFFF
    return int(f"{rest ^ 0xFFFFFFFF:032b}"[::-1], 2)


def unmasked(masked: int) -> int:
    turned = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return (turned << 15 | turned >> 17) & 0xFFFFFFFF


def read(path: Path) -> Iterator[Any]:
    raw, at = path.read_bytes(), 0
    while at < len(raw):
        head = raw[at : at + 8]
        (length,), (of_head,) = struct.unpack("<Q", head), struct.unpack_from("<I", raw, at + 8)
        body = raw[at + 12 : at + 12 + length]
        (of_body,) = struct.unpack_from("<I", raw, at + 12 + length)
        assert (unmasked(of_head), unmasked(of_body)) == (bitwise(head), bitwise(body))
        yield EVENT.FromString(body)
        at += 16 + length


def test_the_checksum_is_the_standards_own_example() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


@given(st.binary(max_size=80))
def test_the_checksum_is_that_of_the_definition(raw: bytes) -> None:
    assert crc32c(raw) == bitwise(raw)


@given(
    st.floats(0, 4e9),
    st.integers(0, 2**40),
    st.dictionaries(st.text(min_size=1, max_size=9), st.floats(width=32, allow_nan=False), max_size=3),
)
def test_messages_are_read_back(seconds: float, step: int, values: dict[str, float]) -> None:
    found = EVENT.FromString(scalars(seconds, step, values))
    assert (found.wall_time, found.step) == (seconds, step)
    assert [(each.tag, each.simple_value) for each in found.summary.value] == list(values.items())


class Noon:
    def now(self) -> Tick:
        return Tick(1_700_000_000 * SECOND)


@pytest.fixture
def drawn(tmp_path: Path) -> Iterator[tuple[Any, Path]]:
    view = MeshView(["node-0", "node-1"], 2)
    writer = Scalars(tmp_path, view, Noon())

    def happen(node: int, name: str, t: int = 1_700_000_001 * SECOND, **fields: object) -> None:
        event = NodeEvent(t, f"node-{node}", name, fields)
        view.take(event)
        writer.take(event)

    yield happen, tmp_path
    writer.close()


def drawn_in(folder: Path, run: str) -> list[tuple[int, dict[str, float]]]:
    [path] = (folder / run).iterdir()
    assert "tfevents" in path.name
    first, *rest = read(path)
    assert first.file_version == "brain.Event:2"
    return [
        (each.step, {value.tag: pytest.approx(value.simple_value) for value in each.summary.value}) for each in rest
    ]


def test_a_run_of_rounds(drawn: tuple[Any, Path]) -> None:
    happen, folder = drawn
    for node in range(2):
        happen(node, "node.started", pid=1, peer="p", account=f"0x{node}")
        happen(node, "round.opened", round=0, workers=2)
    happen(0, "round.absorbed", round=0, accuracy=0.5)
    happen(1, "round.absorbed", round=0, accuracy=0.7)
    happen(1, "round.absorbed", round=0, accuracy=0.7)
    happen(1, "finished", t=0)
    for node in range(2):
        happen(node, "round.paid", round=0, account="0x1", amount=3_500_000, score=1)
        happen(node, "round.settled", round=0, counted=True, paid=5_000_000, refunded=0)
    happen(1, "node.network", bytes_sent=700, bytes_received=900)
    happen(1, "node.finished", accuracy_together=0.9, accuracy_alone=0.6)
    happen(7, "node.network", bytes_sent=1)
    assert drawn_in(folder, MESH) == [(1, {"accuracy/validation": 0.6}), (1, {"paid": 5.0})]
    assert drawn_in(folder, "node-0") == [(1, {"accuracy/validation": 0.5})]
    assert drawn_in(folder, "node-1") == [
        (1, {"accuracy/validation": 0.7}),
        (1, {"paid": 3.5}),
        (1, {"bytes/sent": 700, "bytes/received": 900}),
        (1, {"accuracy/alone": 0.6, "accuracy/together": 0.9}),
    ]


def test_a_run_of_encounters(drawn: tuple[Any, Path]) -> None:
    happen, folder = drawn
    for number, accuracy in enumerate((0.4, 0.6)):
        happen(0, "learner.learnt", part=f"learner-{number}", accuracy=accuracy)
    assert drawn_in(folder, "node-0") == [(1, {"accuracy/validation": 0.4}), (2, {"accuracy/validation": 0.6})]


def test_a_record_is_as_long_as_it_says() -> None:
    assert len(record(b"abc")) == 8 + 4 + 3 + 4
