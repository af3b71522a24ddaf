"""Whole numbers as bits: of one width, as gaps, and of any length. All of it in arrays at once, and bounded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from p2pfd.errors import DecodeError

Ints = npt.NDArray[np.int64]
_MOST_RICE = 30


def pack_ints(values: Ints, width: int) -> bytes:
    """Numbers of `width` bits each, one after another, zeros up to the last whole byte."""
    if not width:
        return b""
    places = np.arange(width - 1, -1, -1, dtype=np.int64)
    return np.packbits((values[:, None] >> places & 1).astype(np.uint8)).tobytes()


def packed_bytes(count: int, width: int) -> int:
    """How many bytes `pack_ints` makes of so many numbers."""
    return -(-count * width // 8)


def unpack_ints(raw: bytes, count: int, width: int) -> Ints:
    """The inverse of `pack_ints`; DecodeError for another length, or bits behind the last number."""
    if len(raw) != packed_bytes(count, width):
        raise DecodeError(f"{len(raw)} bytes of packed numbers, {packed_bytes(count, width)} expected")
    bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8)).astype(np.int64)
    if bits[count * width :].any():
        raise DecodeError("bits stand behind the last packed number")
    powers = np.int64(1) << np.arange(width - 1, -1, -1, dtype=np.int64)
    out: Ints = bits[: count * width].reshape(count, width) @ powers
    return out


def write_places(places: Ints, size: int) -> bytes:
    """Which of `size` places are meant (ascending): a byte for how, then gaps in Rice's code or a map, the shorter.

    Rice's code cuts each gap into ``shift`` low bits, which stand together at the end, and the rest in unary.
    """
    gaps = np.diff(places, prepend=-1) - 1
    best, shift = min((_rice_bits(gaps, shift), shift) for shift in range(_MOST_RICE + 1))
    mapped = packed_bytes(size, 1)
    if -(-best // 8) > mapped:
        held = np.zeros(size, dtype=np.int64)
        held[places] = 1
        return bytes([_MOST_RICE + 1]) + pack_ints(held, 1)
    high = gaps >> shift
    unary = np.zeros(int(high.sum()) + len(gaps), dtype=np.uint8)
    unary[np.cumsum(high + 1) - 1] = 1
    low = gaps & ((1 << shift) - 1)
    spread = np.arange(shift - 1, -1, -1, dtype=np.int64)
    low_bits = (low[:, None] >> spread & 1).astype(np.uint8).ravel()
    return bytes([shift]) + np.packbits(np.concatenate([unary, low_bits])).tobytes()


def read_places(raw: bytes, count: int, size: int) -> Ints:
    """The inverse of `write_places`, for exactly `count` places below `size`."""
    if not raw or raw[0] > _MOST_RICE + 1:
        raise DecodeError("places that are written in no way that is known")
    if raw[0] == _MOST_RICE + 1:
        found = np.flatnonzero(unpack_ints(raw[1:], size, 1)).astype(np.int64)
        if len(found) != count:
            raise DecodeError(f"{len(found)} places, {count} expected")
        return found
    if not count:
        if len(raw) > 1:
            raise DecodeError("bytes behind no places at all")
        return np.zeros(0, dtype=np.int64)
    shift = raw[0]
    bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8)[1:])
    ends = np.flatnonzero(bits)[:count]
    if len(ends) < count:
        raise DecodeError(f"{len(ends)} gaps, {count} expected")
    start = int(ends[-1]) + 1
    if -(-(start + count * shift) // 8) != len(raw) - 1 or bits[start + count * shift :].any():
        raise DecodeError("gaps of another length than their number says")
    low = bits[start : start + count * shift].reshape(count, shift).astype(np.int64)
    powers = np.int64(1) << np.arange(shift - 1, -1, -1, dtype=np.int64)
    high = np.diff(ends, prepend=-1) - 1
    if shift and (high > size >> shift).any():
        raise DecodeError("a gap that leads out of the places")
    places: Ints = np.cumsum((high << shift) + low @ powers + 1) - 1
    if int(places[-1]) >= size:
        raise DecodeError("a place that there is not")
    return places


def write_length(value: int) -> bytes:
    """A number of any length, seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_length(raw: bytes, at: int) -> tuple[int, int]:
    """A number of at most 63 bits, and where it ends; DecodeError for one that is cut off or longer than it need be."""
    value = 0
    for place in range(9):
        if at + place >= len(raw):
            raise DecodeError("a length that is cut off")
        byte = raw[at + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:
            if place and not byte:
                raise DecodeError("a length in more bytes than it needs")
            return value, at + place + 1
    raise DecodeError("a length of more than 63 bits")


def _rice_bits(gaps: Ints, shift: int) -> int:
    return int((gaps >> shift).sum()) + len(gaps) * (1 + shift)
