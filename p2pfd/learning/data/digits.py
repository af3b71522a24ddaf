"""Handwritten digits, 1,797 of them in 8 × 8 pixels of seventeen greys, as scikit-learn ships them."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np

from p2pfd.errors import EnvironmentProblem
from p2pfd.learning.data.source import Bytes, Source


def _file() -> Path:
    """Where scikit-learn keeps the table. Importing scikit-learn would cost each node a second and 70 MB for it."""
    package = importlib.util.find_spec("sklearn")
    for place in (package.submodule_search_locations or []) if package else []:
        path = Path(place, "datasets", "data", "digits.csv.gz")
        if path.is_file():
            return path
    raise EnvironmentProblem("scikit-learn and its digits are not installed", "pip install 'scikit-learn>=1.5,<2'")


def _read(_given: Path | None) -> tuple[Bytes, Bytes]:
    with gzip.open(_file(), "rt", encoding="ascii") as lines:
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
