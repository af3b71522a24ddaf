"""Meshes of devices that meet in encounters, over the reference ledger: nothing is made or lost, help is paid."""

from __future__ import annotations

import pytest

from p2pfd.core.effects import Emit
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.sim.encounters import (
    HABITS,
    PREPAYMENT,
    THRESHOLD,
    WALLET,
    EncounterCast,
    EncounterPlan,
    EncounterReport,
    simulate_encounters,
    with_habits,
)
from p2pfd.sim.world import Absence, Partition, WorldPlan

NODES = 10


def plan(*absences: Absence, loss: int = 0, **more: object) -> EncounterPlan:
    partitions = more.pop("partitions", ())
    world = WorldPlan(nodes=NODES, absences=absences, loss=loss, partitions=partitions)  # type: ignore[arg-type]
    return EncounterPlan(world, **more)  # type: ignore[arg-type]


def books_balance(report: EncounterReport, nodes: int = NODES) -> None:
    """Value in is value out and what is held; the ledger itself checks its own sums after every claim."""
    assert report.in_wallets + report.held == nodes * WALLET


def served(report: EncounterReport) -> None:
    """Every device got its tokens out at the end."""
    books_balance(report)
    assert report.held == 0
    assert report.left == NODES
    assert sum(report.earned) == 0


