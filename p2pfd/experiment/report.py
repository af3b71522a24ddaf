"""The results as tables: for people, as CSV, and as numbers under names."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields

from p2pfd.experiment.course import Point
from p2pfd.experiment.figures import Group, Line, line_of
from p2pfd.experiment.grid import Experiment
from p2pfd.experiment.plan import COMMON, ENCOUNTERS, Plan
from p2pfd.experiment.result import Result
from p2pfd.experiment.spread import Spread
from p2pfd.learning.bench.tables import grid

Found = dict[str, list[Result]]
COLUMNS = ("case", "seed", "round", "node", "kind", "samples", "own_accuracy", "vote", "paid", "forfeited", "accuracy")
"""Of the CSV file; the values of the grid stand between case and seed. Amounts are in millionths of a token.

In encounters a round is an answer that the node served, and a vote says whether it was found valid.
"""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: a head, and rows of text. The first column is words and the others are figures."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def lines(experiment: Experiment, found: Found) -> list[Line]:
    """The figures of every row."""
    return [line_of(row.title, row.plan, found[row.title]) for row in experiment.rows]


def accuracies(experiment: Experiment, lines: Sequence[Line]) -> Sheet:
    """What the meshes learnt."""
    head = ("mesh", "accuracy before", "accuracy after", "short rounds", "seconds a mesh")
    rows = [
        (_title(line), f"{line.first:.3f}", f"{line.accuracy:.3f}", f"{line.short:g}", f"{line.seconds:.1f}")
        for line in lines
    ]
    return Sheet(head, tuple(rows))


def fares(experiment: Experiment, lines: Sequence[Line]) -> Sheet | None:
    """What became of votes and stakes, where nodes meet in encounters."""
    head = (
        *("mesh", "right votes", "on unaltered answers", "on altered ones", "altered answers"),
        *("accepted", "misbehave", "below the threshold in the end", "fell in second", "encounters after that"),
        "honest below",
    )
    rows = [
        (
            _title(line),
            *(_or_none(part, ".3f") for part in (one.right, one.valid, one.caught)),
            f"{one.altered:.0f}",
            _or_none(one.passed, ".2f"),
            f"{one.others:g}",
            _or_none(one.out, ".1f") if one.others else "–",
            "–" if one.fell is None else f"{one.fell:.0f}",
            f"{one.begun:g}",
            format(one.honest_out, ".1f"),
        )
        for line in lines
        if (one := line.faring) is not None
    ]
    return Sheet(head, tuple(rows)) if rows else None


def pays(line: Line, plan: Plan) -> Sheet:
    """What each kind of node in a mesh was paid."""
    return _met(line) if plan.kind == ENCOUNTERS else _paid(line)


def _paid(line: Line) -> Sheet:
    head = ("kind", "nodes", "samples", "own accuracy", "passed the gate", "pay a round", "gain, tokens")
    rows = [
        (
            *_who(group),
            _or_none(group.own, ".3f"),
            _or_none(group.passed, ".2f"),
            _or_none(group.pay, ".2f"),
            _or_none(group.gain, ".0f"),
        )
        for group in line.groups
    ]
    return Sheet(head, tuple(rows))


def _met(line: Line) -> Sheet:
    head = ("kind", "nodes", "samples", "answers accepted", "gain an answer", "gain a vote", "gain, prepayments")
    rows = [
        (
            *_who(group),
            _or_none(group.passed, ".2f"),
            _or_none(group.pay, ".2f"),
            _or_none(group.vote, ".3f"),
            _or_none(group.gain, ".2f"),
        )
        for group in line.groups
    ]
    return Sheet(head, tuple(rows))


def _who(group: Group) -> tuple[str, str, str]:
    return group.kind, f"{group.nodes:g}", f"{group.samples:.0f}"


def to_markdown(experiment: Experiment, lines: Sequence[Line]) -> str:
    """All tables in Markdown."""
    learnt = accuracies(experiment, lines)
    parts = [grid(learnt.head, learnt.rows)]
    fared = fares(experiment, lines)
    parts += [grid(fared.head, fared.rows)] if fared else []
    for line, row in zip(lines, experiment.rows, strict=True):
        paid = pays(line, row.plan)
        parts += [f"**{line.title or 'The mesh'}**: {budget(row.plan)}", grid(paid.head, paid.rows)]
    return "\n\n".join([*parts, ""])


def to_csv(experiment: Experiment, found: Found) -> str:
    """A line for each node, round and mesh."""
    axes = [key for key, _ in experiment.rows[0].axes]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([COLUMNS[0], *axes, *COLUMNS[1:]])
    for row in experiment.rows:
        for seed, result in zip(experiment.seeds, found[row.title], strict=True):
            for node, one in enumerate(result.members):
                for rnd, turn in enumerate(one.turns, start=1):
                    own = ["" if value is None else value for value in (turn.own, turn.vote)]
                    ends = [*own, turn.paid, turn.forfeited, result.accuracy[min(rnd, len(result.accuracy) - 1)]]
                    head = [row.case, *(value for _, value in row.axes), seed, rnd]
                    writer.writerow([*head, node, one.kind, one.samples, *ends])
    return out.getvalue()


def course_csv(experiment: Experiment, found: Found) -> str:
    """A line for each point of each mesh's course, where nodes meet in encounters; amounts are in prepayments."""
    axes = [key for key, _ in experiment.rows[0].axes]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["case", *axes, "seed", *(entry.name for entry in fields(Point))])
    for row in experiment.rows:
        for seed, result in zip(experiment.seeds, found[row.title], strict=True):
            for point in result.course:
                writer.writerow([row.case, *(value for _, value in row.axes), seed, *astuple(point)])
    return out.getvalue()


def figures(experiment: Experiment, lines: Sequence[Line]) -> dict[str, object]:
    """The same as plain values, for a machine to read."""
    rows = []
    for line, row in zip(lines, experiment.rows, strict=True):
        groups = [{**asdict(group), "by_round": [round(value, 4) for value in group.by_round]} for group in line.groups]
        rows.append(
            {
                "mesh": line.title,
                "case": row.case,
                "grid": dict(row.axes),
                "accuracy": asdict(line.accuracy),
                "curve": [round(value, 4) for value in line.curve],
                "short_rounds": line.short,
                "groups": groups,
                **({} if line.faring is None else {"faring": asdict(line.faring)}),
            }
        )
    return {"experiment": experiment.name, "seeds": list(experiment.seeds), "rows": rows}


def budget(plan: Plan) -> str:
    """The plan in a few words: what stands beside every figure."""
    data = plan.data
    where = f"loss {plan.loss:.0%}, graph {plan.graph}" + (f" of degree {plan.degree}" if plan.graph != "ring" else "")
    if plan.kind == ENCOUNTERS:
        met = plan.meetings
        what = f"{met.each} encounters each, {met.validators} validators, rule {met.rule}, tolerance {met.tolerance:g}"
        if met.probe == COMMON:
            what += f", judged by {data.validation} samples that all have"
    else:
        what = f"{plan.rounds} rounds, chain {plan.chain}"
    settings = ", ".join(
        f"{key} {str(value).lower() if isinstance(value, bool) else value}"
        for key, value in sorted(plan.settings.items())
    )
    return (
        f"{plan.nodes} nodes, {what}, {plan.adapter}{f' ({settings})' if settings else ''}; "
        f"{data.name} {data.partition}, {data.public} public samples, {data.test} to test; {where}"
    )


def _title(line: Line) -> str:
    return line.title or "the mesh"


def _or_none(value: Spread | None, spec: str) -> str:
    return "–" if value is None else format(value, spec)
