"""An encounter through the settlement interface, on the pure ledger and on a chain in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import trio

from p2pfd.core import encounter_where as where_
from p2pfd.core.claims import Balances, Deposit, Included, OpenTask, Reverted, Unstake
from p2pfd.core.encounter_claims import (
    CheckIn,
    CloseEncounter,
    DrawCommittee,
    EncounterClaim,
    EncounterTerms,
    Join,
    Leave,
    OpenEncounter,
    OpenMany,
    ReportResult,
    RevealVote,
    SettleEncounter,
    SettleMany,
    SignedOpening,
)
from p2pfd.core.encounter_events import Defaulted, Drawn, Opened, Reported, Revealed, SeatTaken, Settled
from p2pfd.core.ids import Amount, Digest, TaskId
from p2pfd.core.spec import ChainSpec
from p2pfd.errors import ChainError
from p2pfd.incentives.encounter_state import Phase
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import GENESIS, EncounterRules, EncounterSettlement, LaneState, Opening
from p2pfd.settlement.deploy import deploy, deploy_also, transfer
from p2pfd.settlement.embedded.ledger import Ledger
from p2pfd.settlement.embedded.methods import Methods
from p2pfd.settlement.embedded.store import Store
from p2pfd.settlement.encounters import Seal
from p2pfd.settlement.evm import EvmSettlement
from p2pfd.settlement.evm_encounters import EvmEncounters
from p2pfd.settlement.kinds import ENCOUNTERS, market_at
from p2pfd.settlement.reference import ReferenceChain
from p2pfd.settlement.sender import Sender
from p2pfd.settlement.watch import Watcher
from p2pfd.testing.settlement import terms as market_terms
from tests.contracts.chain import BOSS, CHAIN_ID, key
from tests.unit.settlement.test_evm import CAPS, Direct

LEARNER, NEIGHBOR, *VALIDATORS = KEYS = [key(number) for number in range(1, 6)]
RULES = EncounterRules(bond=1_000, threshold=200, longest=5_000, unbond_seconds=10_000)
FUNDS, FREE, PREPAYMENT = 10_000, 2_000, 600
AFTER = b"\3" * 32


@dataclass
class Bench:
    """Everybody's view of one contract."""

    desks: dict[AccountKey, Any]
    market: Any
    skip: Callable[[int], None]


@asynccontextmanager
async def on_reference() -> AsyncIterator[Bench]:
    now = [1_000]
    chain = ReferenceChain({who.account: FUNDS for who in KEYS}, 10_000, lambda: now[0], rules=RULES)

    def skip(seconds: int) -> None:
        now[0] += seconds

    yield Bench({who: chain.encounters(who.account) for who in KEYS}, chain.settlement(LEARNER.account), skip)


@asynccontextmanager
async def on_evm() -> AsyncIterator[Bench]:
    now = [1_000]
    rpc = Direct(Methods(Ledger(Store(None), lambda: now[0], CHAIN_ID, {})))
    spec: ChainSpec = await deploy(rpc, BOSS, 10**9, RULES.unbond_seconds)
    settings = {name: getattr(RULES, name) for name in ("bond", "threshold", "longest", "unbond_seconds")}
    contract = await deploy_also(rpc, BOSS, spec, ENCOUNTERS, settings)
    await transfer(rpc, BOSS, spec, {who.account: FUNDS for who in KEYS})
    watcher = Watcher(rpc, market_at(spec.market), finality=0, interval=0.001)
    senders = {who: Sender(rpc, who, CHAIN_ID) for who in KEYS}

    def skip(seconds: int) -> None:
        now[0] += seconds

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watcher.run)
        desks = {who: EvmEncounters(rpc, watcher, spec, CAPS, who, senders[who], contract) for who in KEYS}
        yield Bench(desks, EvmSettlement(rpc, watcher, spec, CAPS, LEARNER, senders[LEARNER]), skip)
        nursery.cancel_scope.cancel()