def test_ten_devices_meet_and_every_honest_neighbor_is_paid():
    paid: dict[str, int] = {}

    def watch(now: Tick, node: int, told: Emit) -> None:
        if told.name == "neighbor.over":
            paid[str(told.fields["part"])] = int(str(told.fields["got"]))

    report = simulate_encounters(plan(trace=True), watch=watch)
    served(report)
    assert report.ends == {"learner accepted": 20, "neighbor settled": 20, "validator settled": 60}
    assert report.learnt == 20
    assert report.refused == {}, "with everyone there, nobody's claim comes too late or twice"
    assert report.claims["SettleEncounter"] == report.claims["DrawCommittee"] == report.claims["OpenEncounter"] == 20
    assert "CommitVote" not in report.claims, "all votes came signed: none needed a transaction of its own"
    assert len(paid) == 20
    # Its own prepayment, and its share of the learner's.
    assert set(paid.values()) == {PREPAYMENT + PREPAYMENT * HABITS.share // 10**6}
    assert simulate_encounters(plan(trace=True)) == report


def test_learners_know_more_afterwards():
    alone = simulate_encounters(plan(habits=with_habits(encounters=0)))
    together = simulate_encounters(plan())
    assert alone.learnt == 0
    assert alone.claims.keys() == {"Deposit", "Join", "Leave", "Vacate", "Unstake", "Withdraw"}
    for before, after in zip(alone.figures, together.figures, strict=True):
        assert after["accuracy"] > before["accuracy"] + 200_000
        assert after["taken"] == 2


@pytest.mark.parametrize("loss", [50_000, pytest.param(300_000, marks=pytest.mark.long)])
def test_what_is_lost_is_said_again(loss: int):
    report = simulate_encounters(plan(loss=loss))
    served(report)
    assert report.learnt == 20


def test_where_nothing_is_heard_nothing_is_risked():
    report = simulate_encounters(plan(loss=1_000_000))
    served(report)
    assert report.ends == {}
    assert set(report.earned) == {0}
    assert "OpenEncounter" not in report.claims


def test_liars_pay_and_nobody_learns_from_them():
    liars = frozenset({0, 1, 2})
    report = simulate_encounters(plan(liars=liars))
    served(report)
    assert report.ends["learner refused"] > 0
    assert report.learnt == report.ends["learner accepted"]
    honest = [earned for node, earned in enumerate(report.earned) if node not in liars]
    assert sum(report.earned[node] for node in liars) < -2 * PREPAYMENT < 0 < sum(honest)


def test_a_neighbor_that_gives_its_answer_to_nobody_is_voted_down_vote_by_vote():
    report = simulate_encounters(plan(misers=frozenset({3})))
    served(report)
    assert report.ends["learner refused"] > 0
    assert report.claims["CommitVote"] == report.claims["RevealVote"] == 3 * report.claims["ReportResult"]
    assert report.earned[3] < 0


def test_validators_that_never_come_cost_the_others_a_deadline_only():
    # One device is gone for good; whoever draws it is settled on the slow path.
    gone = plan(Absence(2, Tick(6 * SECOND)))
    cast = EncounterCast(gone)
    report = simulate_encounters(gone, cast=cast)
    books_balance(report)
    assert report.left == NODES - 1
    assert report.claims["ReportResult"] > 0
    dead = cast.accounts[2]
    in_wallet = cast.chain.book.balances(dead).wallet
    assert report.held == cast.chain.total(dead) - in_wallet, "only the dead device's own tokens are still there"
    taken = [figures["taken"] for figures in report.figures]
    assert report.ends["learner accepted"] == report.learnt == sum(taken) == 19
    assert taken[:2] + taken[3:] == [2] * (NODES - 1), "all that the others wanted"


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 12))])
def test_devices_that_die_and_return_at_any_moment_lose_no_token(seed: int):
    absences = [
        Absence(node, Tick((4 + seed) * SECOND + node * SECOND // 3), Tick((7 + 2 * node + 5 * seed) * SECOND))
        for node in (1, 4, 6)
    ]
    report = simulate_encounters(plan(*absences, seed=seed, trace=True))
    served(report)
    assert report.learnt == report.ends["learner accepted"] >= 18
    assert simulate_encounters(plan(*absences, seed=seed, trace=True)) == report


def first(name: str) -> tuple[Tick, int]:
    """When, and by which node, something is first told where nothing goes wrong."""
    found: list[tuple[Tick, int]] = []

    def watch(now: Tick, node: int, told: Emit) -> None:
        if told.name == name:
            found.append((now, node))

    simulate_encounters(plan(), watch=watch)
    return found[0]


def test_a_neighbor_that_dies_before_it_delivers_pays_damages():
    at, node = first("neighbor.opened")
    report = simulate_encounters(plan(Absence(node, Tick(at + 1))))
    books_balance(report)
    assert report.ends["learner defaulted"] >= 1
    assert report.ends["learner defaulted"] == report.claims["CloseEncounter"]
    assert report.learnt == report.ends["learner accepted"]


def test_a_neighbor_that_returns_in_time_delivers_after_all():
    at, node = first("neighbor.opened")
    report = simulate_encounters(plan(Absence(node, Tick(at + 1), Tick(at + 20 * SECOND))))
    served(report)
    assert "learner defaulted" not in report.ends
    assert report.learnt == 20


def test_a_learner_that_dies_once_it_has_opened_holds_up_nobody_and_learns_when_it_returns():
    at, node = first("learner.opened")
    forever = simulate_encounters(plan(Absence(node, Tick(at + 1))))
    assert forever.ends["neighbor settled"] > forever.ends["learner accepted"]
    back = simulate_encounters(plan(Absence(node, Tick(at + 1), Tick(at + 60 * SECOND))))
    served(back)
    assert back.learnt == back.ends["learner accepted"] == 20


def test_a_validator_that_dies_once_it_is_bound_returns_to_the_same_vote():
    at, node = first("validator.judged")
    report = simulate_encounters(plan(Absence(node, Tick(at + 1), Tick(at + 15 * SECOND))))
    served(report)
    assert report.learnt == 20


def test_a_neighbor_that_dies_once_it_has_delivered_is_paid_all_the_same():
    # Its signature stands behind the answer: whoever has that and the votes settles for it.
    judged: list[tuple[Tick, str]] = []

    def watch(now: Tick, node: int, told: Emit) -> None:
        if told.name == "validator.drawn" and not judged:
            judged.append((now, str(told.fields["neighbor"])))

    cast = EncounterCast(plan())
    simulate_encounters(plan(), cast=cast, watch=watch)
    at, who = judged[0]
    node = [str(each) for each in cast.accounts].index(who)
    gone = plan(Absence(node, Tick(at + SECOND // 10)))
    settled: list[tuple[Tick, bool]] = []

    def count(now: Tick, _: int, told: Emit) -> None:
        if told.name == "learner.settled" and told.fields["neighbor"] == who:
            settled.append((now, bool(told.fields["accepted"])))

    report = simulate_encounters(gone, watch=count)
    books_balance(report)
    [(when, accepted), *_] = settled
    assert accepted
    assert when > at + SECOND, "the neighbor's turn has passed"


def test_a_partition_ends_and_all_encounters_with_it():
    report = simulate_encounters(plan(partitions=(Partition(Tick(4 * SECOND), Tick(25 * SECOND), 5),)))
    served(report)
    assert report.learnt == report.ends["learner accepted"] > 10


def test_who_has_too_little_begins_nothing_and_tops_up_when_it_can():
    poor = with_habits(stake=THRESHOLD - 1, validates=False)
    report = simulate_encounters(plan(unlike={0: poor}))
    served(report)
    assert report.figures[0]["taken"] == 0
    assert report.earned[0] == 0
    assert sum(figures["taken"] for figures in report.figures) == 18


def test_no_committee_no_encounter():
    # Parties are passed over, so three seats of whom two are parties leave one validator: nobody begins.
    world = WorldPlan(nodes=3)
    report = simulate_encounters(EncounterPlan(world, with_habits(encounters=1)))
    books_balance(report, 3)
    assert report.held == 0
    assert set(report.earned) == {0}
    assert report.ends == {}
    assert "OpenEncounter" not in report.claims


def test_two_lanes_at_once():
    report = simulate_encounters(plan(habits=with_habits(lanes=2, encounters=4, stake=12_000)))
    served(report)
    assert report.learnt == 40


@pytest.mark.long
def test_liars_fall_under_the_threshold_and_from_then_on_everything_is_accepted():
    """Fifty devices of which ten lie, each with a seat and four prepayments: as published, attackers drop out."""
    nodes, liars = 50, frozenset(range(0, 50, 5))
    accepted: list[bool] = []

    def watch(now: Tick, node: int, told: Emit) -> None:
        if told.name == "learner.settled":
            accepted.append(bool(told.fields["accepted"]))

    habits = with_habits(encounters=12, stake=4 * PREPAYMENT, until=Tick(400 * SECOND))
    report = simulate_encounters(EncounterPlan(WorldPlan(nodes=nodes), habits, liars=liars, wallet=14_000), watch=watch)
    assert report.held == 0
    assert report.left == nodes
    third = len(accepted) // 3
    assert not all(accepted[:third])
    assert all(accepted[third:])
    assert max(report.earned[node] for node in liars) <= THRESHOLD - 4 * PREPAYMENT + PREPAYMENT
    assert sum(report.earned[node] for node in range(nodes) if node not in liars) > 0
    assert report.refused["encounters: neighbor's stake low"] > 0
