"""What makes arrays smaller: half floats, bytes, the largest few, and matrices of low rank.

A stage turns a list of arrays into another list, and back. Those of the first kind (`TopK`, `Svd`) choose what is
sent, and are told the shapes when they undo it; those of the second (`Fp16`, `Int8`) choose how exactly, and know what
is theirs by its type. Undoing checks everything: the arrays come from a peer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Array
from p2pfd.learning.codecs.api import Shape
from p2pfd.learning.codecs.bits import read_places, write_places

Arrays = list[npt.NDArray[Any]]
_HALF_MOST = np.float32(65504)
_STEPS = 127


class Stage(Protocol):
    """One link of a chain for tensors."""

    kind: str
    """``what`` chooses what is sent, ``how`` how exactly; a chain has at most one of each, in this order."""
    dense: bool
    """Whether there are as many arrays afterwards as before, of the same shapes."""

    @property
    def name(self) -> str:
        """The link as text."""
        ...

    def apply(self, arrays: Arrays, frames: int) -> Arrays:
        """Smaller arrays, for the frame that has so many before it."""
        ...

    def undo(self, arrays: Arrays, shapes: Sequence[Shape]) -> Arrays:
        """The arrays as they come out at the other end; DecodeError where they cannot."""
        ...


class Fp16:
    """Half floats: eleven bits of precision, from 6·10⁻⁸ to 65,504; what is larger is sent as that."""

    kind = "how"
    dense = True
    name = "fp16"

    def apply(self, arrays: Arrays, frames: int) -> Arrays:
        """Floats to half floats."""
        return [
            np.asarray(np.clip(array, -_HALF_MOST, _HALF_MOST), dtype=np.float16)
            if array.dtype == np.float32
            else array
            for array in arrays
        ]

    def undo(self, arrays: Arrays, shapes: Sequence[Shape]) -> Arrays:
        """Half floats to floats."""
        return [array.astype(np.float32) if array.dtype == np.float16 else _no_floats(array) for array in arrays]


class Int8:
    """Each array in 255 even steps around zero, its largest number being 127 of them: off by half a step at most."""

    kind = "how"
    dense = False
    name = "int8"

    def apply(self, arrays: Arrays, frames: int) -> Arrays:
        """Floats to whole steps, and the width of a step behind them."""
        out: Arrays = []
        for array in arrays:
            if array.dtype != np.float32:
                out.append(array)
                continue
            step = np.float32(np.abs(array).max(initial=0) / np.float32(_STEPS))
            steps = np.zeros_like(array) if step == 0 else np.rint(array / step)
            out += [np.clip(steps, -_STEPS, _STEPS).astype(np.int8), np.array([step], dtype=np.float32)]
        return out

    def undo(self, arrays: Arrays, shapes: Sequence[Shape]) -> Arrays:
        """Steps times their width."""
        out: Arrays = []
        left = iter(arrays)
        for array in left:
            if array.dtype != np.int8:
                out.append(_no_floats(array))
                continue
            step = next(left, None)
            if step is None or step.dtype != np.float32 or step.shape != (1,) or not step[0] >= 0:
                raise DecodeError("steps without their width")
            if array.size and int(array.min()) < -_STEPS:
                raise DecodeError("a step beyond the last")
            with np.errstate(over="ignore"):
                out.append(array.astype(np.float32) * step[0])
        return out


class TopK:
    """The largest numbers by size, a fraction of all in all arrays together; the others are zero at the other end."""

    kind = "what"
    dense = False

    def __init__(self, argument: str) -> None:
        self._fraction = fraction(argument, "topk", 0, 1)
        self.name = f"topk:{argument}"

    def apply(self, arrays: Arrays, frames: int) -> Arrays:
        """Where the largest are, and what they are. Among equals the first ones are sent."""
        flat = np.concatenate([array.ravel() for array in arrays]) if arrays else np.zeros(0, np.float32)
        count = math.ceil(self._fraction * len(flat))
        places = np.sort(np.argsort(-np.abs(flat), kind="stable")[:count]).astype(np.int64)
        return [np.frombuffer(write_places(places, len(flat)), dtype=np.uint8), flat[places]]

    def undo(self, arrays: Arrays, shapes: Sequence[Shape]) -> Arrays:
        """Zeros, but for what was sent."""
        if len(arrays) != 2 or arrays[0].dtype != np.uint8 or any(array.ndim != 1 for array in arrays):
            raise DecodeError("top-k without its two lists")
        sizes = [math.prod(shape) for shape in shapes]
        places, values = arrays[0].tobytes(), _floats(arrays[1])
        flat = np.zeros(sum(sizes), dtype=np.float32)
        flat[read_places(places, len(values), len(flat))] = values
        cuts = np.split(flat, np.cumsum(sizes)[:-1]) if sizes else []
        return [cut.reshape(shape) for cut, shape in zip(cuts, shapes, strict=True)]


class Svd:
    """Each matrix by as many singular directions as hold a share of its energy; whole where that is no shorter.

    A kernel of a convolution counts as a matrix of one row an output. The share may move from one number to another
    in even steps over so many frames, ``svd:0.95:0.98:12``, and then stays.
    """

    kind = "what"
    dense = False

    def __init__(self, argument: str) -> None:
        parts = argument.split(":")
        if len(parts) not in (1, 3):
            raise PlanError(f"svd:{argument} is no such link", "write svd:0.95, or svd:0.95:0.98:12")
        self._from = fraction(parts[0], "svd", 0, 1)
        self._to = fraction(parts[1], "svd", 0, 1) if len(parts) == 3 else self._from
        over = parts[2] if len(parts) == 3 else "1"
        if not (over.isascii() and over.isdecimal() and 1 <= len(over) <= 6 and int(over)):
            raise PlanError(f"svd over {over[:20]!r} frames", "name a whole number from 1 on")
        self._over = int(over)
        self.name = f"svd:{argument}"

    def energy(self, frames: int) -> float:
        """The share of the energy that a frame keeps which has so many before it."""
        passed = Fraction(min(frames, self._over), self._over)
        return float(self._from + (self._to - self._from) * passed)

    def apply(self, arrays: Arrays, frames: int) -> Arrays:
        """Left directions, singular values, right directions; or the array as it is."""
        out: Arrays = []
        for array in arrays:
            out += self._cut(array, self.energy(frames))
        return out

    def undo(self, arrays: Arrays, shapes: Sequence[Shape]) -> Arrays:
        """Their product."""
        out: Arrays = []
        left = iter(arrays)
        for shape in shapes:
            array = _floats(next(left, None))
            if array.shape == shape:
                out.append(array)
                continue
            rows, columns = _matrix(shape)
            values, right = _floats(next(left, None)), _floats(next(left, None))
            rank = values.size
            if array.shape != (rows, rank) or values.shape != (rank,) or right.shape != (rank, columns):
                raise DecodeError(f"factors that make no array of shape {shape}")
            if not _shorter(rows, columns, rank):
                raise DecodeError("factors that are longer than what they make")
            with np.errstate(over="ignore", invalid="ignore"):
                product = (array * values).astype(np.float64) @ right.astype(np.float64)
                out.append(product.astype(np.float32).reshape(shape))
        if next(left, None) is not None:
            raise DecodeError("arrays behind the last factor")
        return out

    @staticmethod
    def _cut(array: npt.NDArray[Any], share: float) -> Arrays:
        rows, columns = _matrix(array.shape)
        if not _shorter(rows, columns, 1):
            return [array]
        u, s, v = np.linalg.svd(array.reshape(rows, columns).astype(np.float64), full_matrices=False)
        energy = np.cumsum(s * s)
        enough = np.flatnonzero(energy > share * energy[-1])
        rank = int(enough[0]) + 1 if len(enough) else len(s)
        if not _shorter(rows, columns, rank):
            return [array]
        return [np.ascontiguousarray(part, dtype=np.float32) for part in (u[:, :rank], s[:rank], v[:rank])]


def fraction(text: str, who: str, low: int, high: int) -> Fraction:
    """A decimal text above `low` and at most `high`; PlanError for anything else."""
    number = Fraction(text) if len(text) <= 20 and text.replace(".", "", 1).isdecimal() and text.isascii() else None
    if number is None or not low < number <= high:
        raise PlanError(f"{who}:{text[:40]} is not a share", f"write a decimal above {low}, at most {high}")
    return number


def _matrix(shape: Shape) -> tuple[int, int]:
    """Rows and columns; a list has no columns to speak of."""
    return (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))


def _shorter(rows: int, columns: int, rank: int) -> bool:
    return 0 < rank <= min(rows, columns) and rank * (rows + columns + 1) < rows * columns


def _floats(array: npt.NDArray[Any] | None) -> Array:
    if array is None or array.dtype != np.float32:
        raise DecodeError("an array of floats is missing")
    return array


def _no_floats(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.dtype == np.float32:
        raise DecodeError("floats where smaller numbers are expected")
    return array
