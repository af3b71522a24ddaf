"""What became of a transaction, read from its receipt, and why the chain refused it where it did."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import trio

from p2pfd.core.ids import Account
from p2pfd.errors import ChainError
from p2pfd.settlement import answers
from p2pfd.settlement.abi import reason
from p2pfd.settlement.habits import Habits
from p2pfd.settlement.outbox import Fate
from p2pfd.settlement.rpc import Rpc, RpcRefusal

UNTOLD = "reverted; the chain does not say why"
_REF = re.compile(r"0x[0-9a-fA-F]{64}")


def hash_of(ref: str) -> bytes:
    """The hash that a reference is; ChainError for one that is none."""
    if _REF.fullmatch(ref) is None:
        raise ChainError(f"{ref[:80]!r} is not a transaction's hash", "it is 0x and 64 hex digits")
    return bytes.fromhex(ref[2:])


def call_of(who: Account, to: Account | None, data: bytes, gas: int) -> dict[str, str]:
    """A call as `eth_call` takes it."""
    call = {"from": who, "data": "0x" + data.hex(), "gas": hex(gas)}
    return call if to is None else call | {"to": to}


async def fate(rpc: Rpc, receipt: Mapping[str, Any], call: Mapping[str, str]) -> Fate:
    """What a receipt says, and the reason if it tells of a failure."""
    tx = answers.digest(receipt.get("transactionHash"), "a receipt's transaction")
    block = answers.height(receipt.get("blockNumber"))
    success = answers.number(receipt.get("status"), "a receipt's status") == 1
    cost = answers.height(receipt.get("gasUsed"), "the gas used")
    created = receipt.get("contractAddress")
    at = None if created is None else answers.address(created, "a contract's address")
    return Fate(tx, block, success, cost, "" if success else await why(rpc, receipt, call, block), at)


async def why(rpc: Rpc, receipt: Mapping[str, Any], call: Mapping[str, str], block: int) -> str:
    """The reason of a failed transaction: from its receipt, or by calling the same again where it failed.

    Most chains keep no reasons. On the state before the block the call fails as the transaction did, unless something
    earlier in the same block made it fail; then it does on the state after.
    """
    told = receipt.get("revertReason")
    if isinstance(told, str) and told.startswith("0x"):
        return reason(answers.octets(told, "a reason"))
    for number in (max(0, block - 1), block):
        found = (await rpc.several([("eth_call", [call, hex(number)])]))[0]
        if isinstance(found, RpcRefusal) and found.data:
            return reason(found.data)
    return UNTOLD


async def of_stranger(rpc: Rpc, ref: str, habits: Habits) -> Fate | None:
    """The final fate of a transaction that no outbox here knows; None where the chain does not know it either."""
    deadline = trio.current_time() + habits.longest_seconds
    while True:
        head, receipt, sent = await rpc.batch(
            [("eth_blockNumber", []), ("eth_getTransactionReceipt", [ref]), ("eth_getTransactionByHash", [ref])]
        )
        if receipt is None:
            return None
        read, body = answers.record(receipt, "a receipt"), answers.record(sent, "a transaction")
        block = answers.height(read.get("blockNumber"))
        if answers.height(head) - block >= habits.finality:
            held = await rpc.call("eth_getBlockByNumber", hex(block), False)
            if held is not None and answers.record(held, "a block").get("hash") == read.get("blockHash"):
                target = body.get("to")
                call = call_of(
                    answers.address(body.get("from"), "a sender"),
                    None if target is None else answers.address(target, "a target"),
                    answers.octets(body.get("input"), "a call"),
                    answers.height(body.get("gas"), "a limit"),
                )
                return await fate(rpc, read, call)
        if trio.current_time() >= deadline:
            raise ChainError(f"{ref} is not final after {habits.longest_seconds:g} s", "is the chain standing still?")
        await trio.sleep(habits.look_seconds)
