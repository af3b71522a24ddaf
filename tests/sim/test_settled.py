"""The round that settles on a chain, over the reference ledger: everybody is paid, nobody is waited for for ever."""

from __future__ import annotations

import pytest

from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.sim.run import SimPlan, simulate
from p2pfd.sim.world import Absence, WorldPlan


def plan(nodes: int, rounds: int = 6, seed: int = 3, absences: tuple[Absence, ...] = (), loss: int = 0) -> SimPlan:
    world = WorldPlan(nodes=nodes, absences=absences, loss=loss)
    return SimPlan(world, rounds=rounds, seed=seed, settled=True, trace=True)


def test_ten_nodes_settle_every_round():
    report = simulate(plan(10))
    assert report.finished == 10
    assert report.short_rounds == 0
    assert report.refused == 0, "with everyone there, nobody's claim comes too late or twice"
    assert 0 < report.paid <= 6 * 1_000_000
    assert report.virtual_seconds < 10, "no deadline was waited for"
    assert simulate(plan(10)) == report


def test_one_node_alone_finishes_and_is_paid_nothing():
    report = simulate(plan(1))
    assert report.finished == 1
    assert report.paid == 0


def test_a_node_that_dies_for_good_costs_the_others_one_deadline():
    forever = Tick(100_000 * SECOND)
    report = simulate(plan(10, absences=(Absence(3, Tick(2 * SECOND), forever),)))
    # It returns long after the task is closed, reads on where it was, and concludes alone.
    assert report.finished == 10
    assert report.paid > 0


@pytest.mark.parametrize("seed", range(6))
def test_nodes_that_die_and_return_at_any_moment_finish(seed: int):
    absences = tuple(
        Absence(node, Tick((1 + seed) * SECOND // 2 + node * SECOND // 3), Tick((3 + node) * SECOND + seed * SECOND))
        for node in (1, 4, 6)
    )
    report = simulate(plan(8, rounds=10, seed=seed, absences=absences))
    assert report.finished == 8
    assert report.paid > 0


def test_gossip_may_fail_entirely_where_the_chain_carries_the_labels():
    report = simulate(plan(6, loss=1_000_000))
    assert report.deliveries == 0
    assert report.finished == 6
    assert report.short_rounds == 0
    assert report.accuracy_together > report.accuracy_alone


def test_more_nodes_than_seats_are_refused_before_anything_runs():
    with pytest.raises(PlanError, match="64 seats"):
        plan(65)
