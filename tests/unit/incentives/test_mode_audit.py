"""The audit of the markets of other modes: nothing in an honest history, and every payment that is off by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from p2pfd.core.claims import MarketTerms, RoundSettled, WorkerPaid
from p2pfd.core.ids import Account
from p2pfd.core.modes import RoundClaimed, SamplesDrawn, WordsRevealed, WorkersPaid
from p2pfd.incentives.audit import audit
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import GENESIS
from p2pfd.testing.mode_plays import OptimisticPlay, SampledPlay, terms
from p2pfd.testing.stage import OPTIMISTIC, SAMPLED, reference_stage

KEYS = [AccountKey(bytes([number]) * 32) for number in range(1, 6)]
History = tuple[MarketTerms, list[Any], dict[Account, int]]


async def played(mode: str, play: Callable[[Any], Any], rounds: int) -> History:
    """The terms, all events, and what each worker has more than it came with."""
    stage = reference_stage([each.account for each in KEYS], 10_000, KEYS)
    await play(stage).play()
    book = stage.desks[mode][0]._book
    held = {who: (await stage.desks[mode][0].account(who)).total - 10_000 for who in stage.accounts[:3]}
    assert book.history[0][0] > GENESIS
    return terms(mode, rounds), [event for _, event in book.history], held


@pytest.fixture
async def sampled() -> History:
    return await played(SAMPLED, SampledPlay, 2)


@pytest.fixture
async def optimistic() -> History:
    return await played(OPTIMISTIC, OptimisticPlay, 3)


def changed(events: list[Any], kind: type, change: Callable[[Any], Any], which: int = 0) -> list[Any]:
    """The same history with one event of a kind forged."""
    at = [place for place, event in enumerate(events) if isinstance(event, kind)][which]
    return [*events[:at], change(events[at]), *events[at + 1 :]]


async def test_drawn_words_say_what_everybody_earned(sampled: History) -> None:
    held, events, _ = sampled
    found = audit(held, events)
    assert (found.problems, found.rounds, found.payments, found.claimed) == ((), 2, 5, 0)
    assert sum(found.earned.values()) == sum(event.paid for event in events if isinstance(event, RoundSettled))


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        (WorkerPaid, lambda event: dataclasses.replace(event, amount=event.amount + 1), "was paid"),
        (RoundSettled, lambda event: dataclasses.replace(event, paid=event.paid + 1), "the round says it paid"),
        (WordsRevealed, lambda event: dataclasses.replace(event, counts=event.counts + 40), "was paid"),
        (WordsRevealed, lambda event: dataclasses.replace(event, words=(b"\0" * 32,) * 2), "labels that are none"),
        (WordsRevealed, lambda event: dataclasses.replace(event, worker=KEYS[4].account), "its labels are not shown"),
        (SamplesDrawn, lambda event: dataclasses.replace(event, seed=b""), "a draw that is none"),
    ],
    ids=["amount", "sum", "counts", "padding", "absent", "seed"],
)
async def test_what_is_wrong_in_a_sampled_round_is_named(
    sampled: History, kind: type, change: Callable[[Any], Any], said: str
) -> None:
    held, events, _ = sampled
    problems = audit(held, changed(events, kind, change)).problems
    assert problems
    assert all(problem.startswith("round 0: ") for problem in problems)
    assert said in problems[0]


async def test_an_optimistic_round_paid_what_was_claimed_or_computed(optimistic: History) -> None:
    held, events, gained = optimistic
    found = audit(held, events)
    assert (found.problems, found.rounds, found.payments, found.claimed) == ((), 3, 0, 8)
    assert sum(found.earned.values()) == sum(event.paid for event in events if isinstance(event, RoundSettled))
    assert all(amount > 0 for amount in found.earned.values())
    assert found.earned.keys() == gained.keys()


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        (WorkersPaid, lambda event: dataclasses.replace(event, amounts=(1, *event.amounts[1:])), "was claimed"),
        (RoundClaimed, lambda event: dataclasses.replace(event, counted=3), "was claimed"),
        (RoundSettled, lambda event: dataclasses.replace(event, paid=10**6), "the round says it paid"),
        (WorkersPaid, lambda event: dataclasses.replace(event, counted=0b1011), "nobody holds it"),
    ],
    ids=["amount", "counted", "sum", "seat"],
)
async def test_what_is_wrong_in_an_optimistic_round_is_named(
    optimistic: History, kind: type, change: Callable[[Any], Any], said: str
) -> None:
    held, events, _ = optimistic
    assert any(said in problem for problem in audit(held, changed(events, kind, change)).problems)
    unpaid = [event for event in events if not isinstance(event, WorkersPaid)]
    assert len(audit(held, unpaid).problems) == 3
