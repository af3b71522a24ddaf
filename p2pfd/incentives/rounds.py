"""What all label markets share: seats, rounds, pots, and what silence costs. Pure, and the oracle of `rounds.vy`.

A market is this and what lies between the commitments and the pay.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from p2pfd.core.claims import (
    Advance,
    Balances,
    BondForfeited,
    ChainEvent,
    CommitLabels,
    Deposit,
    Enrol,
    Enrolled,
    LabelsCommitted,
    MarketTerms,
    OpenTask,
    RevealsClosed,
    RevealsOpened,
    RoundOpened,
    RoundSettled,
    SettleRound,
    TaskClosed,
    TaskOpened,
    Unstake,
    Withdraw,
    WorkerPaid,
    WorkerSuspended,
)
from p2pfd.core.ids import Account, Amount, Digest, RoundId, TaskId
from p2pfd.core.modes import ModeClaim, ModeEvent
from p2pfd.incentives.staking import Staking, require

MAX_CLASSES = 15
MAX_ROUNDS = 10_000
MAX_SEATS = 64
MAX_AMOUNT = 2**63
MAX_SECONDS = 30 * 86_400


class Phase(IntEnum):
    """Where a task stands; the last four are other modes'. In an optimistic round SETTLE is the challenge window."""

    NONE = 0
    GATHER = 1
    COMMIT = 2
    REVEAL = 3
    SETTLE = 4
    CLOSED = 5
    DISPUTE = 6
    SHOW = 7
    PROVE = 8
    DRAW = 9


@dataclass(slots=True)
class Seat:
    """A worker's place: who holds it, and how much of its bond is left."""

    holder: Account
    bond: int


@dataclass(slots=True)
class Task:
    """A task's present state. The sets hold seat numbers; whoever is active plays in the present round."""

    terms: MarketTerms
    requester: Account
    deadline: int
    pots: int
    phase: Phase = Phase.GATHER
    round: int = 0
    seats: dict[int, Seat] = field(default_factory=dict)
    active: set[int] = field(default_factory=set)
    committed: dict[int, Digest] = field(default_factory=dict)
    revealed: dict[int, bytes] = field(default_factory=dict)

    def seat_of(self, who: Account) -> int | None:
        """The seat that an account holds."""
        return next((number for number, seat in self.seats.items() if seat.holder == who), None)

    def holders(self, numbers: Iterable[int]) -> tuple[Account, ...]:
        """The accounts in these seats, by seat number."""
        return tuple(self.seats[number].holder for number in sorted(numbers))


