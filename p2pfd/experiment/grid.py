"""Experiments as people write them: a plan, cases that change it, and a grid of values; and the cells they come to."""

from __future__ import annotations

import hashlib
import inspect
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from p2pfd import plugins
from p2pfd.behaviours import behaviour_class
from p2pfd.core.tables import Text, changed, did_you_mean
from p2pfd.errors import PlanError
from p2pfd.experiment.plan import ADAPTERS, Plan, check

MAX_CELLS = 10_000
DEFAULT_SEEDS = (1, 2, 3)
_TABLES = ("behaviours", "settings", "data", "money", "meetings")


@dataclass(frozen=True)
class Row:
    """One line of the results: a mesh by the name of its case and its values of the grid, whatever the seed."""

    case: str
    axes: tuple[tuple[str, Any], ...]
    plan: Plan

    @property
    def title(self) -> str:
        """The row in a few words."""
        return " · ".join([*([self.case] if self.case else []), *(f"{key} {_word(value)}" for key, value in self.axes)])


@dataclass(frozen=True)
class Cell:
    """One mesh to be simulated: a row and a seed."""

    row: Row
    seed: int

    @property
    def title(self) -> str:
        """The cell in a few words."""
        return f"{self.row.title} · seed {self.seed}"

    @property
    def key(self) -> str:
        """What its result depends on: plan, data, seed, and code, that of what plugs in included."""
        plan = self.row.plan
        digest = hashlib.sha256(plan.key(self.seed).encode() + plan.task(self.seed).id)
        digest.update(_code_of(plan.kind, plan.adapter, tuple(plan.counts())).encode())
        return digest.hexdigest()


@lru_cache(maxsize=1024)
def _code_of(kind: str, adapter: str, names: tuple[str, ...]) -> str:
    """The digest of all code that decides a mesh: what this process has loaded, though a file may change meanwhile."""
    from p2pfd.experiment.code import digest_of  # which imports all that learns: a list of presets needs none of it

    digest = hashlib.sha256(digest_of(kind).encode())
    for part in (plugins.load(ADAPTERS, adapter), *(behaviour_class(name)[0] for name in names)):
        digest.update(inspect.getsource(inspect.getmodule(part) or part).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Experiment:
    """A name, what it is about, and its rows, each of which is simulated with every seed."""

    name: str
    about: str
    source: str
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]

    def cells(self) -> list[Cell]:
        """Every row with the first seed, then with the next: what is there first is a whole table of one seed."""
        return [Cell(row, seed) for seed in self.seeds for row in self.rows]