@pytest.fixture(params=[on_reference, on_evm], ids=["reference", "evm"])
def bench(request: pytest.FixtureRequest) -> Any:
    return request.param


class Play:
    """One encounter at a time."""

    def __init__(self, bench: Bench) -> None:
        self.at, self.skip = bench.desks, bench.skip
        self.mine: EncounterSettlement = bench.desks[LEARNER]
        self.events = self.mine.events(GENESIS)
        self.seals = {who: Seal(self.mine.papers, who) for who in KEYS}

    async def does(self, who: AccountKey, claim: EncounterClaim) -> Included:
        receipt = await self.at[who].final(await self.at[who].submit(claim))
        assert isinstance(receipt, Included), receipt
        return receipt

    async def refused(self, who: AccountKey, claim: EncounterClaim) -> str:
        receipt = await self.at[who].final(await self.at[who].submit(claim))
        assert isinstance(receipt, Reverted), receipt
        return receipt.reason

    async def until(self, kind: type) -> tuple[int, Any]:
        """The next event of a kind, and its block."""
        async for cursor, event in self.events:
            if isinstance(event, kind):
                return cursor.block, event
        raise AssertionError("the events ended")

    async def begins(self) -> None:
        """Everybody has tokens, and three have seats."""
        for who in KEYS:
            await self.does(who, Deposit(Amount(FREE)))
        for who in VALIDATORS:
            await self.does(who, Join())

    async def opens(self, nonce: int = 0, size: int = 3) -> None:
        now = (await self.mine.now()).seconds
        self.terms = EncounterTerms(
            LEARNER.account,
            NEIGHBOR.account,
            Amount(PREPAYMENT),
            open_by=now + 100,
            learn_by=now + 1_000,
            nonce=nonce,
            vote_seconds=50,
            share=700_000,
            size=size,
        )
        papers = self.mine.papers
        self.details = papers.details(CheckIn(b"\1" * 32, Digest(b"\2" * 32), 5, b"\4" * 32, b"\5" * 32))
        self.name = papers.encounter(self.terms, self.details)
        self.result = papers.result(self.name, AFTER)
        signed = self.seals[NEIGHBOR].terms(self.terms, self.details)
        await self.does(LEARNER, OpenEncounter(self.terms, self.details, signed))
        block, event = await self.until(Opened)
        assert event.key == self.terms.key
        self.where = where_.opened(event.seats, block)

    async def judges(self, seats: Sequence[int]) -> list[AccountKey]:
        of = {who.account: who for who in KEYS}
        held = await self.mine.seats()
        return [of[held[number].holder] for number in seats]  # type: ignore[union-attr]


Made = Callable[[], Any]


async def test_an_encounter_is_settled_at_once_by_all_signatures(bench: Made, autojump_clock: object) -> None:
    async with bench() as on:
        play = Play(on)
        await play.begins()
        await play.opens()
        assert (await play.mine.lane(LEARNER.account)) == LaneState(Phase.OPEN, None, 0)
        draw = await play.mine.drawn(play.terms, play.name, play.where)
        assert sorted(draw.seats) == [0, 1, 2]
        judges = await play.judges(draw.seats)
        openings = [2 * seat + 1 for seat in draw.seats]
        bound = [
            play.mine.papers.commitment(play.result, seat, opening)
            for seat, opening in zip(draw.seats, openings, strict=True)
        ]
        votes = tuple(
            play.seals[who].vote(play.result, bound, opening) for who, opening in zip(judges, openings, strict=True)
        )
        signed = play.seals[NEIGHBOR].result(play.name, AFTER)
        settle = SettleEncounter(play.terms, play.name, play.where, AFTER, signed, votes)
        key = play.terms.key
        assert await play.mine.opening(key) == Opening(play.terms, play.name)
        with pytest.raises(ChainError, match="no call to the contract gives an answer"):
            await play.mine.answer(key)
        with pytest.raises(ChainError, match="no call to the contract opens"):
            await play.mine.opening(key + 1)
        assert await play.refused(LEARNER, replace(settle, after=bytes(32))) == "encounters: not these terms"
        await play.does(VALIDATORS[0], settle)
        _, settled = await play.until(Settled)
        assert await play.mine.answer(key) == AFTER
        assert settled.ballot == 0b101010
        assert settled.neighbor == PREPAYMENT + PREPAYMENT * 7 // 10
        assert await play.mine.lane(LEARNER.account) == LaneState(Phase.IDLE, 1, 0)
        held = await play.mine.account(NEIGHBOR.account)
        assert held == Balances(Amount(FUNDS - FREE), Amount(FREE + 420), Amount(0), Amount(0))
        judged = [await play.mine.account(who.account) for who in VALIDATORS]
        assert sum(each.total for each in judged) + held.total + (
            await play.mine.account(LEARNER.account)
        ).total == FUNDS * len(KEYS)
        assert [each.locked for each in judged] == [1_060] * 3, "the pool's three parts stand in the seats"


