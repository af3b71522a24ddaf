"""The label market: workers commit to labels, reveal them, and are paid by the peer truth serum. Pure, and the oracle.

`contracts/vyper/LabelMarket.vy` does the same to the last unit and refuses for the same reasons in the same order;
what must hold stands in `contracts/vyper/SPEC.md`. Each phase ends when all have acted or, by `Advance`, after its
deadline.
"""

from __future__ import annotations

from p2pfd.core.claims import (
    Advance,
    ChainEvent,
    Claim,
    CommitLabels,
    Deposit,
    Enrol,
    LabelsRevealed,
    OpenTask,
    RevealLabels,
    SettleRound,
    Unstake,
    Withdraw,
    WorkerPaid,
)
from p2pfd.core.ids import Account, Amount, RoundId, TaskId
from p2pfd.core.labels import commitment, packed_size, unpack
from p2pfd.errors import DecodeError
from p2pfd.incentives import ptsc
from p2pfd.incentives.rounds import (
    MAX_AMOUNT,
    MAX_CLASSES,
    MAX_ROUNDS,
    MAX_SEATS,
    MAX_SECONDS,
    Phase,
    Rounds,
    Seat,
    Task,
)
from p2pfd.incentives.staking import require

__all__ = [
    "MAX_AMOUNT",
    "MAX_CLASSES",
    "MAX_ROUNDS",
    "MAX_SAMPLES",
    "MAX_SEATS",
    "MAX_SECONDS",
    "Market",
    "Phase",
    "Seat",
    "Task",
]
MAX_SAMPLES = 1024
_ANY_NIBBLE = 16


class Market(Rounds):
    """The ``onchain`` mode: all labels come to the chain, and the score is computed there."""

    def apply(self, now: int, sender: Account, claim: Claim) -> tuple[ChainEvent, ...]:
        """Carry out a claim at this second, wholly, or raise `Refused` and change nothing."""
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
            case RevealLabels(task, rnd, salt, labels):
                return self._reveal(now, sender, task, rnd, salt, labels)
            case Advance(task):
                return self._advance(now, task)
            case SettleRound(task, rnd):
                return self._settle(now, task, rnd)
        return ()

    def _reveal(
        self, now: int, sender: Account, task_id: TaskId, rnd: RoundId, salt: bytes, labels: bytes
    ) -> tuple[ChainEvent, ...]:
        task = self._tasks.get(task_id)
        require(task is not None and task.phase == Phase.REVEAL, "market: takes no reveals")
        assert task is not None
        require(rnd == task.round, "market: wrong round")
        require(now <= task.deadline, "market: too late")
        number = task.seat_of(sender)
        require(number in task.committed, "market: nothing committed")
        require(number not in task.revealed, "market: already revealed")
        assert number is not None
        require(len(labels) == packed_size(task.terms.samples), "market: wrong length")
        try:
            plain = unpack(labels, task.terms.samples, _ANY_NIBBLE)
        except DecodeError:
            plain = None
        require(plain is not None, "market: labels past the samples")
        assert plain is not None
        bound = commitment(task_id, rnd, sender, salt, labels)
        require(bound == task.committed[number], "market: not what was committed")
        task.revealed[number] = plain
        shown = LabelsRevealed(task_id, rnd, sender, labels)
        if task.revealed.keys() == task.committed.keys():
            return (shown, self._close_reveals(task))
        return (shown,)

    def _advance(self, now: int, task_id: TaskId) -> tuple[ChainEvent, ...]:
        task = self._tasks.get(task_id)
        require(task is not None and task.phase != Phase.CLOSED, "market: not running")
        assert task is not None
        require(task.phase != Phase.SETTLE, "market: settle the round first")
        require(now > task.deadline, "market: too early")
        if task.phase == Phase.GATHER:
            return self._gathered(now, task)
        if task.phase == Phase.COMMIT:
            return self._bound(now, task)
        punished = self._punish(task, task.committed.keys() - task.revealed.keys(), task.revealed)
        if len(task.revealed) >= task.terms.quorum:
            return (*punished, self._close_reveals(task))
        return (*punished, *self._void(now, task))

    def _settle(self, now: int, task_id: TaskId, rnd: RoundId) -> tuple[ChainEvent, ...]:
        task = self._tasks.get(task_id)
        require(task is not None and task.phase == Phase.SETTLE, "market: nothing to settle")
        assert task is not None
        require(rnd == task.round, "market: wrong round")
        terms = task.terms
        counted = sorted(task.revealed)
        scored = ptsc.scores([task.revealed[number] for number in counted], terms.classes)
        earned = ptsc.pay(terms.pot, terms.rate, ptsc.means(scored, terms.samples))
        paid: list[ChainEvent] = []
        for number, score, amount in zip(counted, scored, earned, strict=True):
            worker = task.seats[number].holder
            self.staking.give(worker, amount)
            paid.append(WorkerPaid(task_id, rnd, worker, score, Amount(amount)))
        return (*paid, *self._finish(now, task, counted=True, paid=sum(earned)))
