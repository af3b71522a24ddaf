"""The page of the comparison: its text, its tables, its picture and its CSV, all from the outcomes that are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from string import Template
from typing import Any

from tests.bench.peers.cells import CLEAN, OFF_CHAIN, P2PFD
from tests.bench.peers.picture import picture
from tests.bench.peers.summary import TARGET, Outcome, as_csv, behind, brief, grouped, run_of, share, table, title

BEGIN, END = "<!-- bench-peers: begin -->", "<!-- bench-peers: end -->"
TEMPLATE = Path(__file__).with_name("page.template")


def write(path: Path, outcomes: Sequence[Outcome], wanted: int) -> list[Path]:
    """The page, and beside it the figures and the picture."""
    figures, drawing = path.with_suffix(".csv"), path.with_suffix(".svg")
    path.write_text(markdown(outcomes, wanted, drawing.name, figures.name))
    figures.write_text(as_csv(outcomes))
    drawing.write_text(picture(outcomes))
    return [path, figures, drawing]


def insert(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Put the short table into a text, between the two lines that say where."""
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"error: {path} has no place for the table. Fix: add two lines, {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{brief([run_of(outcome) for outcome in outcomes])}\n{END}{after}")


def markdown(outcomes: Sequence[Outcome], wanted: int, drawing: str, figures: str) -> str:
    """The whole page."""
    return Template(TEMPLATE.read_text()).substitute(
        machine=_machine(outcomes, wanted),
        brief=brief([run_of(outcome) for outcome in outcomes]),
        tables=tables(outcomes),
        target=share(TARGET),
        drawing=drawing,
        figures=figures,
    )


def tables(outcomes: Sequence[Outcome]) -> str:
    """All groups, each with what p2pfd is behind in."""
    parts = []
    for group, rows in grouped([run_of(outcome) for outcome in outcomes]).items():
        parts += [f"### {title(group)}", table(rows)]
        worse = behind(rows)
        if worse:
            parts.append("p2pfd is behind in:\n\n" + "\n".join(f"- {line}" for line in worse))
        elif any(name != P2PFD and name != OFF_CHAIN for name in rows) and P2PFD in rows:
            parts.append("p2pfd is behind in nothing by more than the spread.")
    return "\n\n".join(parts)


def figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """The clean meshes' means by name, for a program to compare."""
    found: dict[str, float] = {}
    for (nodes, partition, trouble), rows in grouped([run_of(outcome) for outcome in outcomes]).items():
        if trouble != CLEAN:
            continue
        for name, runs in rows.items():
            key = "_".join("".join(c if c.isalnum() else " " for c in f"{name} {nodes} {partition}".lower()).split())
            means = [run.mean for run in runs if run.mean is not None]
            if means:
                found[f"{key}_accuracy"] = round(fmean(means), 4)
            found[f"{key}_s"] = round(fmean(run.seconds for run in runs), 2)
            found[f"{key}_cpu_s"] = round(fmean(run.cpu for run in runs), 2)
            found[f"{key}_mb"] = round(fmean(run.megabytes for run in runs), 3)
    return found


def _machine(outcomes: Sequence[Outcome], wanted: int) -> str:
    if not outcomes:
        return "Nothing has been measured yet. The command above does it, and writes this page anew."
    machines: list[Mapping[str, Any]] = []
    for outcome in outcomes:
        if outcome["machine"]["processor"] not in {one["processor"] for one in machines}:
            machines.append(outcome["machine"])
    told = "; ".join(f"{one['cores']} cores of {one['processor']}, {one['memory_gb']} GB" for one in machines)
    versions: dict[str, str] = {}
    for outcome in outcomes:
        machine = outcome["machine"]
        versions |= {"Python": machine["python"], **machine["versions"]}
        for rival, inside in machine["rivals"].items():
            versions |= {name if name == rival else f"{rival}'s {name}": each for name, each in inside.items()}
    loads = [outcome["load"] for outcome in outcomes]
    seeds = sorted({outcome["cell"]["seed"] for outcome in outcomes})
    minutes = sum(outcome["seconds"] for outcome in outcomes) / 60
    lines = [
        f"- Machine: {told}. "
        f"Load average before a run, in which the run before it still is: {min(loads):.1f} to {max(loads):.1f}.",
        f"- Runs: {len(outcomes)} of {wanted}, {minutes:.0f} minutes of measuring; seeds {', '.join(map(str, seeds))}. "
        "Means, ± standard deviation over seeds where there is more than one.",
        "- Versions: " + ", ".join(f"{name} {each}" for name, each in versions.items()) + ".",
    ]
    if min(loads) > max(one["cores"] for one in machines):
        lines.append(
            "- **The machine did other work meanwhile**: seconds say little here, and timeouts may have been missed "
            "for want of processor time. CPU seconds, bytes and memory are less touched by that."
        )
    return "\n".join(lines)
