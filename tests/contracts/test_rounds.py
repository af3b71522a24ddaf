"""Ten workers, three rounds, over the real process and its JSON-RPC: every balance equal to the pure ledger's."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from p2pfd.core.claims import (
    ChainEvent,
    Claim,
    CommitLabels,
    Deposit,
    Enrol,
    Included,
    MarketTerms,
    OpenTask,
    RevealLabels,
    RevealsClosed,
    RevealsOpened,
    RoundOpened,
    SettleRound,
    TaskClosed,
    WorkerPaid,
)
from p2pfd.core.ids import Amount, RoundId, TaskId
from p2pfd.core.labels import commitment, pack
from p2pfd.core.rng import Rng
from p2pfd.incentives.market import Market
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import GENESIS
from p2pfd.settlement.deploy import deploy, transfer
from p2pfd.settlement.evm import EvmSettlement
from p2pfd.settlement.profiles import embedded_chain, open_chain
from p2pfd.settlement.rpc import Rpc
from tests.contracts.chain import BOSS, UNBOND_SECONDS, key

pytestmark = pytest.mark.network

SUPPLY, FUNDS = 10**12, 10**9
TASK = TaskId(b"\4" * 32)
WORKERS = [key(number) for number in range(1, 11)]
TERMS = MarketTerms(
    task=TASK,
    samples=320,
    classes=10,
    rounds=3,
    pot=Amount(1_000_003),
    rate=Amount(300_007),
    bond=Amount(1_000_001),
    forfeit=Amount(333_333),
    quorum=6,
    seats=10,
    enrol_seconds=600,
    commit_seconds=600,
    reveal_seconds=600,
)


def labels_of(worker: int, rnd: int) -> bytes:
    rng = Rng(b"rounds").split(rnd)
    truth = [rng.below(10) for _ in range(TERMS.samples)]
    mine = Rng(b"rounds").split(rnd, worker)
    return bytes(label if mine.chance(5 + worker % 5, 10) else mine.below(10) for label in truth)


def salt_of(worker: int, rnd: int) -> bytes:
    return Rng(b"salts").split(worker, rnd).bytes(32)


class Player:
    """A worker as a node would be one: it acts on what the chain tells."""

    def __init__(self, number: int, settlement: EvmSettlement) -> None:
        self.number = number
        self.settlement = settlement
        self.seen: list[ChainEvent] = []

    async def does(self, claim: Claim) -> None:
        receipt = await self.settlement.final(await self.settlement.submit(claim))
        assert isinstance(receipt, Included), receipt

    async def play(self) -> None:
        await self.does(Deposit(Amount(FUNDS // 2)))
        await self.does(Enrol(TASK))
        async for _, event in self.settlement.events(GENESIS, TASK):
            self.seen.append(event)
            match event:
                case RoundOpened(round=rnd):
                    packed, salt = pack(labels_of(self.number, rnd)), salt_of(self.number, rnd)
                    bound = commitment(TASK, rnd, WORKERS[self.number].account, salt, packed)
                    await self.does(CommitLabels(TASK, rnd, bound))
                case RevealsOpened(round=rnd):
                    packed, salt = pack(labels_of(self.number, rnd)), salt_of(self.number, rnd)
                    await self.does(RevealLabels(TASK, rnd, salt, packed))
                case RevealsClosed(round=rnd) if self.number == rnd:
                    await self.does(SettleRound(TASK, rnd))
                case TaskClosed():
                    return
                case _:
                    pass


def on_paper(order: list[AccountKey]) -> Market:
    """The same on the pure ledger, with seats taken in the order in which they were."""
    market = Market({BOSS.account: SUPPLY - FUNDS * len(WORKERS)} | {w.account: FUNDS for w in WORKERS}, UNBOND_SECONDS)
    market.apply(0, BOSS.account, Deposit(Amount(FUNDS)))
    market.apply(0, BOSS.account, OpenTask(TERMS))
    for each in order:
        market.apply(0, each.account, Deposit(Amount(FUNDS // 2)))
        market.apply(0, each.account, Enrol(TASK))
    for number in range(TERMS.rounds):
        rnd = RoundId(number)
        for worker, each in enumerate(WORKERS):
            bound = commitment(TASK, rnd, each.account, salt_of(worker, rnd), pack(labels_of(worker, rnd)))
            market.apply(0, each.account, CommitLabels(TASK, rnd, bound))
        for worker, each in enumerate(WORKERS):
            market.apply(0, each.account, RevealLabels(TASK, rnd, salt_of(worker, rnd), pack(labels_of(worker, rnd))))
        market.apply(0, BOSS.account, SettleRound(TASK, rnd))
    return market


async def test_ten_workers_earn_to_the_unit_what_the_ledger_says(tmp_path: Path) -> None:
    async with embedded_chain(tmp_path, [BOSS.account]) as process:
        rpc = Rpc(process.url)
        spec = await deploy(rpc, BOSS, SUPPLY, UNBOND_SECONDS)
        await transfer(rpc, BOSS, spec, {each.account: FUNDS for each in WORKERS})
        await rpc.aclose()
        async with open_chain(spec, process.url, poll_seconds=0.02) as chain:
            boss = Player(-1, chain.settlement(BOSS))
            await boss.does(Deposit(Amount(FUNDS)))
            await boss.does(OpenTask(TERMS))
            players = [Player(number, chain.settlement(each)) for number, each in enumerate(WORKERS)]
            with trio.fail_after(120):
                async with trio.open_nursery() as nursery:
                    for player in players:
                        nursery.start_soon(player.play)
            assert all(player.seen == players[0].seen for player in players), "all see the same, in the same order"
            first = next(event for event in players[0].seen if isinstance(event, RoundOpened))
            market = on_paper([next(w for w in WORKERS if w.account == account) for account in first.workers])
            for each in [BOSS, *WORKERS]:
                assert await boss.settlement.account(each.account) == market.balances(each.account)
            paid = [event.amount for event in players[0].seen if isinstance(event, WorkerPaid)]
            assert len(paid) == 30
            assert sum(paid) > 2 * TERMS.pot, "work was worth something"
