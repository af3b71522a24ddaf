"""Canonical msgpack: known answers, every refusal, and bounds on what hostile bytes can cost."""

from __future__ import annotations

import contextlib
import enum
import tracemalloc
from types import MappingProxyType

import msgpack
import pytest

from p2pfd.core.canonical import MAX_DEPTH, Plain, decode, digest_of, encode
from p2pfd.errors import DecodeError

KNOWN: list[tuple[Plain, str]] = [
    (None, "c0"),
    (False, "c2"),
    (True, "c3"),
    (0, "00"),
    (127, "7f"),
    (128, "cc80"),
    (255, "ccff"),
    (256, "cd0100"),
    (65_535, "cdffff"),
    (65_536, "ce00010000"),
    (2**32 - 1, "ceffffffff"),
    (2**32, "cf0000000100000000"),
    (2**64 - 1, "cfffffffffffffffff"),
    (2**64, "c70901010000000000000000"),
    (2**71 - 1, "c709017fffffffffffffffff"),
    (2**71, "c70a0100800000000000000000"),
    (2**127 - 1, "d8017fffffffffffffffffffffffffffffff"),
    (-(2**127), "d80180000000000000000000000000000000"),
    (-1, "ff"),
    (-32, "e0"),
    (-33, "d0df"),
    (-128, "d080"),
    (-129, "d1ff7f"),
    (-32_768, "d18000"),
    (-32_769, "d2ffff7fff"),
    (-(2**31), "d280000000"),
    (-(2**31) - 1, "d3ffffffff7fffffff"),
    (-(2**63), "d38000000000000000"),
    (-(2**63) - 1, "c70901ff7fffffffffffffff"),
    ("", "a0"),
    ("é", "a2c3a9"),
    (b"", "c400"),
    (b"\x01\x02", "c4020102"),
    ([], "90"),
    ([1, [2]], "92019102"),
    ({}, "80"),
    ({"b": 1, "a": 2}, "82a16102a16201"),
    ({"b": 1, "aa": 2}, "82a2616102a16201"),
]


@pytest.mark.parametrize(("value", "spelled"), KNOWN)
def test_known_answers(value: Plain, spelled: str) -> None:
    raw = bytes.fromhex(spelled)
    assert encode(value) == raw
    read = decode(raw, limit=len(raw))
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("size", [15, 16, 31, 32, 255, 256, 65_535, 65_536])
def test_lengths_on_both_sides_of_each_step(size: int) -> None:
    values: list[Plain] = [
        "x" * size,
        b"x" * size,
        [None] * size,
        {f"{key:05}": key for key in range(size)},
    ]
    for value in values:
        raw = encode(value)
        assert decode(raw, limit=len(raw)) == value
        assert msgpack.unpackb(raw) == value


def test_keys_are_sorted_by_their_utf8_bytes() -> None:
    keys = ["z", "aa", "a", "", "é", "\U00010000", "\uffff"]
    read = decode(encode(dict.fromkeys(keys)), limit=100)
    assert isinstance(read, dict)
    assert list(read) == sorted(keys, key=str.encode)
    assert list(read) != sorted(keys, key=lambda key: key.encode("utf-16-be"))  # the orders differ, and it matters


def test_the_order_of_insertion_is_forgotten() -> None:
    assert encode({"a": {"x": 1, "y": 2}, "b": 3}) == encode({"b": 3, "a": {"y": 2, "x": 1}})


def test_views_and_tuples_are_lists_and_maps() -> None:
    assert encode(MappingProxyType({"a": (1, 2)})) == encode({"a": [1, 2]})


def test_enumerations_are_what_they_count_as() -> None:
    class Colour(enum.IntEnum):
        RED = 3

    class Name(enum.StrEnum):
        ANN = "ann"

    assert encode([Colour.RED, Name.ANN]) == encode([3, "ann"])


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), object(), {1: 2}, {b"a": 1}, {None: 1}, bytearray(b"x"), memoryview(b"x"), {1, 2}, 1j, [[0.5]]],
)
def test_values_without_a_canonical_form(value: object) -> None:
    with pytest.raises(TypeError):
        encode(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [2**511, -(2**511) - 1, 10**1000, "\ud800", {"\udfff": 1}])
def test_values_beyond_the_canonical_form(value: Plain) -> None:
    with pytest.raises(ValueError, match=r".+"):
        encode(value)


def test_integers_up_to_the_bound_round_trip() -> None:
    for value in (2**511 - 1, -(2**511)):
        assert decode(encode(value), limit=100) == value


def _nested(depth: int) -> Plain:
    value: Plain = 0
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


def test_nesting_is_bounded_alike_in_both_directions() -> None:
    assert decode(encode(_nested(MAX_DEPTH)), limit=1000) == _nested(MAX_DEPTH)
    with pytest.raises(ValueError, match="nested deeper"):
        encode(_nested(MAX_DEPTH + 1))
    with pytest.raises(DecodeError, match="nested deeper"):
        decode(b"\x91" * (MAX_DEPTH + 1) + b"\0", limit=1000)


