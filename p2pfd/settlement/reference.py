"""The pure ledgers behind the settlement interface: no process, no keys, a clock that is passed in. For tests."""

from __future__ import annotations

import copy
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import trio

from p2pfd.core import encounter_where as where_
from p2pfd.core.claims import Balances, Included, MarketTerms, Receipt, Reverted, Unknown
from p2pfd.core.encounter_claims import EncounterClaim, EncounterTerms
from p2pfd.core.encounter_events import Opened, Reported, Settled
from p2pfd.core.encounter_papers import Papers
from p2pfd.core.ids import Account, Amount, Digest, RoundId, TaskId
from p2pfd.core.modes import ModeClaim, SignedCommitment
from p2pfd.core.spec import NO_ACCOUNT
from p2pfd.errors import ChainError
from p2pfd.incentives.encounter_registry import Seat
from p2pfd.incentives.encounter_state import Lane, Moment, Phase
from p2pfd.incentives.encounters import Encounters
from p2pfd.incentives.market import Market
from p2pfd.incentives.optimistic import OptimisticMarket
from p2pfd.incentives.sampled import SampledMarket
from p2pfd.incentives.staking import Refused, Wallets
from p2pfd.settlement import encounters, modes
from p2pfd.settlement.api import (
    AnyClaim,
    AnyEvent,
    Capabilities,
    ChainTime,
    Cursor,
    Draw,
    EncounterRules,
    LaneState,
    Opening,
    TxRef,
)
from p2pfd.settlement.encounter_calls import answer_in, opening_in, untold
from p2pfd.settlement.kinds import ENCOUNTERS, KINDS, Kind

CHAIN_ID = 0
MARKET = NO_ACCOUNT
"""What signatures name as their chain and market here."""
ENCOUNTERS_AT = Account("0x" + "0" * 39 + "1")
"""And as their contract of encounters."""
RULES = EncounterRules(bond=10**8, threshold=10**7, longest=3_600, unbond_seconds=86_400)
C = TypeVar("C", bound=AnyClaim)


@dataclass(slots=True)
class _Blocks:
    """The blocks of a reference chain: one a claim, their hashes known to all once they are there."""

    number: int = 0

    def hash(self, number: int) -> bytes:
        """The hash of a block that is there."""
        return hashlib.sha256(b"p2pfd reference block %d" % number).digest()


class _Book:
    """One contract: its ledger, and what it has told."""

    def __init__(self, kind: Kind, apply: Callable[[Account, Any], tuple[AnyEvent, ...]]) -> None:
        self.kind = kind
        self.apply = apply
        self.history: list[tuple[Cursor, AnyEvent]] = []
        self._seen: dict[TaskId, modes.Ledger] = defaultdict(modes.Ledger)

    def check(self, claim: AnyClaim) -> None:
        """ChainError for a claim that no contract call can carry."""
        self.kind.call_of(claim, self._seen[getattr(claim, "task", TaskId(b""))])

    def told(self, height: int, events: tuple[AnyEvent, ...]) -> None:
        """Keep what a claim brought about."""
        self.history += [(Cursor(height, index), event) for index, event in enumerate(events)]
        if self.kind.tasks:
            for event in events:
                self._seen[event.task].see(event)  # type: ignore[union-attr, arg-type]


