"""From nothing to pay on Polygon's test network: on its likeness always, and on itself where there is a key with coins.

    P2PFD_AMOY_RPC=https://rpc-amoy.polygon.technology P2PFD_AMOY_KEY=0x... python -m pytest -q tests/e2e/test_amoy.py

The key pays for the contracts, the task, and the gas of three strangers, who give back what they have left.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from p2pfd.core.rng import Rng
from p2pfd.node import keys
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.local import AMOY_ARGUMENTS, ANVIL, foreign_chain
from p2pfd.settlement.profiles import AMOY
from p2pfd.settlement.rpc import Rpc
from p2pfd.testing.faulty import Faults, FaultyProxy
from tests.e2e.strangers import play
from tests.local_chains import need

REQUESTER = keys.throwaway(5, "requester")
COIN = 10**18
URL, KEY = "P2PFD_AMOY_RPC", "P2PFD_AMOY_KEY"
WEATHER = Faults(dropped=0.02, lost=0.02, throttled=0.02, failed=0.02, stale=0.05, hidden=0.05)
BLOCK_SECONDS, DEPTH = 0.5, 5
PATIENCE = 60.0
pytestmark = [pytest.mark.long, pytest.mark.network]


@asynccontextmanager
async def likeness(path):
    """Amoy as anvil plays it: two faults in a hundred exchanges of each kind, and blocks that are undone."""
    need(ANVIL)
    opening = foreign_chain(ANVIL, path, [REQUESTER.account.account], chain_id=80_002, extra=AMOY_ARGUMENTS)
    async with (
        opening as chain,
        FaultyProxy(chain.url, Rng(3), WEATHER).serving() as proxy,
        trio.open_nursery() as nursery,
    ):

        async def blocks():
            while True:
                await proxy.mine(reorg=0.03, depth=DEPTH)
                await trio.sleep(BLOCK_SECONDS)

        nursery.start_soon(blocks)
        yield proxy.url
        assert proxy.counts["reorg"]
        nursery.cancel_scope.cancel()


async def played(home, requester, url):
    """The test itself; ``url`` is all that it knows of the chain."""
    rpc = Rpc(url, patience=PATIENCE)
    assert int(await rpc.call("eth_chainId"), 16) == AMOY.chain_id
    await play(home, requester, url, rpc, AMOY.habits, coins=COIN // 5)
    await rpc.aclose()


async def test_strangers_are_paid_on_the_likeness_of_amoy(tmp_path):
    async with likeness(tmp_path / "chain") as url:
        await played(tmp_path, REQUESTER, url)


async def test_strangers_are_paid_on_amoy(tmp_path):
    url, private = os.environ.get(URL, ""), os.environ.get(KEY, "")
    if not url or not private:
        pytest.skip(f"{URL} and {KEY} name no endpoint and no key with two POL: https://faucet.polygon.technology")
    requester = replace(keys.fresh(), account=AccountKey(bytes.fromhex(private.removeprefix("0x"))))
    await played(tmp_path, requester, url)
