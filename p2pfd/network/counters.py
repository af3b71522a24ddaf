"""What crossed the network, and what was dropped and why: numbers that only go up, of one node.

The label sets are bounded. A topic has a row when this node speaks or listens on it; a neighbour has one while it is
connected and there is room, and whoever comes on top, or has gone and is pushed out, is summed up as `OTHER`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum

ROWS = 64
OTHER = "other"


class Drop(Enum):
    """Every reason for which something does not go where it was going."""

    FRAME = "frame", "a frame on a gossip stream that cannot be read"
    RECORD = "record", "a gossip frame with a record of addresses that is not its sender's"
    FOREIGN_TOPIC = "foreign_topic", "a message on a topic that nobody listens to here"
    MALFORMED = "malformed", "a message with no author, of more than one topic, or with fields that are too long"
    TOO_LONG = "too_long", "a message longer than message_bytes"
    SIGNATURE = "signature", "a message whose signature is not its author's"
    OWN = "own", "a message of this node's own that came back"
    REPEATED = "repeated", "the same bytes from the same author on the same topic once more"
    RATE = "rate", "a message above messages_per_second of one neighbour on one topic"
    INBOX_FULL = "inbox_full", "a message for which no place was left among those that wait for a verdict"
    LATE = "late", "a message without a verdict within answer_seconds"
    EQUIVOCATION = "equivocation", "a message under a number that its author had given to another one"
    ERROR = "error", "a message whose handling failed"
    CONTROL = "control", "gossip control above what one neighbour may say in a heartbeat, or about unknown topics"
    SUBSCRIPTION = "subscription", "a subscription above the limits, or with a topic's name that is too long"
    QUEUE_FULL = "queue_full", "something for a neighbour whose queue is full"
    OVERSIZED = "oversized", "something for a neighbour that no frame can hold"
    GONE = "gone", "a message that stood in the queue of a neighbour that went"
    NEWCOMER = "newcomer", "a message held for a newcomer for too long, or with too many others"
    STREAMS = "streams", "a stream above what one peer may hold open"
    PROTOCOL = "protocol", "a stream of a protocol that is not spoken here, or of none"
    STREAM_TIME = "stream_time", "a stream that took longer than its protocol allows"
    STREAM_ERROR = "stream_error", "a stream that broke its protocol, or ended in the midst of it"
    REQUEST_SIZE = "request_size", "a request longer than its service takes"
    SERVICE = "service", "a request whose service raised an error"
    SLOW_READER = "slow_reader", "a stream whose reader took no 64 KiB of what it had asked for within stall_seconds"
    WRONG_BLOB = "wrong_blob", "a piece or a manifest that is not what was asked for"
    WINDOW = "window", "a connection on which a peer sent more than its window, or broke yamux otherwise"
    RELAY = "relay", "something asked of this relay that is above its limits, or of a peer that has no place on it"
    CIRCUIT = "circuit", "a connection carried for others that has used up its bytes or its time"
    MEMORY = "memory", "a connection that held the most unread when all together held more than memory_bytes"
    CONNECTIONS = "connections", "a connection above the limit, or with no descriptor left for it"
    HANDSHAKE = "handshake", "a connection whose handshake failed or took too long"
    REFUSED = "refused", "a connection of a peer that is refused"
    SILENT = "silent", "a connection whose peer gave no sign of life in time"
    STALLED = "stalled", "a connection whose peer took nothing for stall_seconds"

    def __init__(self, label: str, meaning: str) -> None:
        self.label = label
        self.meaning = meaning

    # By identity: the default goes through the value, and costs more than the count itself.
    __hash__ = object.__hash__


@dataclass(slots=True)
class Flow:
    """The counts of one topic, or of one neighbour."""

    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0
    duplicates: int = 0
    accepted: int = 0
    ignored: int = 0
    rejected: int = 0

    def add(self, other: Flow) -> None:
        """Sum up."""
        self.messages_in += other.messages_in
        self.bytes_in += other.bytes_in
        self.messages_out += other.messages_out
        self.bytes_out += other.bytes_out
        self.duplicates += other.duplicates
        self.accepted += other.accepted
        self.ignored += other.ignored
        self.rejected += other.rejected


@dataclass(slots=True)
class Volume:
    """The bytes of one protocol's streams, without the headers below them."""

    bytes_in: int = 0
    bytes_out: int = 0


class PeerFlow(Flow):
    """The counts of one neighbour. Its bytes are those of gossip frames, whatever they hold."""

    __slots__ = ("drops", "offences", "requests", "served")

    def __init__(self) -> None:
        super().__init__()
        self.offences = 0
        self.requests = 0
        self.served = 0
        self.drops: dict[Drop, int] = {}

    def join(self, other: PeerFlow) -> None:
        """Sum up, with what only neighbours have."""
        self.add(other)
        self.offences += other.offences
        self.requests += other.requests
        self.served += other.served
        for reason, count in other.drops.items():
            self.drops[reason] = self.drops.get(reason, 0) + count


class Counters:
    """All counts of one node. Passed to whoever counts; whoever reads looks at the rows."""

    def __init__(self, rows: int = ROWS) -> None:
        self._rows = rows
        self.topics: dict[str, Flow] = {}
        self.peers: dict[str, PeerFlow] = {}
        self.protocols: dict[str, Volume] = {}
        self.other_topics = Flow()
        self.other_peers = PeerFlow()
        self.drops: dict[Drop, int] = dict.fromkeys(Drop, 0)
        self._gone: OrderedDict[str, None] = OrderedDict()

    def topic(self, name: str) -> Flow:
        """The row of a topic."""
        row = self.topics.get(name)
        if row is None:
            if len(self.topics) >= self._rows:
                return self.other_topics
            row = self.topics[name] = Flow()
        return row

    def peer(self, peer: str) -> PeerFlow:
        """The row of a neighbour."""
        row = self.peers.get(peer)
        if row is None:
            if len(self.peers) >= self._rows and not self._push_out():
                return self.other_peers
            row = self.peers[peer] = PeerFlow()
        return row

    def protocol(self, name: str) -> Volume:
        """The row of a protocol. There are as many as are spoken here."""
        return self.protocols.setdefault(name, Volume())

    def drop(self, reason: Drop, peer: str | None = None, count: int = 1) -> None:
        """Something was dropped."""
        if count:
            self.drops[reason] += count
            if peer is not None:
                drops = self.peer(peer).drops
                drops[reason] = drops.get(reason, 0) + count

    def came(self, peer: str) -> None:
        """A peer is connected: its row is kept."""
        self._gone.pop(peer, None)

    def left(self, peer: str) -> None:
        """A peer is gone: its row is the next to be summed up when another one needs it, after those gone before."""
        self._gone[peer] = None
        if len(self._gone) > self._rows:  # most of them had no row
            self._gone = OrderedDict.fromkeys(each for each in self._gone if each in self.peers)

    def _push_out(self) -> bool:
        while self._gone:
            peer, _ = self._gone.popitem(last=False)
            row = self.peers.pop(peer, None)
            if row is not None:
                self.other_peers.join(row)
                return True
        return False
