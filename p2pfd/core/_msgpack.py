"""Reads the one canonical spelling of msgpack, in one pass over hostile bytes.

General msgpack readers accept many spellings of a value, and set aside room for as many items as a header claims: a
few hundred nested headers in a small message can claim gigabytes. Here a header's claim is held against the bytes that
are left before anything is made, nesting is bounded, and the first byte that canonical form does not have ends it.
"""

from __future__ import annotations

from p2pfd.errors import DecodeError

Read = None | bool | int | str | bytes | list["Read"] | dict[str, "Read"]

MAX_DEPTH = 16
BIG_INTEGER = 1
MAX_INTEGER_BYTES = 64
_FIX = "use the shortest form of every number and every length"

# code: (bytes of the number that follows, whether it is signed, the smallest magnitude that needs them)
_INTEGERS = {
    0xCC: (1, False, 2**7),
    0xCD: (2, False, 2**8),
    0xCE: (4, False, 2**16),
    0xCF: (8, False, 2**32),
    0xD0: (1, True, 2**5 + 1),
    0xD1: (2, True, 2**7 + 1),
    0xD2: (4, True, 2**15 + 1),
    0xD3: (8, True, 2**31 + 1),
}
# code: (bytes of the length that follows, the smallest length that needs them)
_TEXT = {0xD9: (1, 2**5), 0xDA: (2, 2**8), 0xDB: (4, 2**16)}
_BYTES = {0xC4: (1, 0), 0xC5: (2, 2**8), 0xC6: (4, 2**16)}
_LISTS = {0xDC: (2, 2**4), 0xDD: (4, 2**16)}
_MAPS = {0xDE: (2, 2**4), 0xDF: (4, 2**16)}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_EXTENSION = 0xC7


class Reader:
    """One pass over some bytes."""

    __slots__ = ("_at", "_raw")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def whole(self) -> Read:
        """The value that the bytes are, from the first to the last."""
        value = self._value(MAX_DEPTH)
        if self._at != len(self._raw):
            raise DecodeError("bytes follow the value")
        return value

    def _take(self, count: int) -> bytes:
        start = self._at
        if count > len(self._raw) - start:
            raise DecodeError(f"the bytes end at {len(self._raw)}, inside a value")
        self._at = start + count
        return self._raw[start : self._at]

    def _value(self, depth: int) -> Read:
        code = self._take(1)[0]
        if code <= 0x7F:
            return code
        if code >= 0xE0:
            return code - 0x100
        if code <= 0x8F:
            return self._map(code & 0x0F, depth)
        if code <= 0x9F:
            return self._list(code & 0x0F, depth)
        if code <= 0xBF:
            return self._text(code & 0x1F)
        if code in _BYTES:
            return self._take(self._length(*_BYTES[code]))
        if code in _TEXT:
            return self._text(self._length(*_TEXT[code]))
        if code in _INTEGERS:
            return self._integer(*_INTEGERS[code])
        if code in _LISTS:
            return self._list(self._length(*_LISTS[code]), depth)
        if code in _MAPS:
            return self._map(self._length(*_MAPS[code]), depth)
        match code:
            case 0xC0:
                return None
            case 0xC2:
                return False
            case 0xC3:
                return True
            case 0xCA | 0xCB:
                raise DecodeError("a float is not allowed")
        if code in _FIXED_EXTENSIONS:
            return self._big_integer(_FIXED_EXTENSIONS[code], fixed=True)
        if code == _EXTENSION:
            return self._big_integer(self._take(1)[0], fixed=False)
        raise DecodeError(f"no canonical value begins with byte {code:#04x}")

    def _length(self, size: int, least: int) -> int:
        length = int.from_bytes(self._take(size), "big")
        if length < least:
            raise DecodeError(f"not in canonical form: a length of {length} in {size} bytes", _FIX)
        return length

    def _integer(self, size: int, signed: bool, least: int) -> int:
        number = int.from_bytes(self._take(size), "big", signed=signed)
        if (-number if signed else number) < least:
            raise DecodeError(f"not in canonical form: the number {number} in {size} bytes", _FIX)
        return number

    def _big_integer(self, size: int, *, fixed: bool) -> int:
        kind = int.from_bytes(self._take(1), "big", signed=True)
        if kind != BIG_INTEGER:
            raise DecodeError(f"extension type {kind} is not allowed")
        if size > MAX_INTEGER_BYTES:
            raise DecodeError(f"an integer of {size} bytes, at most {MAX_INTEGER_BYTES} are taken")
        if not fixed and size in _FIXED_EXTENSIONS.values():
            raise DecodeError(f"not in canonical form: a length of {size} beside an extension", _FIX)
        number = int.from_bytes(self._take(size), "big", signed=True)
        shortest = (number if number >= 0 else ~number).bit_length() // 8 + 1
        if shortest != size or -(2**63) <= number < 2**64:
            raise DecodeError(f"not in canonical form: an integer in an extension of {size} bytes", _FIX)
        return number

    def _text(self, size: int) -> str:
        try:
            return self._take(size).decode()
        except UnicodeDecodeError as error:
            raise DecodeError(f"text is not UTF-8: {error.reason}") from error

    def _list(self, count: int, depth: int) -> list[Read]:
        self._room(count, depth)
        return [self._value(depth - 1) for _ in range(count)]

    def _map(self, count: int, depth: int) -> dict[str, Read]:
        self._room(2 * count, depth)
        out: dict[str, Read] = {}
        last: bytes | None = None
        for _ in range(count):
            start = self._at
            key = self._value(depth - 1)
            if not isinstance(key, str):
                raise DecodeError(f"a key is text, not {type(key).__name__}")
            spelled = key.encode()
            if last is not None and spelled <= last:
                reason = "a key twice" if spelled == last else "keys out of order"
                raise DecodeError(f"not in canonical form: {reason} at byte {start}", "sort keys by their UTF-8 bytes")
            last = spelled
            out[key] = self._value(depth - 1)
        return out

    def _room(self, items: int, depth: int) -> None:
        if depth == 0:
            raise DecodeError(f"nested deeper than {MAX_DEPTH}")
        if items > len(self._raw) - self._at:  # an item takes a byte at least
            raise DecodeError(f"a header claims {items} items, {len(self._raw) - self._at} bytes are left")
