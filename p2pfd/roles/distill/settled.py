"""Distillation that settles on a chain: the chain rules on the phases, counts and pays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2pfd.core.canonical import Plain
from p2pfd.core.claims import (
    Advance,
    BondForfeited,
    ChainEvent,
    Claim,
    CommitLabels,
    Deposit,
    Enrol,
    Enrolled,
    Included,
    LabelsCommitted,
    LabelsRevealed,
    RevealLabels,
    RevealsClosed,
    RevealsOpened,
    RoundOpened,
    RoundSettled,
    SettleRound,
    TaskClosed,
    TaskOpened,
    Unknown,
    WorkerPaid,
    WorkerSuspended,
)
from p2pfd.core.effects import CancelTimer, Effect, Emit, Publish, SetTimer, Submit
from p2pfd.core.events import ChainSaw, Restored, Settled, Started, TimerFired
from p2pfd.core.ids import Amount
from p2pfd.core.ticks import SECOND, Tick, after
from p2pfd.roles.distill.held import MOST_ROUNDS, RoundEvent, from_plain, of_round, to_plain
from p2pfd.roles.distill.round import DistillRound
from p2pfd.roles.distill.seat import Phase

ADVANCE = "advance"
SETTLE = "settle"
ENTER = "enter"
CLAIM = "claim"
CLAIM_AGAIN = 5 * SECOND
"""A chain that could not be reached is asked again so much later: to let this node in, or to take what binds it."""
SLACK = 1 * SECOND
"""How long after a deadline the first node asks for the timed exit: the chain's clock may lag a little."""
STAGGER = 2 * SECOND
"""Anyone may settle and advance. Nodes take turns, so far apart, so that one transaction does and nobody is needed."""
PATIENCE = 8
"""A timed exit that the chain has refused so often is told of."""
RARELY = 600 * SECOND
"""It is asked for again after twice as long each time, for a refusal may cost gas; but never later than this."""


