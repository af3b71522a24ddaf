"""Deploying on Amoy as anvil plays it: fees, blocks that go again, servers that lose and hide and lag, and kills."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from itertools import count

import pytest
import trio

from p2pfd.cli.program import PROGRAM
from p2pfd.core.rng import Rng
from p2pfd.errors import ChainError
from p2pfd.node import keys
from p2pfd.node.keys import throwaway
from p2pfd.settlement import deployment_plan, deployments, rollout
from p2pfd.settlement.deployment_plan import Manner
from p2pfd.settlement.fees import GWEI, FeePolicy
from p2pfd.settlement.local import AMOY_ARGUMENTS, ANVIL, foreign_chain
from p2pfd.settlement.rpc import Rpc
from p2pfd.testing.faulty import AWFUL, CALM, FaultyProxy
from tests.local_chains import need
from tests.unit.cli.test_rollout import Killed, MortalRpc

pytestmark = pytest.mark.network
AMOY = 80_002
RECIPES = deployments.chosen(())
BLOCK_SECONDS, DEPTH = 0.05, 6
FEES = FeePolicy(floor=25 * GWEI, most=2_000 * GWEI)
MANNER = Manner(FEES, confirmations=DEPTH, look_seconds=0.1, resend_seconds=0.3, patience_seconds=60)
DEPLOYER = throwaway(21, "deployer").account


class Weather:
    """What the chain does by itself."""

    blocks = True
    reorg_every = 0


@asynccontextmanager
async def amoy(path, seed, faults):
    """The chain itself, a proxy before it, and blocks while the weather allows."""
    need(ANVIL)
    async with foreign_chain(ANVIL, path, [DEPLOYER.account], chain_id=AMOY, extra=AMOY_ARGUMENTS) as chain:
        rpc, weather = Rpc(chain.url), Weather()
        async with FaultyProxy(chain.url, Rng(seed), faults).serving() as proxy, trio.open_nursery() as nursery:

            async def blocks():
                for number in count(1):
                    again = weather.reorg_every and number % weather.reorg_every == 0
                    if weather.blocks:
                        await proxy.mine(reorg=float(bool(again)), depth=DEPTH)
                    await trio.sleep(BLOCK_SECONDS)

            nursery.start_soon(blocks)
            try:
                yield rpc, proxy, weather
            finally:
                await rpc.aclose()
            nursery.cancel_scope.cancel()


async def deploy(rpc, path, manner=MANNER):
    try:
        with deployments.alone(path):
            held = await deployment_plan.begin(rpc, path, "amoy", {}, None, RECIPES)
            return await rollout.roll_out(rpc, DEPLOYER, held, path, manner, lambda name, word, entry: None, RECIPES)
    finally:
        await rpc.aclose()


async def check(rpc, held):
    """Everything stands, and the account has sent nothing else."""
    assert [await deployment_plan.problem(rpc, held, name) for name in held.contracts] == [""] * len(RECIPES)
    assert int(await rpc.call("eth_getTransactionCount", DEPLOYER.account, "latest"), 16) == len(RECIPES)


async def test_fees_are_offered_and_blocks_waited_for(tmp_path):
    async with amoy(tmp_path, 1, CALM) as (rpc, proxy, _):
        began = await deployment_plan.begin(rpc, tmp_path / "x" / "a.json", "amoy", {}, None, RECIPES)
        cost = await deployment_plan.estimate(rpc, DEPLOYER.account, began, MANNER, RECIPES)
        before = int(await rpc.call("eth_getBalance", DEPLOYER.account, "latest"), 16)
        held = await deploy(Rpc(proxy.url), tmp_path / "x" / "a.json")
        spent = before - int(await rpc.call("eth_getBalance", DEPLOYER.account, "latest"), 16)
        assert spent == sum(entry.gas * entry.price for entry in held.contracts.values())
        assert 25 * GWEI < cost.price < cost.offer.fee
        assert spent < cost.most
        head = int(await rpc.call("eth_blockNumber"), 16)
        assert all(head - entry.block >= DEPTH for entry in held.contracts.values())
        await check(rpc, held)


async def test_a_price_above_what_is_offered_is_told_before_anything_is_sent(tmp_path, capsys):
    keys.save(throwaway(21, "deployer"), tmp_path / "home" / "keys")
    async with amoy(tmp_path, 1, CALM) as (_, proxy, _):
        words = ["contracts", "deploy", "--chain-url", proxy.url, "--home", str(tmp_path / "home"), "--max-gwei", "26"]
        assert await trio.to_thread.run_sync(PROGRAM.main, [*words, "--json"]) == 7
    error = json.loads(capsys.readouterr().out)["error"]
    assert "and at most 26 gwei is offered" in error["what"]
    assert "--max-gwei" in error["fix"]


async def test_an_offer_that_became_too_low_is_raised_with_the_same_nonce(tmp_path):
    path = tmp_path / "x" / "a.json"
    async with amoy(tmp_path, 1, CALM) as (rpc, proxy, weather):
        weather.blocks = False
        with trio.move_on_after(1.0):
            await deploy(Rpc(proxy.url), path)
        first = deployments.load(path).contracts["Token"]
        assert len(first.attempts) == 1
        await rpc.call("anvil_setNextBlockBaseFeePerGas", hex(first.attempts[0].fee * 2))
        await rpc.call("evm_mine")
        weather.blocks = True
        held = await deploy(Rpc(proxy.url), path)
        assert held.contracts["Token"].tx != first.attempts[0].tx
        assert held.contracts["Token"].address == first.address
        await check(rpc, held)


async def bad_day(path, seed):
    """Kill it at its first exchange, then at its second, and so on until it is done; how often it was killed."""
    rng = Rng(seed).split("kills")
    kills = 0
    async with amoy(path, seed, AWFUL) as (rpc, proxy, weather):
        weather.reorg_every = 20
        with trio.fail_after(120):
            for dies_at in count(1):
                try:
                    held = await deploy(MortalRpc(proxy.url, dies_at, rng.unit() < 0.5), path / "x" / "a.json")
                    break
                except Killed:
                    kills += 1
                except ChainError as error:
                    if "the address of a chain?" not in error.fix:
                        raise  # an answer that is none ends a run, and nothing else does
        weather.reorg_every = 0
        await check(rpc, held)
    return kills


async def test_a_bad_day_with_kills(tmp_path):
    assert await bad_day(tmp_path, 3) > 5


@pytest.mark.long
async def test_twenty_bad_days(tmp_path):
    kills = [await bad_day(tmp_path / str(seed), seed) for seed in range(4, 24)]
    assert sum(kills) > 100