def presets() -> dict[str, str]:
    """The texts of the experiments that come along, by name."""
    folder = resources.files("p2pfd.experiment") / "presets"
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return {entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8") for entry in _by_name(found)}


def _by_name(entries: list[Any]) -> list[Any]:
    return sorted(entries, key=lambda entry: str(entry.name))


def preset(name: str) -> Experiment:
    """The experiment of this name; PlanError lists the names that exist."""
    known = presets()
    if name not in known:
        raise PlanError(f"there is no preset {name[:40]!r}", did_you_mean(name, known))
    return read(Text(f"preset {name}", known[name]), name)


def from_file(path: Path) -> Experiment:
    """The experiment that a TOML file describes."""
    try:
        text = Text(str(path), path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PlanError(f"there is no file {path}", "name a .toml file, or a preset with --preset (--list)") from error
    except IsADirectoryError as error:
        raise PlanError(f"{path} is a directory", "name a .toml file, or a preset with --preset (--list)") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path} is not UTF-8 text", "an experiment is a TOML file") from error
    return read(text, path.stem)


def read(text: Text, name: str) -> Experiment:
    """The experiment that a text describes; PlanError names what is wrong, and its line."""
    try:
        value = tomllib.loads(text.text)
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{text.name} is not TOML: {error}", "docs/howto/experiments.md has an example") from error
    if "preset" in value:
        known = presets()
        wanted = value.pop("preset")
        if wanted not in known:
            raise PlanError(f"{text.at('preset')}: there is no preset {wanted!r}", did_you_mean(str(wanted), known))
        whole = tomllib.loads(known[wanted])
        value = {**whole, **value, **{key: {**whole.get(key, {}), **value[key]} for key in _tables_of(value)}}
    about = _text(text, value, "about", "")
    name = _text(text, value, "name", name)
    seeds = _seeds(text, value.pop("seeds", list(DEFAULT_SEEDS)))
    grid = value.pop("grid", {})
    cases = value.pop("cases", [{}])
    if not isinstance(grid, dict):
        raise PlanError(f"{text.at('grid')}: grid is not a table", "write [grid], and under it a list for each key")
    if not isinstance(cases, list) or not cases or not all(isinstance(case, dict) for case in cases):
        raise PlanError(f"{text.at('cases')}: cases is not a list of tables", "write [[cases]] above each of them")
    base = changed(Plan(), value, text)
    axes = _flat(grid)
    count = len(cases) * len(seeds) * prod(len(_values(text, key, found)) for key, found in axes.items())
    if count > MAX_CELLS:
        raise PlanError(f"{text.name}: {count:,} meshes", f"at most {MAX_CELLS:,} can be one experiment")
    rows = [row for place, case in enumerate(cases) for row in _rows(text, base, place, dict(case), axes)]
    titles = [row.title for row in rows]
    double = next((title for title in titles if titles.count(title) > 1), None)
    if double is not None:
        raise PlanError(f"{text.name}: there are two cases {double!r}", "give each a name of its own")
    return Experiment(name, about, text.name, seeds, tuple(rows))


def _rows(text: Text, base: Plan, place: int, case: dict[str, Any], grid: Mapping[str, Any]) -> list[Row]:
    name = case.pop("name", "")
    if not isinstance(name, str):
        raise PlanError(f"{text.at('cases', place, 'name')}: the name of a case is {name!r}", "it must be text")
    plan = changed(base, case, text, ("cases", place))
    rows = []
    for values in product(*(_values(text, key, found) for key, found in grid.items())):
        axes = tuple(zip(grid, values, strict=True))
        made = plan
        for key, value in axes:
            made = change(made, key, value, _place(text, key))
        try:
            check(made)
        except PlanError as error:
            where = text.at("cases", place) if name else text.name
            raise PlanError(f"{where}: {error.what}", error.fix) from error
        rows.append(Row(name, axes, made))
    return rows


def change(plan: Plan, key: str, value: Any, where: str) -> Plan:
    """The plan with one value, whose key may be dotted: ``data.partition``; PlanError begins with ``where``."""
    table, dot, inner = key.partition(".")
    values = {table: {inner: value}} if dot and table in _TABLES else {key: value}
    made: Plan = changed(plan, values, Text(where))
    return made


def with_options(experiment: Experiment, seeds: Sequence[int] | None, settings: Sequence[str]) -> Experiment:
    """The experiment with other seeds, and with ``key=value`` in every row; values are written as in TOML."""
    rows = list(experiment.rows)
    for text in settings:
        key, value = _assigned(text)
        rows = [_with(row, key, value, f"--set {text}") for row in rows]
    rows = list({row.title: row for row in reversed(rows)}.values())[::-1]  # an axis that was set has one value left
    for row in rows:
        check(row.plan)
    return replace(experiment, rows=tuple(rows), seeds=_seeds(Text("--seeds"), list(seeds or experiment.seeds)))


def _with(row: Row, key: str, value: Any, where: str) -> Row:
    axes = tuple((axis, value if axis == key else old) for axis, old in row.axes)
    return replace(row, axes=axes, plan=change(row.plan, key, value, where))


def _assigned(text: str) -> tuple[str, Any]:
    key, equals, written = text.partition("=")
    if not equals or not key.strip():
        raise PlanError(f"--set {text}", "write a key, an equals sign and a value: --set rounds=3")
    try:
        return key.strip(), tomllib.loads(f"value = {written}")["value"]
    except ValueError:
        return key.strip(), written.strip()  # a word without quotes


def _values(text: Text, key: str, found: Any) -> list[Any]:
    if not isinstance(found, list) or not found:
        raise PlanError(f"{_place(text, key)}: grid.{key} is not a list of values", f'write "{key}" = [1, 2]')
    return found


def _place(text: Text, key: str) -> str:
    quoted, dotted = text.at("grid", key), text.at("grid", *key.split("."))
    return dotted if quoted == text.at("grid") else quoted


def _flat(grid: Mapping[str, Any]) -> dict[str, Any]:
    """The grid with dotted keys, whether they were written with quotes or without."""
    out: dict[str, Any] = {}
    for key, found in grid.items():
        out |= {f"{key}.{inner}": one for inner, one in found.items()} if isinstance(found, dict) else {key: found}
    return out


def _tables_of(value: Mapping[str, Any]) -> list[str]:
    return [key for key in _TABLES if isinstance(value.get(key), dict)]


def _text(text: Text, value: dict[str, Any], key: str, default: str) -> str:
    found = value.pop(key, default)
    if not isinstance(found, str):
        raise PlanError(f"{text.at(key)}: {key} is {found!r}", "it must be text")
    if key == "name" and (not found or len(found) > 64 or "/" in found or found.startswith(".") or "\\" in found):
        raise PlanError(f"{text.at(key)}: name is {found[:80]!r}", "it names a folder: up to 64 letters, no slash")
    return found


def _seeds(text: Text, found: Any) -> tuple[int, ...]:
    good = isinstance(found, list) and found
    if not good or not all(type(seed) is int and 0 <= seed < 2**63 for seed in found):
        raise PlanError(
            f"{text.at('seeds')}: seeds is {found!r}", "it must be a list of whole numbers: seeds = [1, 2, 3]"
        )
    return tuple(dict.fromkeys(found))


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
