"""The data sets by name. A further one is a module with a `SOURCE`, and a line here; or another package's `Source`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from p2pfd import plugins
from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Array
from p2pfd.learning.data.own import FORMS, Own, is_own, parsed
from p2pfd.learning.data.places import user_folder
from p2pfd.learning.data.source import Bytes, Content, Samples, Scale, Source, content_hash, scale_of

_HERE = "p2pfd.learning.data"
SETS: Mapping[str, str] = MappingProxyType(
    {
        "breast-cancer": f"{_HERE}.breast_cancer",
        "cifar10": f"{_HERE}.cifar10",
        "cifar10-jpeg": f"{_HERE}.cifar10_jpeg",
        "digits": f"{_HERE}.digits",
        "fashion": f"{_HERE}.fashion",
        "mnist": f"{_HERE}.mnist",
    }
)
"""Name of a set → the module that describes it, imported when it is asked for."""
GROUP = "p2pfd.data"
"""The entry-point group in which other packages offer sets: each a `Source`."""


@dataclass(frozen=True)
class Loaded:
    """A set that was read: what it is, its samples and labels, and how samples are scaled for a net.

    ``more`` reads the samples that only the node at a shard has; a set that everybody knows has no such thing.
    """

    sha256: bytes
    classes: int
    x: Samples
    y: Bytes
    scale: Scale
    test: int
    more: Callable[[int], tuple[Samples, Bytes]] | None = None


def source_of(name: str) -> Source:
    """A known set's description; PlanError lists the names that exist."""
    if name not in known_sets():
        raise PlanError(
            f"there is no data set {name!r}",
            f"choose one of {', '.join(known_sets())}, or write {FORMS} for your own files",
        )
    source = importlib.import_module(SETS[name]).SOURCE if name in SETS else plugins.load(GROUP, name)
    if not isinstance(source, Source):
        raise PlanError(f"the plug-in {name!r} is a {type(source).__name__}", "it must be a p2pfd.learning.data.Source")
    return source


def known_sets() -> tuple[str, ...]:
    """The names of all sets, this package's and others', in alphabetical order."""
    return tuple(sorted({*SETS, *plugins.names(GROUP)}))


def digest_of_set(name: str, cache: Path | None = None) -> bytes:
    """The SHA-256 that the set must have, or that one's own files have: what a task writes down as ``data.sha256``."""
    return _own(parsed(name), cache).digest() if is_own(name) else source_of(name).sha256


def classes_of_set(name: str, cache: Path | None = None) -> int:
    """How many classes the set has."""
    return len(_own(parsed(name), cache).classes) if is_own(name) else source_of(name).classes


def open_set(name: str, cache: Path | None = None) -> Loaded:
    """A known set, or one's own files, read and checked."""
    if is_own(name):
        return opened(parsed(name), cache)
    source = source_of(name)
    x, y = read_set(source, cache)
    return Loaded(source.sha256, source.classes, x, y, scale_of(source.brightest, x), source.test)


def opened(own: Own, cache: Path | None) -> Loaded:
    """Somebody's own files, found and read."""
    content = _own(own, cache)

    def more(shard: int) -> tuple[Samples, Bytes]:
        found = own.read(own.find_own(cache, shard), like=content)
        return found.x, found.y

    scale = scale_of(255 if own.side else 0, content.x)
    return Loaded(content.digest(), len(content.classes), content.x, content.y, scale, content.test, more)


def _own(own: Own, cache: Path | None) -> Content:
    return own.read(own.find(cache))


def read_set(source: Source, cache: Path | None = None) -> tuple[Samples, Bytes]:
    """All samples and labels, which nobody may write to; PlanError when the copy here is not the known one."""
    return _read(source, user_folder(cache))


@lru_cache(maxsize=2)  # what a process reads before it forks, its children need not
def _read(source: Source, folder: Path | None) -> tuple[Samples, Bytes]:
    x, y = source.read(folder)
    if not source.files:
        found = content_hash(x, y)
        if found != source.sha256:
            raise PlanError(
                f"this machine's copy of {source.name} has the hash {found.hex()}, not {source.sha256.hex()}",
                "reinstall the package or delete the file that it came from",
            )
    x, y = x.view(), y.view()
    x.flags.writeable = y.flags.writeable = False
    return x, y


def load_set(name: str, cache: Path | None = None) -> tuple[Array, npt.NDArray[np.int64]]:
    """All samples, scaled to −1 … 1, and their labels; PlanError when the copy on this machine is not the known one."""
    found = open_set(name, cache)
    return found.scale(found.x), found.y.astype(np.int64)
