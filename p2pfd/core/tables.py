"""Tables that people write, such as TOML files: made into records, with a word on every key that does not fit."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from p2pfd.errors import PlanError

Step = str | int
"""A key of a table, or a place in a list of tables."""
_HEADER = re.compile(r"\[{1,2}([^\[\]=]+)\]{1,2}\s*(?:#.*)?\Z")
_KEY = re.compile(r"((?:\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=")
_NAME = re.compile(r"\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_-]+)")
_TOKEN = re.compile(r"\"\"\"|'''|\"(?:[^\"\\]|\\.)*\"|'[^']*'|[\[\]{}#]")
_MOST_SHOWN = 60


def did_you_mean(word: str, legal: Iterable[str]) -> str:
    """A sentence with the nearest legal word and all of them."""
    names = list(legal)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]}? " if near else ""
    return f"{guess}the choice is {', '.join(names)}"


@dataclass(frozen=True, slots=True)
class Text:
    """A file that was read, to say where in it something stands."""

    name: str
    text: str = ""

    def at(self, *path: Step) -> str:
        """The file's name, and the line on which this key or its table stands, as far as that can be told."""
        line = _line_of(self.text, path)
        return self.name if line is None else f"{self.name}, line {line}"


def _line_of(text: str, path: tuple[Step, ...]) -> int | None:
    """The line of a key; of the innermost table around it where the key itself is written in one line with others."""
    table: tuple[Step, ...] = ()
    lists: dict[tuple[Step, ...], int] = {}
    nearest, depth = None, 0
    for number, words in _beginnings(text):
        header, key = _HEADER.match(words), _KEY.match(words)
        if header:
            table = _placed(_names(header[1]), lists, opens=words.startswith("[["))
            here = table
        elif key:
            here = (*table, *_names(key[1]))
        else:
            continue
        if here == path:
            return number
        if len(here) > depth and path[: len(here)] == here:
            nearest, depth = number, len(here)
    return nearest


def _beginnings(text: str) -> Iterator[tuple[int, str]]:
    """The lines on which something begins, with their numbers: not those inside a text or a list of several lines."""
    quotes, brackets = "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.strip()
        if not quotes and not brackets:
            yield number, words
            if _HEADER.match(words):
                continue
        place = 0
        while place < len(words):
            if quotes:
                end = words.find(quotes, place)
                if end < 0:
                    break
                place, quotes = end + 3, ""
                continue
            found = _TOKEN.search(words, place)
            if found is None or found[0] == "#":
                break
            place = found.end()
            if found[0] in ('"""', "'''"):
                quotes = found[0]
            else:
                brackets += (found[0] in ("[", "{")) - (found[0] in ("]", "}"))


def _names(text: str) -> tuple[str, ...]:
    return tuple(double or single or bare for double, single, bare in _NAME.findall(text))


def _placed(names: tuple[str, ...], lists: dict[tuple[Step, ...], int], *, opens: bool) -> tuple[Step, ...]:
    """The path of a table: the names in its header, and after the name of a list the place of its latest table."""
    path: tuple[Step, ...] = ()
    for place, name in enumerate(names, start=1):
        path = (*path, name)
        if opens and place == len(names):
            lists[path] = lists.get(path, -1) + 1
        if path in lists:
            path = (*path, lists[path])
    return path


def changed(
    record: Any,
    values: Mapping[str, Any],
    text: Text,
    path: tuple[Step, ...] = (),
    skip: Collection[str] = (),
    also: Collection[str] = (),
) -> Any:
    """A dataclass with the values of a table; PlanError for an unknown key or a value of another type than it had.

    Tables inside become the records or the mappings that stand there; a mapping keeps what the table does not name.
    ``also`` are legal keys that whoever calls has dealt with.
    """
    fields = [entry.name for entry in dataclasses.fields(record) if entry.name not in skip]
    new: dict[str, Any] = {}
    for key, value in values.items():
        where = (*path, key)
        spelt = ".".join(step for step in where if isinstance(step, str))
        if key not in fields:
            raise PlanError(f"{text.at(*where)}: there is no key {shown(spelt)}", did_you_mean(key, [*also, *fields]))
        old = getattr(record, key)
        _check(old, key, value, f"{text.at(*where)}: {spelt}")
        if dataclasses.is_dataclass(old):
            new[key] = changed(old, value, text, where)
        elif isinstance(old, Mapping):
            new[key] = {**old, **value}
        elif isinstance(old, tuple):
            new[key] = tuple(value)
        else:
            new[key] = float(value) if isinstance(old, float) else value
    return dataclasses.replace(record, **new)


def _check(old: object, key: str, value: object, place: str) -> None:
    """PlanError unless the new value is of the old one's kind; a whole number is as good as any."""
    if dataclasses.is_dataclass(old) or isinstance(old, Mapping):
        if not isinstance(value, Mapping):
            raise PlanError(f"{place} is not a table", f"write [{key}]")
    elif isinstance(old, tuple):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise PlanError(f"{place} is not a list of names", f'write {key} = ["…"]')
    else:
        kinds = (int, float) if isinstance(old, float) else (type(old),)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise PlanError(f"{place} is {shown(value)}", f"it must be {_WORDS[type(old)]}")


_WORDS: Mapping[type, str] = MappingProxyType(
    {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
)


def shown(value: object) -> str:
    """A value as an error quotes it: shortened, and without Python's refusal to print huge numbers."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    try:
        text = repr(value)
    except ValueError:  # such a number in a list
        text = f"a {type(value).__name__} of very long numbers"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
