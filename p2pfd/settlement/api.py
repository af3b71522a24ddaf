"""`Settlement`: claims in, receipts out, events to follow. The same on every chain, and for every contract of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NewType, Protocol, TypeVar, runtime_checkable

from p2pfd.core.claims import Balances, ChainEvent, Claim, MarketTerms, Receipt
from p2pfd.core.encounter_claims import EncounterClaim, EncounterTerms
from p2pfd.core.encounter_events import EncounterEvent
from p2pfd.core.encounter_papers import Papers
from p2pfd.core.ids import Account, Digest, TaskId
from p2pfd.core.modes import ModeClaim, ModeEvent
from p2pfd.errors import ChainError
from p2pfd.incentives.encounter_registry import Seat
from p2pfd.incentives.encounter_state import Phase

TxRef = NewType("TxRef", str)
AnyClaim = ModeClaim | EncounterClaim
AnyEvent = ModeEvent | EncounterEvent
_Claim = TypeVar("_Claim", contravariant=True)
_Event = TypeVar("_Event", covariant=True)


class ChainAwayError(ChainError):
    """No chain answers; it may later."""


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the chain's history: events up to and with this one have been seen."""

    block: int
    index: int


GENESIS = Cursor(-1, -1)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a chain is like."""

    profile: str
    chain_id: int
    finality: int
    """Blocks on top before an inclusion counts as final."""
    live: bool
    """True when the funds are not throw-away: then commands ask before they spend."""
    block_seconds: float


@dataclass(frozen=True, slots=True)
class ChainTime:
    """The newest block, and its second: what deadlines are measured by."""

    block: int
    seconds: int


@dataclass(frozen=True, slots=True)
class TaskState:
    """How far a task is on the chain, and whose it is."""

    requester: Account
    gathering: bool
    """Whether workers can still enrol."""
    over: bool
    round: int
    deadline: int
    """The second at which the present phase ends."""
    taken: int
    """How many seats are taken."""


class Desk(Protocol[_Claim, _Event]):
    """One contract on one chain, seen by one account: what all contracts have in common."""

    @property
    def caps(self) -> Capabilities:
        """What this chain is like."""
        ...

    async def submit(self, claim: _Claim) -> TxRef:
        """Send a claim; ChainError only when it could not be sent at all."""
        ...

    async def final(self, ref: TxRef) -> Receipt:
        """Wait until the claim's fate is final: Included, Reverted or Unknown."""
        ...

    def events(self, since: Cursor, task: TaskId | None = None) -> AsyncIterator[tuple[Cursor, _Event]]:
        """What the contract tells after a place in history, of one task or of all, in order, for ever."""
        ...

    async def account(self, who: Account) -> Balances:
        """Where an account's tokens are."""
        ...


class Settlement(Desk[Claim, ChainEvent], Protocol):
    """A label market."""

    async def terms(self, task: TaskId) -> MarketTerms | None:
        """The terms that the chain holds a task to; None where there is no such task. Read them before enrolling."""
        ...


@runtime_checkable
class OnceDesk(Desk[_Claim, _Event], Protocol[_Claim, _Event]):
    """One that keeps on disk what it was asked for, and carries each named claim out once."""

    async def submit_once(self, intent: str, claim: _Claim) -> TxRef:
        """Send a claim under a name. The same name again is the same claim and not sent twice, after a crash either.

        ChainError when the name was given to another claim, or when it could not be sent at all.
        """
        ...


# -- encounters --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EncounterRules:
    """To what a contract of encounters was set up, for ever."""

    bond: int
    """What a seat costs."""
    threshold: int
    """What a learner and a neighbor must have free to begin anything."""
    longest: int
    """Seconds that an encounter may last."""
    unbond_seconds: int


@dataclass(frozen=True, slots=True)
class LaneState:
    """How a learner's lane stands. Its next nonce is known while it is idle; the ballot has two bits a place."""

    phase: Phase
    nonce: int | None
    ballot: int


@dataclass(frozen=True, slots=True)
class Draw:
    """Whom a draw finds, and the block whose hash it takes; fewer than the committee's size make it void."""

    seats: tuple[int, ...]
    block: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What both parties agreed on, and the encounter's name: the hash of that with the check-in."""

    terms: EncounterTerms
    name: bytes


class EncounterSettlement(Desk[EncounterClaim, EncounterEvent], Protocol):
    """A contract of encounters. Its events are of no task: they are one stream, in which a key names an encounter."""

    @property
    def papers(self) -> Papers:
        """What is signed for this contract on this chain."""
        ...

    async def now(self) -> ChainTime:
        """The chain's time."""
        ...

    async def rules(self) -> EncounterRules:
        """To what the contract was set up."""
        ...

    async def seats(self) -> tuple[Seat | None, ...]:
        """The bonded validators, by seat; None for a hole."""
        ...

    async def lane(self, learner: Account, lane: int = 0) -> LaneState:
        """How a learner's lane stands now."""
        ...

    async def ready(self, who: Account) -> int:
        """The second from which on what unbonds can be withdrawn."""
        ...

    async def opening(self, key: int) -> Opening:
        """What was opened under a key; ChainError where nothing was, or what cannot be read."""
        ...

    async def answer(self, key: int) -> Digest:
        """The hash after that was reported or settled under a key; ChainError where none was, or it cannot be read."""
        ...

    async def drawn(self, terms: EncounterTerms, name: bytes, where: int) -> Draw:
        """Whom a draw in the next block would find, for an open encounter; ChainError before there can be one."""
        ...
