"""Canonical bytes, for values and byte strings that nobody thought of."""

from __future__ import annotations

import contextlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.canonical import Plain, decode, encode
from p2pfd.core.ids import base58_decode, base58_encode, peer_id, peer_id_of, public_key_of
from p2pfd.core.labels import MAX_CLASSES, pack, packed_size, unpack
from p2pfd.errors import DecodeError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**511), 2**511 - 1)
    | st.sampled_from(
        [sign * 2**bits + by for bits in (5, 7, 8, 15, 16, 31, 32, 63, 64) for sign in (1, -1) for by in (-1, 0, 1)]
    )
    | TEXT
    | st.binary(max_size=300)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(TEXT, inner, max_size=20),
    max_leaves=40,
)


def _same(left: Plain, right: Plain) -> bool:
    """Equal and of the same types, so that 1 and True differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return type(left) is type(right) and left == right


@given(VALUES)
def test_values_survive(value: Plain) -> None:
    raw = encode(value)
    assert _same(decode(raw, limit=len(raw)), value)


@given(VALUES)
def test_it_is_msgpack(value: Plain) -> None:
    def number(code: int, raw: bytes) -> int:
        assert code == 1
        return int.from_bytes(raw, "big", signed=True)

    assert _same(msgpack.unpackb(encode(value), ext_hook=number), value)


@given(VALUES, VALUES)
def test_one_spelling_for_one_value(left: Plain, right: Plain) -> None:
    assert (encode(left) == encode(right)) == _same(left, right)


@given(st.dictionaries(TEXT, st.integers(0, 300), max_size=10), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(value: dict[str, int], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert encode({key: value[key] for key in keys}) == encode(value)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_what_is_read_is_written_alike(raw: bytes) -> None:
    with contextlib.suppress(DecodeError):
        assert encode(decode(raw, limit=200)) == raw


@given(VALUES, st.data())
def test_a_changed_byte_is_another_value_or_none(value: Plain, data: st.DataObject) -> None:
    raw = encode(value)
    position = data.draw(st.integers(0, len(raw) - 1))
    other = raw[:position] + bytes([data.draw(st.integers(0, 255))]) + raw[position + 1 :]
    try:
        read = decode(other, limit=len(other))
    except DecodeError:
        return
    assert encode(read) == other
    assert _same(read, value) == (other == raw)


@given(VALUES, st.integers(0, 3), st.binary(max_size=3))
def test_nothing_may_be_cut_off_or_follow(value: Plain, cut: int, more: bytes) -> None:
    raw = encode(value)
    other = raw[: len(raw) - cut] + more
    if other == raw:
        return
    with contextlib.suppress(DecodeError):
        assert not _same(decode(other, limit=1_000_000), value)


@given(st.recursive(SCALARS | st.floats(), lambda inner: st.lists(inner, max_size=5), max_leaves=10))
def test_general_msgpack_is_read_exactly_when_it_is_canonical(value: Any) -> None:
    try:
        raw = msgpack.packb(value)
    except OverflowError:
        return
    try:
        expected = encode(value) == raw
    except TypeError:
        expected = False
    try:
        decode(raw, limit=len(raw))
    except DecodeError:
        assert not expected
    else:
        assert expected


@given(st.binary(max_size=44))
def test_base58_survives(raw: bytes) -> None:
    assert base58_decode(base58_encode(raw)) == raw


@given(st.text(max_size=70))
def test_base58_text_is_refused_or_the_only_spelling(text: str) -> None:
    with contextlib.suppress(DecodeError):
        assert base58_encode(base58_decode(text)) == text


@given(st.binary(min_size=32, max_size=32))
def test_peer_ids_hold_their_keys(key: bytes) -> None:
    assert public_key_of(peer_id(peer_id_of(key))) == key


@given(st.lists(st.integers(0, MAX_CLASSES - 1), max_size=200))
def test_labels_survive(labels: list[int]) -> None:
    assert unpack(pack(bytes(labels)), len(labels), MAX_CLASSES) == bytes(labels)


@given(st.integers(0, 130), st.integers(2, MAX_CLASSES), st.data())
def test_packed_labels_are_refused_or_the_only_spelling(samples: int, classes: int, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=packed_size(samples), max_size=packed_size(samples)))
    with contextlib.suppress(DecodeError):
        labels = unpack(raw, samples, classes)
        assert len(labels) == samples
        assert all(label < classes for label in labels)
        assert pack(labels) == raw


@pytest.mark.parametrize("samples", [1, 64, 100])
def test_one_changed_nibble_of_packed_labels_is_seen(samples: int) -> None:
    labels = bytes(samples)
    packed = pack(labels)
    for place in range(2 * len(packed)):
        changed = bytearray(packed)
        changed[place // 2] ^= 1 << 4 * (place % 2)
        try:
            assert unpack(bytes(changed), samples, MAX_CLASSES) != labels
        except DecodeError as error:
            assert "behind the last sample" in error.what  # noqa: PT017 - either outcome is right
