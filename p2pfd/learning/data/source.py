"""`Source`: what a data set's module has to say about it, and `Content`: what its files hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from p2pfd.learning.adapter import Array

Bytes = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
"""Pictures as bytes, of shape (n, channels, height, width), or a table of numbers, of shape (n, columns)."""


@dataclass(frozen=True, slots=True)
class Source:
    """A data set: its name, its hash, and how to read it.

    ``read`` returns samples and labels of shape (n,). ``brightest`` is the largest value of a pixel, and 0 for a table
    of numbers. What is given to ``read`` is the user's folder of data, where that is not the usual one; ``places`` are
    the ways to have the set in such a folder, each the files that it takes, and none where it comes with a package.

    The last ``test`` samples are the official test part, on which nobody trains. With ``files`` the hash is that of
    the files the set comes in, which ``read`` checks; otherwise it is that of the content.
    """

    name: str
    sha256: bytes
    classes: int
    brightest: int
    read: Callable[[Path | None], tuple[Samples, Bytes]]
    samples: int
    shape: tuple[int, ...]
    about: str
    licence: str
    home: str
    places: tuple[tuple[str, ...], ...] = ()
    test: int = 0
    files: bool = False


@dataclass(frozen=True)
class Content:
    """Somebody's own samples, the names of the classes that their labels count, and of a table's columns."""

    x: Samples
    y: Bytes
    classes: tuple[str, ...]
    columns: tuple[str, ...] = ()
    test: int = 0

    def digest(self) -> bytes:
        """SHA-256 of all of it."""
        names = "\n".join([*self.classes, "", *self.columns]).encode()
        state = hashlib.sha256(b"p2pfd-own-1:%d:%d\n" % (self.test, len(names)) + names)
        state.update(content_hash(self.x, self.y))
        return state.digest()


class Scale(Protocol):
    """How samples are made into what a net takes."""

    def __call__(self, x: Samples) -> Array:
        """Numbers of about −1 to 1."""
        ...


@dataclass(frozen=True, slots=True)
class Brightness:
    """Pixels: 2 · pixel / brightest − 1."""

    brightest: int

    def __call__(self, x: Samples) -> Array:
        """Numbers from −1 to 1."""
        scaled: Array = x.astype(np.float32)
        scaled *= np.float32(2 / self.brightest)
        scaled -= np.float32(1)
        return scaled


class Columns:
    """A table: each column's least number becomes −1 and its largest 1; a column that does not vary becomes 0."""

    def __init__(self, table: Samples) -> None:
        low, high = table.min(axis=0).astype(np.float64), table.max(axis=0).astype(np.float64)
        self._middle = (low + high) / 2
        self._half = np.where(high > low, (high - low) / 2, 1.0)

    def __call__(self, x: Samples) -> Array:
        """Numbers from −1 to 1 for the samples that the scale was made from, and about that for others."""
        scaled: Array = ((x.astype(np.float64) - self._middle) / self._half).astype(np.float32)
        return scaled


def scale_of(brightest: int, x: Samples) -> Scale:
    """The scale for a set with these samples."""
    return Brightness(brightest) if brightest else Columns(x)


def content_hash(x: Samples, y: Bytes) -> bytes:
    """SHA-256 over the shape in text, the samples and the labels."""
    if x.dtype not in (np.uint8, np.float32) or y.dtype != np.uint8:
        raise TypeError(f"pixels and labels are bytes, and tables float32, not {x.dtype} and {y.dtype}")
    shape = "x".join(str(side) for side in x.shape)
    kind = b"p2pfd-data-1:" if x.dtype == np.uint8 else b"p2pfd-table-1:"
    state = hashlib.sha256(kind + shape.encode() + b"\n")
    ordered = x if x.dtype == np.uint8 else x.astype("<f4")
    state.update(np.ascontiguousarray(ordered).data)
    state.update(np.ascontiguousarray(y).data)
    return state.digest()
