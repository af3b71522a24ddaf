"""Every settlement keeps the promises of `p2pfd.settlement.api`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.deploy import deploy, transfer
from p2pfd.settlement.local import ANVIL, GANACHE, local_chain
from p2pfd.settlement.profiles import PROFILES, open_chain
from p2pfd.settlement.reference import ReferenceChain
from p2pfd.settlement.rpc import Rpc
from p2pfd.testing.settlement import FUNDS, UNBOND_SECONDS, Bench, check_settlement
from tests.local_chains import need

KEYS = [AccountKey(bytes([number]) * 32) for number in range(1, 5)]
BOSS = AccountKey(bytes([9]) * 32)
ALL: Sequence[AccountKey] = [*KEYS, BOSS]


@asynccontextmanager
async def reference_bench() -> AsyncIterator[Bench]:
    now = [1_000]

    async def skip(seconds: int) -> None:
        now[0] += seconds

    accounts = [key.account for key in KEYS]
    chain = ReferenceChain(dict.fromkeys(accounts, FUNDS), UNBOND_SECONDS, lambda: now[0])
    yield Bench([chain.settlement(who) for who in accounts], accounts, skip)


async def test_the_reference_conforms() -> None:
    await check_settlement(reference_bench)


@pytest.mark.network
@pytest.mark.parametrize("name", ["embedded", "anvil", "ganache"])
async def test_local_chains_conform(name: str, tmp_path: Path) -> None:
    for program in (ANVIL, GANACHE):
        if program.name == name:
            need(program)
    async with AsyncExitStack() as stack:
        chain = await stack.enter_async_context(local_chain(name, tmp_path, [key.account for key in ALL]))
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

            async with open_chain(spec, chain.url, poll_seconds=0.02) as opened:
                yield Bench([opened.settlement(key) for key in KEYS], accounts, skip)

        await check_settlement(bench)