class SettledDistill(DistillRound):
    """The chain's events are the referee. This node claims, watches, and does what anyone may when its turn comes."""

    __slots__ = ("attempts", "enrolments", "held", "stage")
    kind = "distill.settled"

    def __init__(self, *args: object, **keywords: object) -> None:
        super().__init__(*args, **keywords)  # type: ignore[arg-type]
        self.stage = "new"
        """The chain's phase as this node last saw it: it names intents, and drops what is seen twice."""
        self.held: list[RoundEvent | TaskClosed] = []
        """What the chain said of later rounds while this node still learns from the present one, in its order."""
        self.enrolments = 0
        self.attempts = 0
        """How often the chain has answered to this stage's timed exit. It names the next one."""

    def _state(self) -> dict[str, Plain]:
        return {
            **super()._state(),
            "stage": self.stage,
            "held": [to_plain(saw) for saw in self.held],
            "enrolments": self.enrolments,
            "attempts": self.attempts,
        }

    def _fill(self, value: Mapping[str, Any]) -> None:
        super()._fill(value)
        self.stage = str(value["stage"])
        self.held = [from_plain(self.seat.task, saw) for saw in value["held"]]
        self.enrolments = int(value["enrolments"])
        self.attempts = int(value["attempts"])

    # -- entering ------------------------------------------------------------------------------------------------------

    def _on_started(self, now: Tick, event: Started) -> list[Effect]:
        return [*self._greet(), *self._enter()]

    def _enter(self) -> list[Effect]:
        if self.seat.bond:
            return [Submit("deposit", Deposit(Amount(self.seat.bond)))]
        return self._enrol()

    def _on_restored(self, now: Tick, event: Restored) -> list[Effect]:
        if self.stage == "new":
            return self._on_started(now, Started())
        effects = [*self._resume(), *self._claims()]
        if self.stage in ("gather", "commits", "reveals"):
            effects.append(SetTimer(ADVANCE, after(now, STAGGER)))
        elif self.stage == "settle":
            effects.append(SetTimer(SETTLE, after(now, STAGGER)))
        return effects

    def _claims(self) -> list[Effect]:
        """What this node wants of the chain as it stands: a commitment or a reveal that may not have got through."""
        if self.phase is Phase.COMMIT:
            return [self._claim("commit", CommitLabels(self.seat.task, self.round, self.bound()))]
        return self._show_chain() if self.phase is Phase.REVEAL else []

    def _enrol(self) -> list[Effect]:
        self.enrolments += 1
        return [Submit(f"enrol/{self.enrolments}", Enrol(self.seat.task))]

    def _on_settled(self, now: Tick, event: Settled) -> list[Effect]:
        accepted = isinstance(event.receipt, Included)
        if not isinstance(event.receipt, Unknown) and event.intent in (self._exit(ADVANCE), self._exit(SETTLE)):
            self.attempts += 1
        if event.intent == "deposit" and accepted:
            return self._enrol()
        if accepted:
            return []
        why = getattr(event.receipt, "reason", "")
        told = self.tell("claim.refused", intent=event.intent, why=why)
        if not isinstance(event.receipt, Unknown) or self.phase is Phase.OVER:
            return [told]
        kind = event.intent.partition("/")[0]
        if kind in ("deposit", "enrol"):
            return [told, SetTimer(ENTER, after(now, CLAIM_AGAIN))]
        if kind in ("commit", "reveal"):
            return [told, SetTimer(CLAIM, after(now, CLAIM_AGAIN))]
        return [told]

    # -- the chain rules -----------------------------------------------------------------------------------------------

    def _on_chain(self, now: Tick, event: ChainSaw) -> list[Effect]:
        saw = event.event
        if self.phase is Phase.ABSORB and (isinstance(saw, TaskClosed) or of_round(saw, after=self.round)):
            self._hold(saw)
            return []
        return self._see(now, saw)

    def _hold(self, saw: RoundEvent | TaskClosed) -> None:
        """Keep it until the present round is learnt; when too much has piled up, skip the oldest round of it."""
        self.held.append(saw)
        rounds = {known.round for known in self.held if not isinstance(known, TaskClosed)}
        if len(rounds) > MOST_ROUNDS:
            oldest = min(rounds)
            self.held = [known for known in self.held if isinstance(known, TaskClosed) or known.round != oldest]

    def _see(self, now: Tick, saw: ChainEvent) -> list[Effect]:
        match saw:
            case TaskOpened():
                if self.stage != "new":
                    return []
                self.stage = "gather"
                return [self._turn(ADVANCE, Tick(saw.deadline * SECOND + SLACK))]
            case Enrolled():
                return [Emit("task.enrolled", {"account": saw.worker, "seats_taken": saw.seats_taken})]
            case RoundOpened():
                return self._round_opened(now, saw)
            case TaskClosed():
                if self.phase is Phase.OVER:
                    return []
                return [CancelTimer(ADVANCE), CancelTimer(SETTLE), *self.conclude()]
            case WorkerSuspended():
                effects: list[Effect] = [self.tell("worker.suspended", account=saw.worker)]
                mine = saw.worker == self.seat.account and saw.round + 1 < self.seat.rounds
                return [*effects, *self._enrol()] if mine else effects
            case BondForfeited():
                return [self.tell("bond.forfeited", account=saw.worker, amount=saw.amount)]
            case WorkerPaid():
                return [Emit("round.paid", _payment(saw))]
            case _:
                return self._in_round(now, saw) if saw.round == self.round and self._plays() else []

    def _plays(self) -> bool:
        """Whether a round has been opened and the task is not over."""
        return self.stage not in ("new", "gather") and self.phase is not Phase.OVER

    def _in_round(
        self, now: Tick, saw: LabelsCommitted | RevealsOpened | LabelsRevealed | RevealsClosed | RoundSettled
    ) -> list[Effect]:
        match saw:
            case LabelsCommitted():
                self.ballot.chain_commit(saw.worker, saw.round, saw.commitment)
                have = len(self.ballot.book(saw.round).commitments)
                return [self.tell("round.committed", have=have, of=len(self.workers))]
            case RevealsOpened():
                return self._reveals_opened(now, saw)
            case LabelsRevealed():
                self.ballot.chain_reveal(saw.worker, saw.round, saw.labels)
                have = len(self.ballot.book(saw.round).labels)
                return [self.tell("round.revealed", have=have, of=len(self.ballot.book(saw.round).commitments))]
            case RevealsClosed():
                return self._reveals_closed(now, saw)
            case RoundSettled():
                return self._round_settled(saw)

    def _round_opened(self, now: Tick, saw: RoundOpened) -> list[Effect]:
        first = self.stage in ("new", "gather")
        if self.phase is Phase.OVER or (not first and saw.round <= self.round):
            return []
        self.stage = "commits"
        self.attempts = 0
        effects = self.begin(saw.round, saw.workers)
        return [*effects, CancelTimer(SETTLE), self._turn(ADVANCE, Tick(saw.deadline * SECOND + SLACK))]

    def _studied(self, now: Tick, labels: bytes) -> list[Effect]:
        if self.stage != "commits":
            self.phase = Phase.WATCH
            return [self.tell("round.late")]
        _, effects = self.bind(labels)
        return [*effects, *self._claims()]

    def _reveals_opened(self, now: Tick, saw: RevealsOpened) -> list[Effect]:
        if self.stage != "commits":
            return []
        self.stage = "reveals"
        self.attempts = 0
        turn = self._turn(ADVANCE, Tick(saw.deadline * SECOND + SLACK))
        if self.seat.account not in saw.committed or not self.labels:
            self.phase = Phase.WATCH
            return [turn]
        return [Publish(self.show()), *self._show_chain(), turn]

    def _show_chain(self) -> list[Effect]:
        mine = self._reveal()
        claim = RevealLabels(self.seat.task, self.round, mine.salt, mine.labels)
        return [self._claim("reveal", claim)]

    def _reveals_closed(self, now: Tick, saw: RevealsClosed) -> list[Effect]:
        if self.stage not in ("commits", "reveals"):
            return []
        self.stage = "settle"
        self.attempts = 0
        effects: list[Effect] = [CancelTimer(ADVANCE)]
        effects += self._settle() if self._rank() == 0 else [self._turn(SETTLE, now)]
        return [*effects, *self.close(saw.counted)]

    def _round_settled(self, saw: RoundSettled) -> list[Effect]:
        if self.stage == "settled":
            return []
        self.stage = "settled"
        effects: list[Effect] = [
            CancelTimer(SETTLE),
            CancelTimer(ADVANCE),
            self.tell("round.settled", counted=saw.counted, paid=saw.paid, refunded=saw.refunded),
        ]
        if not saw.counted and self.phase is not Phase.ABSORB:
            self.phase = Phase.REST
            effects.append(self.tell("round.short", votes=0, quorum=self.seat.quorum))
        return effects

    def _rested(self, now: Tick) -> list[Effect]:
        effects: list[Effect] = []
        while self.held and self.phase is not Phase.ABSORB:
            effects += self._see(now, self.held.pop(0))
        return effects

    # -- what anyone may do, in turns ----------------------------------------------------------------------------------

    def _on_timer(self, now: Tick, event: TimerFired) -> list[Effect]:
        if event.name == ENTER:
            return [] if self.phase is Phase.OVER else self._enter()
        if event.name == CLAIM:
            return self._claims()
        stages = ("gather", "commits", "reveals") if event.name == ADVANCE else ("settle",)
        if self.stage not in stages:
            return []
        stuck = self.attempts >= PATIENCE
        told = [self.tell("chain.stuck", stage=self.stage)] if stuck else []
        # The same name until the chain has answered: while it is away, this is one claim, however often it is made.
        claim = Advance(self.seat.task) if event.name == ADVANCE else SettleRound(self.seat.task, self.round)
        pause = min(RARELY, STAGGER * max(1, len(self.workers)) << min(self.attempts, PATIENCE))
        return [*told, Submit(self._exit(event.name), claim), SetTimer(event.name, after(now, pause))]

    def _exit(self, kind: str) -> str:
        """What the next attempt at a timed exit is called."""
        stage = f"{self.stage}/" if kind == ADVANCE else ""
        return f"{kind}/{stage}{self.round}/{self.attempts + 1}"

    def _settle(self) -> list[Effect]:
        return [Submit(self._exit(SETTLE), SettleRound(self.seat.task, self.round))]

    def _rank(self) -> int:
        """Whose turn this node's is in this round: each round another one's is first."""
        workers = self.workers
        if self.seat.account not in workers:
            return len(workers)
        return (workers.index(self.seat.account) - self.round) % len(workers)

    def _turn(self, timer: str, first: Tick) -> Effect:
        return SetTimer(timer, after(first, STAGGER * self._rank()))

    def _claim(self, kind: str, claim: Claim) -> Effect:
        return Submit(f"{kind}/{self.round}/1", claim)


def _payment(saw: WorkerPaid) -> dict[str, int | str]:
    return {"round": saw.round, "account": saw.worker, "score": saw.score, "amount": saw.amount}
