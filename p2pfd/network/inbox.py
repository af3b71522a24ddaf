"""What came in on a topic and waits for its verdict. Both transports use it, so that they mean the same by it."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Protocol

import trio

from p2pfd.core.ids import PeerId
from p2pfd.core.verdict import Ignore, Verdict
from p2pfd.network.api import Delivery, Topic

FULL = Ignore("the inbound queue is full")
LATE = Ignore("no verdict in time")


class Recall:
    """Remembers what was said by whom, up to a bound; the oldest is forgotten first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def first_time(self, author: PeerId, topic: Topic, raw: bytes) -> bool:
        """Whether this author says this on this topic for the first time."""
        name = f"{author}\n{topic}\n".encode()
        key = hashlib.blake2b(len(name).to_bytes(4, "big") + name + raw, digest_size=16).digest()
        if key in self._known:
            return False
        self._known[key] = None
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return True


class _Waiting:
    """One delivery that waits for its verdict, for as long as it stands in the queue, and then until the deadline."""

    __slots__ = ("deadline", "decided", "taken")

    def __init__(self, decided: Callable[[Verdict], None]) -> None:
        self.deadline = math.inf
        self.decided = decided
        self.taken = trio.Event()


class Inbox:
    """The deliveries of one topic: bounded, and when it is full the newest is turned away."""

    def __init__(self, limit: int, answer_seconds: float) -> None:
        self._limit = limit
        self._seconds = answer_seconds
        self._waiting: dict[_Waiting, None] = {}  # a set that keeps its order, which is that of the deadlines
        self.turned_away = 0
        self._send, self._receive = trio.open_memory_channel[tuple[_Waiting, Delivery]](limit)

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(self, sender: PeerId, via: PeerId, raw: bytes, decided: Callable[[Verdict], None]) -> _Waiting:
        """Put it before the listener. `decided` is called once, within the call that brings the verdict.

        That verdict is Ignore when there is no room, or when it comes too late. The time for it begins when the
        listener takes the delivery: a node that is behind catches up with its queue, and does not let the mesh lose
        what stands in it.
        """
        now = trio.current_time()
        while self._waiting and (oldest := next(iter(self._waiting))).deadline < now:
            self._decide(oldest, LATE)
        entry = _Waiting(decided)
        if len(self._waiting) < self._limit:
            self._waiting[entry] = None
            try:
                delivery = Delivery(sender, via, raw, lambda verdict: self._answer(entry, verdict))
                self._send.send_nowait((entry, delivery))
                return entry
            except (trio.WouldBlock, trio.ClosedResourceError, trio.BrokenResourceError):
                # Deliveries whose time is over may still stand in the channel; or the listener has just gone.
                del self._waiting[entry]
        self.turned_away += 1
        decided(FULL)
        entry.taken.set()
        return entry

    def _answer(self, entry: _Waiting, verdict: Verdict) -> None:
        self._decide(entry, verdict if trio.current_time() <= entry.deadline else LATE)

    def _decide(self, entry: _Waiting, verdict: Verdict) -> None:
        if entry in self._waiting:  # the first answer counts
            del self._waiting[entry]
            entry.decided(verdict)
            entry.taken.set()

    async def offer(self, sender: PeerId, via: PeerId, raw: bytes) -> Verdict:
        """Put it before the listener and wait for the verdict."""
        verdicts: list[Verdict] = []
        done = trio.Event()

        def decided(verdict: Verdict) -> None:
            verdicts.append(verdict)
            done.set()

        entry = self.submit(sender, via, raw, decided)
        await entry.taken.wait()
        with trio.move_on_at(entry.deadline):
            await done.wait()
        return verdicts[0] if verdicts else LATE

    async def take(self) -> Delivery:
        """The next delivery; StopAsyncIteration once the inbox is closed."""
        try:
            entry, delivery = await self._receive.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise StopAsyncIteration from None
        entry.deadline = trio.current_time() + self._seconds
        entry.taken.set()
        return delivery

    def close(self) -> None:
        """Nothing comes in any more; what stands in the inbox can still be taken, but nobody waits for verdicts."""
        self._send.close()
        for entry in tuple(self._waiting):
            self._decide(entry, LATE)


class Listening(AsyncIterator[Delivery]):
    """The iterator behind `heard`. Its first step subscribes; `aclose`, or leaving it as a context, unsubscribes."""

    def __init__(self, host: Subscriber, topic: Topic) -> None:
        self._host = host
        self._topic = topic
        self._inbox: Inbox | None = None
        self._closed = False

    def __aiter__(self) -> Listening:
        return self

    async def __anext__(self) -> Delivery:
        if self._closed:
            raise StopAsyncIteration
        if self._inbox is None:
            self._inbox = await self._host.listen(self._topic)
        return await self._inbox.take()

    async def aclose(self) -> None:
        """Stop listening; a listener that came later on the same topic is not disturbed."""
        self._closed = True
        if self._inbox is not None:
            await self._host.unlisten(self._topic, self._inbox)

    async def __aenter__(self) -> Listening:
        if self._inbox is None:
            self._inbox = await self._host.listen(self._topic)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Subscriber(Protocol):
    """What a `Listening` needs of its transport."""

    async def listen(self, topic: Topic) -> Inbox:
        """Subscribe, and hand out the topic's inbox."""
        ...

    async def unlisten(self, topic: Topic, inbox: Inbox) -> None:
        """Unsubscribe, unless another inbox has taken the topic over."""
        ...
