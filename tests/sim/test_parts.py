"""A simulation in several processes is the simulation in one, to the last event."""

from __future__ import annotations

import pytest

from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.sim.faults import Churn, Disaster, Duplicates, Loss
from p2pfd.sim.graphs import GRAPHS
from p2pfd.sim.parts import MOST, simulate_in_parts
from p2pfd.sim.run import SimPlan, simulate
from p2pfd.sim.world import WorldPlan

FAULTS = (
    Loss(Tick(0), Tick(2 * SECOND), 200_000),
    Duplicates(Tick(0), Tick(3 * SECOND), 300_000),
    Churn(Tick(0), Tick(2 * SECOND), 200_000, SECOND, 5 * SECOND),
    Disaster(Tick(2 * SECOND), 100_000, "holders"),
)


def plan(nodes: int = 40, graph: str = "circle", learn: str = "toy") -> SimPlan:
    world = WorldPlan(nodes=nodes, degree=4, graph=graph, faults=FAULTS)
    return SimPlan(world, rounds=4, seed=2, trace=True, learn=learn)


def test_two_processes_tell_the_same_story_as_one():
    report = simulate(plan())
    assert report.trace is not None
    assert simulate_in_parts(plan(), 2) == report


@pytest.mark.long
@pytest.mark.parametrize("learn", ["toy", "digits"])
@pytest.mark.parametrize("graph", list(GRAPHS))
def test_so_do_three_on_every_graph(graph: str, learn: str):
    assert simulate_in_parts(plan(36, graph, learn), 3) == simulate(plan(36, graph, learn))


def test_one_process_is_no_more_than_that():
    small = SimPlan(WorldPlan(nodes=1), rounds=2)
    assert simulate_in_parts(small, 4) == simulate(small)


def test_what_cannot_be_parted_says_so():
    with pytest.raises(PlanError, match="one ledger for all"):
        simulate_in_parts(SimPlan(WorldPlan(nodes=4), settled=True), 2)
    with pytest.raises(PlanError, match="8 are the most"):
        simulate_in_parts(SimPlan(WorldPlan(nodes=40)), MOST + 1)
