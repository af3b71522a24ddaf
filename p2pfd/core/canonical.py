"""One byte string for one value: canonical msgpack, for digests, snapshots and everything that is signed.

Plain values only: None, truth values, integers of up to 512 bits, text, bytes, lists and maps with text keys. Maps are
written in the order of their keys' UTF-8 bytes, every number and every length in its shortest form, integers beyond
64 bits as extension type 1 (two's complement, big-endian, shortest). There are no floats: two machines do not always
agree on them. `decode` accepts exactly what `encode` writes, and names the reason for anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgpack

from p2pfd.core._msgpack import BIG_INTEGER, MAX_DEPTH, MAX_INTEGER_BYTES, Reader
from p2pfd.core.ids import Digest
from p2pfd.errors import DecodeError

__all__ = ["MAX_DEPTH", "Plain", "decode", "digest_of", "encode"]

Plain = None | bool | int | str | bytes | Sequence["Plain"] | Mapping[str, "Plain"]


def _big(value: int) -> msgpack.ExtType:
    length = (value if value >= 0 else ~value).bit_length() // 8 + 1
    if length > MAX_INTEGER_BYTES:
        raise ValueError(f"an integer of {length} bytes, at most {MAX_INTEGER_BYTES} have a canonical form")
    return msgpack.ExtType(BIG_INTEGER, value.to_bytes(length, "big", signed=True))


def _ordered(value: Plain, depth: int) -> object:
    if value is None or isinstance(value, (bool, str, bytes)):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else _big(value)
    if depth == 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"a key is text, not {type(key).__name__}")
        return {key: _ordered(value[key], depth - 1) for key in sorted(value, key=str.encode)}
    if isinstance(value, Sequence) and not isinstance(value, (bytearray, memoryview)):
        return [_ordered(item, depth - 1) for item in value]
    raise TypeError(f"{type(value).__name__} has no canonical form")


def encode(value: Plain) -> bytes:
    """The one byte string of a plain value; ValueError or TypeError when it has none."""
    packed: bytes = msgpack.packb(_ordered(value, MAX_DEPTH), use_bin_type=True)
    return packed


def decode(raw: bytes, *, limit: int) -> Plain:
    """The plain value of canonical bytes, at most `limit` of them; anything else is a DecodeError with its reason."""
    if len(raw) > limit:
        raise DecodeError(f"{len(raw)} bytes, at most {limit} are taken")
    return Reader(raw).whole()


def digest_of(kind: str, value: Plain) -> Digest:
    """SHA-256 of a value under a name for what it is, so that no two kinds of thing share a digest."""
    return Digest(hashlib.sha256(encode([kind, value])).digest())
