"""The embedded chain killed while eight clients write to it: what was answered is there, once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from eth_account import Account as Signer
from eth_utils import to_checksum_address

from p2pfd.errors import ChainError
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.rpc import Rpc
from tests.contracts.chain import CHAIN_ID, key

pytestmark = pytest.mark.network

CLIENTS = [key(number) for number in range(1, 9)]
SINK = key(99).account
DEATHS = (1, 40, 90)
"""How many answers each life of the chain gives before it is killed."""


@asynccontextmanager
async def alive(state: Path) -> AsyncIterator[tuple[subprocess.Popen[str], str]]:
    """The chain's process on this state, and its address; killed at the end, if it is not yet."""
    command = [sys.executable, "-m", "p2pfd.settlement.embedded", "--state", str(state)]
    for who in CLIENTS:
        command += ["--fund", who.account]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220 - nothing else runs
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()


def payment(who: AccountKey, nonce: int) -> str:
    transaction = {
        "type": 2,
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "to": to_checksum_address(SINK),
        "value": 1,
        "data": b"",
        "gas": 21_000,
        "maxFeePerGas": 0,
        "maxPriorityFeePerGas": 0,
    }
    return "0x" + bytes(Signer.sign_transaction(transaction, who.private).raw_transaction).hex()


async def pays_until_it_dies(
    who: AccountKey, url: str, process: subprocess.Popen[str], answered: list[str], deadly: int
) -> None:
    rpc = Rpc(url, patience=0.0)
    try:
        nonce = int(await rpc.call("eth_getTransactionCount", who.account, "latest"), 16)
        while True:
            answered.append(await rpc.call("eth_sendRawTransaction", payment(who, nonce)))
            nonce += 1
            if len(answered) == deadly:
                process.kill()
    except ChainError as error:
        assert "no chain answers" in str(error), "nothing but its death stops a client"  # noqa: PT017
    finally:
        await rpc.aclose()


async def test_eight_clients_lose_nothing_that_was_answered(tmp_path: Path) -> None:
    """Three times killed, three times started again; money, nonces and history agree every time."""
    answered: list[str] = []
    deadly = 0
    for death in DEATHS:
        deadly += death
        with trio.fail_after(60):
            async with alive(tmp_path) as (process, url), trio.open_nursery() as nursery:
                for who in CLIENTS:
                    nursery.start_soon(pays_until_it_dies, who, url, process, answered, deadly)
        assert len(answered) >= deadly
        async with alive(tmp_path) as (_, url):
            rpc = Rpc(url)
            await agrees(rpc, answered)
            await rpc.aclose()


async def agrees(rpc: Rpc, answered: list[str]) -> None:
    """All that was answered is in a block, each block follows on the last, and the state is what the blocks make."""
    blocks = set()
    for ref in answered:
        receipt = await rpc.call("eth_getTransactionReceipt", ref)
        assert receipt is not None, "answered, and lost"
        assert receipt["status"] == "0x1"
        blocks.add(receipt["blockNumber"])
    assert len(blocks) == len(answered), "each once"
    head = int(await rpc.call("eth_blockNumber"), 16)
    assert len(answered) <= head <= len(answered) + len(CLIENTS) * len(DEATHS), "and at most what was on its way"
    parent = None
    for number in range(head + 1):
        block = await rpc.call("eth_getBlockByNumber", hex(number), False)
        assert parent in (None, block["parentHash"])
        parent = block["hash"]
    assert int(await rpc.call("eth_getBalance", SINK, "latest"), 16) == head
    nonces = [int(await rpc.call("eth_getTransactionCount", who.account, "latest"), 16) for who in CLIENTS]
    assert sum(nonces) == head
