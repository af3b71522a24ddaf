"""Somebody's own files as a data set: what a task calls them, and where they lie.

``csv:FILE:LABEL`` is a table, ``folder:NAME:SIDE`` and ``folder:NAME:SIDE:grey`` pictures in one folder a class, and
``arrow:NAME:LABEL``, ``arrow:NAME:LABEL:SIDE`` and ``arrow:NAME:LABEL:SIDE:grey`` what the library `datasets` saved. A
task never names a path: files are looked for by name in the user's folder of data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from p2pfd.core.spec import MAX_NAME
from p2pfd.errors import EnvironmentProblem, PlanError
from p2pfd.learning.data.arrow import read_arrow
from p2pfd.learning.data.folder import LARGEST_SIDE, read_folder
from p2pfd.learning.data.places import VARIABLE, folders
from p2pfd.learning.data.source import Content
from p2pfd.learning.data.table import read_table

KINDS = ("arrow", "csv", "folder")
FORMS = "csv:FILE:LABEL, folder:NAME:SIDE[:grey] or arrow:NAME:LABEL[:SIDE[:grey]]"


@dataclass(frozen=True, slots=True)
class Own:
    """Files of a kind, and how they are read; a side of 0 stands for no pictures."""

    kind: str
    file: str
    label: str = ""
    side: int = 0
    grey: bool = False

    def name(self) -> str:
        """What a task calls it."""
        parts = [self.kind, self.file, self.label, str(self.side) if self.side else "", "grey" if self.grey else ""]
        return ":".join(part for part in parts if part)

    def read(self, path: Path, like: Content | None = None) -> Content:
        """What the files at a path hold; with ``like``, more samples of the same."""
        match self.kind:
            case "csv":
                return read_table(path, self.label, like)
            case "folder":
                return read_folder(path, self.side, self.grey, like)
            case _:
                return read_arrow(path, self.label, self.side, self.grey, like)

    def find(self, given: Path | None) -> Path:
        """Where the files lie; EnvironmentProblem says where they were looked for."""
        return _first(given, [self.file], self.name())

    def find_own(self, given: Path | None, shard: int) -> Path:
        """Where the samples lie that only this node has: NAME.own-SHARD where nodes share a folder, else NAME.own."""
        stem, suffix = Path(self.file).stem, Path(self.file).suffix
        if self.kind != "csv":
            stem, suffix = self.file, ""
        return _first(given, [f"{stem}.own-{shard}{suffix}", f"{stem}.own{suffix}"], "the samples of this node")


def is_own(name: str) -> bool:
    """Whether a set's name stands for somebody's own files."""
    return name.partition(":")[0] in KINDS and ":" in name


def parsed(name: str) -> Own:
    """What the name says; PlanError when it says nothing."""
    if len(name) > MAX_NAME or not name.isprintable():
        raise PlanError(f"data.name is {name[:MAX_NAME]!r}", f"write {FORMS}, in at most {MAX_NAME} characters")
    kind, *rest = name.split(":")
    grey = kind != "csv" and rest[-1:] == ["grey"]
    if grey:
        rest = rest[:-1]
    own: Own | None = None
    match kind, rest:
        case "csv", [file, label, *more]:
            own = Own(kind, file, ":".join([label, *more]))
        case "folder", [file, side]:
            own = Own(kind, file, side=_side(name, side), grey=grey)
        case "arrow", [file, label]:
            own = None if grey else Own(kind, file, label)
        case "arrow", [file, label, side]:
            own = Own(kind, file, label, _side(name, side), grey)
    if own is None or (kind != "folder" and not own.label):
        raise PlanError(f"data.name is {name!r}", f"write {FORMS}")
    if not own.file or own.file.startswith(".") or "/" in own.file or "\\" in own.file:
        raise PlanError(f"data.name is {name!r}", f"name a file in the folder {VARIABLE}, not a path")
    return own


def _side(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= LARGEST_SIDE):
        raise PlanError(f"data.name is {name!r}", f"the side of the pictures is a number from 1 to {LARGEST_SIDE}")
    return int(text)


def _first(given: Path | None, names: list[str], what: str) -> Path:
    places = folders(given)
    for folder in places:
        for name in names:
            if (folder / name).exists():
                return folder / name
    raise EnvironmentProblem(
        f"{what} is not here: no {' or '.join(names)} in {' or '.join(str(place) for place in places)}",
        f"put it there, or set {VARIABLE} to the folder that has it",
    )
