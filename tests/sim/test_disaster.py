"""Loss of messages costs no honest node anything; a disaster hits whom it names, and is counted."""

from __future__ import annotations

import json

import pytest

from p2pfd.cli.program import PROGRAM
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.sim.check import play
from p2pfd.sim.disaster import compare, table
from p2pfd.sim.faults import HOLDERS, RELAYS, Absence, Churn, Disaster, Fault, spans
from p2pfd.sim.run import Cast, SimPlan, simulate
from p2pfd.sim.world import WorldPlan


@pytest.mark.parametrize("loss", [50_000, 200_000], ids=["5 %", "20 %"])
@pytest.mark.parametrize("settled", [False, True], ids=["gossip", "settled"])
def test_under_loss_no_honest_node_is_penalised(settled: bool, loss: int):
    plan = SimPlan(WorldPlan(nodes=40, degree=4, loss=loss), rounds=8, seed=6, settled=settled)
    played = play(plan, Cast(plan))
    assert played.wrong == ()
    assert played.accepted + played.ignored > 1500
    assert (played.rejected, played.forfeits, played.suspensions) == (0, 0, 0)
    assert played.finished == 40
    if not settled:
        assert played.ignored > 0, "labels whose commitment was lost cannot be checked, and are held against nobody"


def gone(fault: Fault, degrees: list[int], data: list[int]) -> list[int]:
    return sorted(spans([fault], Rng(3), degrees, data))


def test_a_disaster_hits_whom_it_names():
    degrees, data = [1, 9, 2, 8, 3, 7, 4, 6, 5, 5], [9, 1, 9, 1, 9, 1, 1, 1, 1, 1]
    assert gone(Disaster(Tick(5), 300_000, RELAYS), degrees, data) == [1, 3, 5]
    assert gone(Disaster(Tick(5), 300_000, HOLDERS), degrees, data) == [0, 2, 4]
    assert len(gone(Disaster(Tick(5), 300_000, "anyone"), degrees, data)) == 3
    tied = gone(Disaster(Tick(5), 500_000, RELAYS), [2] * 10, data)
    assert len(tied) == 5
    assert tied != [0, 1, 2, 3, 4], "among equals it is drawn"


def test_absences_of_one_node_are_one_where_they_touch():
    faults = [
        Absence(0, Tick(5), Tick(9)),
        Absence(0, Tick(1), Tick(3)),
        Absence(0, Tick(3), Tick(4)),
        Absence(1, Tick(2)),
        Absence(1, Tick(4), Tick(6)),
    ]
    assert spans(faults, Rng(1), [1, 1], [1, 1]) == {0: ((1, 4), (5, 9)), 1: ((2, None),)}


def test_churn_is_drawn_from_its_own_words():
    churn = Churn(Tick(0), Tick(10 * SECOND), 500_000, SECOND, 2 * SECOND)
    alone = spans([churn], Rng(1), [1] * 20, [1] * 20)
    beside = spans([Disaster(Tick(SECOND), 100_000, "anyone"), churn], Rng(1), [1] * 20, [1] * 20)
    assert len(alone) == 10
    untouched = [node for node in alone if beside[node][0][1] is not None]
    assert len(untouched) >= 8
    assert all(alone[node] == beside[node] for node in untouched)
    for ((begin, end),) in alone.values():
        assert end is not None
        assert SECOND <= end - begin <= 2 * SECOND


def test_real_learning_is_the_same_for_a_seed_and_better_together():
    plan = SimPlan(WorldPlan(nodes=12, degree=4), rounds=6, seed=3, learn="digits", trace=True)
    report = simulate(plan)
    assert report == simulate(plan)
    assert report.accuracy_together > report.accuracy_alone + 0.15


def test_a_table_of_disasters_says_what_each_costs():
    base = SimPlan(WorldPlan(nodes=20, degree=4), rounds=4)
    rows = compare(base, 250_000, (1, 2), ("barabasi-albert", "ring"))
    assert [(row.graph, row.whom) for row in rows][:5] == [
        ("barabasi-albert", "nobody"),
        ("barabasi-albert", "relays"),
        ("barabasi-albert", "holders"),
        ("barabasi-albert", "anyone"),
        ("ring", "nobody"),
    ]
    calm, relays = rows[0], rows[1]
    assert (calm.lost, calm.connected) == (0, 1)
    assert relays.connected < 1
    assert relays.accuracy < calm.accuracy
    assert relays.lost > 0
    with pytest.raises(PlanError, match="next to nobody"):
        compare(base, 950_000, (1,))
    assert table(rows).count("\n") == 9


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str]):
    words = ["sim", "-n", "10", "--rounds", "2", "--degree", "4", "--disaster", "20%", "--seeds", "1", "--json"]
    assert PROGRAM.main(words) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == 16
    assert PROGRAM.main([*words, "--graph", "ring"]) == 2
    assert "its own graphs" in capsys.readouterr().out
