"""What was missed is made up: neighbours tell each other which messages of late they have, and hand over the others.

Gossipsub tells of the last three seconds. A node that was cut off for longer, or was away, would never hear what was
said meanwhile, and a round of labels waits for it until its deadline. So every node keeps the last messages that it has
accepted, and asks each new neighbour, and now and then an old one, for those that it has not: the service ``missed``.
What comes is a message like any other, signed by its author, and judged as such.

A question is a topic (its length in two bytes, and the text) and eight bytes of the hash of each message that the asker
has; the answer, messages as gossipsub has them, each after its length in four bytes, as many as have room.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import math
import operator
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import trio
from google.protobuf.message import DecodeError as ProtobufError
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2

from p2pfd.core.ids import PeerId
from p2pfd.errors import DecodeError, NetworkError
from p2pfd.network.api import Topic
from p2pfd.network.names import MAX_TOPIC

SERVICE = "missed"
SAME = "same"
SAME_BYTES = 2 + MAX_TOPIC + 8
FEW = 16
"""Up to so many messages a question says which they are; above, one that is asked in passing first asks for the sum."""
KEPT_BYTES = 512 * 1024
KEPT = 1024
NAME_BYTES = 8
QUESTION_BYTES = 2 + MAX_TOPIC + NAME_BYTES * KEPT
ANSWER_BYTES = 512 * 1024
ASK_SECONDS = 10.0
QUIET = 4
"""Where nothing was heard nor said, and nothing had been missed, one is asked every so many times."""
GRACE_SECONDS = 1.5
"""Who was dialled lets the other side ask first: its question tells whether one has to ask as well."""
ATTEMPTS = 3
TOLD = 4096
TURNS = 4
"""Answers in a row that one neighbour is asked for: all that it can keep, and what comes in meanwhile."""

log = logging.getLogger("p2pfd.network")

Ask = Callable[[PeerId, str, bytes, int], Awaitable[bytes]]
Hand = Callable[[ID, rpc_pb2.Message], Awaitable[None]]


def name_of(message: rpc_pb2.Message) -> bytes:
    """What a message is called here: its author and number, hashed."""
    return hashlib.sha256(message.from_id + message.seqno).digest()[:NAME_BYTES]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A message: its bytes are missing where it was seen, and not accepted."""

    topic: str
    raw: bytes
    author: bytes


