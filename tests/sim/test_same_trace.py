"""One seed, one trace: whoever drives the machines, and whatever goes wrong in the world."""

from __future__ import annotations

import pytest

from p2pfd.core.ticks import SECOND, Tick
from p2pfd.sim.faults import Churn, Delay, Disaster, Duplicates, Loss
from p2pfd.sim.run import SimPlan, SimReport, simulate
from p2pfd.sim.world import Absence, Partition, WorldPlan
from tests.sim.virtual import trace_under_trio

FAULTS = WorldPlan(
    nodes=30,
    loss=20_000,
    partitions=(Partition(Tick(1 * SECOND), Tick(3 * SECOND), 11),),
    absences=(Absence(4, Tick(SECOND // 2), Tick(9 * SECOND)), Absence(17, Tick(2 * SECOND), Tick(4 * SECOND))),
)

SCRIPT = WorldPlan(
    nodes=24,
    degree=4,
    graph="barabasi-albert",
    faults=(
        Loss(Tick(0), Tick(SECOND), 300_000),
        Delay(Tick(SECOND // 2), Tick(4 * SECOND), 1, 2 * SECOND),
        Duplicates(Tick(0), Tick(5 * SECOND), 500_000),
        Churn(Tick(0), Tick(2 * SECOND), 300_000, SECOND, 6 * SECOND),
        Disaster(Tick(3 * SECOND), 150_000, "relays"),
    ),
)


@pytest.mark.parametrize(
    ("plan", "finish"),
    [
        (SimPlan(WorldPlan(nodes=100), rounds=5, seed=7, trace=True), 100),
        (SimPlan(WorldPlan(nodes=100, loss=30_000), rounds=3, seed=8, trace=True), 100),
        (SimPlan(FAULTS, rounds=6, seed=9, trace=True), 30),
        (SimPlan(SCRIPT, rounds=4, seed=9, trace=True), 20),
        (SimPlan(WorldPlan(nodes=1), rounds=4, seed=1, trace=True), 1),
        (SimPlan(WorldPlan(nodes=2), rounds=4, seed=1, trace=True), 2),
    ],
    ids=["100 nodes", "100 nodes with loss", "everything goes wrong", "a script", "alone", "two"],
)
def test_the_heap_and_trio_tell_the_same_story(plan: SimPlan, finish: int) -> None:
    report = simulate(plan)
    assert report.events > plan.world.nodes
    assert report.finished == finish
    trio_trace = trace_under_trio(plan, until=report.virtual_seconds + 60)
    assert trio_trace.entries == report.events
    assert trio_trace.digest().hex() == report.trace


def story(seed: int, **world: int) -> SimReport:
    return simulate(SimPlan(WorldPlan(nodes=40, **world), rounds=5, seed=seed, trace=True))


def test_a_seed_gives_a_trace_and_another_seed_another() -> None:
    assert story(3) == story(3)
    assert story(3).trace != story(4).trace
    assert story(3, degree=3).trace != story(3, degree=4).trace


def test_nodes_learn_from_one_another() -> None:
    report = story(1)
    assert report.short_rounds == 0
    assert report.accuracy_together > report.accuracy_alone + 0.2


def test_under_loss_every_node_finishes_every_round() -> None:
    report = simulate(SimPlan(WorldPlan(nodes=60, loss=50_000), rounds=8, seed=2))
    assert report.finished == 60
    assert report.accuracy_together > report.accuracy_alone


def test_a_node_that_was_killed_comes_back_and_finishes() -> None:
    report = simulate(SimPlan(FAULTS, rounds=6, seed=5))
    assert report.finished == 30


def test_when_all_is_lost_each_node_ends_by_its_deadlines() -> None:
    report = simulate(SimPlan(WorldPlan(nodes=10, loss=1_000_000), rounds=3, seed=2))
    assert report.finished == 10
    assert report.short_rounds == 30
    assert report.deliveries == 0
