"""A plan in a TOML file: read as changes to a preset, and whatever is wrong in it told with its key and its line."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from p2pfd.core.tables import Step, Text, changed, did_you_mean, shown
from p2pfd.errors import PlanError
from p2pfd_localnet import chaos
from p2pfd_localnet.chaos import Act
from p2pfd_localnet.deeds import KEYS, KINDS
from p2pfd_localnet.plan import Plan
from p2pfd_localnet.presets import DEFAULT, TERMS, names, preset_of

MOST_BYTES = 1_000_000
_BITS = 63
HIDDEN = ("summary", "source", "written", "chaos")
"""What is no key of a file, or is not read as the others are."""
_NUMBER = re.compile(r"\A.*?\[\[chaos\]\] \d+: ")
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_DOUBLE = re.compile(r"Cannot overwrite|Cannot declare|Duplicate inline|Cannot mutate|Cannot redefine")
_KEY = re.compile(r"\s*\[{0,2}\s*([\w.\"'-]+)")
_WORD = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w:\"-]+)*")
_QUOTED = re.compile(r"'([^']{1,200})'|\"([^\"]{1,200})\"")
_TASKS = {"seats": "nodes"}
"""What a task calls otherwise than a plan."""


def from_file(path: Path) -> Plan:
    """The plan that a TOML file describes: a preset's values where it says nothing."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise PlanError(f"there is no file {path}", "name a preset (localnet presets) or a .toml file") from error
    except IsADirectoryError as error:
        raise PlanError(f"{path} is a directory", "name a preset (localnet presets) or a .toml file") from error
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}", "see to its permissions") from error
    if len(raw) > MOST_BYTES:
        raise PlanError(f"{path} has {len(raw)} bytes", "a plan is a TOML file of some lines")
    try:
        text = Text(str(path), raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PlanError(f"{path} is not UTF-8 text", "docs/reference/plan-file.md has every key") from error
    value = _read(text)
    base_name = value.pop("preset", DEFAULT)
    base = preset_of(base_name) if isinstance(base_name, str) else None
    if base is None:
        fix = did_you_mean(base_name, names()) if isinstance(base_name, str) else f"the choice is {', '.join(names())}"
        shown = repr(base_name) if len(repr(base_name)) <= 60 else type(base_name).__name__
        raise PlanError(f"{text.at('preset')}: preset: there is no preset {shown}", fix)
    named = dataclasses.replace(base, name=path.stem, summary="", source=str(path), written=text)
    if "chaos" in value:
        named = dataclasses.replace(named, chaos=_acts(value.pop("chaos"), text))
    meeting = value.get("encounters")
    if isinstance(meeting, Mapping):
        if "own" in meeting:
            raise PlanError(
                f"{text.at('encounters', 'own')}: there is no key 'encounters.own' in a plan",
                "how often nodes meet is said by rounds",
            )
        if not named.meets:  # what the file does not say of encounters is as in the preset of that name
            named = dataclasses.replace(named, encounters=TERMS)
    plan: Plan = changed(named, value, text, skip=HIDDEN, also=("preset", "chaos"))
    return plan


def from_plain(value: Mapping[str, Any]) -> Plan:
    """The plan that `Plan.to_plain` wrote; PlanError for anything else."""
    rest = {key: entry for key, entry in value.items() if key != "chaos"}
    acts = chaos.parse(value.get("chaos", []), "the plan")
    plan: Plan = changed(Plan(name="mesh", chaos=acts), rest, Text(""), skip=("written", "chaos"))
    return plan


def _read(text: Text) -> dict[str, Any]:
    try:
        value = tomllib.loads(text.text)
    except RecursionError as error:
        raise PlanError(
            f"{text.name} is not TOML: too many brackets", "docs/reference/plan-file.md has every key"
        ) from error
    except ValueError as error:  # which is also said of numbers beyond all measure
        raise _no_toml(text, error) from error
    for path, entry in _leaves(value, ()):
        if any(number.bit_length() > _BITS for number in _wholes(entry)):
            spelt = ".".join(step for step in path if isinstance(step, str))
            raise PlanError(
                f"{text.at(*path)}: {spelt} has a number that is too large", f"whole numbers have at most {_BITS} bits"
            )
    return value


def _wholes(value: object) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, list):
        for entry in value:
            yield from _wholes(entry)
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _wholes(entry)


