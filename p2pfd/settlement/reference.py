"""The pure ledger behind the settlement interface: no process, no keys, a clock that is passed in. For tests."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import trio

from p2pfd.core.claims import Balances, Included, MarketTerms, OpenTask, Receipt, Reverted, Unknown
from p2pfd.core.ids import Account, RoundId, TaskId
from p2pfd.core.modes import ModeClaim, ModeEvent, SignedCommitment
from p2pfd.core.spec import NO_ACCOUNT
from p2pfd.incentives.market import Market
from p2pfd.incentives.optimistic import OptimisticMarket
from p2pfd.incentives.sampled import SampledMarket
from p2pfd.incentives.staking import Refused
from p2pfd.settlement import contracts, modes
from p2pfd.settlement.api import Capabilities, Cursor, TxRef

CHAIN_ID = 0
MARKET = NO_ACCOUNT
"""What signed commitments name as their chain and contract here."""


@dataclass(slots=True)
class _Blocks:
    """The blocks of a reference chain: one a claim, their hashes known to all once they are there."""

    number: int = 0

    def hash(self, number: int) -> bytes:
        """The hash of a block that is there."""
        return hashlib.sha256(b"p2pfd reference block %d" % number).digest()


class ReferenceChain:
    """A ledger that several accounts share, with the label market of one mode. Each claim is a block of its own."""

    def __init__(
        self, wallets: Mapping[Account, int], unbond_seconds: int, clock: Callable[[], int], mode: str = "onchain"
    ) -> None:
        """Tokens to begin with, the unbonding delay, and where the time comes from, in Unix seconds."""
        self.mode = mode
        self._blocks = _Blocks()
        self.market = self._market(wallets, unbond_seconds)
        self._clock = clock
        self._receipts: dict[TxRef, Receipt] = {}
        self._history: list[tuple[Cursor, ModeEvent]] = []
        self._seen: dict[TaskId, modes.Ledger] = defaultdict(modes.Ledger)
        self._news = trio.Event()

    def _market(self, wallets: Mapping[Account, int], unbond_seconds: int) -> Market | OptimisticMarket | SampledMarket:
        if self.mode == "optimistic":
            return OptimisticMarket(wallets, unbond_seconds, _signer)
        if self.mode == "sampled":
            return SampledMarket(wallets, unbond_seconds, self._blocks)
        return Market(wallets, unbond_seconds)

    def check(self, claim: ModeClaim) -> None:
        """ChainError for a claim that no contract call of this mode can carry."""
        if self.mode == "onchain":
            contracts.check(claim)  # type: ignore[arg-type]
            return
        task = claim.terms.task if isinstance(claim, OpenTask) else getattr(claim, "task", TaskId(b""))
        modes.call_of(self.mode, claim, self._seen[task])

    def settlement(self, who: Account) -> ReferenceSettlement:
        """The chain as this account uses it."""
        return ReferenceSettlement(self, who)

    def carry_out(self, who: Account, claim: ModeClaim) -> TxRef:
        """Put a claim into the next block."""
        self._blocks.number += 1
        height = self._blocks.number
        ref = TxRef(str(height))
        try:
            events: tuple[ModeEvent, ...] = self.market.apply(self._clock(), who, claim)  # type: ignore[arg-type]
        except Refused as refusal:
            self._receipts[ref] = Reverted(ref, refusal.what)
            return ref
        self._receipts[ref] = Included(ref, height, 0)
        self._history += [(Cursor(height, index), event) for index, event in enumerate(events)]
        for event in events:
            self._seen[event.task].see(event)
        self._news.set()
        self._news = trio.Event()
        return ref

    def receipt(self, ref: TxRef) -> Receipt:
        """What became of a claim."""
        return self._receipts.get(ref, Unknown(ref, "the chain does not know this transaction"))

    async def entry(self, index: int) -> tuple[Cursor, ModeEvent]:
        """One event of the whole history, once it has happened."""
        await trio.lowlevel.checkpoint()
        while index >= len(self._history):
            await self._news.wait()
        return self._history[index]


def _signer(task: TaskId, rnd: RoundId, signed: SignedCommitment) -> Account | None:
    return modes.signer(CHAIN_ID, MARKET, task, rnd, signed)


class _Feed(AsyncIterator[tuple[Cursor, Any]]):
    def __init__(self, chain: ReferenceChain, since: Cursor, task: TaskId) -> None:
        self._chain, self._since, self._task = chain, since, task
        self._read = 0

    async def __anext__(self) -> tuple[Cursor, Any]:
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

    async def submit(self, claim: ModeClaim) -> TxRef:
        """Send a claim; ChainError only when it could not be sent at all."""
        self._chain.check(claim)
        await trio.lowlevel.checkpoint()
        return self._chain.carry_out(self._who, claim)

    async def final(self, ref: TxRef) -> Receipt:
        """The claim's fate."""
        await trio.lowlevel.checkpoint()
        return self._chain.receipt(ref)

    def events(self, since: Cursor, task: TaskId) -> AsyncIterator[tuple[Cursor, Any]]:
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
