"""How much one neighbour may say in a heartbeat besides messages: control, ids and subscriptions.

An honest neighbour announces a topic once, and its messages once a heartbeat. Whoever says more makes us work, and
answer.
"""

from __future__ import annotations

from typing import Any

import trio
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2

from p2pfd.network.holders import ID_BYTES
from p2pfd.network.names import MAX_TOPIC

ENTRIES = 256
IDS = 8192
SUBSCRIPTIONS = 256
SENT_AGAIN = 3
"""How often a neighbour is sent one message on demand. It is told of it in three heartbeats."""
REMEMBERED = 4096


class Tally:
    """What one neighbour has said in this heartbeat, and which messages it was sent on demand."""

    __slots__ = ("entries", "ids", "sent", "subscriptions", "until")

    def __init__(self) -> None:
        self.until = float("-inf")
        self.sent: dict[bytes, int] = {}
        self.entries = self.ids = self.subscriptions = 0


class Guard:
    """Counts what neighbours say, and tells what is too much."""

    def __init__(self, heartbeat_seconds: float) -> None:
        # Not less than a second: the neighbour's heartbeat may be quicker than ours.
        self._seconds = max(1.0, heartbeat_seconds)
        self._tallies: dict[ID, Tally] = {}

    def _tally(self, peer: ID) -> Tally:
        tally = self._tallies.get(peer)
        if tally is None:
            tally = self._tallies[peer] = Tally()
        now = trio.current_time()
        if now >= tally.until:
            tally.until = now + self._seconds
            tally.entries = tally.ids = tally.subscriptions = 0
        return tally

    def control(self, peer: ID, control: rpc_pb2.ControlMessage) -> bool:
        """Whether this control is within the limits."""
        tally = self._tally(peer)
        ids = [len(each.messageIDs) for each in control.ihave] + [len(each.messageIDs) for each in control.iwant]
        tally.entries += len(ids) + len(control.graft) + len(control.prune) + len(control.idontwant)
        tally.ids += sum(ids)
        return tally.entries <= ENTRIES and tally.ids <= IDS

    def subscriptions(self, peer: ID, subscriptions: Any) -> bool:
        """Whether these subscriptions are within the limits."""
        tally = self._tally(peer)
        tally.subscriptions += len(subscriptions)
        short = all(len(each.topicid.encode()) <= MAX_TOPIC for each in subscriptions)
        return short and tally.subscriptions <= SUBSCRIPTIONS

    def send_again(self, peer: ID, message: bytes) -> bool:
        """Whether a neighbour is sent what it asks for; it may have been lost on the way, but not over and over."""
        sent = self._tally(peer).sent
        if len(sent) > REMEMBERED:
            sent.clear()
        sent[message] = sent.get(message, 0) + 1
        return sent[message] <= SENT_AGAIN

    def forget(self, peer: ID) -> None:
        """The neighbour is gone."""
        self._tallies.pop(peer, None)


def names_in(asked: Any) -> list[bytes]:
    """The ids of messages that are short enough to be one."""
    return [name for name in asked.messageIDs if len(name) <= ID_BYTES]
