"""Handwritten digits, 1,797 of them in 8 × 8 pixels of seventeen greys, as scikit-learn ships them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from p2pfd.learning.data.bundled import bundled
from p2pfd.learning.data.source import Bytes, Samples, Source


def _read(_given: Path | None) -> tuple[Samples, Bytes]:
    with gzip.open(bundled("digits.csv.gz"), "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.float32).astype(np.uint8)
    return np.ascontiguousarray(table[:, :64].reshape(-1, 1, 8, 8)), np.ascontiguousarray(table[:, 64])


SOURCE = Source(
    name="digits",
    sha256=bytes.fromhex("2423406d5b37c43c2a7ec8092d1a43bbf228ac8c3e582fd26b1be2b0e5e7a2d7"),
    classes=10,
    brightest=16,
    read=_read,
    samples=1797,
    shape=(1, 8, 8),
    about="handwritten digits in seventeen greys, inside scikit-learn",
    licence="CC BY 4.0",
    home="https://archive.ics.uci.edu/dataset/80",
)
