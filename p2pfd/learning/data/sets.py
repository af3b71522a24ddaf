"""The data sets by name. A further one is a module with a `SOURCE`, and a line here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Array
from p2pfd.learning.data.source import Source, content_hash

SETS: Mapping[str, str] = MappingProxyType({"digits": "p2pfd.learning.data.digits"})
"""Name of a set → the module that describes it, imported when it is asked for."""


def source_of(name: str) -> Source:
    """A set's description; PlanError lists the names that exist."""
    if name not in SETS:
        raise PlanError(f"there is no data set {name!r}", f"choose one of {', '.join(sorted(SETS))}")
    source: Source = importlib.import_module(SETS[name]).SOURCE
    return source


def digest_of_set(name: str) -> bytes:
    """The SHA-256 that the set's content must have: what a task writes down as ``data.sha256``."""
    return source_of(name).sha256


def load_set(name: str, cache: Path | None = None) -> tuple[Array, npt.NDArray[np.int64]]:
    """All samples, scaled to −1 … 1, and their labels; PlanError when the copy on this machine is not the known one."""
    source = source_of(name)
    pixels, labels = source.read(cache)
    found = content_hash(pixels, labels)
    if found != source.sha256:
        raise PlanError(
            f"this machine's copy of {name} has the hash {found.hex()}, not {source.sha256.hex()}",
            "reinstall the package or delete the cache that it came from",
        )
    x = pixels.astype(np.float32) * np.float32(2 / source.brightest) - np.float32(1)
    return x, labels.astype(np.int64)