class Archive:
    """The last messages, by topic and in the order in which they came; bounded in number and in bytes.

    Where there is no room, the author of whom most is here loses the oldest: who says a thing again and again pushes
    out nobody else's only word.
    """

    def __init__(self, count: int = KEPT, size: int = KEPT_BYTES) -> None:
        self._count, self._size = count, size
        self._share = size // count
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._by: dict[bytes, OrderedDict[bytes, None]] = {}
        """The names of each author's messages, the oldest first."""
        self._weights: Counter[bytes] = Counter()
        """How much room each author takes: a share of all numbers for each message, and its bytes."""
        self._bytes = 0
        self.changes = 0
        """How many messages came in or were said so far."""

    def see(self, message: rpc_pb2.Message) -> None:
        """A message came in: whatever becomes of it, it is not asked for again."""
        self._put(message, b"")

    def keep(self, message: rpc_pb2.Message) -> None:
        """A message was accepted, or said: others can have it."""
        self._put(message, message.SerializeToString())

    def _put(self, message: rpc_pb2.Message, raw: bytes) -> None:
        name = name_of(message)
        former = self._kept.get(name)
        if former is not None and former.raw:
            return
        if former is None:
            self._weights[message.from_id] += self._share
        self._kept[name] = _Kept(message.topicIDs[0], raw, message.from_id)
        self._kept.move_to_end(name)
        own = self._by.setdefault(message.from_id, OrderedDict())
        own[name] = None
        own.move_to_end(name)
        self._weights[message.from_id] += len(raw)
        self._bytes += len(raw)
        self.changes += 1
        while len(self._kept) > self._count or self._bytes > self._size:
            able = (author for author in self._weights if author != message.from_id or len(self._by[author]) > 1)
            self._drop_from(max(able, key=self._weights.__getitem__, default=message.from_id))

    def _drop_from(self, author: bytes) -> None:
        """Let go of an author's oldest message."""
        name, _ = self._by[author].popitem(last=False)
        gone = len(self._kept.pop(name).raw)
        self._bytes -= gone
        self._weights[author] -= gone + self._share
        if not self._by[author]:
            del self._by[author], self._weights[author]

    def question(self, topic: Topic) -> bytes:
        """Which messages on a topic are here."""
        names = (name for name, kept in self._kept.items() if kept.topic == topic)
        return len(topic.encode()).to_bytes(2, "big") + topic.encode() + b"".join(names)

    def told(self, question: bytes) -> tuple[Topic, bool]:
        """On which topic somebody asks, and whether it has something that is not here; DecodeError as `answer`."""
        topic, known = _read(question)
        return Topic(topic), not known <= self._kept.keys()

    def summary(self, topic: Topic) -> bytes:
        """A topic and the sum of the names on it: two that have the same messages have the same sum."""
        names = (name for name, kept in self._kept.items() if kept.topic == topic)
        total = functools.reduce(operator.xor, (int.from_bytes(name, "big") for name in names), 0)
        return len(topic.encode()).to_bytes(2, "big") + topic.encode() + total.to_bytes(NAME_BYTES, "big")

    def compare(self, summary: bytes) -> bytes:
        """One when that is also the sum here, else zero; DecodeError when it is none."""
        topic, total = _read(summary)
        if len(total) != 1:
            raise DecodeError("a sum of messages with more than one number")
        return b"\1" if summary == self.summary(Topic(topic)) else b"\0"

    def count(self, topic: Topic) -> int:
        """How many messages on a topic are here."""
        return sum(kept.topic == topic for kept in self._kept.values())

    def answer(self, question: bytes) -> bytes:
        """The messages on that topic that the asker lacks, oldest first; DecodeError when it is no question."""
        topic, known = _read(question)
        out = bytearray()
        for name, kept in self._kept.items():
            if kept.topic == topic and kept.raw and name not in known:
                if len(out) + 4 + len(kept.raw) > ANSWER_BYTES:
                    break
                out += len(kept.raw).to_bytes(4, "big") + kept.raw
        return bytes(out)


def _read(question: bytes) -> tuple[str, set[bytes]]:
    end = 2 + int.from_bytes(question[:2], "big")
    if len(question) < end or (len(question) - end) % NAME_BYTES:
        raise DecodeError(f"{len(question)} bytes that ask for nothing")
    try:
        topic = question[2:end].decode()
    except UnicodeDecodeError as error:
        raise DecodeError("a topic that is no text") from error
    return topic, {question[at : at + NAME_BYTES] for at in range(end, len(question), NAME_BYTES)}


def messages(answer: bytes) -> Iterator[rpc_pb2.Message]:
    """The messages in an answer; DecodeError at the first that is none."""
    at = 0
    while at < len(answer):
        size = int.from_bytes(answer[at : at + 4], "big")
        raw = answer[at + 4 : at + 4 + size]
        if len(raw) != size or not size:
            raise DecodeError("an answer that is cut short")
        message = rpc_pb2.Message()
        try:
            message.ParseFromString(raw)
        except ProtobufError as error:
            raise DecodeError("an answer with something that is no message") from error
        yield message
        at += 4 + size


@dataclass(frozen=True, slots=True)
class Meeting:
    """A neighbour that listens to a topic as we do, as long as it is connected; the next time is another meeting."""

    number: int
    peer: PeerId
    topic: Topic
    since: float = field(default=-math.inf, compare=False)
    """When the neighbour has dialled us; minus infinity when we have dialled it."""


