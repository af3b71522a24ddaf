"""Outcomes of runs as tables: means over seeds, their spread, and where p2pfd is behind."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from tests.bench.peers.cells import (
    ATTACK,
    BETWEEN,
    CHURN,
    CLEAN,
    FLOWER,
    IID,
    MEMORY,
    OURS,
    P2PFD,
    ROUNDS,
    SPOKEN,
    UNEVEN,
    Cell,
)

TARGET = 0.9
MARGIN = 1.0
"""By so many standard deviations together a difference of means counts; of one seed, none is known and all count."""
Outcome = Mapping[str, Any]
Group = tuple[int, str, str]


@dataclass(frozen=True)
class Reached:
    """What a run had taken when the nodes' mean accuracy passed the target."""

    seconds: float
    cpu: float
    megabytes: float


@dataclass(frozen=True)
class Run:
    """A run's figures."""

    cell: Cell
    whole: bool
    ended: str
    mean: float | None
    least: float | None
    seconds: float
    cpu: float
    megabytes: float
    peak: float
    models: float
    reached: Reached | None
    load: float

    @property
    def peers_only(self) -> bool:
        """Whether its nodes speak over sockets, so that the bytes there are what nodes would send one another."""
        return self.cell.system not in (MEMORY, FLOWER)


def run_of(outcome: Outcome) -> Run:
    """A run's figures from what was kept of it."""
    shares = outcome["accuracies"]
    return Run(
        cell=Cell(**outcome["cell"]),
        whole=outcome["finished"],
        ended=f"{outcome['ended']}/{outcome['meant_to_end']}",
        mean=fmean(shares) if shares else None,
        least=min(shares, default=None),
        seconds=outcome["seconds"],
        cpu=outcome["cpu_seconds"],
        megabytes=outcome["wire_bytes"] / 1e6,
        peak=outcome["peak_bytes"] / 1e6,
        models=outcome["model_bytes"] / 1e6,
        reached=reached(outcome["course"], outcome["samples"]),
        load=outcome.get("load", 0.0),
    )


def reached(
    course: Sequence[Sequence[float]], samples: Sequence[Sequence[float]], target: float = TARGET
) -> Reached | None:
    """What had been taken at the first look after the mean accuracy passed the target; None if it never did."""
    when = next((t for t, share in course if share >= target), None)
    if when is None or not samples:
        return None
    _, cpu, sent = next((look for look in samples if look[0] >= when), samples[-1])
    return Reached(when, cpu, sent / 1e6)


def spread(values: Sequence[float | None], form: Callable[[float], str], of: int | None = None) -> str:
    """Mean ± standard deviation over seeds; of one value, the value; and of how many runs it is, if not of all."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    text = form(fmean(known)) + (f" ± {form(stdev(known))}" if len(known) > 1 else "")
    return text if len(known) == (of or len(values)) else f"{text} ({len(known)} of {of or len(values)})"


def share(value: float) -> str:
    """An accuracy."""
    return f"{value:.3f}".removeprefix("0") if value < 1 else "1.000"


def amount(value: float) -> str:
    """Seconds or megabytes, with as many digits as mean anything."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def grouped(runs: Sequence[Run]) -> dict[Group, dict[str, list[Run]]]:
    """The runs by table and by row, in the order in which they come."""
    found: dict[Group, dict[str, list[Run]]] = {}
    for run in runs:
        found.setdefault(run.cell.group, {}).setdefault(run.cell.row, []).append(run)
    return found


HEAD = (
    "system",
    "runs",
    "nodes at the end",
    "accuracy",
    "worst node",
    f"s to {share(TARGET)}",
    "CPU s",
    "MB",
    "s, whole run",
    "CPU s",
    "MB at sockets",
    "peak MB of memory",
)


