"""Arrays as bytes: safetensors where they stand for themselves, and a short container for what stages make of them."""

from __future__ import annotations

import math

import numpy as np
import safetensors
import safetensors.numpy

from p2pfd.errors import DecodeError
from p2pfd.learning.codecs.api import MOST_AGE, TensorForm
from p2pfd.learning.codecs.bits import read_length, write_length
from p2pfd.learning.codecs.stages import Arrays

_TYPES = {"<f4": 0, "<f2": 1, "|i1": 2, "|u1": 3}
_OF = {place: np.dtype(text) for text, place in _TYPES.items()}
_MOST_DIMENSIONS = 8
_OVERHEAD = 512
TAG = 4


def most_bytes(form: TensorForm) -> int:
    """More than any honest frame of this form has: two floats a number, and something for names and shapes."""
    return 8 * form.numbers + sum(_OVERHEAD + len(name.encode()) * 6 for name, _ in form.shapes) + _OVERHEAD


def write_head(age: int, tag: bytes) -> bytes:
    """What every frame begins with: the tag of the frame that it builds on (none, or four bytes), and the age."""
    return bytes([len(tag)]) + tag + write_length(age)


def read_head(raw: bytes) -> tuple[int, bytes, bytes]:
    """The age, the tag, and what stands behind them."""
    if not raw or raw[0] not in (0, TAG) or len(raw) < 1 + raw[0]:
        raise DecodeError("arrays without a head")
    at = 1 + raw[0]
    tag = raw[1:at]
    age, at = read_length(raw, at)
    if age > MOST_AGE:
        raise DecodeError("arrays of an age beyond counting")
    return age, tag, raw[at:]


def write_arrays(arrays: Arrays) -> bytes:
    """One array after another: type, shape, numbers. No names: both ends know the order."""
    parts = []
    for array in arrays:
        plain = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
        parts.append(bytes([_TYPES[plain.dtype.str] << 4 | array.ndim]))
        parts += [write_length(side) for side in array.shape]
        parts.append(plain.tobytes())
    return b"".join(parts)


def read_arrays(raw: bytes) -> Arrays:
    """The inverse of `write_arrays`. Nothing is allocated that the bytes do not hold."""
    arrays: Arrays = []
    at = 0
    while at < len(raw):
        dtype, dimensions = _OF.get(raw[at] >> 4), raw[at] & 15
        if dtype is None or dimensions > _MOST_DIMENSIONS:
            raise DecodeError("an array of a type that is not taken")
        at += 1
        shape = []
        for _ in range(dimensions):
            side, at = read_length(raw, at)
            shape.append(side)
        size = math.prod(shape) * dtype.itemsize
        if size > len(raw) - at or max(shape, default=0) > len(raw):
            raise DecodeError("an array that is cut off")
        native = np.frombuffer(raw[at : at + size], dtype=dtype).astype(dtype.newbyteorder("="))
        arrays.append(native.reshape(shape))
        at += size
    return arrays


def write_safetensors(arrays: Arrays, form: TensorForm) -> bytes:
    """Named arrays, as other programs read them."""
    out: bytes = safetensors.numpy.save({name: array for (name, _), array in zip(form.shapes, arrays, strict=True)})
    return out


def read_safetensors(raw: bytes, form: TensorForm) -> Arrays:
    """The inverse of `write_safetensors`, for exactly these names and shapes, written in the one canonical way."""
    try:
        named = safetensors.numpy.load(raw)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"not safetensors: {str(error)[:200]}") from error
    if {name: array.shape for name, array in named.items()} != dict(form.shapes):
        raise DecodeError("arrays of other names or shapes than expected")
    arrays = [named[name] for name, _ in form.shapes]
    if any(array.dtype not in (np.float32, np.float16) for array in arrays) or write_safetensors(arrays, form) != raw:
        raise DecodeError("arrays that are not written in the one canonical way")
    return arrays
