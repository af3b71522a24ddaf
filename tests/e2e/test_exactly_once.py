"""Payments on a bad day, by a process that is killed again and again: none is lost, none is doubled."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
import trio
from eth_utils import keccak

from p2pfd.core.ids import Account
from p2pfd.core.rng import Rng
from p2pfd.core.spec import ChainSpec
from p2pfd.settlement.deploy import deploy
from p2pfd.settlement.local import AMOY_ARGUMENTS, ANVIL, foreign_chain
from p2pfd.settlement.rpc import Rpc
from p2pfd.testing.faulty import AWFUL, FaultyProxy
from tests.e2e.paying import CHAIN_ID, DEPOSIT_EVERY, HABITS, PAYEE, PAYER
from tests.local_chains import need

pytestmark = pytest.mark.network
TRANSFER = "0x" + bytes(keccak(b"Transfer(address,address,uint256)")).hex()
SUPPLY = 10**9
BLOCK_SECONDS = 0.05
BLOCKS_A_REORG = 20


async def paid(rpc: Rpc, token: Account, whom: Account) -> Counter[int]:
    """How often each amount went there, by the chain's own events."""
    wanted = {"address": token, "fromBlock": "0x0", "topics": [TRANSFER, None, "0x" + whom[2:].rjust(64, "0")]}
    return Counter(int(log["data"], 16) for log in await rpc.call("eth_getLogs", wanted))


@asynccontextmanager
async def bad_day(path: Path, seed: int) -> AsyncIterator[tuple[FaultyProxy, Rpc, ChainSpec]]:
    """Amoy as anvil plays it behind a proxy, with the payer's token, and blocks that come and sometimes go."""
    async with foreign_chain(ANVIL, path, [PAYER.account], chain_id=CHAIN_ID, extra=AMOY_ARGUMENTS) as chain:
        rpc = Rpc(chain.url)
        async with FaultyProxy(chain.url, Rng(seed), AWFUL).serving() as proxy, trio.open_nursery() as nursery:

            async def blocks() -> None:
                for number in count():
                    reorganise = number % BLOCKS_A_REORG == 0 and not calm[0]
                    await proxy.mine(reorg=float(reorganise), depth=HABITS.finality)
                    await trio.sleep(BLOCK_SECONDS)

            calm = [True]
            nursery.start_soon(blocks)
            spec = await deploy(rpc, PAYER, SUPPLY, 1, profile="amoy", habits=HABITS)
            calm[0] = False
            yield proxy, rpc, spec
            nursery.cancel_scope.cancel()
        await rpc.aclose()


async def check(path: Path, payments: int, kills: int, life: float, seed: int, patience: float) -> Counter[str]:
    need(ANVIL)
    async with bad_day(path, seed) as (proxy, rpc, spec):
        words = [
            proxy.url,
            str(path / "outbox.sqlite"),
            spec.token,
            spec.market,
            str(payments),
            str(kills),
            str(life),
            str(seed),
        ]
        with trio.fail_after(patience):
            done = await trio.run_process(
                [sys.executable, "-m", "tests.e2e.payer_command", *words],
                capture_stdout=True,
                cwd=Path(__file__).parents[2],
            )
        assert json.loads(done.stdout)["kills"] == kills, "a payer ended before it was killed"
        amounts = range(1, payments + 1)
        deposits = [amount for amount in amounts if amount % DEPOSIT_EVERY == 0]
        assert await paid(rpc, spec.token, spec.market) == Counter(deposits), "each deposit was made once"
        assert await paid(rpc, spec.token, PAYEE.account) == Counter(amounts) - Counter(deposits), "each payment once"
        assert proxy.counts["reorg"] > 0
        return proxy.counts


async def test_payments_survive_kills_and_a_bad_line(tmp_path: Path) -> None:
    await check(tmp_path, payments=40, kills=8, life=0.3, seed=1, patience=60)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 6))
async def test_a_thousand_payments_and_two_hundred_kills(tmp_path: Path, seed: int) -> None:
    counts = await check(tmp_path, payments=1_000, kills=200, life=0.3, seed=seed, patience=600)
    for fault in ("dropped", "lost", "throttled", "failed", "stale", "hidden", "garbled", "reorg"):
        assert counts[fault] > 0, f"this day had no {fault}"