def table(rows: Mapping[str, Sequence[Run]]) -> str:
    """One group as Markdown."""
    lines = [list(HEAD), ["---"] + ["--:"] * (len(HEAD) - 1)]
    for name, runs in rows.items():
        got = [run.reached for run in runs]
        wires = [run.megabytes if run.peers_only else None for run in runs]
        lines.append(
            [
                name,
                str(len(runs)),
                ", ".join(sorted({run.ended for run in runs})) + ("" if all(run.whole for run in runs) else " †"),
                spread([run.mean for run in runs], share),
                spread([run.least for run in runs], share),
                spread([one.seconds if one else None for one in got], amount),
                spread([one.cpu if one else None for one in got], amount),
                spread(
                    [one.megabytes if one and run.peers_only else None for one, run in zip(got, runs, strict=True)],
                    amount,
                    sum(run.peers_only for run in runs) or None,
                ),
                spread([run.seconds for run in runs], amount),
                spread([run.cpu for run in runs], amount),
                spread(wires, amount) if any(run.peers_only for run in runs) else "*",
                spread([run.peak for run in runs], amount),
            ]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


@dataclass(frozen=True)
class Measure:
    """Something that systems are compared by."""

    name: str
    of: Callable[[Run], float | None]
    form: Callable[[float], str]
    more: bool = False


MEASURES = (
    Measure("accuracy", lambda run: run.mean, share, more=True),
    Measure("worst node", lambda run: run.least, share, more=True),
    Measure(f"seconds to {share(TARGET)}", lambda run: run.reached.seconds if run.reached else None, amount),
    Measure("seconds", lambda run: run.seconds, amount),
    Measure("CPU seconds", lambda run: run.cpu, amount),
    Measure("MB at sockets", lambda run: run.megabytes if run.peers_only else None, amount),
    Measure("peak memory, MB", lambda run: run.peak, amount),
)


def behind(rows: Mapping[str, Sequence[Run]]) -> list[str]:
    """In what p2pfd is behind which rivals, by more than both spreads; its own cheaper form is no rival."""
    ours = rows.get(P2PFD, ())
    found = []
    for measure in MEASURES:
        mine = _values(ours, measure)
        if not mine:
            continue
        better = []
        for name, runs in rows.items():
            theirs = _values([run for run in runs if run.whole], measure)
            if name in OURS or not theirs:
                continue
            gain = (fmean(theirs) - fmean(mine)) * (1 if measure.more else -1)
            if gain > MARGIN * (_deviation(theirs) + _deviation(mine)):
                better.append(f"{name} {measure.form(fmean(theirs))}")
        if better:
            found.append(f"{measure.name}: {measure.form(fmean(mine))}, against {'; '.join(better)}")
    return found


BRIEF: tuple[tuple[str, Group], ...] = (
    ("IID", (10, IID, CLEAN)),
    ("α = 0.1", (10, UNEVEN, CLEAN)),
    ("20 % attackers", (10, BETWEEN, ATTACK)),
    ("30 % killed", (10, BETWEEN, CHURN)),
)
"""The meshes of the short table, and what they are called there. Seconds and bytes are those of the second."""


def brief(runs: Sequence[Run]) -> str:
    """All systems in one table: how good they become in each mesh of ten nodes, and what one of these takes."""
    found = grouped(runs)
    head = ["system", *(f"accuracy, {words}" for words, _ in BRIEF), "s", "CPU s", "MB at sockets"]
    lines = [head, ["---"] + ["--:"] * (len(head) - 1)]
    for name in dict.fromkeys(name for _, group in BRIEF for name in found.get(group, {})):
        there = [found.get(group, {}).get(name, []) for _, group in BRIEF]
        marks = ["" if all(run.whole for run in each) else " †" for each in there]
        shares = [spread([run.mean for run in each], share) + mark for each, mark in zip(there, marks, strict=True)]
        cost = there[1]
        lines.append(
            [
                name,
                *shares,
                spread([run.seconds for run in cost], amount),
                spread([run.cpu for run in cost], amount),
                "*" if cost and not cost[0].peers_only else spread([run.megabytes for run in cost], amount),
            ]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def title(group: Group) -> str:
    """What a table is called."""
    nodes, partition, trouble = group
    words = {CLEAN: "", ATTACK: ", a fifth of the nodes trained on flipped labels", CHURN: ", 30 % killed in mid-run"}
    rounds = f", {ROUNDS[nodes]} rounds" if nodes in ROUNDS else ""  # a tiny run's depend on its trouble
    return f"{nodes} nodes, {SPOKEN[partition]}{rounds}{words[trouble]}"


def as_csv(outcomes: Sequence[Outcome]) -> str:
    """A line for each run."""
    out = io.StringIO()
    keys = ("system", "aggregator", "nodes", "partition", "trouble", "seed", "rounds")
    more = (
        "finished",
        "ended",
        "meant_to_end",
        "accuracy_mean",
        "accuracy_least",
        "target_seconds",
        "target_cpu_seconds",
        "target_megabytes",
        "seconds",
        "cpu_seconds",
        "wire_megabytes",
        "wire_packets",
        "model_megabytes",
        "peak_megabytes",
        "processes",
        "load_before",
    )
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*keys, *more])
    for outcome in outcomes:
        run, cell = run_of(outcome), outcome["cell"]
        got = run.reached
        figures = (
            run.mean,
            run.least,
            got and got.seconds,
            got and got.cpu,
            got and got.megabytes,
            run.seconds,
            run.cpu,
            run.megabytes,
        )
        writer.writerow(
            [
                *(cell[key] for key in keys),
                int(run.whole),
                outcome["ended"],
                outcome["meant_to_end"],
                *("" if figure is None else f"{figure:.6g}" for figure in figures),
                outcome["wire_packets"],
                f"{run.models:.6g}",
                f"{run.peak:.6g}",
                outcome["processes"],
                f"{run.load:.3g}",
            ]
        )
    return out.getvalue()


def _values(runs: Sequence[Run], measure: Measure) -> list[float]:
    return [value for run in runs if (value := measure.of(run)) is not None]


def _deviation(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0
