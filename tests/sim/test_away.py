"""Away for an hour or a day: what a peer, or a chain, that comes back costs whom. In virtual time."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from p2pfd.core.ticks import SECOND, Tick
from p2pfd.sim import check
from p2pfd.sim.check import wrongs
from p2pfd.sim.encounters import simulate_encounters
from p2pfd.sim.faults import Absence, ChainAway, Fault
from p2pfd.sim.run import simulate
from p2pfd.sim.schedules import NODES, Schedule

from .test_encounters import plan, served

HOUR, DAY = 3_600 * SECOND, 86_400 * SECOND
MOMENTS: Mapping[str, int] = {"while all enrol": SECOND // 2, "in mid-round": SECOND, "near the end": 3 * SECOND}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checker must wait for who comes back after a day."""
    monkeypatch.setattr(check, "LONGEST", 2 * DAY)


def mesh(settled: bool, *faults: Fault) -> Schedule:
    return Schedule(1, settled=settled, graph="circle", rounds=4, faults=faults)


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "gossip"])
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
def test_a_peer_that_was_away_for_a_day_comes_back_as_the_same_and_finishes(moment: int, settled: bool) -> None:
    schedule = mesh(settled, Absence(3, Tick(moment), Tick(moment + DAY)))
    assert wrongs(schedule) == (), "no value made or lost, nobody paid twice, nobody fined who had no chance"
    report = simulate(schedule.plan())
    assert report.finished == NODES
    if settled:
        assert report.short_rounds == 0, "the others did not miss it"


def test_a_chain_that_was_away_for_an_hour_is_gone_on_with() -> None:
    schedule = mesh(True, ChainAway(Tick(SECOND), Tick(SECOND + HOUR)))
    assert wrongs(schedule) == ()
    assert simulate(schedule.plan()).finished == NODES


def test_a_device_that_was_away_for_a_day_gets_out_what_is_its_own() -> None:
    report = simulate_encounters(plan(Absence(2, Tick(6 * SECOND), Tick(DAY))))
    served(report)
