"""The optimistic label market: a staked claim says what a round pays, and a dispute computes it. Pure, and the oracle.

`contracts/vyper/OptimisticMarket.vy` does the same to the last unit; states and reasons stand in
`contracts/vyper/SPEC.md`. Labels stay off chain unless somebody contradicts or is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from p2pfd.core.claims import (
    ChainEvent,
    LabelsRevealed,
    MarketTerms,
    RevealLabels,
)
from p2pfd.core.ids import Account, Amount, RoundId, TaskId
from p2pfd.core.labels import packed_size, unpack
from p2pfd.core.modes import (
    ChallengeRound,
    ChunkProved,
    ClaimDropped,
    ClaimRound,
    CommitmentsPosted,
    DisputeDecided,
    LabelsDemanded,
    ModeClaim,
    ModeEvent,
    OpenProof,
    PostCommitments,
    ProofOpened,
    ProofWanted,
    ProveChunk,
    RoundChallenged,
    RoundClaimed,
    SignedCommitment,
    WorkersPaid,
)
from p2pfd.core.trees import CHUNK_SAMPLES, climb, root, root_commitment
from p2pfd.errors import DecodeError
from p2pfd.incentives import ptsc
from p2pfd.incentives.rounds import MAX_SECONDS, Phase, Rounds, Task
from p2pfd.incentives.staking import Refused, require

MAX_SAMPLES = 65_536
HALF_ORDER = 0x7FFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_5D576E73_57A4501D_DFE92F46_681B20A0
"""The largest s of a signature that is not the twin of another."""
_PARITY = 2**255
_ANY_NIBBLE = 16
Recover = Callable[[TaskId, RoundId, SignedCommitment], Account | None]
"""Who signed a commitment to a task's round for this market; None where nobody can have."""


@dataclass(slots=True)
class Play:
    """What a round of this mode holds beyond what every round does."""

    claimer: Account | None = None
    challenger: Account | None = None
    counted: set[int] = field(default_factory=set)
    """Who counts: as claimed, or, once the labels were demanded, who showed them."""
    amounts: tuple[int, ...] = ()
    roots: tuple[bytes, ...] | None = None
    done: int = 0
    shown: list[bytes] = field(default_factory=list)


