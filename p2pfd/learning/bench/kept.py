"""Results on disk, a line each: whoever stops a long measurement and starts it again goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from p2pfd.errors import StorageError

R = TypeVar("R")


class Kept(Generic[R]):
    """A file of results by key. ``code`` names the code that made them: what other code made does not count.

    A line that cannot be read, such as the last one of a process that was killed, counts not. ``read`` makes a result
    of a line, and may raise KeyError, TypeError or ValueError.
    """

    def __init__(self, path: Path, code: str, read: Callable[[Mapping[str, Any]], R], option: str = "--cache") -> None:
        self._path, self._code, self._read, self._option = path, code, read, option
        self._known: dict[str, R] = {}
        self._ends_in_a_line = True
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"{path} cannot be read: {error}", f"name another file with {option}") from error
        for line in text.splitlines():
            self._take(line)
        self._ends_in_a_line = not text or text.endswith("\n")

    def __len__(self) -> int:
        return len(self._known)

    def of(self, key: str) -> R | None:
        """What was measured under a key with this code, if anything was."""
        return self._known.get(key)

    def keep(self, key: str, title: str, result: R, plain: Mapping[str, object]) -> None:
        """Keep a result, in memory and as a line."""
        self._known[key] = result
        line = json.dumps({"code": self._code, "key": key, "title": title, **plain})
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(("" if self._ends_in_a_line else "\n") + line + "\n")
        except OSError as error:
            raise StorageError(
                f"{self._path} cannot be written: {error}", f"name another file with {self._option}"
            ) from error
        self._ends_in_a_line = True

    def _take(self, line: str) -> None:
        try:
            value = json.loads(line)
            if value["code"] == self._code:
                self._known[value["key"]] = self._read(value)
        except (ValueError, KeyError, TypeError):
            return
