"""What was measured of learning, on disk: a cell that is there already is not measured again."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from p2pfd.learning import baseline, edges, local, model, models, votes
from p2pfd.learning.bench import measure as measuring
from p2pfd.learning.bench.cell import Cell, Result, result_of
from p2pfd.learning.bench.kept import Kept
from p2pfd.learning.data import deal as dealing
from p2pfd.learning.data import partition as parting


def code_digest(more: Iterable[ModuleType | type] = ()) -> str:
    """The code that decides results: when it changes, older results do not count."""
    digest = hashlib.sha256()
    for part in (model, models, edges, local, votes, baseline, measuring, _module(dealing), _module(parting), *more):
        digest.update(inspect.getsource(_module(part)).encode())
    return digest.hexdigest()[:16]


def _module(part: object) -> ModuleType:
    found = part if isinstance(part, ModuleType) else inspect.getmodule(part)
    assert found is not None
    return found


class Cache:
    """Cells and what came of them."""

    def __init__(self, path: Path, code: str) -> None:
        self._kept = Kept(path, code, result_of)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, cell: Cell) -> Result | None:
        """What was measured of a cell with this code, if anything was."""
        return self._kept.of(cell.key)

    def put(self, cell: Cell, result: Result) -> None:
        """Keep a result."""
        self._kept.keep(cell.key, cell.title, result, result.to_plain())
