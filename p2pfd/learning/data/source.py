"""`Source`: what a data set's module has to say about it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Source:
    """A data set: its name, its hash, and how to read it. Pixels and labels are bytes: their hash has one meaning.

    ``read`` returns pixels of shape (n, channels, height, width) and labels of shape (n,); ``brightest`` is the largest
    pixel value, and samples reach a net as ``2 · pixel / brightest − 1``. What is given to ``read`` is the user's
    folder of data, where that is not the usual one.

    The last ``test`` samples are the official test part, on which nobody trains. With ``files`` the hash is that of
    the files the set comes in, which ``read`` checks; otherwise it is that of the content.
    """

    name: str
    sha256: bytes
    classes: int
    brightest: int
    read: Callable[[Path | None], tuple[Bytes, Bytes]]
    samples: int
    shape: tuple[int, ...]
    about: str
    licence: str
    home: str
    test: int = 0
    files: bool = False


def content_hash(x: Bytes, y: Bytes) -> bytes:
    """SHA-256 over the shape in text, the pixels and the labels."""
    if x.dtype != np.uint8 or y.dtype != np.uint8:
        raise TypeError(f"pixels and labels are bytes, not {x.dtype} and {y.dtype}")
    shape = "x".join(str(side) for side in x.shape)
    state = hashlib.sha256(b"p2pfd-data-1:" + shape.encode() + b"\n")
    state.update(np.ascontiguousarray(x).data)
    state.update(np.ascontiguousarray(y).data)
    return state.digest()
