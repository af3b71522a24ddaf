"""The page about scaling: its text, its tables and its picture, all from the runs that are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from tests.bench.scale import tables
from tests.bench.scale.cells import Cell
from tests.bench.scale.fit import Line, fitted, full_round, reached
from tests.bench.scale.picture import picture
from tests.bench.scale.tables import GAS, KB, MB, Outcome, number, points

TEMPLATE = Path(__file__).with_name("page.template")
CHAIN, OFF = "with a chain", "without"
SERIES_OF = {CHAIN: "nodes", OFF: "nodes off chain"}
FEWEST = 3
IDLE = 0.2
"""Cores that others may use on a machine that counts as idle: the bench itself looks twice a second."""
SEATS = 64
"""Of a label market: what a line says beyond is not about one market."""


def write(path: Path, outcomes: Sequence[Outcome], cells: Sequence[Cell]) -> list[Path]:
    """The page, and beside it the picture."""
    drawing = path.with_suffix(".svg")
    path.write_text(markdown(outcomes, cells, drawing.name))
    drawing.write_text(picture(measured(outcomes), costs(outcomes)))
    return [path, drawing]


def markdown(outcomes: Sequence[Outcome], cells: Sequence[Cell], drawing: str) -> str:
    """The whole page."""
    return Template(TEMPLATE.read_text()).substitute(
        machine=machine(outcomes),
        missing=missing(outcomes, cells),
        drawing=drawing,
        nodes=tables.nodes(outcomes),
        growth=growth(outcomes),
        limit=limit(outcomes),
        bottleneck=bottleneck(outcomes),
        simulated=tables.simulated(outcomes),
        samples=tables.samples(outcomes),
        nets=tables.nets(outcomes),
        validators=tables.validators(outcomes),
        validator=validator(outcomes),
    )


def figures(outcomes: Sequence[Outcome]) -> str:
    """All tables, to be read where they are."""
    parts = (
        tables.nodes,
        growth,
        limit,
        bottleneck,
        tables.simulated,
        tables.samples,
        tables.nets,
        tables.validators,
        validator,
    )
    return "\n\n".join(part(outcomes) for part in parts)


def measured(outcomes: Sequence[Outcome]) -> dict[str, list[tuple[float, float]]]:
    """The processor's time of a node and round against the number of nodes."""
    return {name: points(series, outcomes, lambda row: row.found["cpu"]) for name, series in SERIES_OF.items()}


def costs(outcomes: Sequence[Outcome]) -> dict[str, Line | None]:
    """The lines through these."""
    return {name: trusted(found) for name, found in measured(outcomes).items()}


def trusted(found: Sequence[tuple[float, float]]) -> Line | None:
    """A line through three points or more: any two points are on one."""
    return fitted(found) if len(found) >= FEWEST else None


def machine(outcomes: Sequence[Outcome]) -> str:
    """Where and when it was measured."""
    good = [outcome for outcome in outcomes if not outcome["problem"]]
    if not good:
        return "**Nothing has been measured yet.** The command above does it, and writes this page anew."
    machines: dict[str, Mapping[str, Any]] = {}
    versions: dict[str, str] = {}
    for outcome in good:
        one = outcome["machine"]
        machines.setdefault(f"{one['cores']} cores of {one['processor']}, {one['memory_gb']} GB, {one['system']}", one)
        versions |= {"Python": one["python"], **one["versions"]}
    loads, others = ([outcome[key] for outcome in good] for key in ("load", "others"))
    lines = [
        f"- Machine: {'; '.join(machines)}.",
        f"- {sum(outcome['runs'] for outcome in good)} runs of {len(good)} kinds.",
        *spread(good),
        f"- Load when a run began: {min(loads):.1f} to {max(loads):.1f}; "
        f"meanwhile other processes kept {min(others):.1f} to {max(others):.1f} cores busy.",
        "- Versions: " + ", ".join(f"{name} {each}" for name, each in versions.items()) + ".",
    ]
    if max(others) >= IDLE:
        lines.append(
            "- **The machine did other work meanwhile.** Seconds of the clock say little then, and processor time is "
            "more than on an idle machine, since whoever waits asks again. Bytes and gas are hardly touched by it."
        )
    return "\n".join(lines)


def spread(good: Sequence[Outcome]) -> list[str]:
    """How far runs of one kind are from each other, where there are several of one."""
    several = [outcome for outcome in good if outcome["runs"] > 1]
    if not several:
        return []
    most = max(outcome["spread"] for outcome in several)
    return [
        f"- {len(several)} kinds have several runs, of which the dearest took up to {100 * most:.0f} % more processor "
        "time than the cheapest: differences below that say nothing, and the lines and limits below are as uncertain."
    ]


def missing(outcomes: Sequence[Outcome], cells: Sequence[Cell]) -> str:
    """Which runs are not in the tables, and why."""
    told = {Cell(**outcome["cell"]): str(outcome["problem"]) for outcome in outcomes}
    lines = []
    for cell in cells:
        if cell not in told:
            lines.append(f"- `{cell.name}`: it has not run.")
        elif told[cell]:
            lines.append(f"- `{cell.name}`: {' '.join(told[cell].split())[:200]}.")
    return "\n".join(lines) or "All of the bench's runs are in the tables."