class Rounds(ABC):
    """All tasks of one market, and all balances."""

    MAX_SAMPLES = 1024

    def __init__(self, wallets: Mapping[Account, int], unbond_seconds: int) -> None:
        self.staking = Staking(wallets, unbond_seconds)
        self._tasks: dict[TaskId, Task] = {}

    def balances(self, who: Account) -> Balances:
        """Where an account's tokens are."""
        return self.staking.balances(who)

    def task(self, task: TaskId) -> Task | None:
        """A task's state, to look at."""
        return self._tasks.get(task)

    def check(self) -> None:
        """The invariant: what the contract holds is what it owes, to the unit."""
        pots = sum(task.pots for task in self._tasks.values())
        owed = self.staking.in_accounts() + pots
        assert self.staking.held == owed, f"held {self.staking.held}, owed {owed}"

    def apply(self, now: int, sender: Account, claim: ModeClaim) -> tuple[Any, ...]:
        """Carry out a claim at this second, wholly, or raise `Refused` and change nothing. What it tells is events."""
        match claim:
            case Deposit(amount):
                self.staking.deposit(sender, amount)
            case Unstake(amount):
                self.staking.unstake(sender, amount, now)
            case Withdraw():
                self.staking.withdraw(sender, now)
            case OpenTask(terms):
                return self._open(now, sender, terms)
            case Enrol(task):
                return self._enrol(now, sender, task)
            case CommitLabels(task, rnd, bound):
                return self._commit(now, sender, task, rnd, bound)
            case SettleRound(task, rnd):
                return self._settle(now, task, rnd)
            case Advance(task):
                return self._advance(now, task)
            case _:
                return self._own(now, sender, claim)
        return ()

    @abstractmethod
    def _own(self, now: int, sender: Account, claim: ModeClaim) -> tuple[ModeEvent, ...]:
        """A claim that not all modes have."""

    @abstractmethod
    def _settle(self, now: int, task_id: TaskId, rnd: RoundId) -> tuple[ModeEvent, ...]:
        """The pay."""

    def _in(self, task_id: TaskId, rnd: int, phases: tuple[Phase, ...], reason: str) -> Task:
        """The task, if it is in one of these phases of this round; else it is refused for this reason."""
        task = self._tasks.get(task_id)
        require(task is not None and task.phase in phases, reason)
        assert task is not None
        require(rnd == task.round, "market: wrong round")
        return task

    # -- claims that are the same in all modes -------------------------------------------------------------------------

    def _open(self, now: int, sender: Account, terms: MarketTerms) -> tuple[ChainEvent, ...]:
        require(terms.task not in self._tasks, "market: task exists")
        require(1 <= terms.samples <= self.MAX_SAMPLES, "market: samples out of range")
        require(2 <= terms.classes <= MAX_CLASSES, "market: classes out of range")
        require(1 <= terms.rounds <= MAX_ROUNDS, "market: rounds out of range")
        require(1 <= terms.seats <= MAX_SEATS, "market: seats out of range")
        require(1 <= terms.quorum <= terms.seats, "market: quorum out of range")
        require(max(terms.pot, terms.rate, terms.bond, terms.stake) <= MAX_AMOUNT, "market: amount out of range")
        require(terms.forfeit <= terms.bond, "market: forfeit exceeds bond")
        for length in (terms.enrol_seconds, terms.commit_seconds, terms.reveal_seconds):
            require(1 <= length <= MAX_SECONDS, "market: seconds out of range")
        self._check(terms)
        pots = terms.rounds * terms.pot
        self.staking.take(sender, pots)
        deadline = now + terms.enrol_seconds
        self._tasks[terms.task] = Task(terms, sender, deadline, pots)
        return (TaskOpened(terms.task, sender, deadline),)

    def _check(self, terms: MarketTerms) -> None:  # noqa: B027 - the first mode asks for nothing more
        """What a mode asks of the terms beyond what all ask."""

    def _enrol(self, now: int, sender: Account, task_id: TaskId) -> tuple[ChainEvent, ...]:
        task = self._tasks.get(task_id)
        require(task is not None, "market: no such task")
        assert task is not None
        terms = task.terms
        require(task.phase != Phase.CLOSED, "market: closed")
        require(task.seat_of(sender) is None, "market: already enrolled")
        if task.phase == Phase.GATHER:
            require(now <= task.deadline, "market: too late")
        else:
            require(task.round + 1 < terms.rounds, "market: no further round")
        require(len(task.seats) < terms.seats, "market: no seat free")
        self.staking.lock(sender, terms.bond)
        number = next(n for n in range(terms.seats) if n not in task.seats)
        task.seats[number] = Seat(sender, terms.bond)
        enrolled = Enrolled(task_id, sender, len(task.seats))
        if task.phase == Phase.GATHER and len(task.seats) == terms.seats:
            return (enrolled, self._open_round(now, task, 0))
        return (enrolled,)

    def _commit(
        self, now: int, sender: Account, task_id: TaskId, rnd: RoundId, bound: Digest
    ) -> tuple[ChainEvent, ...]:
        task = self._in(task_id, rnd, (Phase.COMMIT,), "market: takes no commitments")
        require(now <= task.deadline, "market: too late")
        number = task.seat_of(sender)
        require(number in task.active, "market: not in this round")
        require(number not in task.committed, "market: already committed")
        assert number is not None
        task.committed[number] = bound
        heard = LabelsCommitted(task_id, rnd, sender, bound)
        if task.committed.keys() == task.active:
            return (heard, self._open_reveals(now, task))
        return (heard,)

    def _advance(self, now: int, task_id: TaskId) -> tuple[ModeEvent, ...]:
        task = self._tasks.get(task_id)
        require(task is not None and task.phase != Phase.CLOSED, "market: not running")
        assert task is not None
        require(task.phase != Phase.SETTLE, "market: settle the round first")
        require(task.phase != Phase.DRAW, "market: draw first")
        require(now > self._until(task), "market: too early")
        if task.phase == Phase.GATHER:
            return self._gathered(now, task)
        if task.phase == Phase.COMMIT:
            return self._bound(now, task)
        return self._late(now, task)

    def _until(self, task: Task) -> int:
        """The last second in which whoever is waited for can act."""
        return task.deadline

    def _gathered(self, now: int, task: Task) -> tuple[ChainEvent, ...]:
        """The end of gathering by time."""
        if len(task.seats) >= task.terms.quorum:
            return (self._open_round(now, task, 0),)
        return (self._close(task, 0),)

    def _bound(self, now: int, task: Task) -> tuple[ChainEvent, ...]:
        """The end of the commitments by time: who is absent is suspended."""
        left = [self._suspend(task, number) for number in sorted(task.active - task.committed.keys())]
        if len(task.committed) >= task.terms.quorum:
            return (*left, self._open_reveals(now, task))
        return (*left, *self._void(now, task))

    def _late(self, now: int, task: Task) -> tuple[ModeEvent, ...]:
        """The end of the reveals by time: who is silent forfeits."""
        punished = self._punish(task, task.committed.keys() - task.revealed.keys(), task.revealed)
        if len(task.revealed) >= task.terms.quorum:
            return (*punished, self._close_reveals(task))
        return (*punished, *self._void(now, task))

    # -- transitions ---------------------------------------------------------------------------------------------------

    def _open_round(self, now: int, task: Task, rnd: int) -> ChainEvent:
        task.phase, task.round = Phase.COMMIT, rnd
        task.deadline = now + task.terms.commit_seconds
        task.active = set(task.seats)
        task.committed.clear()
        task.revealed.clear()
        return RoundOpened(task.terms.task, RoundId(rnd), task.deadline, task.holders(task.active))

    def _open_reveals(self, now: int, task: Task) -> ChainEvent:
        task.phase = Phase.REVEAL
        task.deadline = now + task.terms.reveal_seconds
        return RevealsOpened(task.terms.task, RoundId(task.round), task.deadline, task.holders(task.committed))

    def _close_reveals(self, task: Task) -> ChainEvent:
        task.phase = Phase.SETTLE
        return RevealsClosed(task.terms.task, RoundId(task.round), task.holders(task.revealed))

    def _suspend(self, task: Task, number: int) -> ChainEvent:
        seat = task.seats.pop(number)
        task.active.discard(number)
        self.staking.release(seat.holder, seat.bond)
        return WorkerSuspended(task.terms.task, RoundId(task.round), seat.holder)

    def _punish(self, task: Task, silent: Iterable[int], counted: Iterable[int]) -> list[ChainEvent]:
        """Whoever stayed silent forfeits to those who count; what does not divide is the requester's."""
        events: list[ChainEvent] = []
        total = 0
        for number in sorted(silent):
            seat = task.seats[number]
            amount = min(seat.bond, task.terms.forfeit)
            self.staking.seize(seat.holder, amount)
            seat.bond -= amount
            total += amount
            events.append(BondForfeited(task.terms.task, RoundId(task.round), seat.holder, Amount(amount)))
            if seat.bond < task.terms.forfeit:
                events.append(self._suspend(task, number))
        self._share(task, total, task.holders(counted))
        return events

    def _share(self, task: Task, total: int, among: tuple[Account, ...]) -> None:
        """Equal parts to these; what does not divide is the requester's."""
        share = total // len(among) if among else 0
        for worker in among:
            self.staking.give(worker, share)
        self.staking.give(task.requester, total - share * len(among))

    def _reward(self, now: int, task: Task, scores: Sequence[int], amounts: Sequence[int]) -> tuple[ChainEvent, ...]:
        """Pay those who revealed, by seat, and end the round."""
        paid: list[ChainEvent] = []
        for worker, score, amount in zip(task.holders(task.revealed), scores, amounts, strict=True):
            self.staking.give(worker, amount)
            paid.append(WorkerPaid(task.terms.task, RoundId(task.round), worker, score, Amount(amount)))
        return (*paid, *self._finish(now, task, counted=True, paid=sum(amounts)))

    def _void(self, now: int, task: Task) -> tuple[ChainEvent, ...]:
        return self._finish(now, task, counted=False, paid=0)

    def _finish(self, now: int, task: Task, *, counted: bool, paid: int) -> tuple[ChainEvent, ...]:
        """End the round: the rest of its pot goes back, and the next round opens where there is one."""
        pot = task.terms.pot
        task.pots -= pot
        self.staking.give(task.requester, pot - paid)
        over = RoundSettled(task.terms.task, RoundId(task.round), counted, Amount(paid), Amount(pot - paid))
        following = task.round + 1
        if following < task.terms.rounds and len(task.seats) >= task.terms.quorum:
            return (over, self._open_round(now, task, following))
        return (over, self._close(task, following))

    def _close(self, task: Task, played: int) -> ChainEvent:
        task.phase = Phase.CLOSED
        for seat in task.seats.values():
            self.staking.release(seat.holder, seat.bond)
        task.seats.clear()
        task.active.clear()
        self.staking.give(task.requester, task.pots)
        task.pots = 0
        return TaskClosed(task.terms.task, played)
