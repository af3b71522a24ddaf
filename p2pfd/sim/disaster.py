"""What hurts more: to lose those who hold the data, or those who connect the others?

On each graph the same mesh learns several times: undisturbed, and with a share of its nodes gone for good at one
moment. What counts is how good those are, in the end, who are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import fmean, stdev

from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.sim.faults import VICTIMS, Disaster
from p2pfd.sim.graphs import parts
from p2pfd.sim.run import Cast, SimPlan, Tally, simulate

GRAPHS = ("barabasi-albert", "erdos-renyi", "regular", "ring")
NOBODY = "nobody"
MOST_GONE = 900_000
AT = Tick(1 * SECOND)
"""After two rounds or three: something has been learnt, and most has not."""


@dataclass(frozen=True, slots=True)
class Row:
    """One graph and one kind of victims: the mean over the seeds, and half of its 95 % interval."""

    graph: str
    whom: str
    accuracy: float
    half: float
    lost: float
    """What the disaster cost those who are left: the same nodes undisturbed, less what they reach so."""
    lost_half: float
    connected: float
    """The share of those who are left that is in the largest part of the graph."""


@dataclass(frozen=True, slots=True)
class _Run:
    reached: Mapping[int, int]
    """The accuracy of each node that is left, in millionths."""
    connected: float

    def accuracy(self, nodes: Iterable[int]) -> float:
        """The mean of these nodes; a node that never finished has reached nothing."""
        return fmean(self.reached.get(node, 0) for node in nodes) / 1_000_000


def compare(
    base: SimPlan,
    share: int,
    seeds: Sequence[int],
    graphs: Iterable[str] = GRAPHS,
    tell: Callable[[str], None] | None = None,
) -> list[Row]:
    """Let the mesh of a plan learn on each graph, with each kind of victims and each seed."""
    if share > MOST_GONE or base.world.nodes < 10:
        raise PlanError("a disaster that leaves next to nobody", "take 10 nodes or more, of which 90 % go at the most")
    rows = []
    for graph in graphs:
        calm: list[_Run] = []
        for whom in (NOBODY, *VICTIMS):
            runs = []
            for seed in seeds:
                runs.append(_run(base, graph, whom, share, seed))
                if tell is not None:
                    tell(f"{graph} · {whom} · seed {seed} · accuracy {runs[-1].accuracy(runs[-1].reached):.1%}")
            calm = calm or runs
            accuracy, half = _mean([run.accuracy(run.reached) for run in runs])
            lost, lost_half = _mean(
                [one.accuracy(run.reached) - run.accuracy(run.reached) for one, run in zip(calm, runs, strict=True)]
            )
            connected = fmean(run.connected for run in runs)
            rows.append(Row(graph, whom, accuracy, half, lost, lost_half, connected))
    return rows


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| graph | who is gone | accuracy of the others | lost by it | of them connected |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        lost = "" if row.whom == NOBODY else f"{100 * row.lost:.1f} ± {100 * row.lost_half:.1f}"
        lines.append(
            f"| {row.graph} | {row.whom} | {100 * row.accuracy:.1f} ± {100 * row.half:.1f} % | {lost} | "
            f"{100 * row.connected:.0f} % |"
        )
    return "\n".join(lines)


def _run(base: SimPlan, graph: str, whom: str, share: int, seed: int) -> _Run:
    faults = () if whom == NOBODY else (Disaster(AT, share, whom),)
    plan = replace(base, seed=seed, world=replace(base.world, graph=graph, faults=faults))
    cast = Cast(plan)
    tally = Tally()
    simulate(plan, cast=cast, tally=tally)
    left = [node for node in range(plan.world.nodes) if node not in cast.away]
    place = {node: at for at, node in enumerate(left)}
    links = [{place[other] for other in cast.world.neighbours[node] if other in place} for node in left]
    return _Run({node: tally.last.get(node, 0) for node in left}, len(parts(links)[0]) / len(left))


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half of its 95 % interval by Student's t."""
    if len(values) < 2:
        return fmean(values), 0.0
    quantile = _STUDENT[min(len(values) - 2, len(_STUDENT) - 1)]
    return fmean(values), quantile * stdev(values) / sqrt(len(values))


_STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10)
"""The 97.5 % quantile with one degree of freedom, two, and so on; with more than are listed, the last is a bit wide."""
