"""The pure ledger behind the settlement interface: no process, no keys, a clock that is passed in. For tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

import trio

from p2pfd.core.claims import Balances, ChainEvent, Claim, Included, MarketTerms, Receipt, Reverted, Unknown
from p2pfd.core.ids import Account, TaskId
from p2pfd.incentives.market import Market
from p2pfd.incentives.staking import Refused
from p2pfd.settlement import contracts
from p2pfd.settlement.api import Capabilities, Cursor, TxRef


class ReferenceChain:
    """A ledger that several accounts share. Each claim is a block of its own."""

    def __init__(self, wallets: Mapping[Account, int], unbond_seconds: int, clock: Callable[[], int]) -> None:
        """Tokens to begin with, the unbonding delay, and where the time comes from, in Unix seconds."""
        self.market = Market(wallets, unbond_seconds)
        self._clock = clock
        self._height = 0
        self._receipts: dict[TxRef, Receipt] = {}
        self._history: list[tuple[Cursor, ChainEvent]] = []
        self._news = trio.Event()

    def settlement(self, who: Account) -> ReferenceSettlement:
        """The chain as this account uses it."""
        return ReferenceSettlement(self, who)

    def carry_out(self, who: Account, claim: Claim) -> TxRef:
        """Put a claim into the next block."""
        self._height += 1
        ref = TxRef(str(self._height))
        try:
            events = self.market.apply(self._clock(), who, claim)
        except Refused as refusal:
            self._receipts[ref] = Reverted(ref, refusal.what)
            return ref
        self._receipts[ref] = Included(ref, self._height, 0)
        self._history += [(Cursor(self._height, index), event) for index, event in enumerate(events)]
        self._news.set()
        self._news = trio.Event()
        return ref

    def receipt(self, ref: TxRef) -> Receipt:
        """What became of a claim."""
        return self._receipts.get(ref, Unknown(ref, "the chain does not know this transaction"))

    async def entry(self, index: int) -> tuple[Cursor, ChainEvent]:
        """One event of the whole history, once it has happened."""
        await trio.lowlevel.checkpoint()
        while index >= len(self._history):
            await self._news.wait()
        return self._history[index]


class _Feed(AsyncIterator[tuple[Cursor, ChainEvent]]):
    def __init__(self, chain: ReferenceChain, since: Cursor, task: TaskId) -> None:
        self._chain, self._since, self._task = chain, since, task
        self._read = 0

    async def __anext__(self) -> tuple[Cursor, ChainEvent]:
        while True:
            cursor, event = await self._chain.entry(self._read)
            self._read += 1
            if cursor > self._since and event.task == self._task:
                return cursor, event


class ReferenceSettlement:
    """`p2pfd.settlement.api.Settlement` over a `ReferenceChain`."""

    def __init__(self, chain: ReferenceChain, who: Account) -> None:
        self._chain = chain
        self._who = who

    @property
    def caps(self) -> Capabilities:
        """What this chain is like."""
        return Capabilities("reference", 0, finality=0, live=False, block_seconds=0.0)

    async def submit(self, claim: Claim) -> TxRef:
        """Send a claim; ChainError only when it could not be sent at all."""
        contracts.check(claim)
        await trio.lowlevel.checkpoint()
        return self._chain.carry_out(self._who, claim)

    async def final(self, ref: TxRef) -> Receipt:
        """The claim's fate."""
        await trio.lowlevel.checkpoint()
        return self._chain.receipt(ref)

    def events(self, since: Cursor, task: TaskId) -> AsyncIterator[tuple[Cursor, ChainEvent]]:
        """A task's events after a place in history, in order, for ever."""
        return _Feed(self._chain, since, task)

    async def account(self, who: Account) -> Balances:
        """Where an account's tokens are."""
        await trio.lowlevel.checkpoint()
        return self._chain.market.balances(who)

    async def terms(self, task: TaskId) -> MarketTerms | None:
        """The terms that a task is held to; None where there is no such task."""
        await trio.lowlevel.checkpoint()
        found = self._chain.market.task(task)
        return None if found is None else found.terms
