"""Which contract stands at an address, and several contracts of one chain in one process."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from p2pfd.core.claims import Deposit, Included, OpenTask, TaskOpened
from p2pfd.core.encounter_claims import Join
from p2pfd.core.encounter_events import SeatTaken
from p2pfd.core.ids import Amount
from p2pfd.core.modes import DrawSamples
from p2pfd.core.spec import ChainSpec
from p2pfd.errors import ChainError
from p2pfd.settlement.api import GENESIS, OnceDesk
from p2pfd.settlement.deploy import deploy, deploy_also, transfer
from p2pfd.settlement.embedded.ledger import Ledger
from p2pfd.settlement.embedded.methods import Methods
from p2pfd.settlement.embedded.store import Store
from p2pfd.settlement.kinds import ENCOUNTERS, KINDS, ONCHAIN, OPTIMISTIC, SAMPLED, Contract, Kind
from p2pfd.settlement.onchain import inspect
from p2pfd.settlement.profiles import Chain, open_chain
from p2pfd.testing.stage import RULES
from tests.contracts.chain import BOSS, CHAIN_ID, key
from tests.unit.settlement.test_evm import Direct
from tests.unit.settlement.test_modes import TASK, TERMS

WHO = key(1)
HELD = b"eth_getLogs"


class Held(Direct):
    """An endpoint in this process that can keep an answer back."""

    def __init__(self, methods: Methods) -> None:
        super().__init__(methods)
        self.let_go: trio.Event | None = None
        self.waiting = trio.Event()

    async def _once(self, body: bytes) -> bytes:
        answer = await super()._once(body)
        if self.let_go is not None and HELD in body:
            self.waiting.set()
            await self.let_go.wait()
        return answer

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@dataclasses.dataclass
class Town:
    """A token, a market, and every other contract of ours."""

    rpc: Held
    spec: ChainSpec
    contracts: dict[str, Contract]

    @asynccontextmanager
    async def opened(self, monkeypatch: pytest.MonkeyPatch, market: Kind) -> AsyncIterator[Chain]:
        """The chain as a process sees it whose task names this contract as its market."""
        monkeypatch.setattr("p2pfd.settlement.profiles.Rpc", lambda *_, **__: self.rpc)
        spec = dataclasses.replace(self.spec, market=self.contracts[market.name].address)
        async with open_chain(spec, "http://127.0.0.1:1", poll_seconds=0.01) as chain:
            yield chain


@pytest.fixture
async def town() -> Town:
    rpc = Held(Methods(Ledger(Store(None), lambda: 1_000, CHAIN_ID, {})))
    spec = await deploy(rpc, BOSS, 10**9, 60)
    contracts = {ONCHAIN.name: Contract(spec.market, ONCHAIN)}
    for kind in (OPTIMISTIC, SAMPLED, ENCOUNTERS):
        contracts[kind.name] = await deploy_also(rpc, BOSS, spec, kind, dataclasses.asdict(RULES))
    await transfer(rpc, BOSS, spec, {WHO.account: 10_000})
    return Town(rpc, spec, contracts)


async def test_what_a_task_names_as_its_market_is_known_by_its_code(
    town: Town, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in KINDS.values():
        async with town.opened(monkeypatch, kind) as chain:
            assert chain.market == town.contracts[kind.name]
            found = [await chain.find(contract.address) for contract in town.contracts.values()]
            assert found == list(town.contracts.values())
            with pytest.raises(ChainError, match="none of this release's contracts"):
                await chain.find(town.spec.token)
            desk = chain.desk(WHO, chain.market)
            assert isinstance(desk, OnceDesk)
            if kind is ENCOUNTERS:
                with pytest.raises(ChainError, match="is no label market"):
                    chain.settlement(WHO)
                assert (await chain.encounters(WHO).rules()).bond == RULES.bond
            else:
                with pytest.raises(ChainError, match="holds no encounters"):
                    chain.encounters(WHO)
                assert await chain.settlement(WHO).terms(TASK) is None


async def test_a_task_of_another_mode_is_opened_once_and_read_back(
    town: Town, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = dataclasses.replace(TERMS, mode="sampled", picks=2)
    async with town.opened(monkeypatch, SAMPLED) as chain:
        mine = chain.settlement(WHO)
        for intent, claim in (("money", Deposit(Amount(5_000))), ("open", OpenTask(terms))):
            first = await mine.submit_once(intent, claim)
            assert await mine.submit_once(intent, claim) == first
            assert isinstance(await mine.final(first), Included)
        assert await mine.terms(TASK) == terms
        _, event = await anext(mine.events(GENESIS, TASK))
        assert isinstance(event, TaskOpened)
        assert (await mine.account(WHO.account)).free == 5_000 - TERMS.pot
        with pytest.raises(ChainError, match="is another claim's"):
            await mine.submit_once("open", DrawSamples(TASK, 0))  # type: ignore[arg-type]


async def test_all_contracts_that_are_followed_are_asked_for_in_one_question(
    town: Town, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town.opened(monkeypatch, ONCHAIN) as chain:
        desk = chain.encounters(WHO, town.contracts[ENCOUNTERS.name])
        market, seats = chain.settlement(WHO).events(GENESIS), desk.events(GENESIS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(anext, market)
            nursery.start_soon(anext, seats)
            await trio.sleep(1)
            town.rpc.asked.clear()
            await desk.final(await desk.submit(Deposit(Amount(2_000))))
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        looks = [body for body in town.rpc.asked if HELD in body]
        assert len(looks) == 1
        assert all(contract.address.encode() in looks[0] for contract in (chain.market, desk.contract))


async def test_who_joins_while_a_look_is_under_way_misses_nothing(
    town: Town, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with town.opened(monkeypatch, ONCHAIN) as chain:
        desk = chain.encounters(WHO, town.contracts[ENCOUNTERS.name])
        await desk.final(await desk.submit(Deposit(Amount(2_000))))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(anext, chain.settlement(WHO).events(GENESIS))
            await trio.sleep(1)
            town.rpc.let_go = trio.Event()
            await desk.final(await desk.submit(Join()))
            await town.rpc.waiting.wait()  # the market's logs of the block with the seat are being read
            follower = desk.events(GENESIS)
            told: list[object] = []

            async def follow() -> None:
                told.append((await anext(follower))[1])
                nursery.cancel_scope.cancel()

            nursery.start_soon(follow)
            await trio.sleep(1)
            town.rpc.let_go.set()
            town.rpc.let_go = None
            nursery.cancel_scope.deadline = trio.current_time() + 5
        assert told == [SeatTaken(0, WHO.account)]


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
async def test_what_stands_there_is_shown_with_its_settings(town: Town, kind: Kind) -> None:
    spec = dataclasses.replace(town.spec, market=town.contracts[kind.name].address)
    token, market = await inspect(town.rpc, spec)
    assert (token.problem, market.problem, market.contract) == ("", "", kind.artifact)
    assert market.settings["token"] == spec.token
    assert ("bond" in market.settings) == (kind is ENCOUNTERS)
    assert ("court" in market.settings) == (kind in (OPTIMISTIC, SAMPLED))
    wrong = dataclasses.replace(spec, token=town.contracts["onchain"].address)
    assert (await inspect(town.rpc, wrong))[0].problem