class CatchUp:
    """Asks the neighbours for what was missed: each that is new, and in turn those that are not.

    Of two that meet, the one that dialled asks. Its question says what it has, and the other one asks as well only when
    that is more than it has itself, or when no question comes.
    """

    def __init__(self, archive: Archive, ask: Ask, hand: Hand, blame: Callable[[PeerId, str], None]) -> None:
        self._archive = archive
        self._ask = ask
        self._hand = hand
        self._blame = blame
        self._asked: set[Meeting] = set()
        self._failed: Counter[Meeting] = Counter()
        self._told: dict[tuple[PeerId, Topic], tuple[float, bool]] = {}
        self._stir = trio.Event()

    def answer(self, peer: PeerId, question: bytes) -> bytes:
        """What a neighbour lacks; and its question tells whether we lack anything."""
        topic, more = self._archive.told(question)
        self._told.pop((peer, topic), None)
        self._told[peer, topic] = trio.current_time(), more
        if len(self._told) > TOLD:
            del self._told[next(iter(self._told))]
        self._stir.set()
        return self._archive.answer(question)

    async def run(self, meetings: Callable[[], list[Meeting]], changed: Callable[[], trio.Event]) -> None:
        """Go on until cancelled. ``changed`` is set when the meetings are others."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_again, meetings)
            while True:
                event, self._stir = changed(), trio.Event()
                due = await self._meet(meetings())
                async with trio.open_nursery() as waiting:
                    for each in (event, self._stir):
                        waiting.start_soon(_end_with, each, waiting.cancel_scope)
                    waiting.cancel_scope.deadline = due

    async def _meet(self, now: list[Meeting]) -> float:
        """Ask those that are new, unless they ask first; when to look again."""
        due = math.inf
        present = set(now)
        self._asked &= present
        self._failed = Counter({each: count for each, count in self._failed.items() if each in present})
        for meeting in now:
            if meeting in self._asked:
                continue
            when, more = self._told.get((meeting.peer, meeting.topic), (-math.inf, True))
            if when < meeting.since:  # it has not asked
                if trio.current_time() < meeting.since + GRACE_SECONDS:
                    due = min(due, meeting.since + GRACE_SECONDS)
                    continue
                more = True
            self._asked.add(meeting)
            if more or meeting.since == -math.inf:
                await self.ask(meeting)
        return due

    async def _look_again(self, meetings: Callable[[], list[Meeting]]) -> None:
        """Ask one after the other; less often where nothing goes on."""
        place = idle = 0
        seen = self._archive.changes
        while True:
            await trio.sleep(ASK_SECONDS)
            idle = 0 if self._archive.changes != seen else idle + 1
            now = meetings()
            at_rest = idle > 1 or not seen  # the first time that nothing was heard may be because it was lost
            if not now or (at_rest and idle % QUIET):
                continue
            place = (place + 1) % len(now)
            if not await self._is_even(now[place]):
                await self.ask(now[place])
            seen = self._archive.changes

    async def _is_even(self, meeting: Meeting) -> bool:
        """Whether a neighbour has what we have, found out in a few bytes; False when it does not say."""
        if self._archive.count(meeting.topic) <= FEW:
            return False
        try:
            return await self._ask(meeting.peer, SAME, self._archive.summary(meeting.topic), 1) == b"\1"
        except NetworkError as error:
            log.debug("%s does not compare: %s", meeting.peer, error)
            return False

    async def ask(self, meeting: Meeting) -> None:
        """Make up what this neighbour has; one that never answers is not asked for ever."""
        if self._failed[meeting] >= ATTEMPTS:
            return
        for _ in range(TURNS):
            question = self._archive.question(meeting.topic)
            try:
                answer = await self._ask(meeting.peer, SERVICE, question, ANSWER_BYTES)
            except NetworkError as error:
                log.debug("%s does not say what was missed: %s", meeting.peer, error)
                self._failed[meeting] += 1
                return
            try:
                came = [message for message in messages(answer) if list(message.topicIDs) == [meeting.topic]]
            except DecodeError as error:
                self._blame(meeting.peer, str(error))
                self._failed[meeting] += 1
                return
            for message in came:
                await self._hand(ID.from_base58(meeting.peer), message)
            if len(answer) < ANSWER_BYTES // 2 or not came:
                return


async def _end_with(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
