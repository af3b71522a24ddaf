"""Breast tumours, 569 of them in thirty measures of their cells' nuclei, as scikit-learn ships them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from p2pfd.learning.data.bundled import bundled
from p2pfd.learning.data.source import Bytes, Samples, Source


def _read(_given: Path | None) -> tuple[Samples, Bytes]:
    with bundled("breast_cancer.csv").open(encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",", skiprows=1, dtype=np.float64)
    return table[:, :30].astype(np.float32), table[:, 30].astype(np.uint8)


SOURCE = Source(
    name="breast-cancer",
    sha256=bytes.fromhex("f3fea6fb4a96e62b6e02fbdbbd3952eef441f984d01d19404f28c51d5b4dcb4b"),
    classes=2,
    brightest=0,
    read=_read,
    samples=569,
    shape=(30,),
    about="tumours in thirty measures, inside scikit-learn",
    licence="CC BY 4.0",
    home="https://archive.ics.uci.edu/dataset/17",
)
