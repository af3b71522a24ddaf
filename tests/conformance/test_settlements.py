"""Both settlements keep the promises of `p2pfd.settlement.api`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.deploy import deploy, transfer
from p2pfd.settlement.profiles import embedded_chain, open_chain
from p2pfd.settlement.reference import ReferenceChain
from p2pfd.settlement.rpc import Rpc
from p2pfd.testing.settlement import FUNDS, UNBOND_SECONDS, Bench, check_settlement

KEYS = [AccountKey(bytes([number]) * 32) for number in range(1, 5)]
BOSS = AccountKey(bytes([9]) * 32)


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
async def test_the_embedded_chain_conforms(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        chain = await stack.enter_async_context(embedded_chain(tmp_path, [BOSS.account]))
        rpc = Rpc(chain.url)
        stack.push_async_callback(rpc.aclose)

        @asynccontextmanager
        async def bench() -> AsyncIterator[Bench]:
            """A fresh token and a fresh market are a fresh chain as far as a settlement can see."""
            spec = await deploy(rpc, BOSS, 10**9, UNBOND_SECONDS)
            accounts = [key.account for key in KEYS]
            await transfer(rpc, BOSS, spec, dict.fromkeys(accounts, FUNDS))

            async def skip(seconds: int) -> None:
                await rpc.call("evm_increaseTime", hex(seconds))

            async with open_chain(spec, chain.url, poll_seconds=0.02) as opened:
                yield Bench([opened.settlement(key) for key in KEYS], accounts, skip)

        await check_settlement(bench)
