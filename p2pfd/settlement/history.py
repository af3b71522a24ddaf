"""Proof that a transaction is not in a part of the chain's history: the blocks themselves."""

from __future__ import annotations

from collections.abc import Collection

from p2pfd.core.ids import Account
from p2pfd.settlement import answers
from p2pfd.settlement.rpc import Rpc, RpcRefusal

BLOCKS_A_REQUEST = 25


async def absent(rpc: Rpc, transactions: Collection[bytes], since: int, until: int) -> bool:
    """Whether none of these transactions is in a block after ``since``, up to and with ``until``.

    False where one is, and where the endpoint does not show the whole of it as one chain. A receipt that is withheld
    proves nothing; a chain of blocks without the transaction does.
    """
    parent: bytes | None = None
    first = since + 1
    while first <= until:
        last = min(until, first + BLOCKS_A_REQUEST - 1)
        numbers = range(first, last + 1)
        for number, found in zip(
            numbers, await rpc.batch([("eth_getBlockByNumber", [hex(n), False]) for n in numbers]), strict=True
        ):
            if found is None:
                return False  # this endpoint is behind
            block = answers.record(found, "a block")
            linked = parent is None or answers.digest(block.get("parentHash"), "a block's parent") == parent
            if not linked or answers.height(block.get("number")) != number:
                return False  # two endpoints, or a reorganisation in between
            parent = answers.digest(block.get("hash"), "a block's hash")
            held = answers.listed(block.get("transactions"), "a block's transactions")
            if any(answers.digest(each, "a transaction's hash") in transactions for each in held):
                return False
        first = last + 1
    return True


async def spent(rpc: Rpc, who: Account, nonce: int, newest: int) -> bool:
    """Whether the blocks up to the newest have used this nonce of an account, when its newest state says so.

    A chain may carry out a transaction a moment before it shows the block that holds it, as anvil does: its state is
    ahead of its blocks then. The state of the block before cannot be, nor can a transaction in the newest one. A chain
    that keeps no older state is believed: the embedded one, which shows both at once.
    """
    earlier, block = await rpc.several(
        [("eth_getTransactionCount", [who, hex(max(newest - 1, 0))]), ("eth_getBlockByNumber", [hex(newest), True])]
    )
    if isinstance(earlier, RpcRefusal):
        return True
    if newest > 0 and answers.height(earlier, "a number of transactions") > nonce:
        return True
    if block is None or isinstance(block, RpcRefusal):
        return False
    listed = answers.listed(answers.record(block, "a block").get("transactions"), "a block's transactions")
    held = [answers.record(each, "a transaction") for each in listed]
    ours = [each for each in held if answers.address(each.get("from"), "a sender") == who]
    return any(answers.height(each.get("nonce"), "a nonce") >= nonce for each in ours)
