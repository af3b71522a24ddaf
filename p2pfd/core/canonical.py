"""One byte string for one value: canonical msgpack, for digests, snapshots and everything that is signed.

Plain values only: None, truth values, integers of any size, text, bytes, lists and maps with text keys. Maps are
written in the order of their keys' UTF-8 bytes, every number in its shortest form, integers beyond 64 bits as extension
type 1 (two's complement, big-endian, shortest). There are no floats: two machines do not always agree on them.
`decode` accepts exactly what `encode` writes, and names the reason for anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Union

import msgpack

from p2pfd.core.ids import Digest
from p2pfd.errors import DecodeError

Plain = Union[None, bool, int, str, bytes, Sequence["Plain"], Mapping[str, "Plain"]]

MAX_DEPTH = 16
_BIG_INTEGER = 1
_MAX_INTEGER_BYTES = 64


def _big(value: int) -> msgpack.ExtType:
    return msgpack.ExtType(_BIG_INTEGER, value.to_bytes((value.bit_length() + 8) // 8, "big", signed=True))


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
    """The one byte string of a plain value."""
    packed: bytes = msgpack.packb(_ordered(value, MAX_DEPTH), use_bin_type=True)
    return packed


def _integer(code: int, raw: bytes) -> int:
    if code != _BIG_INTEGER or not 0 < len(raw) <= _MAX_INTEGER_BYTES:
        raise DecodeError(f"unknown extension type {code} of {len(raw)} bytes")
    return int.from_bytes(raw, "big", signed=True)


def _no_float(value: object, depth: int) -> None:
    """Refuse what canonical msgpack could spell and this format does not have."""
    if value is None or isinstance(value, (bool, int, str, bytes)):
        return
    if depth == 0:
        raise DecodeError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, list):
        for item in value:
            _no_float(item, depth - 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise DecodeError(f"a key is text, not {type(key).__name__}")
            _no_float(item, depth - 1)
    else:
        raise DecodeError(f"a {type(value).__name__} is not allowed")


def decode(raw: bytes, *, limit: int) -> Plain:
    """The plain value of canonical bytes, at most `limit` of them; anything else is a DecodeError with its reason."""
    if len(raw) > limit:
        raise DecodeError(f"{len(raw)} bytes, at most {limit} are taken")
    try:
        value: Plain = msgpack.unpackb(
            raw,
            raw=False,
            strict_map_key=True,
            ext_hook=_integer,
            max_buffer_size=max(limit, 1),
        )
    except DecodeError:
        raise
    except msgpack.ExtraData as error:
        raise DecodeError("bytes follow the value") from error
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise DecodeError(f"not msgpack: {type(error).__name__}") from error
    _no_float(value, MAX_DEPTH)
    if encode(value) != raw:
        raise DecodeError("not in canonical form", "encode with sorted keys and shortest numbers")
    return value


def digest_of(kind: str, value: Plain) -> Digest:
    """SHA-256 of a value under a name for what it is, so that no two kinds of thing share a digest."""
    return Digest(hashlib.sha256(encode([kind, value])).digest())