def _no_toml(text: Text, error: ValueError) -> PlanError:
    """What tomllib said, with the line, and the key where one stands twice."""
    lines = text.text.splitlines() or [""]
    found = _AT_LINE.search(str(error))
    number = int(found[1]) if found else len(lines)
    where = f"{text.name}, line {number}" if found or "end of document" in str(error) else text.name
    if _DOUBLE.search(str(error)):
        key = _KEY.match(lines[min(number, len(lines)) - 1])
        name = key[1] if key else "a key"
        legal = ", ".join(entry.name for entry in dataclasses.fields(Plan) if entry.name not in HIDDEN)
        return PlanError(f"{where}: {name} stands there twice", f"leave one of them out; keys of a plan are {legal}")
    said = _AT_LINE.sub("", str(error)).strip()
    return PlanError(f"{where}: not TOML: {said}", "docs/reference/plan-file.md has every key")


def _acts(tables: object, text: Text) -> tuple[Act, ...]:
    """What the tables `[[chaos]]` say is to be done to the mesh."""
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise PlanError(f"{text.at('chaos')}: chaos is no list of tables", "write [[chaos]] above each of them")
    acts: list[Act] = []
    for place, table in enumerate(tables):
        _check_act(table, place, text)
        try:
            acts += chaos.parse([table])
        except PlanError as error:
            what = _NUMBER.sub("", error.what)
            key = next((key for key in table if re.search(rf"\b{re.escape(key)}\b", what)), None)
            where = text.at("chaos", place, *([] if key is None else [key]))
            raise PlanError(f"{where}: chaos: {what}", error.fix) from error
    if len(acts) > chaos.MAX_ACTS:
        raise PlanError(f"{text.at('chaos')}: chaos has {len(acts):,} acts", f"{chaos.MAX_ACTS:,} are the most")
    return tuple(acts)


def _check_act(table: Mapping[str, Any], place: int, text: Text) -> None:
    """Whether the keys of a table `[[chaos]]` are such as what it does has."""
    known = {chaos.CHURN: chaos.CHURN_KEYS, **{kind: KEYS.get(kind, ()) for kind in KINDS}}
    do = table.get("do", "")
    if not isinstance(do, str):
        where = text.at("chaos", place, "do")
        raise PlanError(f"{where}: chaos.do is {shown(do)}", f"it must be one of {', '.join(known)}")
    every = dict.fromkeys(key for keys in known.values() for key in keys)
    legal = (*chaos.TIMES, "do", *known.get(do, every))
    for key in table:
        if key not in legal:
            where = text.at("chaos", place, key)
            raise PlanError(f"{where}: there is no key {shown(f'chaos.{key}')}", did_you_mean(key, legal))


@contextmanager
def blaming(plan: Plan) -> Iterator[None]:
    """What is wrong with a plan from a file is said with the file's name, and the key and the line, if it has one."""
    try:
        yield
    except PlanError as error:
        if not plan.written.name:
            raise
        raise PlanError(_where(plan.written, error.what) + error.what, error.fix) from error


def _where(text: Text, what: str) -> str:
    """The file, the line, and the key if the words do not name it."""
    path = meant(tomllib.loads(text.text), what)
    if path is None:
        return "" if text.name in what else f"{text.name}: "
    spelt = ".".join(step for step in path if isinstance(step, str))
    return f"{text.at(*path)}: " + ("" if spelt in what else f"{spelt}: ")


def meant(values: Mapping[str, Any], what: str) -> tuple[Step, ...] | None:
    """Which key of a plan an error is about: one that it names, or one whose value it quotes; None where none is."""
    leaves = dict(_leaves(values, ()))
    by_name = {".".join(step for step in path if isinstance(step, str)): path for path in leaves}
    tables = {path[:place] for path in leaves for place in range(1, len(path))}
    words = [_plans(word) for word in _WORD.findall(what)]
    for word in words:
        if "." in word and word in by_name:
            return by_name[word]
    quoted = [one or other for one, other in _QUOTED.findall(what)]
    for said in quoted:
        for path, value in leaves.items():
            if said in (value, path[-1]) or (len(said) >= 8 and isinstance(value, str) and value.startswith(said)):
                return path
    for word in words:
        if word in by_name:
            return by_name[word]
    for word in words:  # a key that the file leaves to its preset, in a table that it has
        steps: tuple[Step, ...] = tuple(word.split("."))
        if len(steps) > 1 and steps[:1] in tables:
            return steps
    return None


def _plans(word: str) -> str:
    """A task's name for a key, as a plan has it."""
    word = word.removeprefix("task.").replace('"', "")
    return _TASKS.get(word, word)


def _leaves(value: Any, path: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
        for place, inner in enumerate(value):
            yield from _leaves(inner, (*path, place))
    else:
        yield path, value