REFUSED = [
    ("", "the bytes end"),
    ("c1", "no canonical value begins with byte 0xc1"),
    ("0000", "bytes follow"),
    ("c0c0", "bytes follow"),
    # not the shortest form
    ("cc7f", "canonical form"),
    ("cd00ff", "canonical form"),
    ("ce0000ffff", "canonical form"),
    ("cf00000000ffffffff", "canonical form"),
    ("d0e0", "canonical form"),
    ("d000", "canonical form"),
    ("d07f", "canonical form"),
    ("d1ff80", "canonical form"),
    ("d1007f", "canonical form"),
    ("d2ffff8000", "canonical form"),
    ("d3ffffffff80000000", "canonical form"),
    ("d9016100", "canonical form"),
    ("da00016100", "canonical form"),
    ("db0000000161", "canonical form"),
    ("c5000161", "canonical form"),
    ("c60000000161", "canonical form"),
    ("dc000100", "canonical form"),
    ("dd0000000100", "canonical form"),
    ("de0001a16100", "canonical form"),
    ("df00000001a16100", "canonical form"),
    # floats
    ("ca3f800000", "a float"),
    ("cb3ff0000000000000", "a float"),
    ("cb7ff8000000000000", "a float"),
    ("91ca", "a float"),
    # extension types
    ("d6ff00000000", "extension type -1"),
    ("d7ff0000000000000000", "extension type -1"),
    ("c70cff000000000000000000000000", "extension type -1"),
    ("c70005", "extension type 5"),
    ("c70001", "canonical form"),
    ("d40100", "canonical form"),
    ("d7017fffffffffffffff", "canonical form"),
    ("d701ffffffffffffffff", "canonical form"),
    ("c70901000fffffffffffffff", "canonical form"),
    ("c70901ffffffffffffffffff", "canonical form"),
    ("c7100100800000000000000000000000000000", "canonical form"),
    ("c74101" + "7f" * 65, "an integer of 65 bytes"),
    ("c7ff01" + "7f" * 255, "an integer of 255 bytes"),
    ("c8000101" + "00", "no canonical value begins with byte 0xc8"),
    ("c90000000101" + "00", "no canonical value begins with byte 0xc9"),
    # text that is none
    ("a1ff", "not UTF-8"),
    ("a3eda080", "not UTF-8"),
    ("a2c080", "not UTF-8"),
    ("a4f4908080", "not UTF-8"),
    ("a1c3", "not UTF-8"),
    # maps
    ("82a16100a16100", "a key twice"),
    ("82a16200a16100", "keys out of order"),
    ("81c0a161", "a key is text, not NoneType"),
    ("810000", "a key is text, not int"),
    ("81c4016100", "a key is text, not bytes"),
    ("819000", "a key is text, not list"),
    # cut short, and claims beyond what is there
    ("91", "claims 1 items, 0 bytes are left"),
    ("81a161", "the bytes end"),
    ("81", "claims 2 items"),
    ("a161"[:2], "the bytes end"),
    ("c4", "the bytes end"),
    ("c410", "the bytes end"),
    ("c6ffffffff", "the bytes end"),
    ("dbffffffff", "the bytes end"),
    ("ddffffffff00", "claims 4294967295 items"),
    ("dfffffffff00", "claims 8589934590 items"),
    ("cf00", "the bytes end"),
    ("c7", "the bytes end"),
    ("d801", "the bytes end"),
]


@pytest.mark.parametrize(("spelled", "reason"), REFUSED)
def test_what_is_not_canonical_is_refused_with_its_reason(spelled: str, reason: str) -> None:
    raw = bytes.fromhex(spelled)
    with pytest.raises(DecodeError) as caught:
        decode(raw, limit=1000)
    assert reason in str(caught.value)


def test_the_limit_comes_first() -> None:
    raw = encode("x" * 10)
    assert decode(raw, limit=11) == "x" * 10
    with pytest.raises(DecodeError, match="11 bytes, at most 10 are taken"):
        decode(raw, limit=10)
    with pytest.raises(DecodeError, match="at most 0"):
        decode(b"\xc1", limit=0)


MANY = 2**16  # the fewest that a 32-bit claim may claim


def _claiming(code: int, count: int) -> bytes:
    return bytes([code]) + count.to_bytes(4, "big")


HOSTILE = {
    "nested claims of as many items as there are bytes": _claiming(0xDD, MANY) * 16 + b"\0" * MANY,
    "nested claims beyond what there is": _claiming(0xDD, 2**32 - 1) * MANY,
    "many levels": b"\x91" * MANY,
    "many levels of maps": b"\x81\xa0" * MANY,
    "a key many times": _claiming(0xDF, MANY) + b"\xa1a\0" * MANY,
    "empty lists": _claiming(0xDD, MANY) + b"\x90" * MANY,
    "empty maps": _claiming(0xDD, MANY) + b"\x80" * MANY,
    "small maps": _claiming(0xDD, MANY) + b"\x81\xa0\0" * MANY,
    "large numbers": _claiming(0xDD, MANY) + (b"\xc7\x11\x01" + b"\x7f" * 17) * MANY,
    "a long text that ends badly": _claiming(0xDB, MANY) + b"a" * (MANY - 1) + b"\xff",
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
def test_memory_is_bounded_by_the_number_of_bytes(raw: bytes) -> None:
    tracemalloc.start()
    try:
        with contextlib.suppress(DecodeError):
            decode(raw, limit=len(raw))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(raw)


def test_a_digest_depends_on_the_kind_and_the_value() -> None:
    assert digest_of("task", {"a": 1}).hex() == digest_of("task", {"a": 1}).hex()
    assert len({digest_of("task", 1), digest_of("plan", 1), digest_of("task", 2), digest_of("task", True)}) == 4
    assert digest_of("task", {}).hex() == "590eca618190dfcd4a616d0bc0020e7d5fb85b62486f5ce78330234864bb4ea9"
