"""Every settlement keeps the promises of `p2pfd.settlement.api`."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import trio

from p2pfd.core.claims import Balances, Deposit, Included, Reverted, Unstake, Withdraw
from p2pfd.core.ids import Amount
from p2pfd.core.rng import Rng
from p2pfd.core.spec import ChainSpec
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.deploy import deploy, deploy_also, transfer
from p2pfd.settlement.fees import GWEI, FeePolicy
from p2pfd.settlement.habits import Habits
from p2pfd.settlement.kinds import ENCOUNTERS, OPTIMISTIC, SAMPLED
from p2pfd.settlement.local import AMOY_ARGUMENTS, ANVIL, GANACHE, foreign_chain, local_chain
from p2pfd.settlement.profiles import AMOY, PROFILES, Chain, open_chain
from p2pfd.settlement.reference import ReferenceChain
from p2pfd.settlement.rpc import Rpc
from p2pfd.testing.faulty import AWFUL, FaultyProxy
from p2pfd.testing.settlement import FUNDS, UNBOND_SECONDS, Bench, BenchFactory, check_settlement
from p2pfd.testing.stage import RULES, More, reference_more
from tests.local_chains import need

KEYS = [AccountKey(bytes([number]) * 32) for number in range(1, 6)]
BOSS = AccountKey(bytes([9]) * 32)
ALL: Sequence[AccountKey] = [*KEYS, BOSS]
FOREIGN = ("anvil", "ganache")


@asynccontextmanager
async def reference_bench() -> AsyncIterator[Bench]:
    now = [1_000]

    async def skip(seconds: int) -> None:
        now[0] += seconds

    accounts = [key.account for key in KEYS]
    chain = ReferenceChain(dict.fromkeys(accounts, FUNDS), UNBOND_SECONDS, lambda: now[0], rules=RULES)

    async def more() -> More:
        return reference_more(chain, KEYS)

    yield Bench([chain.settlement(who) for who in accounts], accounts, skip, more=more)


async def test_the_reference_conforms() -> None:
    await check_settlement(reference_bench)


async def others(opened: Chain, rpc: Rpc, spec: ChainSpec, habits: Habits) -> More:
    """The contracts of the other modes and of encounters, put on a chain beside the first market."""
    settings = dataclasses.asdict(RULES)
    optimistic, sampled, encounters = [
        await deploy_also(rpc, BOSS, spec, kind, settings, habits=habits) for kind in (OPTIMISTIC, SAMPLED, ENCOUNTERS)
    ]
    found = [await opened.find(contract.address) for contract in (optimistic, sampled, encounters)]
    assert found == [optimistic, sampled, encounters], "a contract is known by its code"
    return More(
        KEYS,
        [opened.settlement(key, optimistic) for key in KEYS],
        [opened.settlement(key, sampled) for key in KEYS],
        [opened.encounters(key, encounters) for key in KEYS],
        optimistic.address,
    )


@asynccontextmanager
async def local_benches(name: str, path: Path) -> AsyncIterator[BenchFactory]:
    """A chain of this profile, on which each bench has a token and a market of its own."""
    for program in (ANVIL, GANACHE):
        if program.name == name:
            need(program)
    async with AsyncExitStack() as stack:
        chain = await stack.enter_async_context(local_chain(name, path, [key.account for key in ALL]))
        rpc = Rpc(chain.url)
        stack.push_async_callback(rpc.aclose)
        habits = PROFILES[name].habits

        @asynccontextmanager
        async def bench() -> AsyncIterator[Bench]:
            """A fresh token and a fresh market are a fresh chain as far as a settlement can see."""
            spec = await deploy(rpc, BOSS, 10**9, UNBOND_SECONDS, profile=name, habits=habits)
            accounts = [key.account for key in KEYS]
            await transfer(rpc, BOSS, spec, dict.fromkeys(accounts, FUNDS), habits=habits)

            async def skip(seconds: int) -> None:
                await rpc.call("evm_increaseTime", hex(seconds))
                if name != "embedded":  # else the newest block is old, and so is a permit that is signed now
                    await rpc.call("evm_mine")

            async with open_chain(spec, chain.url, poll_seconds=0.02) as opened:
                more = partial(others, opened, rpc, spec, habits)
                yield Bench([opened.settlement(key) for key in KEYS], accounts, skip, more=more)

        yield bench


@pytest.mark.network
@pytest.mark.parametrize("name", ["embedded", *(pytest.param(name, marks=pytest.mark.long) for name in FOREIGN)])
async def test_local_chains_conform(name: str, tmp_path: Path) -> None:
    async with local_benches(name, tmp_path) as benches:
        await check_settlement(benches)


@pytest.mark.network
async def test_anvil_conforms_with_one_market(tmp_path: Path) -> None:
    """Encounters and the other modes take it longer, without showing more than on the embedded chain."""
    async with local_benches("anvil", tmp_path) as benches:

        @asynccontextmanager
        async def small() -> AsyncIterator[Bench]:
            async with benches() as bench:
                yield dataclasses.replace(bench, more=None)

        await check_settlement(small)


@pytest.mark.network
async def test_ganache_keeps_money_and_gives_reasons(tmp_path: Path) -> None:
    """The rest of what it promises takes it long."""
    async with local_benches("ganache", tmp_path) as benches, benches() as bench:
        mine, who = bench.settlements[0], bench.accounts[0]
        for claim in (Deposit(Amount(400)), Unstake(Amount(150))):
            receipt = await mine.final(await mine.submit(claim))
            assert isinstance(receipt, Included)
            assert receipt.cost > 0
        refused = await mine.final(await mine.submit(Withdraw()))
        assert isinstance(refused, Reverted)
        assert refused.reason == "staking: still unbonding"
        assert await mine.account(who) == Balances(Amount(FUNDS - 400), Amount(250), Amount(0), Amount(150))


HASTY = Habits(
    finality=3,
    fees=FeePolicy(floor=25 * GWEI, most=2_000 * GWEI),
    look_seconds=0.03,
    resend_seconds=0.3,
    stuck_blocks=8,
    outage_seconds=30.0,
)
"""Amoy's, at a hundred times its pace."""
BLOCK_SECONDS = 0.02
BLOCKS_A_REORG = 40


