"""The fault proxy: from a seed, in the words of real nodes, and nothing that was not asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from eth_account import Account as Signer

from p2pfd.core.rng import Rng
from p2pfd.errors import ChainError
from p2pfd.settlement.api import ChainAwayError
from p2pfd.settlement.embedded.methods import Methods
from p2pfd.settlement.embedded.server import listen, serve
from p2pfd.settlement.rpc import Rpc, RpcRefusal
from p2pfd.testing.faulty import CALM, Faults, FaultyProxy
from p2pfd.testing.rules import AMOY_RULES, GWEI, Rules, TransactionPool
from p2pfd.testing.stale import as_of
from tests.contracts.chain import Contracts, key

A, STRANGER = key(1), key(77)
FAULTS = ("dropped", "lost", "throttled", "failed", "garbled")


@asynccontextmanager
async def proxied(
    faults: Faults, seed: int = 1, rules: Rules = AMOY_RULES
) -> AsyncIterator[tuple[FaultyProxy, Contracts]]:
    """An embedded chain with a proxy in front of it."""
    chain = Contracts({A: 1_000})
    listener = await listen(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, Methods(chain.ledger).answer, listener)
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        async with FaultyProxy(url, Rng(seed), faults, rules).serving() as proxy:
            yield proxy, chain
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def client(proxy: FaultyProxy, patience: float = 0.0) -> AsyncIterator[Rpc]:
    rpc = Rpc(proxy.url, patience=patience)
    try:
        yield rpc
    finally:
        await rpc.aclose()


def signed(nonce: int, tip: int, fee: int = 100 * GWEI, data: bytes = b"") -> str:
    transaction = {
        "type": 2,
        "chainId": 31_337,
        "nonce": nonce,
        "to": "0x" + "11" * 20,
        "value": 0,
        "data": data,
        "gas": 100_000,
        "maxFeePerGas": fee,
        "maxPriorityFeePerGas": tip,
    }
    return "0x" + bytes(Signer.sign_transaction(transaction, STRANGER.private).raw_transaction).hex()


@pytest.mark.network
async def test_a_calm_day_changes_nothing_but_the_seals() -> None:
    async with proxied(CALM) as (proxy, chain), client(proxy) as rpc:
        assert await rpc.call("eth_blockNumber") == hex(chain.ledger.head.number)
        block = await rpc.call("eth_getBlockByNumber", "latest", False)
        assert block["hash"] == "0x" + chain.ledger.head.hash.hex()
        assert len(block["extraData"]) > 2 + 2 * 32, "as where validators sign blocks"
        assert await rpc.batch([("eth_chainId", []), ("eth_blockNumber", [])]) == [
            hex(31_337),
            hex(chain.ledger.head.number),
        ]
        with pytest.raises(RpcRefusal, match="finalized block not found"):
            await rpc.call("eth_getBlockByNumber", "finalized", False)
        assert await rpc.call("eth_getBlockByNumber", "0xffff", False) is None
        assert not any(proxy.counts[fault] for fault in FAULTS)


@pytest.mark.network
@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_alone(fault: str) -> None:
    async with proxied(Faults(**{fault: 1.0})) as (proxy, chain), client(proxy) as rpc:
        before = chain.ledger.head.number
        with pytest.raises(ChainError) as caught:
            await rpc.call("eth_sendRawTransaction", signed(0, 30 * GWEI, fee=0x10))
        assert proxy.counts[fault] > 0
        assert isinstance(caught.value, ChainAwayError) or fault == "garbled"
        assert chain.ledger.head.number == before, "a fee below the tip is nothing that a chain takes"


@pytest.mark.network
async def test_lost_answers_are_of_requests_that_were_carried_out() -> None:
    async with proxied(Faults(lost=1.0), rules=Rules()) as (proxy, chain), client(proxy) as rpc:
        before = chain.ledger.head.number
        with pytest.raises(ChainAwayError):
            await rpc.call("eth_sendRawTransaction", signed(0, 0, fee=0))
        assert chain.ledger.head.number == before + 1
    async with proxied(Faults(dropped=1.0), rules=Rules()) as (proxy, chain), client(proxy) as rpc:
        before = chain.ledger.head.number
        with pytest.raises(ChainAwayError):
            await rpc.call("eth_sendRawTransaction", signed(0, 0, fee=0))
        assert chain.ledger.head.number == before


@pytest.mark.network
async def test_receipts_are_hidden_and_heads_are_stale() -> None:
    async with proxied(Faults(hidden=1.0)) as (proxy, chain), client(proxy) as rpc:
        tx = chain.ledger.head.tx_hash
        assert tx is not None
        assert await rpc.call("eth_getTransactionReceipt", "0x" + tx.hex()) is None
        assert proxy.counts["hidden"] == 1
    async with proxied(Faults(stale=1.0, lag=2)) as (proxy, chain), client(proxy) as rpc:
        head = chain.ledger.head
        assert head.tx_hash is not None
        assert head.number - 2 <= int(await rpc.call("eth_blockNumber"), 16) < head.number
        assert await rpc.call("eth_getTransactionReceipt", "0x" + head.tx_hash.hex()) is None
        assert await rpc.call("eth_getBlockByNumber", hex(head.number), False) is None
        assert await rpc.call("eth_getLogs", {"fromBlock": hex(head.number), "toBlock": hex(head.number)}) == []


@pytest.mark.network
async def test_the_same_seed_gives_the_same_day() -> None:
    async def day(seed: int) -> list[str]:
        out = []
        async with proxied(Faults(dropped=0.2, failed=0.2, garbled=0.2), seed) as (proxy, _), client(proxy) as rpc:
            for _ in range(40):
                try:
                    out.append(str(await rpc.call("eth_chainId")))
                except Exception as error:  # noqa: BLE001 - whatever it is, it is the same on the second day
                    out.append(str(error).replace(proxy.url, ""))
        return out

    first, again, other = [await day(seed) for seed in (3, 3, 4)]
    assert first == again
    assert first != other


@pytest.mark.network
async def test_a_chain_that_is_gone_is_a_bad_gateway() -> None:
    async with FaultyProxy("http://127.0.0.1:1", Rng(1)).serving() as proxy:
        proxy._upstream._patience = 0.0
        async with client(proxy) as rpc:
            with pytest.raises(ChainAwayError, match="502"):
                await rpc.call("eth_chainId")


def test_the_rules_of_the_pool() -> None:
    pool = TransactionPool(AMOY_RULES)
    assert pool.problem(signed(0, 25 * GWEI)) == ""
    assert pool.problem(signed(0, 25 * GWEI)) == "", "the same bytes again"
    assert "tip cap" in pool.problem(signed(1, 25 * GWEI - 1))
    assert pool.problem(signed(0, 27 * GWEI, 120 * GWEI)) == "replacement transaction underpriced"
    assert pool.problem(signed(0, 28 * GWEI, 105 * GWEI)) == "replacement transaction underpriced"
    assert pool.problem(signed(0, 28 * GWEI, 110 * GWEI)) == ""
    assert "oversized data" in pool.problem(signed(2, 30 * GWEI, data=bytes(128 * 1024)))
    for nonsense in ("", "0x", "0xzz", "0x02c0", "0x02" + "ff" * 40, None, 7, signed(3, 30 * GWEI)[:-8]):
        assert pool.problem(nonsense), f"{nonsense!r} is no transaction"


@pytest.mark.parametrize(
    ("method", "params", "seen"),
    [
        ("eth_getTransactionCount", ["0x1", "pending"], ["0x1", "0x10"]),
        ("eth_call", [{}, "latest"], [{}, "0x10"]),
        ("eth_call", [{}, "0x3"], [{}, "0x3"]),
        ("eth_getBlockByNumber", ["0x11", False], None),
        ("eth_getBlockByNumber", ["0x10", False], ["0x10", False]),
        ("eth_getLogs", [{"fromBlock": "0x1", "toBlock": "latest"}], [{"fromBlock": "0x1", "toBlock": "0x10"}]),
        ("eth_getLogs", [{"fromBlock": "0x11"}], None),
        ("eth_getLogs", [{"blockHash": "0x1"}], [{"blockHash": "0x1"}]),
        ("eth_chainId", [], []),
    ],
)
def test_questions_to_an_endpoint_that_is_behind(method: str, params: list[Any], seen: Sequence[Any] | None) -> None:
    assert as_of(16, method, params) == seen


@pytest.mark.network
def test_the_command_prints_its_address() -> None:
    words = [sys.executable, "-m", "p2pfd.testing.faulty", "--upstream", "http://127.0.0.1:1", "--seed", "3"]
    with subprocess.Popen([*words, "--lost", "0.5"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["url"].startswith("http://127.0.0.1:")
        process.terminate()
