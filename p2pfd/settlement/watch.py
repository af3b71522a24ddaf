"""One look at the chain for all who follow tasks in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any
from weakref import WeakSet

import trio

from p2pfd.core.claims import ChainEvent
from p2pfd.core.ids import Account, TaskId
from p2pfd.errors import ChainError
from p2pfd.settlement.api import Cursor
from p2pfd.settlement.contracts import event_of
from p2pfd.settlement.rpc import Rpc, RpcRefusal

Seen = tuple[Cursor, ChainEvent]
_TOO_MANY = -32005
_BLOCKS_A_REQUEST = 5_000


class Watcher:
    """Asks for new blocks at an interval, reads the market's logs in them once, and hands them to every feed."""

    def __init__(
        self, rpc: Rpc, market: Account, *, finality: int, interval: float, outage_seconds: float = 60.0
    ) -> None:
        self._rpc = rpc
        self._market = market
        self._finality = finality
        self._interval = interval
        self._outage = outage_seconds
        self._feeds: WeakSet[Feed] = WeakSet()
        self._wanted = trio.Event()
        self._started = trio.Event()
        self._read = -1
        """Every block up to this one has been handed out."""

    async def run(self) -> None:
        """Watch for ever; ChainError when the chain has not answered for too long."""
        await self._wanted.wait()
        since = trio.current_time()
        while True:
            try:
                await self._look()
                since = trio.current_time()
            except ChainError:
                if trio.current_time() - since > self._outage:
                    raise
            await trio.sleep(self._interval)

    async def _look(self) -> None:
        head = int(await self._rpc.call("eth_blockNumber"), 16) - self._finality
        if not self._started.is_set():
            self._read = head
            self._started.set()
        if head <= self._read:
            return
        for seen in await self.history(self._read + 1, head, None):
            for feed in self._feeds:
                feed.offer(seen)
        self._read = head
        for feed in self._feeds:
            feed.wake()

    async def history(self, first: int, last: int, task: TaskId | None) -> list[Seen]:
        """The events in these blocks, of one task or of all."""
        found: list[Seen] = []
        step = _BLOCKS_A_REQUEST
        while first <= last:
            until = min(last, first + step - 1)
            wanted: dict[str, object] = {"address": self._market, "fromBlock": hex(first), "toBlock": hex(until)}
            if task is not None:
                wanted["topics"] = [None, "0x" + task.hex()]
            try:
                logs = await self._rpc.call("eth_getLogs", wanted)
            except RpcRefusal as refusal:
                if refusal.code != _TOO_MANY or step == 1:
                    raise
                step = max(1, step // 8)
                continue
            found += [seen for log in logs if (seen := _seen(log)) is not None]
            first = until + 1
        return found

    async def join(self, feed: Feed) -> int:
        """Hand the feed whatever comes after the block that this returns."""
        self._wanted.set()
        await self._started.wait()
        self._feeds.add(feed)
        return self._read


class Feed(AsyncIterator[Seen]):
    """A task's events after a place in history, in order, for ever."""

    def __init__(self, watcher: Watcher, since: Cursor, task: TaskId) -> None:
        self._watcher = watcher
        self._after = since
        self._task = task
        self._joined_at: int | None = None
        self._caught_up = False
        self._ready: deque[Seen] = deque()
        self._news = trio.Event()

    def offer(self, seen: Seen) -> None:
        """Take an event that the watcher saw, if it is of this task."""
        if seen[1].task == self._task:
            self._ready.append(seen)

    def wake(self) -> None:
        """Let the follower look."""
        self._news.set()

    async def __anext__(self) -> Seen:
        if self._joined_at is None:
            self._joined_at = await self._watcher.join(self)
        if not self._caught_up:
            past = await self._watcher.history(max(0, self._after.block), self._joined_at, self._task)
            self._ready.extendleft(reversed(past))
            self._caught_up = True
        while True:
            while self._ready:
                seen = self._ready.popleft()
                if seen[0] > self._after:
                    self._after = seen[0]
                    return seen
            self._news = trio.Event()
            await self._news.wait()


def _seen(log: Mapping[str, Any]) -> Seen | None:
    topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
    event = event_of(topics, bytes.fromhex(log["data"][2:]))
    if event is None:
        return None
    return Cursor(int(log["blockNumber"], 16), int(log["logIndex"], 16)), event
