"""The nodes' accuracy against what each has sent, by one seed of each system."""

from __future__ import annotations

from collections.abc import Sequence

from p2pfd.learning.bench.plot import Curve, plot
from tests.bench.peers.cells import CLEAN, FLOWER, MEMORY, PLAIN, UNEVEN
from tests.bench.peers.summary import Outcome, run_of, title

GROUP = (10, UNEVEN, CLEAN)


def picture(outcomes: Sequence[Outcome]) -> str:
    """An SVG; of the first seed that each system has."""
    curves: dict[str, Curve] = {}
    for outcome in sorted(outcomes, key=lambda one: one["cell"]["seed"]):
        cell = run_of(outcome).cell
        if cell.group != GROUP or cell.aggregator not in ("", PLAIN) or cell.system == MEMORY or cell.row in curves:
            continue
        points = by_bytes(outcome)
        if points:
            curves[cell.row] = Curve(cell.row + (" (weights alone)" if cell.system == FLOWER else ""), points)
    if not curves:
        return plot([Curve("nothing was measured", ((1.0, 0.0), (10.0, 0.0)))], title(GROUP))
    return plot(list(curves.values()), f"{title(GROUP)}: mean validation accuracy while it runs")


def by_bytes(outcome: Outcome) -> tuple[tuple[float, float], ...]:
    """The course of a run against the bytes of a node; Flower's simulation has no sockets, and its weights count."""
    nodes, course = outcome["cell"]["nodes"], outcome["course"]
    found: dict[float, float] = {}
    for place, (when, accuracy) in enumerate(course, start=1):
        if outcome["cell"]["system"] == FLOWER:
            sent = outcome["model_bytes"] * place / len(course)
        else:
            sent = next((look[2] for look in outcome["samples"] if look[0] >= when), outcome["wire_bytes"])
        if sent:
            found[sent / nodes] = accuracy  # of several words between two looks, the last
    return tuple(found.items())
