"""`Settlement`: claims in, receipts out, events to follow. The same on every chain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NewType, Protocol, runtime_checkable

from p2pfd.core.claims import Balances, ChainEvent, Claim, MarketTerms, Receipt
from p2pfd.core.ids import Account, TaskId
from p2pfd.errors import ChainError

TxRef = NewType("TxRef", str)


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


class Settlement(Protocol):
    """A chain, seen by one account."""

    @property
    def caps(self) -> Capabilities:
        """What this chain is like."""
        ...

    async def submit(self, claim: Claim) -> TxRef:
        """Send a claim; ChainError only when it could not be sent at all."""
        ...

    async def final(self, ref: TxRef) -> Receipt:
        """Wait until the claim's fate is final: Included, Reverted or Unknown."""
        ...

    def events(self, since: Cursor, task: TaskId) -> AsyncIterator[tuple[Cursor, ChainEvent]]:
        """A task's events after a place in history, in order, for ever."""
        ...

    async def terms(self, task: TaskId) -> MarketTerms | None:
        """The terms that the chain holds a task to; None where there is no such task. Read them before enrolling."""
        ...

    async def account(self, who: Account) -> Balances:
        """Where an account's tokens are."""
        ...


@runtime_checkable
class OnceSettlement(Settlement, Protocol):
    """A settlement that keeps on disk what it was asked for, and carries each named claim out once."""

    async def submit_once(self, intent: str, claim: Claim) -> TxRef:
        """Send a claim under a name. The same name again is the same claim and not sent twice, after a crash either.

        ChainError when the name was given to another claim, or when it could not be sent at all.
        """
        ...
