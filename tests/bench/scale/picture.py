"""The processor's time of a node and round against the number of nodes, measured and fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from p2pfd.experiment.picture import Series, plot
from tests.bench.scale.fit import Line

Points = Sequence[tuple[float, float]]


def picture(measured: Mapping[str, Points], lines: Mapping[str, Line | None]) -> str:
    """An SVG: what was measured, and the line through it, to the largest number of nodes that was measured."""
    drawn = []
    for name, points in measured.items():
        if points:
            drawn.append(Series(name, tuple(sorted(points))))
            line = lines.get(name)
            if line is not None:
                ends = (min(x for x, _ in points), max(x for x, _ in points))
                drawn.append(Series(f"{name}, fitted", tuple((x, line.at(x)) for x in ends)))
    return plot(drawn, "Processor seconds of a node and round", "nodes", alone=True)