async def skipped_for_good(rpc: Rpc, seconds: int) -> None:
    """Let a chain's time pass. A reorganisation takes it back with the blocks that it undoes: then it passes again."""
    number, second = await block_of(rpc, "latest")
    until = second + seconds
    while (await block_of(rpc, hex(max(0, number - HASTY.finality))))[1] < until:
        if second < until:
            await rpc.call("evm_increaseTime", hex(until - second))
        before = number
        while number == before:
            await trio.sleep(BLOCK_SECONDS)
            number, second = await block_of(rpc, "latest")


async def block_of(rpc: Rpc, tag: str) -> tuple[int, int]:
    """A block's number and second."""
    block = await rpc.call("eth_getBlockByNumber", tag, False)
    return int(block["number"], 16), int(block["timestamp"], 16)


@pytest.mark.long
@pytest.mark.network
async def test_amoy_conforms_on_a_bad_day(tmp_path: Path) -> None:
    """Chain id, fees, sizes and seals of Amoy, as anvil plays it behind a proxy that loses, forgets and reorganises."""
    need(ANVIL)
    profile = dataclasses.replace(AMOY, habits=HASTY)
    async with AsyncExitStack() as stack:
        coins = [key.account for key in ALL]
        anvil = foreign_chain(ANVIL, tmp_path, coins, chain_id=AMOY.chain_id or 0, extra=AMOY_ARGUMENTS)
        chain = await stack.enter_async_context(anvil)
        direct = Rpc(chain.url)
        stack.push_async_callback(direct.aclose)
        proxy = await stack.enter_async_context(FaultyProxy(chain.url, Rng(3), AWFUL).serving())
        nursery = await stack.enter_async_context(trio.open_nursery())

        async def blocks() -> None:
            for number in count():
                reorganise = number % BLOCKS_A_REORG == BLOCKS_A_REORG - 1
                await proxy.mine(reorg=float(reorganise), depth=HASTY.finality)
                await trio.sleep(BLOCK_SECONDS)

        @asynccontextmanager
        async def bench() -> AsyncIterator[Bench]:
            spec = await deploy(direct, BOSS, 10**9, UNBOND_SECONDS, profile="amoy", habits=HASTY)
            accounts = [key.account for key in KEYS]
            await transfer(direct, BOSS, spec, dict.fromkeys(accounts, FUNDS), habits=HASTY)

            skip = partial(skipped_for_good, direct)
            async with open_chain(spec, proxy.url, poll_seconds=0.03, profile=profile) as opened:
                more = partial(others, opened, direct, spec, HASTY)
                yield Bench([opened.settlement(key) for key in KEYS], accounts, skip, patience=900.0, more=more)

        nursery.start_soon(blocks)
        await check_settlement(bench)
        nursery.cancel_scope.cancel()
    assert all(proxy.counts[fault] for fault in ("dropped", "lost", "stale", "hidden", "reorg")), proxy.counts