class ReferenceChain:
    """A token, label markets and encounters, shared by several accounts. Each claim is a block of its own."""

    def __init__(
        self,
        wallets: Mapping[Account, int],
        unbond_seconds: int,
        clock: Callable[[], int],
        mode: str = "onchain",
        rules: EncounterRules = RULES,
    ) -> None:
        """Tokens to begin with, the unbonding delay of markets, and where the time comes from, in Unix seconds.

        The mode is that of the market that `settlement` means; the rules are those of encounters.
        """
        self.mode = mode
        self.rules = rules
        self._wallets = Wallets(wallets)
        self._unbond_seconds = unbond_seconds
        self._clock = clock
        self._blocks = _Blocks()
        self._receipts: dict[TxRef, Receipt] = {}
        self._named: dict[tuple[Account, str], tuple[_Book, AnyClaim, TxRef]] = {}
        self._news = trio.Event()
        self._markets: dict[str, Market | OptimisticMarket | SampledMarket] = {}
        self.papers = encounters.papers(CHAIN_ID, ENCOUNTERS_AT)
        self.played = Encounters(
            self._wallets,
            self.papers,
            encounters.signer,
            rules.unbond_seconds,
            rules.longest,
            rules.bond,
            rules.threshold,
        )
        """All encounters, to look at."""
        self.calls: dict[tuple[bool, int], tuple[Account, bytes]] = {}
        """By which call each encounter was opened, and by which it got its answer."""
        self._books = {ENCOUNTERS.name: _Book(ENCOUNTERS, self._play)}
        self.market = self.market_of(mode)
        """The market of the chain's own mode, to look at."""

    def _play(self, who: Account, claim: EncounterClaim) -> tuple[AnyEvent, ...]:
        events = self.played.apply(self.moment(), who, claim)
        for event in events:
            if isinstance(event, (Opened, Reported, Settled)):
                self.calls.setdefault((isinstance(event, Opened), event.key), (who, encounters.call_of(claim)))
        return events

    def moment(self, later: int = 0) -> Moment:
        """When the block is made that is being made, or a later one."""
        return Moment(self._clock(), self._blocks.number + later, self._blocks.hash)

    def market_of(self, mode: str) -> Market | OptimisticMarket | SampledMarket:
        """The market of a mode. It shares the token with the others, and nothing else."""
        if mode not in self._markets:
            market = self._markets[mode] = self._made(mode)
            self._books[mode] = _Book(
                KINDS[mode],
                lambda who, claim: market.apply(self._clock(), who, claim),
            )
        return self._markets[mode]

    def _made(self, mode: str) -> Market | OptimisticMarket | SampledMarket:
        if mode == "optimistic":
            return OptimisticMarket(self._wallets, self._unbond_seconds, _signer)
        if mode == "sampled":
            return SampledMarket(self._wallets, self._unbond_seconds, self._blocks)
        return Market(self._wallets, self._unbond_seconds)

    def settlement(self, who: Account, mode: str | None = None) -> ReferenceSettlement:
        """A label market as this account uses it: the chain's own, unless another mode is named."""
        return ReferenceSettlement(self, who, self.market_of(self.mode if mode is None else mode), mode or self.mode)

    def encounters(self, who: Account) -> ReferenceEncounters:
        """Encounters as this account uses them."""
        return ReferenceEncounters(self, who, ENCOUNTERS.name)

    def book(self, name: str) -> _Book:
        """A contract's book."""
        return self._books[name]

    def carry_out(self, who: Account, book: _Book, claim: AnyClaim) -> TxRef:
        """Put a claim into the next block."""
        self._blocks.number += 1
        height = self._blocks.number
        ref = TxRef(str(height))
        try:
            events = book.apply(who, claim)
        except Refused as refusal:
            self._receipts[ref] = Reverted(ref, refusal.what)
            return ref
        self._receipts[ref] = Included(ref, height, 0)
        book.told(height, events)
        self._news.set()
        self._news = trio.Event()
        return ref

    def carry_out_once(self, who: Account, book: _Book, intent: str, claim: AnyClaim) -> TxRef:
        """Put a claim into the next block, unless one of this name of this account's is in a block already."""
        held = self._named.get((who, intent))
        if held is None:
            held = self._named[who, intent] = book, claim, self.carry_out(who, book, claim)
        if held[:2] != (book, claim):
            raise ChainError(f"the intent {intent!r} is another claim's", "give every claim a name of its own")
        return held[2]

    def receipt(self, ref: TxRef) -> Receipt:
        """What became of a claim."""
        return self._receipts.get(ref, Unknown(ref, "the chain does not know this transaction"))

    def time(self) -> ChainTime:
        """The chain's time."""
        return ChainTime(self._blocks.number, self._clock())

    async def entry(self, book: _Book, index: int) -> tuple[Cursor, AnyEvent]:
        """One event of a contract's whole history, once it has happened."""
        await trio.lowlevel.checkpoint()
        while index >= len(book.history):
            await self._news.wait()
        return book.history[index]


def _signer(task: TaskId, rnd: RoundId, signed: SignedCommitment) -> Account | None:
    return modes.signer(CHAIN_ID, MARKET, task, rnd, signed)


class _Feed(AsyncIterator[tuple[Cursor, Any]]):
    def __init__(self, chain: ReferenceChain, book: _Book, since: Cursor, task: TaskId | None) -> None:
        self._chain, self._book, self._since, self._task = chain, book, since, task
        self._read = 0

    async def __anext__(self) -> tuple[Cursor, Any]:
        while True:
            cursor, event = await self._chain.entry(self._book, self._read)
            self._read += 1
            if cursor > self._since and self._task in (None, getattr(event, "task", None)):
                return cursor, event


