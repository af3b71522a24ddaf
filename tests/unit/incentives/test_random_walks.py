"""Whatever is claimed in whatever order: no token is made or lost, and anyone can bring a task to its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p2pfd.core.claims import (
    Advance,
    CommitLabels,
    Deposit,
    Enrol,
    OpenTask,
    RevealLabels,
    SettleRound,
    Unstake,
    Withdraw,
)
from p2pfd.core.ids import Amount, RoundId
from p2pfd.core.labels import commitment, pack
from p2pfd.core.modes import ChallengeRound, ClaimRound, PostCommitments
from p2pfd.core.rng import Rng
from p2pfd.incentives.market import Market
from p2pfd.incentives.optimistic import OptimisticMarket
from p2pfd.incentives.rounds import Phase, Rounds
from p2pfd.incentives.staking import Refused
from tests.unit.incentives import test_optimistic_rules as optimistic
from tests.unit.incentives.stories import BOSS, LABELS, SALT, TASK, TERMS, UNBOND, WORKERS, named

EVERYONE = [named(number) for number in range(1, 7)]
WALLET, FUNDS = 500, 1_000
ROUNDS = 3
ONCHAIN = replace(TERMS, rounds=ROUNDS, bond=Amount(50), forfeit=Amount(30))
OPTIMISTIC = replace(optimistic.TERMS, rounds=ROUNDS, bond=Amount(50), forfeit=Amount(30), stake=33)

KINDS = ("enrol", "commit", "reveal", "settle", "advance", "money", "own", "later")
LIKELY = {
    Phase.GATHER: ("enrol", "later", "advance"),
    Phase.COMMIT: ("commit", "commit", "commit", "commit", "enrol", "later", "advance"),
    Phase.REVEAL: ("reveal", "reveal", "reveal", "own", "later", "advance"),
}
"""What is mostly tried in a phase; in the others it is to settle, to contradict, or to wait."""


class Walk:
    """A market that is looked at after every step."""

    def __init__(self, market: Rounds, terms: Any) -> None:
        self.market, self.terms, self.now = market, terms, 0
        for who in EVERYONE:
            self.tries(who, Deposit(Amount(FUNDS)))
        assert self.tries(BOSS, OpenTask(terms))
        assert all(self.tries(who, Enrol(TASK)) for who in WORKERS[:2])

    @property
    def task(self) -> Any:
        return self.market.task(TASK)

    def tries(self, who: Any, claim: Any) -> bool:
        """Whether it is carried out; the books balance either way."""
        try:
            self.market.apply(self.now, who, claim)
            done = True
        except Refused:
            done = False
        self.look()
        return done

    def look(self) -> None:
        held = [self.market.balances(who) for who in EVERYONE]
        task = self.task
        pots = 0 if task is None else task.pots
        self.market.check()
        assert sum(each.total for each in held) + pots == len(EVERYONE) * (WALLET + FUNDS)
        assert all(min(each.wallet, each.free, each.locked, each.unbonding) >= 0 for each in held)
        if task is None:
            return
        bonds = sum(seat.bond for seat in task.seats.values())
        stakes = self.terms.stake * {Phase.SETTLE: 1, Phase.DISPUTE: 2}.get(task.phase, 0)
        assert sum(each.locked for each in held) == bonds + stakes
        assert task.pots == (0 if task.phase == Phase.CLOSED else (ROUNDS - task.round) * self.terms.pot)
        assert len({seat.holder for seat in task.seats.values()}) == len(task.seats) <= self.terms.seats
        assert task.revealed.keys() <= task.committed.keys()
        if task.phase in (Phase.COMMIT, Phase.REVEAL):
            assert task.committed.keys() <= task.active <= task.seats.keys()
        assert all(0 <= seat.bond <= self.terms.bond for seat in task.seats.values())

    def takes(self, kind: str, number: int, amount: int) -> None:
        """One step, sensible or not."""
        who, rnd = EVERYONE[number], self.task.round
        worker = WORKERS[number % 3]
        match kind:
            case "later":
                self.now += amount
            case "enrol":
                self.tries(who, Enrol(TASK))
            case "settle":
                self.tries(who, SettleRound(TASK, rnd))
            case "advance":
                self.tries(who, Advance(TASK))
            case "money":
                claims = [Deposit(Amount(amount)), Unstake(Amount(20 * amount)), Withdraw()]
                self.tries(who, claims[amount % 3])
            case "commit" | "reveal" | "own":
                self.plays(kind, worker, rnd, amount)

    def plays(self, kind: str, worker: Any, rnd: RoundId, amount: int) -> None:
        packed = pack(LABELS[worker])
        if kind == "commit":
            self.tries(worker, CommitLabels(TASK, rnd, commitment(TASK, rnd, worker, SALT, packed)))
        elif kind == "reveal":
            self.tries(worker, RevealLabels(TASK, rnd, SALT, packed))

    def ends(self) -> None:
        """Somebody takes one timed exit after the other: that is enough, and soon over."""
        for _ in range(6 * ROUNDS + 2):
            if self.task.phase == Phase.CLOSED:
                break
            self.now += 1_000
            if not self.tries(BOSS, SettleRound(TASK, self.task.round)):
                assert self.tries(BOSS, Advance(TASK)), self.task.phase
        assert self.task.phase == Phase.CLOSED
        assert all(self.market.balances(who).locked == 0 for who in EVERYONE)
        for who in EVERYONE:
            self.tries(who, Unstake(Amount(self.market.balances(who).free)))
        self.now += UNBOND
        for who in EVERYONE:
            self.tries(who, Withdraw())
        assert self.market.staking.held == 0, "all of it can leave"


class OptimisticWalk(Walk):
    """Claims that are right or not, and challenges of either."""

    def plays(self, kind: str, worker: Any, rnd: RoundId, amount: int) -> None:
        if kind == "commit":
            self.tries(worker, PostCommitments(TASK, rnd, optimistic.signed(worker, rnd=rnd)))
        elif kind == "reveal":
            self.tries(worker, RevealLabels(TASK, rnd, SALT, pack(LABELS[worker])))
        elif amount < 6:
            counted = [seat.holder for number, seat in self.task.seats.items() if number in self.task.committed]
            amounts = tuple(Amount(10 * amount) for _ in counted)
            self.tries(worker, ClaimRound(TASK, rnd, tuple(counted), amounts))
        elif amount < 9:
            self.tries(worker, ChallengeRound(TASK, rnd))
        else:
            opened, chunk = optimistic.proof(*[who for who in WORKERS if self.task.seat_of(who) in self.task.committed])
            self.tries(worker, replace(opened, round=rnd))
            self.tries(worker, replace(chunk, round=rnd))


def walked(walk: Walk, seed: int) -> None:
    """Ninety steps, and the way out."""
    rng = Rng(b"walks").split(type(walk).__name__, seed)
    for _ in range(90):
        if walk.task.phase == Phase.CLOSED:
            break
        likely = LIKELY.get(walk.task.phase, ("settle", "own", "own", "reveal", "later", "advance"))
        kinds = KINDS if rng.below(5) == 0 else likely
        walk.takes(kinds[rng.below(len(kinds))], rng.below(6), rng.below(13))
    walk.ends()


@pytest.mark.parametrize("seed", range(24))
def test_labels_on_chain(seed: int) -> None:
    walked(Walk(Market(dict.fromkeys(EVERYONE, WALLET + FUNDS), UNBOND), ONCHAIN), seed)


@pytest.mark.parametrize("seed", range(24))
def test_claims_and_disputes(seed: int) -> None:
    market = OptimisticMarket(dict.fromkeys(EVERYONE, WALLET + FUNDS), UNBOND, optimistic.recover)
    walked(OptimisticWalk(market, OPTIMISTIC), seed)
