"""Running an experiment: the cells that are not there yet, one after the other, each kept as soon as it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from p2pfd.behaviours import Behaviour, behaviour_class
from p2pfd.core.ids import Account, RoundId
from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError
from p2pfd.experiment.encounters import EncounterStage
from p2pfd.experiment.grid import Cell, Experiment
from p2pfd.experiment.plan import ENCOUNTERS, Plan
from p2pfd.experiment.result import Result, result_of
from p2pfd.experiment.roles import roles_of
from p2pfd.experiment.stage import Stage, classroom_of
from p2pfd.learning.bench.kept import Kept
from p2pfd.roles.work import Absorb, Studied, Study

Clock = Callable[[], float]
_FORM = "2"
"""Of the lines in which results are kept; what decides a result is in its key."""


def kept_in(path: Path) -> Kept[Result]:
    """The results in a file."""
    return Kept(path, _FORM, result_of, option="--out")


def stage_of(plan: Plan, seed: int) -> Stage | EncounterStage:
    """The mesh of a plan, ready to be run."""
    return EncounterStage(plan, seed) if plan.kind == ENCOUNTERS else Stage(plan, seed)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: cells done of all that were missing, rounds or encounters of the present one, and seconds left."""

    done: int
    missing: int
    cell: Cell
    round: int
    of: int
    left: float


def missing(experiment: Experiment, kept: Kept[Result]) -> list[Cell]:
    """The cells that were not simulated yet; of those with the same key the first."""
    found = {cell.key: cell for cell in reversed(experiment.cells())}
    order = dict.fromkeys(cell.key for cell in experiment.cells())
    return [found[key] for key in order if kept.of(key) is None]


def check_cells(cells: Iterable[Cell]) -> None:
    """PlanError where data are missing or too few, or an adapter does not take its settings: before anything is run."""
    seen = set()
    for cell in cells:
        plan = cell.row.plan
        what = repr((plan.kind, plan.adapter, sorted(plan.settings.items()), plan.data, plan.nodes))
        if what not in seen:
            seen.add(what)
            try:
                stage_of(plan, cell.seed)
            except PlanError as error:
                raise PlanError(f"{cell.row.title or 'the mesh'}: {error.what}", error.fix) from error


def run(cells: Sequence[Cell], kept: Kept[Result], clock: Clock, tell: Callable[[Progress], None]) -> None:
    """Simulate these cells. Whoever stops this loses the present cell only."""
    began = clock()
    whole = sum(effort(cell.row.plan) for cell in cells)
    behind = 0.0

    def told(done: int, cell: Cell, behind: float, rnd: int, of: int) -> None:
        share = (behind + effort(cell.row.plan) * rnd / of) / whole
        tell(Progress(done, len(cells), cell, rnd, of, (clock() - began) * (1 - share) / share))

    for done, cell in enumerate(cells):
        found = stage_of(cell.row.plan, cell.seed).run(clock, partial(told, done, cell, behind))
        kept.keep(cell.key, cell.title, found, found.to_plain())
        behind += effort(cell.row.plan)


def results(experiment: Experiment, kept: Kept[Result]) -> dict[str, list[Result]]:
    """By the title of its row, a result for each seed, in their order; all cells have been run."""
    found: dict[str, list[Result]] = {row.title: [] for row in experiment.rows}
    for cell in experiment.cells():
        came = kept.of(cell.key)
        if came is None:
            raise KeyError(cell.title)
        found[cell.row.title].append(came)
    return found


# -- how long it takes -------------------------------------------------------------------------------------------------


def trainers(plan: Plan) -> int:
    """How many models are trained in a round: behaviours that make their outcomes up train none."""
    count = plan.nodes - sum(plan.counts().values())
    for name, many in plan.counts().items():
        kind, _ = behaviour_class(name)
        if kind.makes is Behaviour.makes:
            count += 1 if kind.one_owner else many
    return count


def effort(plan: Plan) -> float:
    """How much work a mesh is next to others of the same experiment: trainings, and distillations at a few each."""
    if plan.kind == ENCOUNTERS:
        return float(plan.nodes * plan.meetings.each)
    absorbs = 1 if plan.chain != "none" else plan.nodes
    return float(plan.rounds * (trainers(plan) + 3 * absorbs))


def estimate(cells: Iterable[Cell], clock: Clock) -> float:
    """About how many seconds these cells take here: one training, distillation or encounter of each kind is timed."""
    rates: dict[str, tuple[float, float]] = {}
    whole = 0.0
    for cell in cells:
        plan = cell.row.plan
        kind = repr((plan.kind, plan.adapter, plan.data, sorted(plan.settings.items()), plan.nodes))
        if plan.kind == ENCOUNTERS:
            if kind not in rates:
                rates[kind] = EncounterStage(plan, cell.seed).timed(clock), 0.0
            whole += effort(plan) * rates[kind][0]
            continue
        if kind not in rates:
            rates[kind] = _timed(plan, cell.seed, clock)
        train, absorb = rates[kind]
        whole += plan.rounds * (trainers(plan) * train + (1 if plan.chain != "none" else plan.nodes) * absorb)
    return whole


def _timed(plan: Plan, seed: int, clock: Clock) -> tuple[float, float]:
    room, _, _ = classroom_of(plan, seed, roles_of(plan, Rng(seed).split("roles")))
    room.do(0, Study(RoundId(0)))  # the first call of all loads what later ones find loaded
    began = clock()
    said = room.do(1, Study(RoundId(0)))
    trained = clock()
    assert isinstance(said, Studied)
    voters = [Account(f"0x{node:040x}") for node in range(plan.nodes)]
    room.do(0, Absorb(RoundId(0), tuple((who, said.labels) for who in voters)))
    return trained - began, clock() - trained
