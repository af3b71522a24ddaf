"""From an event back to the call that made it: what a contract keeps as a hash, somebody has said in full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from p2pfd.core.ids import Account
from p2pfd.settlement import answers
from p2pfd.settlement.api import ChainAwayError
from p2pfd.settlement.kinds import Contract
from p2pfd.settlement.rpc import Rpc

T = TypeVar("T")
WINDOW = 1_000
WINDOWS = 100
"""So far back it is looked for: what is looked for has just happened."""


class Trail:
    """Looks back in one contract's logs."""

    def __init__(self, rpc: Rpc, contract: Contract, finality: int) -> None:
        self._rpc = rpc
        self._contract = contract
        self._finality = finality

    async def find(self, is_it: Callable[[Any], bool], read: Callable[[Account, bytes], T | None]) -> T | None:
        """What can be read in a call that told such an event, given who called: in the newest final one that has it."""
        last = answers.height(await self._rpc.call("eth_blockNumber")) - self._finality
        for _ in range(WINDOWS):
            if last < 0:
                break
            first = max(0, last - WINDOW + 1)
            wanted = {"address": self._contract.address, "fromBlock": hex(first), "toBlock": hex(last)}
            logs = answers.listed(await self._rpc.call("eth_getLogs", wanted), "a list of logs")
            for log in reversed(logs):
                found = answers.record(log, "a log")
                if self._tells(found, is_it):
                    call = await self._call(answers.digest(found.get("transactionHash"), "a log's transaction"))
                    meant = None if call is None else read(*call)
                    if meant is not None:
                        return meant
            last = first - 1
        return None

    def _tells(self, log: Any, is_it: Callable[[Any], bool]) -> bool:
        topics = [answers.digest(topic, "a topic") for topic in answers.listed(log.get("topics"), "a log's topics")]
        told = self._contract.kind.event_of(topics, answers.octets(log.get("data"), "a log's data"))
        return told is not None and is_it(told)

    async def _call(self, tx: bytes) -> tuple[Account, bytes] | None:
        held = await self._rpc.call("eth_getTransactionByHash", "0x" + tx.hex())
        if held is None:
            raise ChainAwayError("the chain's endpoint is behind the chain", "it is asked again")
        return call_in(held, self._contract)


def call_in(held: object, contract: Contract) -> tuple[Account, bytes] | None:
    """Who called the contract in this transaction, and with which data; None where it calls another one."""
    made = answers.record(held, "a transaction")
    if made.get("to") is None or answers.address(made["to"], "a transaction's target") != contract.address:
        return None
    sender = answers.address(made.get("from"), "a transaction's sender")
    return sender, answers.octets(made.get("input"), "a transaction's data")
