"""The data sets by name. A further one is a module with a `SOURCE`, and a line here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Array
from p2pfd.learning.data.places import user_folder
from p2pfd.learning.data.source import Bytes, Source, content_hash

_HERE = "p2pfd.learning.data"
SETS: Mapping[str, str] = MappingProxyType(
    {
        "cifar10": f"{_HERE}.cifar10",
        "cifar10-jpeg": f"{_HERE}.cifar10_jpeg",
        "digits": f"{_HERE}.digits",
        "fashion": f"{_HERE}.fashion",
        "mnist": f"{_HERE}.mnist",
    }
)
"""Name of a set → the module that describes it, imported when it is asked for."""


def source_of(name: str) -> Source:
    """A set's description; PlanError lists the names that exist."""
    if name not in SETS:
        raise PlanError(f"there is no data set {name!r}", f"choose one of {', '.join(sorted(SETS))}")
    source: Source = importlib.import_module(SETS[name]).SOURCE
    return source


def digest_of_set(name: str) -> bytes:
    """The SHA-256 that the set must have: what a task writes down as ``data.sha256``."""
    return source_of(name).sha256


def read_set(source: Source, cache: Path | None = None) -> tuple[Bytes, Bytes]:
    """All pixels and labels, which nobody may write to; PlanError when the copy here is not the known one."""
    return _read(source, user_folder(cache))


@lru_cache(maxsize=2)  # what a process reads before it forks, its children need not
def _read(source: Source, folder: Path | None) -> tuple[Bytes, Bytes]:
    pixels, labels = source.read(folder)
    if not source.files:
        found = content_hash(pixels, labels)
        if found != source.sha256:
            raise PlanError(
                f"this machine's copy of {source.name} has the hash {found.hex()}, not {source.sha256.hex()}",
                "reinstall the package or delete the file that it came from",
            )
    pixels, labels = pixels.view(), labels.view()
    pixels.flags.writeable = labels.flags.writeable = False
    return pixels, labels


def scaled(pixels: Bytes, brightest: int) -> Array:
    """Pixels as a net takes them: −1 … 1."""
    x: Array = pixels.astype(np.float32)
    x *= np.float32(2 / brightest)
    x -= np.float32(1)
    return x


def load_set(name: str, cache: Path | None = None) -> tuple[Array, npt.NDArray[np.int64]]:
    """All samples, scaled to −1 … 1, and their labels; PlanError when the copy on this machine is not the known one."""
    source = source_of(name)
    pixels, labels = read_set(source, cache)
    return scaled(pixels, source.brightest), labels.astype(np.int64)
