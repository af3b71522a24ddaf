"""The audit finds nothing in an honest market's history, and every payment that is off by one."""

from __future__ import annotations

import dataclasses

import pytest

from p2pfd.core.claims import ChainEvent, LabelsRevealed, MarketTerms, RoundSettled, WorkerPaid
from p2pfd.core.events import ChainSaw
from p2pfd.core.ids import Account
from p2pfd.incentives.audit import audit
from p2pfd.sim.heap import HeapDriver
from p2pfd.sim.run import Cast, SimPlan
from p2pfd.sim.world import WorldPlan


@pytest.fixture(scope="module")
def history() -> tuple[MarketTerms, list[ChainEvent], dict[Account, int]]:
    cast = Cast(SimPlan(WorldPlan(nodes=5), rounds=4, seed=6, settled=True))
    chain = cast.ledger()
    driver = HeapDriver(cast.machines, cast.peers, cast.world, cast.work, chain=chain, accounts=cast.accounts)
    for at, node, event in cast.lives():
        driver.post(at, node, event)
    driver.run()
    events = [saw.event for _, saw in driver._history if isinstance(saw, ChainSaw)]
    gains = {who: chain.market.balances(who).total - 8_000_000 for who in cast.accounts}
    return chain._terms, events, gains


def test_an_honest_history_has_no_problems(history) -> None:
    terms, events, gains = history
    found = audit(terms, events)
    assert found.problems == ()
    assert (found.rounds, found.payments) == (4, 20)
    assert found.earned == gains
    assert sum(gains.values()) > 0


def first(events: list[ChainEvent], kind: type) -> int:
    return next(place for place, event in enumerate(events) if isinstance(event, kind))


@pytest.mark.parametrize("change", [{"amount": 1}, {"score": -1}])
def test_a_payment_that_is_off_by_one_is_named(history, change: dict[str, int]) -> None:
    terms, events, _ = history
    place = first(events, WorkerPaid)
    paid = events[place]
    forged = dataclasses.replace(paid, **{key: getattr(paid, key) + by for key, by in change.items()})
    problems = audit(terms, [*events[:place], forged, *events[place + 1 :]]).problems
    assert len(problems) == 1
    assert paid.worker in problems[0]


def test_labels_payments_and_sums_that_are_not_there_are_named(history) -> None:
    terms, events, _ = history
    without_labels = [event for event in events if not (isinstance(event, LabelsRevealed) and event.round == 1)]
    assert "not shown" in audit(terms, without_labels).problems[0]
    place = first(events, WorkerPaid)
    assert "was paid nothing" in audit(terms, events[:place] + events[place + 1 :]).problems[0]
    place = first(events, RoundSettled)
    forged = dataclasses.replace(events[place], paid=1)
    assert "its payments are" in audit(terms, [*events[:place], forged, *events[place + 1 :]]).problems[0]
    void = dataclasses.replace(events[place], counted=False)
    assert "does not count" in audit(terms, [*events[:place], void, *events[place + 1 :]]).problems[0]