def growth(outcomes: Sequence[Outcome]) -> str:
    """The lines through the figures against the number of nodes, in words."""
    lines = []
    for name, series in SERIES_OF.items():
        for what, key, unit, word in (
            ("processor time", "cpu", 1.0, "s"),
            ("sent", "sent", KB, "kB"),
            ("gas", "gas", GAS, "thousand"),
        ):
            found = points(series, outcomes, lambda row, key=key: row.found.get(key))  # type: ignore[misc]
            line = trusted(found)
            if line is not None:
                counts = [int(x) for x, _ in found]
                lines.append(
                    f"| {what}, {name} | {_formula(line, unit)} {word} | "
                    f"{min(counts)} to {max(counts)} | {100 * line.off:.0f} % |"
                )
    if not lines:
        return tables.NOTHING
    head = "| of a node and round, n nodes | least squares | measured at n | a point is off by at most |"
    return "\n".join([head, "|---|--:|--:|--:|", *lines])


def _formula(line: Line, unit: float) -> str:
    """A line as people write it."""
    constant = number(line.a / unit).replace("-", "−")
    return f"{constant} {'+' if line.b >= 0 else '−'} {_small(abs(line.b) / unit)} n"


def _small(value: float) -> str:
    """A slope, with two digits that mean something."""
    return f"{value:.2g}" if value < 10 else number(value)


def limit(outcomes: Sequence[Outcome]) -> str:
    """At how many nodes a round takes longer than a minute on this machine, and its memory is full."""
    lines = []
    for name, line in costs(outcomes).items():
        if line is None:
            continue
        series = SERIES_OF[name]
        rows = tables.rows_of(series, outcomes)
        here = rows[0].found["machine"]
        cores, most = here["cores"], full_round(line, here["cores"])
        last = max(rows, key=lambda row: row.cell.nodes)
        slower = last.found["round_seconds"] * cores / (last.cell.nodes * last.found["cpu"])
        waiting = full_round(line, cores, 60 / slower) if slower > 1 else None
        if most is not None:
            found = (
                f"- {name}: the processor time of a round is a minute of {cores} cores at **{most:.0f} nodes**, by "
                f"n · ({_formula(line, 1.0)}) = 60 s · {cores}."
            )
            if waiting is not None:
                found += (
                    f" But at {last.cell.nodes} nodes a round took {number(slower)} times as long as its processor "
                    f"time on {cores} cores, others taking {number(last.found['others'])} cores: so it is a minute at "
                    f"**{waiting:.0f} nodes**."
                )
            if min(most, waiting or most) > last.cell.nodes:
                found += f" No more than {last.cell.nodes} were measured."
            if name == CHAIN and min(most, waiting or most) > SEATS:
                found += f" A label market has {SEATS} seats and never gets there."
            lines.append(found)
        room = trusted(points(series, outcomes, _memory))
        full = None if room is None else reached(room, here["memory_gb"] * 1e9)
        if room is not None and full is not None:
            lines.append(
                f"- {name}: all processes together take {number(room.a / MB)} MB and {number(room.b / MB)} MB a node, "
                f"which is all of the machine's memory at {full:.0f} nodes."
            )
    return "\n".join(lines) or tables.NOTHING


def _memory(row: tables.Row) -> float | None:
    """Of all processes together, where it was weighed while rounds went on."""
    each: float | None = row.found["memory"]
    return None if each is None else each * row.cell.nodes


def bottleneck(outcomes: Sequence[Outcome]) -> str:
    """Which part of a node's processor time is the larger one: what is the same in any mesh, or what grows with it."""
    lines = []
    for name, line in costs(outcomes).items():
        if line is not None and line.a > 0 and line.b > 0:
            most = max(row.cell.nodes for row in tables.rows_of(SERIES_OF[name], outcomes))
            share = line.b * most / line.at(most)
            lines.append(
                f"- {name}: at {most} nodes {100 * share:.0f} % of a node's processor time is the part that grows with "
                f"n; it is the larger part from {line.a / line.b:.0f} nodes on."
            )
    return "\n".join(lines) or tables.NOTHING


def validator(outcomes: Sequence[Outcome]) -> str:
    """What one more validator costs."""
    words = []
    for what, key, unit in (("thousand gas", "gas", GAS), ("kB", "sent", KB), ("CPU seconds", "cpu", 1.0)):
        line = fitted(points("validators", outcomes, lambda row, key=key: row.found[key]))  # type: ignore[misc]
        if line is not None:
            words.append(f"{number(line.b / unit)} {what} (a figure is off the line by at most {100 * line.off:.0f} %)")
    if not words:
        return tables.NOTHING
    return f"By least squares, one validator more of an encounter costs {', '.join(words)}."
