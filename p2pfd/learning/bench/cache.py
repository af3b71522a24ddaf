"""Results on disk, a line each: whoever stops a long measurement and starts it again goes on where it was."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from p2pfd.errors import StorageError
from p2pfd.learning import baseline, local, model, models, votes
from p2pfd.learning.bench import measure as measuring
from p2pfd.learning.bench.cell import Cell, Result, result_of
from p2pfd.learning.data import deal as dealing
from p2pfd.learning.data import partition as parting


def code_digest(more: Iterable[ModuleType | type] = ()) -> str:
    """The code that decides results: when it changes, older results do not count."""
    digest = hashlib.sha256()
    for part in (model, models, local, votes, baseline, measuring, _module(dealing), _module(parting), *more):
        digest.update(inspect.getsource(_module(part)).encode())
    return digest.hexdigest()[:16]


def _module(part: object) -> ModuleType:
    found = part if isinstance(part, ModuleType) else inspect.getmodule(part)
    assert found is not None
    return found


class Cache:
    """A file of results. A line that cannot be read, such as the last one of a process that was killed, counts not."""

    def __init__(self, path: Path, code: str) -> None:
        self._path, self._code = path, code
        self._known: dict[str, Result] = {}
        self._ends_in_a_line = True
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"{path} cannot be read: {error}", "name another file with --cache") from error
        for line in text.splitlines():
            self._take(line)
        self._ends_in_a_line = not text or text.endswith("\n")

    def __len__(self) -> int:
        return len(self._known)

    def get(self, cell: Cell) -> Result | None:
        """What was measured of a cell with this code, if anything was."""
        return self._known.get(cell.key)

    def put(self, cell: Cell, result: Result) -> None:
        """Keep a result."""
        self._known[cell.key] = result
        line = json.dumps({"code": self._code, "key": cell.key, "title": cell.title, **result.to_plain()})
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(("" if self._ends_in_a_line else "\n") + line + "\n")
        except OSError as error:
            raise StorageError(f"{self._path} cannot be written: {error}", "name another file with --cache") from error
        self._ends_in_a_line = True

    def _take(self, line: str) -> None:
        try:
            value = json.loads(line)
            if value["code"] == self._code:
                self._known[value["key"]] = result_of(value)
        except (ValueError, KeyError, TypeError):
            return
