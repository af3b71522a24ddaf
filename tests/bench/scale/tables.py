"""The tables of the page, each from the runs that are kept of its series."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.scale.cells import DIGITS, EMBEDDED, SERIES, Cell

Outcome = Mapping[str, Any]
FLOAT_BYTES = 4
KB, MB, GAS = 1e3, 1e6, 1e3
NOTHING = "Not measured yet."


@dataclass(frozen=True)
class Row:
    """A run, and what was found."""

    cell: Cell
    found: Outcome


Figure = Callable[[Row], float | None]
Columns = dict[str, Callable[[Row], str]]


def rows_of(series: str, outcomes: Sequence[Outcome]) -> list[Row]:
    """The runs of a series that came to a good end, in its order."""
    known = {Cell(**outcome["cell"]): outcome for outcome in outcomes if not outcome["problem"]}
    return [Row(cell, known[cell]) for cell in SERIES[series] if cell in known]


def table(columns: Mapping[str, Callable[[Row], str]], rows: Sequence[Row]) -> str:
    """Markdown; words instead, where there is nothing to show."""
    if not rows:
        return NOTHING
    lines = ["| " + " | ".join(columns) + " |", "|" + "--:|" * len(columns)]
    lines += ["| " + " | ".join(show(row) for show in columns.values()) + " |" for row in rows]
    return "\n".join(lines)


def number(value: float | None) -> str:
    """With three digits that mean something, or all in front of the point; a dash for what is not there."""
    if value is None:
        return "–"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"


def of(key: str, unit: float = 1.0) -> Callable[[Row], str]:
    """A column with a figure of each run, in this unit."""
    return lambda row: number(None if row.found.get(key) is None else row.found[key] / unit)


def part(name: str) -> Callable[[Row], str]:
    """A column with the processor's time of a kind of processes."""
    return lambda row: number(row.found["cpu_by_part"].get(name))


def where(row: Row) -> str:
    """On which chain."""
    return "the embedded chain" if row.cell.chain == EMBEDDED else "nothing"


def the_set(row: Row) -> str:
    """Which data."""
    return "digits" if row.cell.data == DIGITS else "Fashion-MNIST"


def nodes(outcomes: Sequence[Outcome]) -> str:
    """Against the number of nodes."""
    columns: Columns = {
        "n": lambda row: f"{row.cell.nodes}",
        "settles on": where,
        "CPU s": of("cpu"),
        "of these: nodes": part("nodes"),
        "the chain": part("chain"),
        "supervisor": part("supervisor"),
        "sent, kB": of("sent", KB),
        "sent to meet, kB": of("sent_before", KB),
        "memory, MB": of("memory", MB),
        "gas, thousands": of("gas", GAS),
        "of these: to settle": of("gas_to_settle", GAS),
        "a round, s": of("round_seconds"),
        "rounds": of_count("rounds"),
        "load": of("load"),
        "others": of("others"),
    }
    return table(columns, [*rows_of("nodes", outcomes), *rows_of("nodes off chain", outcomes)])


def of_count(key: str) -> Callable[[Row], str]:
    """A column with a whole number."""
    return lambda row: f"{row.found[key]:,}"


def simulated(outcomes: Sequence[Outcome]) -> str:
    """Simulated meshes."""
    columns: Columns = {
        "nodes": lambda row: f"{row.cell.nodes:,}",
        "learns": lambda row: row.cell.learn,
        "rounds": lambda row: f"{row.cell.rounds:,}",
        "CPU ms": of("cpu", 1e-3),
        "events": of("events"),
        "memory, kB": of("memory", KB),
        "a round, s": of("round_seconds"),
        "the longer command, CPU s": of("command_cpu"),
        "finished": of_count("finished"),
        "load": of("load"),
        "others": of("others"),
    }
    return table(columns, rows_of("simulated", outcomes))


def samples(outcomes: Sequence[Outcome]) -> str:
    """Against the number of public samples."""
    columns: Columns = {
        "public samples": lambda row: f"{row.cell.public:,}",
        "set, net": lambda row: f"{the_set(row)}, `{row.cell.net}`",
        "settles on": where,
        "CPU s": of("cpu"),
        "sent, kB": of("sent", KB),
        "of these: its labels, bytes": of("label_bytes"),
        "memory, MB": of("memory", MB),
        "gas, thousands": of("gas", GAS),
        "gas a label": lambda row: number(row.found["gas"] / row.cell.public if row.found["gas"] else None),
        "a round, s": of("round_seconds"),
        "load": of("load"),
        "others": of("others"),
    }
    return table(columns, rows_of("samples", outcomes))


def nets(outcomes: Sequence[Outcome]) -> str:
    """Against the size of the model."""
    columns: Columns = {
        "net": lambda row: f"`{row.cell.net}`",
        "set": the_set,
        "parameters": lambda row: f"{row.found['weights_bytes'] / FLOAT_BYTES:,.0f}",
        "CPU s": of("cpu"),
        "sent, kB": of("sent", KB),
        "of these: its labels, bytes": of("label_bytes"),
        "weights would be, bytes": of("weights_bytes"),
        "memory, MB": of("memory", MB),
        "gas, thousands": of("gas", GAS),
        "a round, s": of("round_seconds"),
        "load": of("load"),
        "others": of("others"),
    }
    return table(columns, rows_of("nets", outcomes))


def validators(outcomes: Sequence[Outcome]) -> str:
    """Against the size of a committee."""
    columns: Columns = {
        "validators": lambda row: f"{row.cell.validators}",
        "encounters": of_count("encounters"),
        "accepted": of_count("accepted"),
        "CPU s": of("cpu"),
        "of these: nodes": part("nodes"),
        "chain": part("chain"),
        "sent, kB": of("sent", KB),
        "gas, thousands": of("gas", GAS),
        "transactions": of("calls"),
        "all, s": of("seconds"),
        "load": of("load"),
        "others": of("others"),
    }
    return table(columns, rows_of("validators", outcomes))


def points(
    series: str, outcomes: Sequence[Outcome], figure: Callable[[Row], float | None]
) -> list[tuple[float, float]]:
    """A figure of each run of a series against its nodes, or validators, where it has them."""
    found = []
    for row in rows_of(series, outcomes):
        value = figure(row)
        if value is not None:
            found.append((float(row.cell.validators or row.cell.nodes), value))
    return found
