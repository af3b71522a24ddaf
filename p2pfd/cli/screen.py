"""What commands write: plain text or colour, one JSON object or words, and the same form for every error."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from p2pfd.cli.exits import INTERRUPTED, Exit
from p2pfd.core.shown import harmless
from p2pfd.errors import P2pfdError

SCHEMA = 1

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}

_CODES = "|".join(("0", *_STYLES.values()))
_OURS = re.compile(rf"(\x1b\[(?:(?:{_CODES})(?:;(?=\d))?)+m)")


class Screen:
    """Where a command's words go: results to stdout; with --json the words go to stderr and stdout has one object."""

    def __init__(
        self,
        *,
        as_json: bool = False,
        plain: bool = False,
        out: TextIO | None = None,
        err: TextIO | None = None,
        env: Mapping[str, str] = os.environ,
    ) -> None:
        self.as_json = as_json
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self.words = self.err if as_json else self.out
        fancy = not plain and not env.get("NO_COLOR") and env.get("TERM") != "dumb"
        self.fancy = fancy and self.words.isatty()
        self._fancy_errors = fancy and self.err.isatty()

    def say(self, text: str = "") -> None:
        """A line for people."""
        self.words.write(self._harmless(text) + "\n")
        self.words.flush()

    def result(self, value: Mapping[str, object]) -> None:
        """The command's result as one object on one line, if that is what was asked for."""
        if self.as_json:
            self.out.write(json.dumps({"schema": SCHEMA, **value}, ensure_ascii=False) + "\n")
            self.out.flush()

    def fit(self, text: str) -> str:
        """As much of a plain text as one row of the terminal takes: what wraps cannot be redrawn."""
        width = shutil.get_terminal_size().columns
        return text if len(text) < width else text[: max(width - 2, 0)] + "…"

    def style(self, text: str, *names: str) -> str:
        """The text in these styles, where the words go to a terminal."""
        return _styled(text, names) if self.fancy else text

    def _harmless(self, text: str) -> str:
        """What strangers wrote does not steer the terminal; our own styles stand."""
        if text.isprintable():
            return text
        if not self.fancy:
            return harmless(text)
        parts = _OURS.split(text)  # a text, a style, a text, ...
        return "".join(part if at % 2 else harmless(part) for at, part in enumerate(parts))

    def interrupted(self) -> None:
        """Whoever asked for the end needs no words; a script gets its object."""
        self.result({"error": {"code": INTERRUPTED.code, "name": INTERRUPTED.name, "what": "", "fix": ""}})

    def fail(self, error: P2pfdError, way: Exit) -> None:
        """What happened and what to do, on stderr, or as an object on stdout."""
        if self.as_json:
            self.result({"error": {"code": way.code, "name": way.name, "what": error.what, "fix": error.fix}})
            return
        head = _styled("error", ("bold", "red")) if self._fancy_errors else "error"
        self.err.write(f"{head}   {harmless(error.what)}\n")
        if error.fix:
            self.err.write(f"fix     {harmless(error.fix)}\n")
        self.err.flush()

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as they need to be."""
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

        def line(cells: Sequence[str]) -> str:
            return "  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

        self.say(self.style(line(head), "dim"))
        for row in rows:
            self.say(line(row))


def _styled(text: str, names: Sequence[str]) -> str:
    codes = ";".join(_STYLES[name] for name in names)
    return f"\x1b[{codes}m{text}\x1b[0m"


def shorten(text: str, head: int = 6, tail: int = 4) -> str:
    """A long name by its two ends."""
    return text if len(text) <= head + tail + 1 else f"{text[:head]}…{text[-tail:]}"


def size(count: float) -> str:
    """Bytes for people: 18.6 kB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("not reached")
