"""The cells of an experiment on a Ray cluster: each is a task for any of its machines, and a result that is kept.

A cell is sent as its plan's tables and comes back as a line of the file of results, so that what is kept is what a run
on this machine keeps. Whoever does it computes its key: if other code than ours is there, it is not the same cell.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from p2pfd.cluster import survey
from p2pfd.core.tables import Text, changed
from p2pfd.errors import EnvironmentProblem, NetworkError, P2pfdError, error_of
from p2pfd.experiment.grid import Cell, Row
from p2pfd.experiment.plan import ENCOUNTERS, Plan
from p2pfd.experiment.result import Result, result_of
from p2pfd.experiment.run import Clock, Progress, effort, stage_of
from p2pfd.learning.bench.kept import Kept

TRIES = 3
"""How often a cell is begun again whose machine was lost."""
Table = Mapping[str, Any]


def run(ray: Any, cells: Sequence[Cell], kept: Kept[Result], clock: Clock, tell: Callable[[Progress], None]) -> None:
    """Simulate these cells, as many at a time as the cluster has CPUs; stopped, it loses those under way only."""
    survey(ray)
    began = clock()
    whole = sum(effort(cell.row.plan) for cell in cells)
    behind = 0.0
    task = ray.remote(simulate).options(num_cpus=1, max_retries=TRIES, scheduling_strategy="SPREAD")
    under_way = {task.remote(*sent(cell), clock): cell for cell in cells}
    done = 0
    while under_way:
        ready, _ = ray.wait(list(under_way), num_returns=1)
        for one in ready:
            cell = under_way.pop(one)
            plain = _came(ray, one, cell)
            kept.keep(cell.key, cell.title, result_of(plain), plain)
            behind += effort(cell.row.plan)
            of = _length(cell.row.plan)
            left = (clock() - began) * (whole - behind) / behind
            tell(Progress(done, len(cells), cell, of, of, left))
            done += 1


def _came(ray: Any, one: Any, cell: Cell) -> dict[str, Any]:
    try:
        told: dict[str, Any] = ray.get(one)
    except ray.exceptions.RayError as error:
        raise NetworkError(
            f"{cell.title}: no machine of the cluster could do it: {str(error).splitlines()[0]}",
            "look at ray status; the same call again goes on with what is missing",
        ) from error
    if "error" in told:
        raise error_of({**told, "error": f"{cell.title}, on {told['machine']}: {told['error']}"})
    found: dict[str, Any] = told["result"]
    return found


def _length(plan: Plan) -> int:
    """How many rounds or encounters it has."""
    return plan.nodes * plan.meetings.each if plan.kind == ENCOUNTERS else plan.rounds


def sent(cell: Cell) -> tuple[Table, str, int, str]:
    """What another machine needs of a cell: its plan, what goes wrong in it, its seed, and its key."""
    plan = cell.row.plan
    faults = Path(plan.faults).read_text(encoding="utf-8") if plan.faults else ""
    return plan.to_plain(), faults, cell.seed, cell.key


def simulate(plain: Table, faults: str, seed: int, key: str, clock: Clock) -> dict[str, Any]:
    """A cell on whatever machine this is: its result as it is kept, or what is wrong."""
    try:
        with tempfile.TemporaryDirectory(prefix="p2pfd-") as folder:
            plan: Plan = changed(Plan(), {**plain, "faults": ""}, Text("a cell"))
            if faults:
                path = Path(folder) / "faults.toml"
                path.write_text(faults, encoding="utf-8")
                plan = replace(plan, faults=str(path))
            if Cell(Row("", (), plan), seed).key != key:
                raise EnvironmentProblem(
                    "other code, or other data, decides it there than here", "install the same on every machine"
                )
            found = stage_of(plan, seed).run(clock, lambda _round, _of: None)
        return {"result": found.to_plain()}
    except P2pfdError as error:
        return {**error.to_plain(), "machine": _machine()}


def _machine() -> str:
    import socket

    return socket.gethostname()
