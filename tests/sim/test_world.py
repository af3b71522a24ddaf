"""The world between nodes: what each trouble does to what is sent, and how a chain that is away is asked again."""

from __future__ import annotations

import pytest

from p2pfd.core.claims import Deposit, Included, Reverted, Unknown
from p2pfd.core.events import Settled
from p2pfd.core.ids import Amount
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import MILLISECOND, SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.sim.chain import CLAIM_TICKS, NEWS_TICKS, Claimed, LedgerChain
from p2pfd.sim.faults import Absence, ChainAway, Delay, Duplicates, Fault, Loss, Partition
from p2pfd.sim.run import Cast, SimPlan, simulate
from p2pfd.sim.world import World, WorldPlan

BEGIN, END = Tick(SECOND), Tick(2 * SECOND)
DURING = Tick(3 * SECOND // 2)


def world(*faults: Fault) -> World:
    return World(WorldPlan(nodes=20, degree=4, graph="regular", faults=faults), Rng(7))


def sent(given: World, at: Tick, times: int = 50) -> list[tuple[int, Tick]]:
    return [arrival for _ in range(times) for arrival in given.carry(3, at)]


def test_trouble_begins_and_ends_and_changes_nothing_before_and_after():
    for trouble in (Loss(BEGIN, END, 1_000_000), Partition(BEGIN, END, 3), Delay(BEGIN, END, 1, 2)):
        for at in (Tick(BEGIN - 1), END):
            assert sent(world(trouble), at) == sent(world(), at)


def test_loss_loses_its_share():
    assert sent(world(Loss(BEGIN, END, 1_000_000)), DURING) == []
    assert 50 < len(sent(world(Loss(BEGIN, END, 500_000)), DURING)) < 150
    worst = world(Loss(BEGIN, END, 100_000), Loss(BEGIN, END, 1_000_000))
    assert sent(worst, DURING) == []


def test_a_partition_cuts_those_below_from_the_rest():
    whole = world()
    cut = world(Partition(BEGIN, END, 4))
    for node in range(20):
        heard = {neighbour for neighbour, _ in cut.carry(node, DURING)}
        assert heard == {other for other in whole.neighbours[node] if (other < 4) == (node < 4)}


def test_delays_lie_between_their_bounds_and_keep_the_order():
    late = world(Delay(BEGIN, END, SECOND, 2 * SECOND))
    arrivals = sent(late, DURING)
    low, high = 20 * MILLISECOND, 80 * MILLISECOND
    assert all(DURING + SECOND + low <= at <= DURING + 2 * SECOND + high for _, at in arrivals)
    for neighbour in late.neighbours[3]:
        ticks = [at for other, at in arrivals if other == neighbour]
        assert ticks == sorted(ticks)


def test_duplicates_come_later_and_as_often_as_was_asked():
    arrivals = sent(world(Duplicates(BEGIN, END, 1_000_000)), DURING, times=1)
    assert len(arrivals) == 8
    for neighbour in {other for other, _ in arrivals}:
        first, second = (at for other, at in arrivals if other == neighbour)
        assert first < second
    assert len(sent(world(Duplicates(BEGIN, END, 0)), DURING)) == 200


def ledger(*faults: Fault) -> tuple[Cast, LedgerChain]:
    cast = Cast(SimPlan(WorldPlan(nodes=3, degree=2, graph="ring", faults=faults), settled=True))
    return cast, cast.ledger()


def claimed(cast: Cast, node: int = 1, intent: str = "deposit", amount: int = 5) -> Claimed:
    return Claimed(node, cast.accounts[node], intent, Deposit(Amount(amount)))


def test_a_chain_that_is_away_is_asked_again_and_then_given_up():
    cast, chain = ledger(
        ChainAway(Tick(5 * SECOND), Tick(10 * SECOND)), ChainAway(Tick(50 * SECOND), Tick(70 * SECOND))
    )
    claim = claimed(cast)
    assert chain.send(Tick(4 * SECOND), 1, claim) == (4 * SECOND + CLAIM_TICKS, claim)
    assert chain.send(Tick(5 * SECOND), 1, claim) == (12 * SECOND + CLAIM_TICKS, claim)
    assert chain.send(Tick(9 * SECOND), 1, claim) == (10 * SECOND + CLAIM_TICKS, claim)
    given_up = chain.send(Tick(51 * SECOND), 1, claim)
    assert given_up is not None
    at, event = given_up
    assert at == 66 * SECOND
    assert isinstance(event, Settled)
    assert isinstance(event.receipt, Unknown)
    assert chain.news_at(Tick(6 * SECOND)) == 10 * SECOND
    assert chain.news_at(Tick(11 * SECOND)) == 11 * SECOND + NEWS_TICKS


def test_a_claim_that_did_not_get_through_dies_with_its_process():
    cast, chain = ledger(ChainAway(Tick(5 * SECOND), Tick(10 * SECOND)), Absence(1, Tick(6 * SECOND), Tick(7 * SECOND)))
    assert chain.send(Tick(5 * SECOND), 1, claimed(cast)) is None
    assert chain.send(Tick(5 * SECOND), 2, claimed(cast, 2)) is not None
    assert chain.send(Tick(8 * SECOND), 1, claimed(cast)) is not None, "another life's"


def test_what_was_claimed_once_under_a_name_is_not_done_twice():
    cast, chain = ledger()
    before = chain.market.balances(cast.accounts[1])
    for _ in range(2):
        ((node, event),) = chain.take(Tick(SECOND), claimed(cast))
        assert node == 1
        assert isinstance(event, Settled)
        assert isinstance(event.receipt, Included)
        assert event.receipt.ref == "1"
        assert chain.market.balances(cast.accounts[1]).free == before.free + 5
    ((_, refused),) = chain.take(Tick(SECOND), claimed(cast, intent="more", amount=10**12))
    assert isinstance(refused, Settled)
    assert isinstance(refused.receipt, Reverted)
    assert chain.take(Tick(9 * SECOND), claimed(cast, intent="more", amount=1)) == [(1, refused)]


def test_a_chain_that_is_away_for_a_while_stops_nobody():
    faults = (ChainAway(Tick(SECOND // 5), Tick(4 * SECOND)), ChainAway(Tick(5 * SECOND), Tick(30 * SECOND)))
    report = simulate(SimPlan(WorldPlan(nodes=10, faults=faults), rounds=4, seed=3, settled=True, phase_seconds=60))
    assert report.finished == 10
    assert report.short_rounds == 0
    assert report.paid is not None
    assert report.paid > 0


@pytest.mark.parametrize(
    "fault",
    [
        Loss(Tick(0), Tick(SECOND), 1_000_001),
        Loss(Tick(-1), Tick(SECOND), 1),
        Partition(Tick(0), Tick(SECOND), 0),
        Absence(20, Tick(1), Tick(2)),
        Delay(Tick(0), Tick(SECOND), 0, 1),
    ],
    ids=range(5),
)
def test_a_fault_that_cannot_be_is_refused(fault: Fault):
    with pytest.raises(PlanError, match=fault.kind):
        world(fault)


def test_what_many_hear_is_checked_once():
    cast = Cast(SimPlan(WorldPlan(nodes=12), rounds=3))
    report = simulate(cast.plan, cast=cast)
    shown = 12 * 3
    assert report.deliveries == 2 * 3 * shown  # each says two things a round, to three neighbours
    opened = cast.opener.cache_info()
    assert (opened.misses, opened.hits) == (shown, 3 * shown)
