"""Plots of many meshes: a panel for each case, and in it a line for each of its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from p2pfd.experiment.faring import Curve, Faring
from p2pfd.experiment.figures import Line
from p2pfd.experiment.grid import Experiment, Row
from p2pfd.experiment.picture import HEIGHT, WIDTH, Series, plot, style

AT_ONCE = 8
"""So many lines can be told apart."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What is plotted over time."""

    name: str
    """Of the file."""
    title: str
    percent: bool
    of: Callable[[Faring], Curve]


MEASURES = (
    Measure("accuracy", "accuracy of honest nodes", True, lambda one: one.accuracy),
    Measure("votes", "share of votes that are right", True, lambda one: one.votes),
    Measure("stakes", "nodes that misbehave and are below the threshold", False, lambda one: one.below),
)
_ACROSS = "seconds of virtual time, which are blocks"


def panels(experiment: Experiment, lines: Sequence[Line], measure: Measure) -> list[str]:
    """An SVG for each panel; those in which nothing is to be seen are left out."""
    out = []
    for title, chosen in _groups(experiment, lines):
        series = [Series(_name(row), measure.of(line.faring)) for row, line in chosen if line.faring is not None]
        if any(value for one in series for _, value in one.points):
            whole = f"{measure.title}: {title}" if title else measure.title
            out.append(plot(series, whole, _ACROSS, percent=measure.percent))
    return out


def stacked(drawn: Sequence[str]) -> str:
    """Several plots below one another, as one file that brings its colours."""
    high = HEIGHT * len(drawn)
    parts = [
        one.replace("<svg ", f'<svg y="{place * HEIGHT}" ', 1).replace(f' xmlns="{_XMLNS}"', "")
        for place, one in enumerate(drawn)
    ]
    head = f'<svg xmlns="{_XMLNS}" viewBox="0 0 {WIDTH} {high}" width="{WIDTH}" height="{high}">'
    return "\n".join([head, f"<style>{style()}</style>", *parts, "</svg>", ""])


_XMLNS = "http://www.w3.org/2000/svg"


def _groups(experiment: Experiment, lines: Sequence[Line]) -> list[tuple[str, list[tuple[Row, Line]]]]:
    """By case; where there are no cases, so many rows at a time as can be told apart."""
    rows = list(zip(experiment.rows, lines, strict=True))
    cases = dict.fromkeys(row.case for row in experiment.rows)
    if len(rows) > len(cases):
        found = [(case, [pair for pair in rows if pair[0].case == case]) for case in cases]
    else:
        found = [("", rows)]
    return [
        (title, pairs[start : start + AT_ONCE]) for title, pairs in found for start in range(0, len(pairs), AT_ONCE)
    ]


def _name(row: Row) -> str:
    """The row by its values of the grid: words say themselves what they are."""
    told = [value if isinstance(value, str) else f"{key.rpartition('.')[2]} {value}" for key, value in row.axes]
    return " · ".join(told) or row.case or "the mesh"