async def test_votes_go_one_by_one_and_a_silent_validator_forfeits(bench: Made, autojump_clock: object) -> None:
    async with bench() as on:
        play = Play(on)
        await play.begins()
        await play.opens()
        await play.does(VALIDATORS[2], DrawCommittee(play.terms, play.name, play.where))
        _, drawn = await play.until(Drawn)
        play.where = drawn.where
        seats = [where_.seat(play.where, place) for place in range(3)]
        judges = await play.judges(seats)
        shown = tuple(
            play.seals[who].commitment(play.result, seat, opening=7) for who, seat in zip(judges, seats, strict=True)
        )
        await play.does(
            LEARNER,
            ReportResult(
                play.terms, play.name, play.where, AFTER, play.seals[NEIGHBOR].result(play.name, AFTER), shown
            ),
        )
        _, told = await play.until(Reported)
        assert (await play.mine.lane(LEARNER.account)) == LaneState(Phase.REPORTED, None, 0b010101)
        for place in range(2):
            reveal = RevealVote(play.terms, told.result, told.where, told.bound, place, 7)
            await play.does(judges[place], reveal)
            assert (await play.until(Revealed))[1].key == play.terms.key
        close = CloseEncounter(play.terms, play.mine.papers.bound_result(told.result, told.bound), told.where)
        assert await play.refused(LEARNER, close) == "encounters: too early"
        play.skip(101)
        await play.does(LEARNER, close)
        assert (await play.until(Settled))[1].ballot == 0b011010
        assert await play.mine.answer(play.terms.key) == AFTER, "as it was reported; who closes says it not again"
        assert (await play.mine.account(judges[2].account)).locked == 1_000 - 90, "half the pool"


async def test_a_neighbor_that_delivers_nothing_pays(bench: Made, autojump_clock: object) -> None:
    async with bench() as on:
        play = Play(on)
        await play.begins()
        await play.opens()
        play.skip(1_001)
        await play.does(VALIDATORS[0], CloseEncounter(play.terms, play.name, play.where))
        assert (await play.until(Defaulted))[1].damages == 420
        assert (await play.mine.account(LEARNER.account)).free == FREE + 420
        await play.does(LEARNER, Unstake(Amount(20)))
        second = (await play.mine.now()).seconds
        assert await play.mine.ready(LEARNER.account) == second + RULES.unbond_seconds


