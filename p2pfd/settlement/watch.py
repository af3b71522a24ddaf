"""One look at the chain for all who follow our contracts in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from weakref import WeakSet

import trio

from p2pfd.core.ids import Account, TaskId
from p2pfd.errors import ChainError
from p2pfd.settlement import answers
from p2pfd.settlement.api import AnyEvent, ChainAwayError, Cursor
from p2pfd.settlement.kinds import Contract, Kind
from p2pfd.settlement.logs import Told, told_in
from p2pfd.settlement.rpc import Rpc, RpcRefusal

Seen = tuple[Cursor, AnyEvent]
_TOO_MANY = (-32005, -32614, -32600)
"""What endpoints answer where there are more logs, or more blocks, than they look through for one question."""
_BLOCKS_A_REQUEST = 5_000
_ONE_BY_ONE = 25
"""Fewer blocks than this are asked for each by itself, where endpoints can be behind."""


class FinalityBrokenError(ChainError):
    """The chain undid what counted as final."""


class Watcher:
    """Asks for new blocks at an interval, reads the contracts' logs in them once, and hands them to every feed.

    Blocks are read when they are final, and only from an endpoint that shows that it has them.
    """

    def __init__(
        self,
        rpc: Rpc,
        *contracts: Contract,
        finality: int,
        interval: float,
        outage_seconds: float = 60.0,
        bell: Rpc | None = None,
    ) -> None:
        """``bell`` is a connection of its own to a chain that can be asked to answer when there is something new."""
        self._rpc = rpc
        self._bell = bell
        self._kinds: dict[Account, Kind] = {each.address: each.kind for each in contracts}
        self._finality = finality
        self._interval = interval
        self._outage = outage_seconds
        self._feeds: WeakSet[Feed] = WeakSet()
        self._wanted = trio.Event()
        self._started = trio.Event()
        self._read = -1
        """Every block up to this one has been handed out."""
        self._last: bytes | None = None
        """The hash of that block, where blocks can be undone."""

    async def run(self) -> None:
        """Watch for ever; ChainError when the chain has not answered for too long."""
        await self._wanted.wait()
        since = trio.current_time()
        while True:
            try:
                await self._rung()
                await self._look()
                since = trio.current_time()
            except FinalityBrokenError:
                raise
            except ChainError:
                if trio.current_time() - since > self._outage:
                    raise
            await trio.sleep(self._interval)

    async def _rung(self) -> None:
        """Wait until the chain has something new, where it can be asked to tell."""
        if self._bell is None or not self._started.is_set():
            return
        patient = [topic for kind in self._kinds.values() for topic in kind.topics_of_the_patient()]
        try:
            wanted = {"address": list(self._kinds), "patient": patient}
            await self._bell.call("p2pfd_awaitBlock", hex(max(self._read, 0)), wanted)
        except RpcRefusal:
            self._bell = None  # an embedded chain of another release: it is asked again and again

    async def _look(self) -> None:
        head = max(-1, answers.height(await self._rpc.call("eth_blockNumber")) - self._finality)
        if not self._started.is_set():
            self._read = head
            self._started.set()
        if head <= self._read:
            return  # nothing new, or an endpoint that is behind
        if self._last is not None:
            await self._check_last(self._last)
        kinds = dict(self._kinds)
        found, last = await self._history(self._read + 1, head, kinds, None)
        if kinds != self._kinds:
            return  # one more is followed: what happened there in these blocks would be missed
        for told in found:
            for feed in self._feeds:
                feed.offer(told)
        self._read, self._last = head, last
        for feed in self._feeds:
            feed.wake()

    async def _check_last(self, last: bytes) -> None:
        """What was handed out as final must still stand, or whoever acted on it must not go on."""
        held = await self._rpc.call("eth_getBlockByNumber", hex(self._read), False)
        if held is None:
            raise _behind()
        if answers.digest(answers.record(held, "a block").get("hash"), "a block's hash") != last:
            raise FinalityBrokenError(
                f"the chain undid block {self._read}, which had {self._finality} blocks on top of it",
                "stop, and look at the chain: what was done on the strength of it may have no ground",
            )

    async def history(self, first: int, last: int, contract: Contract, task: TaskId | None) -> list[Seen]:
        """What a contract tells in these blocks, of one task or of all."""
        return [(told.cursor, told.event) for told in await self.told(first, last, contract, task)]

    async def told(self, first: int, last: int, contract: Contract, task: TaskId | None) -> list[Told]:
        """The same, with where each event stands."""
        return (await self._history(first, last, {contract.address: contract.kind}, task))[0]

    async def _history(
        self, first: int, last: int, kinds: Mapping[Account, Kind], task: TaskId | None
    ) -> tuple[list[Told], bytes | None]:
        """The events, and the last block's hash where blocks can be undone."""
        wanted: dict[str, object] = {"address": list(kinds) if len(kinds) > 1 else next(iter(kinds))}
        if task is not None:
            wanted["topics"] = [None, "0x" + task.hex()]
        if self._finality > 0 and 0 <= last - first < _ONE_BY_ONE:
            return await self._one_by_one(range(first, last + 1), kinds, wanted)
        found: list[Told] = []
        at: bytes | None = None
        step = _BLOCKS_A_REQUEST
        while first <= last:
            until = min(last, first + step - 1)
            blocks: dict[str, object] = {"fromBlock": hex(first), "toBlock": hex(until)}
            asked: list[tuple[str, Sequence[object]]] = [("eth_getLogs", [wanted | blocks])]
            if self._finality > 0:  # an endpoint that lacks the last block answers with the logs of those it has
                asked.append(("eth_getBlockByNumber", [hex(until), False]))
            logs, *block = await self._rpc.several(asked)
            if isinstance(logs, RpcRefusal):
                if logs.code not in _TOO_MANY or step == 1:
                    raise logs
                step = max(1, step // 8)
                continue
            if block:
                if block[0] is None or isinstance(block[0], RpcRefusal):
                    raise _behind()
                at = answers.digest(answers.record(block[0], "a block").get("hash"), "a block's hash")
            found += told_in(logs, first, until, kinds)
            first = until + 1
        return found, at

    async def _one_by_one(
        self, numbers: range, kinds: Mapping[Account, Kind], wanted: Mapping[str, object]
    ) -> tuple[list[Told], bytes]:
        """The same by the blocks' hashes: an endpoint that has not got a block says so, and does not leave it out."""
        hashes = []
        for held in await self._rpc.batch([("eth_getBlockByNumber", [hex(number), False]) for number in numbers]):
            if held is None:
                raise _behind()
            hashes.append(answers.digest(answers.record(held, "a block").get("hash"), "a block's hash"))
        logs = await self._rpc.several(
            [("eth_getLogs", [{**wanted, "blockHash": "0x" + each.hex()}]) for each in hashes]
        )
        if any(isinstance(each, RpcRefusal) for each in logs):
            raise _behind()
        told = [each for number, log in zip(numbers, logs, strict=True) for each in told_in(log, number, number, kinds)]
        return told, hashes[-1]

    async def caught_up(self, first: int, last: int, contract: Contract, task: TaskId | None) -> list[Seen]:
        """The same as `history`, from an endpoint that may be behind, or confused, for a while."""
        give_up = trio.current_time() + self._outage
        while True:
            try:
                return await self.history(first, last, contract, task)
            except ChainError:
                if trio.current_time() >= give_up:
                    raise
            await trio.sleep(self._interval)

    async def final_height(self) -> int:
        """The newest block that is final, as far as an endpoint or an earlier look knows; −1 where none is."""
        head = answers.height(await self._rpc.call("eth_blockNumber")) - self._finality
        return max(head, self._read, -1)

    async def join(self, feed: Feed) -> int:
        """Hand the feed whatever its contract tells after the block that this returns."""
        self._kinds.setdefault(feed.contract.address, feed.contract.kind)
        self._wanted.set()
        await self._started.wait()
        self._feeds.add(feed)
        return self._read


class Feed(AsyncIterator[Any]):
    """A contract's events after a place in history, of one task or of all, in order, for ever."""

    def __init__(self, watcher: Watcher, since: Cursor, contract: Contract, task: TaskId | None) -> None:
        self._watcher = watcher
        self._after = since
        self.contract = contract
        self._task = task
        self._joined_at: int | None = None
        self._caught_up = False
        self._ready: deque[Seen] = deque()
        self._news = trio.Event()

    def offer(self, told: Told) -> None:
        """Take an event that the watcher saw, if it is one of these."""
        if told.contract == self.contract.address and self._task in (None, getattr(told.event, "task", None)):
            self._ready.append((told.cursor, told.event))

    def wake(self) -> None:
        """Let the follower look."""
        self._news.set()

    async def __anext__(self) -> Seen:
        if self._joined_at is None:
            self._joined_at = await self._watcher.join(self)
        if not self._caught_up:
            first = max(0, self._after.block)
            past = await self._watcher.caught_up(first, self._joined_at, self.contract, self._task)
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


def _behind() -> ChainAwayError:
    return ChainAwayError("the chain's endpoint is behind the chain", "it is asked again")
