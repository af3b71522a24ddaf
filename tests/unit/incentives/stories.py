"""A ledger, a clock and a few accounts: for tests that tell one story each and look at the money after every step."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from p2pfd.core.claims import Advance, CommitLabels, Deposit, Enrol, MarketTerms, OpenTask, RevealLabels
from p2pfd.core.ids import Account, Amount, RoundId, TaskId
from p2pfd.core.labels import commitment, pack
from p2pfd.incentives.rounds import Phase, Rounds
from p2pfd.incentives.staking import Refused

TASK, R0, R1, SALT = TaskId(b"\1" * 32), RoundId(0), RoundId(1), b"\5" * 32
UNBOND = 100
FUNDS = 1_000


def named(number: int) -> Account:
    """The account of this number."""
    return Account(f"0x{number:040x}")


BOSS, ANN, BOB, CAT, DAN, EVE = (named(number) for number in range(1, 7))
WORKERS = (ANN, BOB, CAT)

TERMS = MarketTerms(
    task=TASK,
    samples=4,
    classes=2,
    rounds=2,
    pot=Amount(200),
    rate=Amount(100),
    bond=Amount(50),
    forfeit=Amount(20),
    quorum=2,
    seats=3,
    enrol_seconds=10,
    commit_seconds=20,
    reveal_seconds=30,
)
LABELS = {ANN: bytes([0, 0, 1, 1]), BOB: bytes([0, 0, 1, 1]), CAT: bytes([0, 1, 0, 1])}
"""By hand: each class is worth two, as half of the others' labels are of it. Ann and Bob agree six times with two peers
each, 6 · 2 / 2 − 4 = 2 over four samples; Cat agrees four times, 4 · 2 / 2 − 4 = 0. So means of ½, ½ and 0."""


class Story:
    """One market and what happens to it; after every step the books balance, and a refusal changes nothing."""

    def __init__(self, market: Rounds, funds: int = FUNDS) -> None:
        self.market, self.now = market, 0
        for who in (BOSS, ANN, BOB, CAT, DAN, EVE):
            self.does(who, Deposit(Amount(funds)))

    def does(self, who: Account, claim: Any) -> tuple[Any, ...]:
        """What the claim tells."""
        events = self.market.apply(self.now, who, claim)
        self.market.check()
        return events

    def refused(self, who: Account, claim: Any) -> str:
        """Why it is refused."""
        before = self._seen()
        with pytest.raises(Refused) as refusal:
            self.market.apply(self.now, who, claim)
        assert self._seen() == before, "a refusal changes nothing"
        return str(refusal.value)

    def _seen(self) -> Any:
        money = [self.market.balances(named(number)) for number in range(8)]
        return copy.deepcopy((money, self.market.staking.held, self.market.task(TASK)))

    def at(self, second: int) -> Story:
        """Later."""
        assert second >= self.now
        self.now = second
        return self

    @property
    def phase(self) -> Phase:
        """Where the task stands."""
        task = self.market.task(TASK)
        assert task is not None
        return task.phase

    @property
    def deadline(self) -> int:
        """When its phase ends."""
        task = self.market.task(TASK)
        assert task is not None
        return task.deadline

    def free(self, *who: Account) -> list[int]:
        """What these have free."""
        return [self.market.balances(each).free for each in who]

    def locked(self, *who: Account) -> list[int]:
        """What these have locked."""
        return [self.market.balances(each).locked for each in who]

    # -- the usual steps --

    def opens(self, terms: MarketTerms = TERMS, workers: Iterable[Account] = WORKERS) -> Story:
        """The task is there, and these have enrolled in this order."""
        self.does(BOSS, OpenTask(terms))
        for who in workers:
            self.does(who, Enrol(terms.task))
        return self

    def commits(self, *who: Account, rnd: RoundId = R0) -> Story:
        """These are bound to their labels."""
        for each in who:
            bound = commitment(TASK, rnd, each, SALT, pack(LABELS[each]))
            self.does(each, CommitLabels(TASK, rnd, bound))
        return self

    def reveals(self, *who: Account, rnd: RoundId = R0) -> Story:
        """These show them."""
        for each in who:
            self.does(each, RevealLabels(TASK, rnd, SALT, pack(LABELS[each])))
        return self

    def times_out(self) -> tuple[Any, ...]:
        """The second after the deadline, somebody takes the timed exit; in the deadline's second it is too early."""
        self.at(self.deadline)
        assert self.refused(EVE, Advance(TASK)) == "market: too early"
        self.at(self.deadline + 1)
        return self.does(EVE, Advance(TASK))


def kinds(events: Sequence[Any]) -> list[str]:
    """What was told, by name."""
    return [type(event).__name__ for event in events]
