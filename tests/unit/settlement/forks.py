"""A chain in this process that grows, forks and is shown by endpoints of different age, for those who follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import trio
from eth_utils import keccak

from p2pfd.core.ids import Account
from p2pfd.core.rng import Rng
from p2pfd.settlement import contracts, encounters
from p2pfd.settlement.rpc import Rpc, RpcRefusal

MARKET = Account("0x" + "ab" * 20)
TASK = b"\x05" * 32
_CLOSED = next(shape.topic for shape in contracts.market().events.values() if shape.name == "TaskClosed")
_LEFT = next(shape.topic for shape in encounters.interface().events.values() if shape.name == "SeatLeft")


@dataclass(frozen=True)
class Block:
    number: int
    parent: str
    events: tuple[int, ...]
    """Each is an event whose ``rounds`` is this number."""

    @property
    def hash(self) -> str:
        return "0x" + bytes(keccak(repr(self).encode())).hex()

    def logs(self, seats: bool) -> list[dict[str, Any]]:
        """As a market tells them, or as seats that were left."""
        return [
            {
                "address": MARKET,
                "topics": ["0x" + _LEFT.hex(), f"0x{event:064x}"]
                if seats
                else ["0x" + _CLOSED.hex(), "0x" + TASK.hex()],
                "data": "0x" if seats else f"0x{event:064x}",
                "blockNumber": hex(self.number),
                "blockHash": self.hash,
                "transactionHash": self.hash,
                "logIndex": hex(place),
            }
            for place, event in enumerate(self.events)
        ]


class Forks(Rpc):
    """The chain, as an endpoint that is sometimes behind shows it."""

    def __init__(self, rng: Rng, stale: int = 0, seats: bool = False) -> None:
        super().__init__("http://127.0.0.1:1")
        self.blocks = [Block(0, "0x" + "00" * 32, ())]
        self.everything: dict[str, Block] = {}
        self._rng = rng
        self._stale = stale
        self._seats = seats
        self._serial = 0

    def grow(self, count: int = 1) -> None:
        for _ in range(count):
            events = tuple(range(self._serial, self._serial + self._rng.below(3)))
            self._serial += len(events) + 1
            self.blocks.append(Block(len(self.blocks), self.blocks[-1].hash, events))

    def fork(self, depth: int, length: int) -> None:
        """Another end for the last blocks."""
        del self.blocks[-depth:]
        self._serial += 1_000
        self.grow(length)

    def events(self) -> list[int]:
        return [event for block in self.blocks for event in block.events]

    async def several(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        await trio.lowlevel.checkpoint()
        behind = self._rng.below(self._stale + 1)
        seen = self.blocks[: max(1, len(self.blocks) - behind)]
        return [self._answer(seen, method, list(params)) for method, params in calls]

    def _answer(self, seen: Sequence[Block], method: str, params: list[Any]) -> Any:
        if method == "eth_blockNumber":
            return hex(len(seen) - 1)
        if method == "eth_getBlockByNumber":
            number = int(params[0], 16)
            if number >= len(seen):
                return None
            return {"number": hex(number), "hash": seen[number].hash, "parentHash": seen[number].parent}
        assert method == "eth_getLogs"
        assert params[0]["address"] == MARKET
        if "blockHash" in params[0]:
            for block in seen:
                if block.hash == params[0]["blockHash"]:
                    return block.logs(self._seats)
            return RpcRefusal(method, -32000, "unknown block", b"")
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        return [log for block in seen[first : last + 1] for log in block.logs(self._seats)]
