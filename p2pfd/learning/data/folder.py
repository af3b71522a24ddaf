"""A folder of pictures, sorted into one folder a class: every error names the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from p2pfd.errors import PlanError, StorageError
from p2pfd.learning.data.labels import counted, ordered
from p2pfd.learning.data.pictures import open_picture
from p2pfd.learning.data.source import Content

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
MOST_PICTURES = 200_000
MOST_FILE_BYTES = 64 * 2**20
MOST_BYTES = 2**30
LARGEST_SIDE = 256
_LEFT_OUT = frozenset({"Thumbs.db", "desktop.ini"})


def read_folder(path: Path, side: int, grey: bool, like: Content | None = None) -> Content:
    """The pictures, scaled to squares; ``like`` are pictures whose classes these must have."""
    found = _found(path)
    classes = like.classes if like is not None else ordered([name for name, _ in found], str(path))
    names, places = [name for name, _ in found], [str(file.parent) for _, file in found]
    y = counted(names, classes, places)
    channels = 1 if grey else 3
    if len(found) * channels * side * side > MOST_BYTES:
        raise PlanError(
            f"{path}: {len(found)} pictures of {side} × {side} are more than 1 GiB", "choose a smaller side"
        )
    x = np.empty((len(found), channels, side, side), dtype=np.uint8)
    for place, (_, file) in enumerate(found):
        if file.stat().st_size > MOST_FILE_BYTES:
            raise PlanError(f"{file} has more than {MOST_FILE_BYTES >> 20} MiB", "make it smaller")
        x[place] = open_picture(file, str(file), grey=grey, side=side)
    return Content(x, y, classes)


def _found(path: Path) -> list[tuple[str, Path]]:
    """Class and file of each picture, in the order of their names."""
    try:
        found = []
        for folder in sorted(path.iterdir(), key=lambda entry: entry.name):
            if _hidden(folder):
                continue
            if not folder.is_dir():
                raise PlanError(f"{folder} lies in no class's folder", "sort the pictures into one folder a class")
            files = [file for file in sorted(folder.iterdir(), key=lambda entry: entry.name) if not _hidden(file)]
            if not files:
                raise PlanError(f"{folder} has no pictures", "put some there, or delete it")
            for file in files:
                if file.suffix.lower() not in SUFFIXES or not file.is_file():
                    raise PlanError(f"{file} is no picture by its name", f"names end in {', '.join(sorted(SUFFIXES))}")
                found.append((folder.name, file))
            if len(found) > MOST_PICTURES:
                raise PlanError(f"{path} has more than {MOST_PICTURES:,} pictures", "make it smaller")
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", "see to its name and permissions") from error
    if not found:
        raise PlanError(f"{path} has no pictures", "sort them into one folder a class")
    return found


def _hidden(entry: Path) -> bool:
    return entry.name.startswith(".") or entry.name in _LEFT_OUT