async def test_encounters_that_were_opened_and_settled_by_the_dozen_are_read_too(
    bench: Made, autojump_clock: object
) -> None:
    async with bench() as on:
        play = Play(on)
        await play.begins()
        now, papers = (await play.mine.now()).seconds, play.mine.papers
        parts = []
        for lane in range(3):
            terms = EncounterTerms(
                LEARNER.account, NEIGHBOR.account, Amount(200), now + 100, now + 1_000, 0, 50, 700_000, 3, lane=lane
            )
            details = papers.details(CheckIn(b"\1" * 32, Digest(b"\2" * 32), lane, b"\4" * 32, b"\5" * 32))
            signed = (play.seals[LEARNER].terms(terms, details), play.seals[NEIGHBOR].terms(terms, details))
            parts.append(SignedOpening(terms, details, *signed))
        await play.does(VALIDATORS[0], OpenMany(tuple(parts)))
        settles = []
        for number, part in enumerate(parts):
            block, event = await play.until(Opened)
            name, where = papers.encounter(part.terms, part.details), where_.opened(event.seats, block)
            assert await play.mine.opening(part.terms.key) == Opening(part.terms, name)
            after = bytes([number]) * 32
            result = papers.result(name, after)
            draw = await play.mine.drawn(part.terms, name, where)
            bound = [papers.commitment(result, seat, 1) for seat in draw.seats]
            votes = tuple(play.seals[who].vote(result, bound, 1) for who in await play.judges(draw.seats))
            signature = play.seals[NEIGHBOR].result(name, after)
            settles.append(SettleEncounter(part.terms, name, where, after, signature, votes))
        await play.does(VALIDATORS[0], SettleMany(tuple(settles)))
        for number, part in enumerate(parts):
            assert await play.mine.answer(part.terms.key) == bytes([number]) * 32


async def test_what_there_is_to_read(bench: Made, autojump_clock: object) -> None:
    async with bench() as on:
        play = Play(on)
        await play.begins()
        assert await play.mine.rules() == RULES
        assert [seat.holder for seat in await play.mine.seats() if seat] == [who.account for who in VALIDATORS]
        before = await play.mine.now()
        play.skip(10)
        await play.does(VALIDATORS[1], Leave(1))
        after = await play.mine.now()
        assert (after.block, after.seconds) == (before.block + 1, before.seconds + 10)
        left = (await play.mine.seats())[1]
        assert left is not None
        assert (left.left, left.left_at) == (after.block, after.seconds)
        taken = [(await play.until(SeatTaken))[1] for _ in VALIDATORS]
        assert taken == [SeatTaken(number, who.account) for number, who in enumerate(VALIDATORS)]


async def test_what_no_call_can_carry_is_not_sent(bench: Made, autojump_clock: object) -> None:
    async with bench() as on:
        play = Play(on)
        await play.begins()
        await play.opens()
        unfit: list[Callable[[], Awaitable[object]]] = [
            lambda: play.mine.submit(OpenTask(market_terms(TaskId(bytes(32))))),  # type: ignore[arg-type]
            lambda: play.mine.submit(Deposit(Amount(-1))),
            lambda: play.mine.submit(DrawCommittee(play.terms, b"short", play.where)),
            lambda: play.mine.submit(DrawCommittee(replace(play.terms, size=256), play.name, play.where)),
            lambda: play.mine.submit(DrawCommittee(play.terms, play.name, 2**256)),
            lambda: play.mine.drawn(play.terms, play.name, 0),
            lambda: on.market.submit(Join()),
        ]
        for send in unfit:
            with pytest.raises(ChainError):
                await send()
        with pytest.raises(ChainError, match="of no task"):
            play.mine.events(GENESIS, TaskId(bytes(32)))


async def test_money_of_the_market_and_of_encounters_is_apart_and_from_one_wallet(
    bench: Made, autojump_clock: object
) -> None:
    async with bench() as on:
        play = Play(on)
        await play.does(LEARNER, Deposit(Amount(100)))
        refs = [await desk.submit(Deposit(Amount(30))) for desk in (on.market, play.mine, on.market)]
        for desk, ref in zip((on.market, play.mine, on.market), refs, strict=True):
            assert isinstance(await desk.final(ref), Included)
        assert await on.market.account(LEARNER.account) == Balances(Amount(9_810), Amount(60), Amount(0), Amount(0))
        assert await play.mine.account(LEARNER.account) == Balances(Amount(9_810), Amount(130), Amount(0), Amount(0))
