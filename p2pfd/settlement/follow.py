"""A contract's events as they happen, and as they are undone when the chain reorganises.

Whoever must not be wrong follows a `Settlement`'s events, which come once and for good when they are final. This here
is for those who want to know sooner, and can take back what they concluded: views, alarms, explorers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import trio

from p2pfd.errors import ChainError
from p2pfd.settlement import answers
from p2pfd.settlement.api import ChainAwayError
from p2pfd.settlement.kinds import Contract
from p2pfd.settlement.logs import Told, told_in
from p2pfd.settlement.rpc import Rpc, RpcRefusal
from p2pfd.settlement.watch import FinalityBrokenError

_BLOCKS_A_REQUEST = 20
_Call = tuple[str, Sequence[object]]


@dataclass(frozen=True, slots=True)
class Added:
    """This happened, as far as the chain goes now."""

    told: Told


@dataclass(frozen=True, slots=True)
class Undone:
    """This did not happen after all. What came after it has been undone before it."""

    told: Told


Step = Added | Undone


@dataclass(frozen=True, slots=True)
class _Block:
    number: int
    hash: bytes
    told: tuple[Told, ...]


class Follower(AsyncIterator[Step]):
    """Events from a block on, for ever. A block that leaves the chain takes its events back, the newest first."""

    def __init__(
        self, rpc: Rpc, contract: Contract, *, depth: int, since: int = 1, interval: float = 1.0, outage: float = 60.0
    ) -> None:
        """Remember so many blocks: a reorganisation that goes deeper is an error, and none can be undone beyond it."""
        self._rpc = rpc
        self._at = contract.address
        self._kinds = {contract.address: contract.kind}
        self._depth = depth
        self._since = max(1, since)
        self._interval = interval
        self._outage = outage
        self._chain: deque[_Block] = deque(maxlen=depth + 1)
        """The newest blocks, the oldest first; it is an anchor, and its own events are not taken back."""
        self._steps: deque[Step] = deque()

    async def __anext__(self) -> Step:
        answered = trio.current_time()
        while not self._steps:
            try:
                await self.look()
                answered = trio.current_time()
            except FinalityBrokenError:
                raise
            except ChainError:
                if trio.current_time() - answered >= self._outage:
                    raise
            if not self._steps:
                await trio.sleep(self._interval)
        return self._steps.popleft()

    async def look(self) -> None:
        """See what the chain has done since the last look."""
        head = answers.height(await self._rpc.call("eth_blockNumber"))
        if not self._chain:
            await self._begin(head)
        if head < self._chain[-1].number:
            return  # an endpoint that is behind; no chain becomes shorter for long
        if await self._back_to_common():
            await self._forth(head)

    async def _begin(self, head: int) -> None:
        anchor = max(self._since - 1, head - self._depth)
        wanted = {"address": self._at, "fromBlock": hex(self._since), "toBlock": hex(anchor)}
        asked: list[_Call] = [("eth_getBlockByNumber", [hex(anchor), False])]
        if anchor >= self._since:
            asked.append(("eth_getLogs", [wanted]))
        held, *logs = await self._rpc.batch(asked)
        if held is None:
            raise ChainAwayError("the chain's endpoint is behind the chain", "it is asked again")
        found = answers.digest(answers.record(held, "a block").get("hash"), "a block's hash")
        for each in logs:
            self._steps += [Added(told) for told in told_in(each, self._since, anchor, self._kinds)]
        self._chain.append(_Block(anchor, found, ()))

    async def _back_to_common(self) -> bool:
        """Undo what the chain has left; False when the endpoint cannot say."""
        while True:
            top = self._chain[-1]
            held = await self._rpc.call("eth_getBlockByNumber", hex(top.number), False)
            if held is None:
                return False
            if answers.digest(answers.record(held, "a block").get("hash"), "a block's hash") == top.hash:
                return True
            if len(self._chain) == 1:
                raise FinalityBrokenError(
                    f"the chain undid block {top.number}, deeper than the {self._depth} that are remembered",
                    "stop, and look at the chain; then follow it from the beginning",
                )
            self._chain.pop()
            self._steps += [Undone(told) for told in reversed(top.told)]

    async def _forth(self, head: int) -> None:
        while self._chain[-1].number < head:
            first = self._chain[-1].number + 1
            numbers = range(first, min(head, first + _BLOCKS_A_REQUEST - 1) + 1)
            blocks = await self._linked([("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
            logs = await self._rpc.several(
                [("eth_getLogs", [{"address": self._at, "blockHash": "0x" + each.hex()}]) for each in blocks]
            )
            for number, found, log in zip(numbers, blocks, logs, strict=False):
                if isinstance(log, RpcRefusal):
                    return  # the block left the chain between the two questions
                told = tuple(told_in(log, number, number, self._kinds))
                if any(each.block != found for each in told):
                    raise answers.wrong("a log of the block that was asked for", "another block's")
                self._chain.append(_Block(number, found, told))
                self._steps += [Added(each) for each in told]
            if len(blocks) < len(numbers):
                return

    async def _linked(self, asked: Sequence[_Call]) -> list[bytes]:
        """The hashes of the blocks that follow the newest known one, as far as each is the next one's parent."""
        parent, out = self._chain[-1].hash, []
        for held in await self._rpc.batch(asked):
            if held is None:
                break
            block = answers.record(held, "a block")
            if answers.digest(block.get("parentHash"), "a block's parent") != parent:
                break
            parent = answers.digest(block.get("hash"), "a block's hash")
            out.append(parent)
        return out