class OptimisticMarket(Rounds):
    """The ``optimistic`` mode. Who signed a commitment it must be told: it knows no curve."""

    MAX_SAMPLES = MAX_SAMPLES

    def __init__(self, wallets: Mapping[Account, int], unbond_seconds: int, recover: Recover) -> None:
        super().__init__(wallets, unbond_seconds)
        self._recover = recover
        self._plays: dict[TaskId, Play] = {}

    def play(self, task: TaskId) -> Play:
        """A round's claim and proof, to look at."""
        return self._plays.setdefault(task, Play())

    def _own(self, now: int, sender: Account, claim: ModeClaim) -> tuple[ModeEvent, ...]:
        match claim:
            case PostCommitments(task, rnd, signed):
                return self._post(now, task, rnd, signed)
            case RevealLabels(task, rnd, salt, labels):
                return self._reveal(now, sender, task, rnd, salt, labels)
            case ClaimRound():
                return self._claim(now, sender, claim)
            case ChallengeRound(task, rnd):
                return self._challenge(now, sender, task, rnd)
            case OpenProof(task, rnd, salts, roots):
                return self._open_proof(now, task, rnd, salts, roots)
            case ProveChunk(task, rnd, labels, paths):
                return self._prove(now, task, rnd, labels, paths)
        return ()

    def _check(self, terms: MarketTerms) -> None:
        for length in (terms.challenge_seconds, terms.dispute_seconds):
            require(1 <= length <= MAX_SECONDS, "market: seconds out of range")
        require(terms.picks == 0, "market: picks out of range")

    def _at(self, task_id: TaskId, rnd: int, phases: tuple[Phase, ...], reason: str) -> tuple[Task, Play]:
        """The task in one of these phases of this round, and its play."""
        return self._in(task_id, rnd, phases, reason), self.play(task_id)

    # -- commitments and reveals ---------------------------------------------------------------------------------------

    def _post(
        self, now: int, task_id: TaskId, rnd: RoundId, signed: tuple[SignedCommitment, ...]
    ) -> tuple[ModeEvent, ...]:
        task = self._in(task_id, rnd, (Phase.COMMIT,), "market: takes no commitments")
        require(now <= task.deadline, "market: too late")
        require(all(one.vs % _PARITY <= HALF_ORDER for one in signed), "market: malleable signature")
        bound = dict(task.committed)
        workers = []
        for one in signed:
            who = self._recover(task_id, rnd, one)
            number = None if who is None else task.seat_of(who)
            require(number in task.active, "market: not in this round")
            require(number not in bound, "market: already committed")
            assert number is not None
            assert who is not None
            bound[number] = one.commitment
            workers.append(who)
        task.committed = bound
        posted = CommitmentsPosted(task_id, rnd, tuple(workers), tuple(one.commitment for one in signed))
        if bound.keys() == task.active:
            return (posted, self._open_reveals(now, task))
        return (posted,)

    def _reveal(
        self, now: int, sender: Account, task_id: TaskId, rnd: RoundId, salt: bytes, labels: bytes
    ) -> tuple[ModeEvent, ...]:
        phases = (Phase.REVEAL, Phase.SETTLE, Phase.SHOW)
        task, play = self._at(task_id, rnd, phases, "market: takes no reveals")
        require(now <= self._until(task), "market: too late")
        number = task.seat_of(sender)
        require(number in task.committed, "market: nothing committed")
        require(number not in task.revealed, "market: already revealed")
        assert number is not None
        require(task.phase != Phase.SETTLE or number not in play.counted, "market: already counted")
        require(len(labels) == packed_size(task.terms.samples), "market: wrong length")
        plain = _plain(labels, task.terms.samples)
        bound = root_commitment(task_id, rnd, sender, salt, root(labels))
        require(bound == task.committed[number], "market: not what was committed")
        task.revealed[number] = plain
        events: list[ModeEvent] = [LabelsRevealed(task_id, rnd, sender, labels)]
        if task.phase == Phase.SETTLE:
            assert play.claimer is not None
            self.staking.release(play.claimer, task.terms.stake)
            events.append(ClaimDropped(task_id, rnd, play.claimer))
            self._plays[task_id] = Play()
            task.phase, task.deadline = Phase.REVEAL, now
        elif task.phase == Phase.SHOW and task.revealed.keys() == task.committed.keys():
            events.append(self._want_proof(now, task))
        return tuple(events)

    def _until(self, task: Task) -> int:
        """In REVEAL there is time for claims, and for whoever they might leave out, after the deadline."""
        return task.deadline + (task.terms.challenge_seconds if task.phase == Phase.REVEAL else 0)

    # -- claims and disputes -------------------------------------------------------------------------------------------

    def _claim(self, now: int, sender: Account, claim: ClaimRound) -> tuple[ModeEvent, ...]:
        task, play = self._at(claim.task, claim.round, (Phase.REVEAL,), "market: takes no claims")
        require(now <= self._until(task), "market: too late")
        seats = [task.seat_of(who) for who in claim.counted]
        require(all(number in task.committed for number in seats), "market: not bound")
        counted = {number for number in seats if number is not None}
        if now <= task.deadline:
            require(counted == task.committed.keys(), "market: others may still reveal")
        require(task.revealed.keys() <= counted, "market: leaves out a reveal")
        require(len(counted) >= task.terms.quorum, "market: too few")
        require(len(claim.amounts) == len(counted), "market: lists differ in length")
        require(sum(claim.amounts) <= task.terms.pot, "market: more than the pot")
        self.staking.lock(sender, task.terms.stake)
        by_seat = sorted(zip(seats, claim.amounts, strict=True), key=lambda entry: entry[0] or 0)
        play.claimer, play.counted, play.amounts = sender, counted, tuple(int(amount) for _, amount in by_seat)
        task.phase, task.deadline = Phase.SETTLE, now + task.terms.challenge_seconds
        return (RoundClaimed(claim.task, claim.round, sender, task.deadline, _bits(counted), play.amounts),)

    def _challenge(self, now: int, sender: Account, task_id: TaskId, rnd: RoundId) -> tuple[ModeEvent, ...]:
        task, play = self._at(task_id, rnd, (Phase.SETTLE,), "market: nothing to challenge")
        require(now <= task.deadline, "market: too late")
        self.staking.lock(sender, task.terms.stake)
        play.challenger = sender
        task.phase, task.deadline = Phase.DISPUTE, now + task.terms.dispute_seconds
        return (RoundChallenged(task_id, rnd, sender, task.deadline),)

    def _open_proof(
        self, now: int, task_id: TaskId, rnd: RoundId, salts: tuple[bytes, ...], roots: tuple[bytes, ...]
    ) -> tuple[ModeEvent, ...]:
        task, play = self._at(task_id, rnd, (Phase.DISPUTE, Phase.PROVE), "market: nothing to prove")
        require(now <= task.deadline, "market: too late")
        require(play.roots is None, "market: already opened")
        require(len(salts) == len(roots) == len(play.counted), "market: lists differ in length")
        for number, salt, top in zip(sorted(play.counted), salts, roots, strict=True):
            bound = root_commitment(task_id, rnd, task.seats[number].holder, salt, top)
            require(bound == task.committed[number], "market: not what was committed")
        play.roots, play.done, play.shown = roots, 0, [b""] * len(roots)
        return (ProofOpened(task_id, rnd, roots),)

    def _prove(
        self,
        now: int,
        task_id: TaskId,
        rnd: RoundId,
        labels: tuple[bytes, ...],
        paths: tuple[tuple[bytes, ...], ...],
    ) -> tuple[ModeEvent, ...]:
        task, play = self._at(task_id, rnd, (Phase.DISPUTE, Phase.PROVE), "market: nothing to prove")
        require(now <= task.deadline, "market: too late")
        require(play.roots is not None, "market: not opened")
        assert play.roots is not None
        require(len(labels) == len(paths) == len(play.roots), "market: lists differ in length")
        samples = task.terms.samples
        total = -(-samples // CHUNK_SAMPLES)
        here = min(CHUNK_SAMPLES, samples - CHUNK_SAMPLES * play.done)
        shown = []
        for part, path, top in zip(labels, paths, play.roots, strict=True):
            require(len(part) == packed_size(here), "market: wrong length")
            shown.append(_plain(part, here))
            require(climb(part, play.done, total, path) == top, "market: not in the tree")
        play.shown = [before + part for before, part in zip(play.shown, shown, strict=True)]
        play.done += 1
        events: list[ModeEvent] = [ChunkProved(task_id, rnd, play.done)]
        if play.done == total:
            events += self._computed(now, task, play)
        return tuple(events)

    def _computed(self, now: int, task: Task, play: Play) -> list[ModeEvent]:
        """All labels are in: pay what they earn, and decide the dispute if there is one."""
        terms = task.terms
        scored = ptsc.scores(play.shown, terms.classes)
        amounts = ptsc.pay(terms.pot, terms.rate, ptsc.means(scored, terms.samples))
        events: list[ModeEvent] = []
        if task.phase == Phase.DISPUTE:
            events.append(self._decide(task, play, right=amounts == play.amounts, among=task.holders(play.counted)))
        return [*events, *self._pay(now, task, play, amounts)]

    def _decide(self, task: Task, play: Play, *, right: bool, among: tuple[Account, ...]) -> ModeEvent:
        """Half of the loser's stake is the winner's, the rest the workers'."""
        assert play.claimer is not None
        assert play.challenger is not None
        stake = task.terms.stake
        winner, loser = (play.claimer, play.challenger) if right else (play.challenger, play.claimer)
        self.staking.release(winner, stake)
        self.staking.seize(loser, stake)
        self.staking.give(winner, stake // 2)
        self._share(task, stake - stake // 2, among)
        return DisputeDecided(task.terms.task, RoundId(task.round), right, loser, Amount(stake))

    def _pay(self, now: int, task: Task, play: Play, amounts: tuple[int, ...]) -> list[ChainEvent | ModeEvent]:
        workers = task.holders(play.counted)
        for worker, amount in zip(workers, amounts, strict=True):
            self.staking.give(worker, amount)
        paid = WorkersPaid(task.terms.task, RoundId(task.round), _bits(play.counted), amounts)
        # In a proof that was demanded the silent have forfeited already.
        silent = set[int]() if task.phase == Phase.PROVE else task.committed.keys() - play.counted
        punished = self._punish(task, silent, play.counted)
        return [paid, *punished, *self._finish(now, task, counted=True, paid=sum(amounts))]

    def _settle(self, now: int, task_id: TaskId, rnd: RoundId) -> tuple[ModeEvent, ...]:
        task, play = self._at(task_id, rnd, (Phase.SETTLE,), "market: nothing to settle")
        require(now > task.deadline, "market: too early")
        assert play.claimer is not None
        self.staking.release(play.claimer, task.terms.stake)
        return tuple(self._pay(now, task, play, play.amounts))

    # -- timed exits ---------------------------------------------------------------------------------------------------

    def _late(self, now: int, task: Task) -> tuple[ModeEvent, ...]:
        match task.phase:
            case Phase.DISPUTE:
                play = self.play(task.terms.task)
                decided = self._decide(task, play, right=False, among=task.holders(task.committed))
                return (decided, self._demand(now, task))
            case Phase.REVEAL:
                return (self._demand(now, task),)
            case Phase.SHOW:
                punished = self._punish(task, task.committed.keys() - task.revealed.keys(), task.revealed)
                if len(task.revealed) >= task.terms.quorum:
                    return (*punished, self._want_proof(now, task))
                return (*punished, *self._void(now, task))
        return self._void(now, task)

    def _demand(self, now: int, task: Task) -> ModeEvent:
        """No claim stands: whoever wants to count shows its labels, unless all have."""
        self._plays[task.terms.task] = Play()
        if task.revealed.keys() == task.committed.keys():
            return self._want_proof(now, task)
        task.phase, task.deadline = Phase.SHOW, now + task.terms.reveal_seconds
        return LabelsDemanded(task.terms.task, RoundId(task.round), task.deadline)

    def _want_proof(self, now: int, task: Task) -> ModeEvent:
        play = self._plays[task.terms.task] = Play()
        play.counted = set(task.revealed)
        task.phase, task.deadline = Phase.PROVE, now + task.terms.dispute_seconds
        return ProofWanted(task.terms.task, RoundId(task.round), task.deadline, task.holders(play.counted))

    def _open_reveals(self, now: int, task: Task) -> ChainEvent:
        self._plays[task.terms.task] = Play()
        return super()._open_reveals(now, task)


def _bits(seats: Iterable[int]) -> int:
    """A set of seats as a contract holds it."""
    return sum(1 << number for number in seats)


def _plain(packed: bytes, samples: int) -> bytes:
    """One byte a label, any nibble; refused where labels stand behind the last sample."""
    try:
        return unpack(packed, samples, _ANY_NIBBLE)
    except DecodeError as error:
        raise Refused("market: labels past the samples") from error