class _Desk(Generic[C]):
    """`p2pfd.settlement.api.Desk` over a `ReferenceChain`."""

    def __init__(self, chain: ReferenceChain, who: Account, name: str) -> None:
        self._chain = chain
        self._who = who
        self._book = chain.book(name)

    @property
    def caps(self) -> Capabilities:
        """What this chain is like."""
        return Capabilities("reference", CHAIN_ID, finality=0, live=False, block_seconds=0.0)

    async def submit(self, claim: C) -> TxRef:
        """Send a claim; ChainError only when it could not be sent at all."""
        self._book.check(claim)
        await trio.lowlevel.checkpoint()
        return self._chain.carry_out(self._who, self._book, claim)

    async def submit_once(self, intent: str, claim: C) -> TxRef:
        """Send a claim under a name; the same name again is the same claim, and not sent twice."""
        self._book.check(claim)
        await trio.lowlevel.checkpoint()
        return self._chain.carry_out_once(self._who, self._book, intent, claim)

    async def final(self, ref: TxRef) -> Receipt:
        """The claim's fate."""
        await trio.lowlevel.checkpoint()
        return self._chain.receipt(ref)

    def events(self, since: Cursor, task: TaskId | None = None) -> AsyncIterator[tuple[Cursor, Any]]:
        """What the contract tells after a place in history, of one task or of all, in order, for ever."""
        self._book.kind.check_task(task)
        return _Feed(self._chain, self._book, since, task)

    async def now(self) -> ChainTime:
        """The chain's time."""
        await trio.lowlevel.checkpoint()
        return self._chain.time()


class ReferenceSettlement(_Desk[ModeClaim]):
    """`p2pfd.settlement.api.Settlement` over a `ReferenceChain`: the label market of any mode."""

    def __init__(
        self, chain: ReferenceChain, who: Account, market: Market | OptimisticMarket | SampledMarket, name: str
    ) -> None:
        super().__init__(chain, who, name)
        self._market = market

    async def account(self, who: Account) -> Balances:
        """Where an account's tokens are."""
        await trio.lowlevel.checkpoint()
        return self._market.balances(who)

    async def terms(self, task: TaskId) -> MarketTerms | None:
        """The terms that a task is held to; None where there is no such task."""
        await trio.lowlevel.checkpoint()
        found = self._market.task(task)
        return None if found is None else found.terms


class ReferenceEncounters(_Desk[EncounterClaim]):
    """`p2pfd.settlement.api.EncounterSettlement` over a `ReferenceChain`."""

    @property
    def papers(self) -> Papers:
        """What is signed here."""
        return self._chain.papers

    async def account(self, who: Account) -> Balances:
        """Where an account's tokens are; what is in its seats is locked. What is in escrow is nobody's yet."""
        held = self._chain.played.balances(who)
        mine = [seat.balance for seat in await self.seats() if seat is not None and seat.holder == who]
        return Balances(held.wallet, held.free, Amount(sum(mine)), held.unbonding)

    async def ready(self, who: Account) -> int:
        """The second from which on what unbonds can be withdrawn."""
        await trio.lowlevel.checkpoint()
        return self._chain.played.purse.ready(who)

    async def rules(self) -> EncounterRules:
        """To what the contract was set up."""
        await trio.lowlevel.checkpoint()
        return self._chain.rules

    async def seats(self) -> tuple[Seat | None, ...]:
        """The bonded validators, by seat; None for a hole."""
        await trio.lowlevel.checkpoint()
        return tuple(copy.deepcopy(self._chain.played.registry.seats))

    async def lane(self, learner: Account, lane: int = 0) -> LaneState:
        """How a learner's lane stands now."""
        await trio.lowlevel.checkpoint()
        held = self._chain.played.lanes.get((learner, lane), Lane())
        return LaneState(held.phase, held.nonce if held.phase == Phase.IDLE else None, held.ballot)

    async def opening(self, key: int) -> Opening:
        """What was opened under a key."""
        await trio.lowlevel.checkpoint()
        sender, call = self._chain.calls.get((True, key), (NO_ACCOUNT, b""))
        found = opening_in(call, sender, key, self.papers)
        if found is None:
            raise untold("opens", key)
        return found

    async def answer(self, key: int) -> Digest:
        """The hash after that was reported or settled under a key."""
        await trio.lowlevel.checkpoint()
        _, call = self._chain.calls.get((False, key), (NO_ACCOUNT, b""))
        found = answer_in(call, key)
        if found is None:
            raise untold("gives an answer in", key)
        return found

    async def drawn(self, terms: EncounterTerms, name: bytes, where: int) -> Draw:
        """Whom a draw in the next block would find, for an open encounter; ChainError before there can be one."""
        await trio.lowlevel.checkpoint()
        if not where_.seats_then(where):
            raise ChainError("nobody can be drawn for an encounter that is not open", "look at its events")
        *found, block = self._chain.played.drawn(self._chain.moment(later=1), terms, name, where)
        return Draw(tuple(found), block)
