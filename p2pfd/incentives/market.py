"""The label market: workers commit to labels, reveal them, and are paid by the peer truth serum. Pure, and the oracle.

`contracts/vyper/LabelMarket.vy` does the same to the last unit and refuses for the same reasons in the same order;
what must hold stands in `contracts/vyper/SPEC.md`. Each phase ends when all have acted or, by `Advance`, after its
deadline.
"""

from __future__ import annotations

from p2pfd.core.claims import (
    ChainEvent,
    LabelsRevealed,
    RevealLabels,
)
from p2pfd.core.ids import Account, RoundId, TaskId
from p2pfd.core.labels import commitment, packed_size, unpack
from p2pfd.core.modes import ModeClaim
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

    def _own(self, now: int, sender: Account, claim: ModeClaim) -> tuple[ChainEvent, ...]:
        if isinstance(claim, RevealLabels):
            return self._reveal(now, sender, claim.task, claim.round, claim.salt, claim.labels)
        return ()

    def _reveal(
        self, now: int, sender: Account, task_id: TaskId, rnd: RoundId, salt: bytes, labels: bytes
    ) -> tuple[ChainEvent, ...]:
        task = self._in(task_id, rnd, (Phase.REVEAL,), "market: takes no reveals")
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

    def _settle(self, now: int, task_id: TaskId, rnd: RoundId) -> tuple[ChainEvent, ...]:
        task = self._in(task_id, rnd, (Phase.SETTLE,), "market: nothing to settle")
        terms = task.terms
        scored = ptsc.scores([task.revealed[number] for number in sorted(task.revealed)], terms.classes)
        return self._reward(now, task, scored, ptsc.pay(terms.pot, terms.rate, ptsc.means(scored, terms.samples)))
