"""Faults as a TOML file: one table for each, times in seconds, and an error that names the line.

[[absence]]
node = 3
from = 1.5
to = 4        # without it, the node never comes back

[[loss]]
from = 0
to = 20
share = "20%"
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.sim import faults
from p2pfd.sim.faults import VICTIMS, WHOLE, Fault

MAX_BYTES = 1 << 20
MAX_FAULTS = 10_000
_TIMES = frozenset({"begin", "end", "least", "most"})
_SHAPES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "absence": {"node": "node", "from": "begin", "to": "end"},
        "churn": {"from": "begin", "to": "end", "share": "share", "least": "least", "most": "most"},
        "partition": {"from": "begin", "to": "end", "cut": "cut"},
        "loss": {"from": "begin", "to": "end", "share": "share"},
        "delay": {"from": "begin", "to": "end", "least": "least", "most": "most"},
        "duplicates": {"from": "begin", "to": "end", "share": "share"},
        "chain-away": {"from": "begin", "to": "end"},
        "disaster": {"at": "begin", "share": "share", "whom": "whom"},
    }
)
"""For each kind of fault, what its keys are called in a script, and which field each fills."""
_OPTIONAL = frozenset({("absence", "to")})
_OF_KIND: Mapping[str, type[Fault]] = MappingProxyType({kind.kind: kind for kind in faults.KINDS})
_HEADER = re.compile(r"\s*\[\[?\s*\"?([^\]\"]*?)\"?\s*\]")
_KEY = re.compile(r"\s*(?:\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_-]+))\s*[.=]")


def read(path: Path, nodes: int) -> tuple[Fault, ...]:
    """The faults in a file, for a mesh of so many nodes; PlanError says what is wrong, and in which line."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}", "name a TOML file with faults") from error
    if len(raw) > MAX_BYTES:
        raise PlanError(f"{path} has more than {MAX_BYTES:,} bytes", "that is no script of faults")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise PlanError(f"{path} is not UTF-8", "that is no script of faults") from error
    return parse(text, nodes, str(path))


def parse(text: str, nodes: int, where: str = "the script") -> tuple[Fault, ...]:
    """The faults of a script; `where` is what errors call it."""
    try:
        value = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{where} is not TOML: {error}", "each fault is a table such as [[loss]]") from error
    lines = _Lines(text, where)
    found: list[tuple[tuple[int, int], Fault]] = []
    for kind, tables in value.items():
        if kind not in _SHAPES:
            lines.blame(kind, 0, None, f"there is no fault {kind[:40]!r}", _choice(kind, _SHAPES))
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            lines.blame(kind, 0, None, f"{kind} is no list of tables", f"write [[{kind}]]")
        for number, table in enumerate(tables):
            fault = _fault(kind, number, table, lines)
            try:
                faults.check(fault, nodes)
            except PlanError as error:
                lines.blame(kind, number, None, error.what, error.fix)
            found.append((lines.of(kind, number, None), fault))
    if len(found) > MAX_FAULTS:
        raise PlanError(f"{where} has {len(found):,} faults", f"{MAX_FAULTS:,} are the most")
    return tuple(fault for _, fault in sorted(found, key=lambda entry: entry[0]))


def write(script: Iterable[Fault]) -> str:
    """The script of these faults: `parse` reads the very same from it."""
    tables = []
    for fault in script:
        lines = [f"[[{fault.kind}]]"]
        for key, name in _SHAPES[fault.kind].items():
            value = getattr(fault, name)
            if value is None:
                continue
            if name in _TIMES:
                lines.append(f"{key} = {_decimal(value, SECOND)}")
            elif name == "share":
                lines.append(f"{key} = {_decimal(value, WHOLE)}")
            else:
                lines.append(f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}")
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)


def _decimal(value: int, parts: int) -> str:
    whole, rest = divmod(value, parts)
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".") if rest else str(whole)


def _fault(kind: str, number: int, table: dict[str, Any], lines: _Lines) -> Fault:
    shape = _SHAPES[kind]
    fields: dict[str, Any] = {}
    for key, value in table.items():
        if key not in shape:
            lines.blame(kind, number, key, f"{kind} has no key {key[:40]!r}", _choice(key, shape))
        name = shape[key]
        try:
            fields[name] = _value(name, value)
        except ValueError as error:
            lines.blame(kind, number, key, f"{kind}.{key} is {_shown(value)}", str(error))
    missing = [key for key, name in shape.items() if name not in fields and (kind, key) not in _OPTIONAL]
    if missing:
        lines.blame(kind, number, None, f"{kind} lacks {', '.join(missing)}", f"its keys are {', '.join(shape)}")
    return _OF_KIND[kind](**fields)


def _value(name: str, value: object) -> object:
    if name in _TIMES:
        return Tick(round(_number(value, "a number of seconds such as 1.5") * SECOND))
    if name == "share":
        text = 'a share such as 0.2 or "20%"'
        if isinstance(value, str):
            if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?%", value):
                raise ValueError(f"it must be {text}")
            return round(Fraction(value[:-1]) * WHOLE / 100)
        return round(_number(value, text) * WHOLE)
    if name == "whom":
        if not isinstance(value, str) or value not in VICTIMS:
            raise ValueError(f"the choice is {', '.join(VICTIMS)}")
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("it must be a whole number")
    return value


def _number(value: object, what: str) -> Fraction:
    # TOML can say inf and nan, and numbers of any length.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
        raise ValueError(f"it must be {what}")
    return Fraction(str(value))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"


def _choice(word: str, legal: Iterable[str]) -> str:
    names = list(legal)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]}? " if near else ""
    return f"{guess}the choice is {', '.join(names)}"


class _Lines:
    """Where in the text each table and each of its keys stands: TOML's own reader does not say."""

    def __init__(self, text: str, where: str) -> None:
        self._where = where
        self._found: dict[tuple[str, int, str | None], int] = {}
        counts: dict[str, int] = {}
        table = ("", 0)
        for number, line in enumerate(text.splitlines(), 1):
            if header := _HEADER.match(line):
                kind = header[1].strip()
                table = (kind, counts.get(kind, 0))
                counts[kind] = table[1] + 1
                self._found.setdefault((*table, None), number)
            elif key := _KEY.match(line):
                name = next(group for group in key.groups() if group is not None)
                self._found.setdefault((*table, name), number)
                if not table[0]:
                    self._found.setdefault((name, 0, None), number)

    def of(self, kind: str, number: int, key: str | None) -> tuple[int, int]:
        """The line, and which of its kind it is; line 0 where the text is written in some other way."""
        line = self._found.get((kind, number, key)) or self._found.get((kind, number, None)) or 0
        return line, number

    def blame(self, kind: str, number: int, key: str | None, what: str, fix: str) -> NoReturn:
        line, _ = self.of(kind, number, key)
        place = f"{self._where}, line {line}" if line else self._where
        raise PlanError(f"{place}: {what}", fix)
