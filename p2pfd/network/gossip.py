"""Pubsub with verdicts: a message is shown to the node, and passed on only once the node has accepted it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import trio
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from p2pfd.core.ids import PeerId, public_key_of
from p2pfd.core.verdict import Accept, Ignore, Reject
from p2pfd.errors import DecodeError
from p2pfd.network.api import Topic
from p2pfd.network.catchup import Archive, Meeting
from p2pfd.network.counters import Counters, Drop
from p2pfd.network.host import Strike
from p2pfd.network.inbox import FULL, LATE, Inbox, Recall
from p2pfd.network.names import check_message, check_topic
from p2pfd.network.patches import SafePubsub
from p2pfd.network.router import SafeGossipSub
from p2pfd.network.settings import NetworkSettings, degrees
from p2pfd.network.sockets import socket_of

HEARTBEAT_DELAY = 0.1
SUBSCRIPTIONS_PER_PEER = 100
RPC_BYTES = 1024 * 1024
SIGNATURE_BYTES = 64
PREFIX = PUBSUB_SIGNING_PREFIX.encode()
SEQNO_BYTES = 8
OVERHEAD = 1024
"""What a message may have beside its data: an author, a number, a key, a signature and a topic make some 600 bytes."""

log = logging.getLogger("p2pfd.network")


def router(settings: NetworkSettings) -> SafeGossipSub:
    """Gossipsub 1.1 with the parameters of `docs/reference/network.md`."""
    degree = degrees(settings.mesh_nodes)
    return SafeGossipSub(
        # 1.2's IDONTWANT saves bytes and costs more processor time than it saves, at every size measured.
        protocols=[PROTOCOL_ID_V11],
        degree=degree.target,
        degree_low=degree.low,
        degree_high=degree.high,
        gossip_window=3,
        gossip_history=5,
        heartbeat_initial_delay=HEARTBEAT_DELAY,
        heartbeat_interval=settings.heartbeat_seconds,  # the library's 120 s would leave a mesh broken for so long
        spam_protection_enabled=False,  # ours comes before a message is judged: `SafePubsub`
        # These two judge by IP address and by rate; on one machine, or behind one router, all peers look alike.
        adaptive_gossip_enabled=False,
        eclipse_protection_enabled=False,
    )


def author_of(message: rpc_pb2.Message) -> PeerId:
    """Who signed the message; DecodeError unless the signature is that of the Ed25519 key in its sender's id."""
    author = PeerId(ID(message.from_id).to_base58())
    if len(message.signature) != SIGNATURE_BYTES:
        raise DecodeError(f"a signature of {len(message.signature)} bytes")
    signed = rpc_pb2.Message(data=message.data, topicIDs=message.topicIDs, from_id=message.from_id, seqno=message.seqno)
    try:
        # libsodium's verification takes half the time of OpenSSL's, and it is the dearest step of all.
        crypto_sign_open(message.signature + PREFIX + signed.SerializeToString(), public_key_of(author))
    except BadSignatureError:
        raise DecodeError("a message whose signature is not its author's") from None
    return author


class Gossip(SafePubsub):
    """The topics of one node."""

    def __init__(
        self, host: Any, nursery: trio.Nursery, settings: NetworkSettings, strike: Strike, counters: Counters
    ) -> None:
        super().__init__(
            host,
            router(settings),
            nursery,
            settings,
            counters,
            strict_signing=True,
            max_inbound_rpc_size=RPC_BYTES,
            max_subscriptions_per_peer=SUBSCRIPTIONS_PER_PEER,
        )
        self._settings = settings
        self.strike = strike
        self._inboxes: dict[Topic, Inbox] = {}
        self._recall = Recall(settings.remembered)
        self._changed = trio.Event()
        self.archive = Archive()
        self._meetings = 0
        self._met: dict[ID, int] = {}
        self.echo: Callable[[bytes], None] = lambda _raw: None
        """Hears what comes in under this node's own name, signed with its key."""

    async def say(self, topic: Topic, raw: bytes) -> None:
        """Publish; waits while a neighbour's queue is full."""
        check_message(topic, raw, self._settings)
        await self.room(topic)
        await self.take(self.my_id, self._signed(topic, raw))
        await trio.lowlevel.checkpoint()  # the library's publish never yields, and its queues would never drain

    def _signed(self, topic: Topic, raw: bytes) -> rpc_pb2.Message:
        """A message of ours, without the key that 0.8.1 adds: an Ed25519 key stands in the sender's id, and whoever
        checks a signature has to look there.
        """
        message = rpc_pb2.Message(data=raw, topicIDs=[topic], from_id=self.my_id.to_bytes(), seqno=self._next_seqno())
        message.signature = self.sign_key.sign(PUBSUB_SIGNING_PREFIX.encode() + message.SerializeToString())
        return message

    async def take(self, via: ID, message: rpc_pb2.Message) -> None:
        """A message comes in, from ourselves or from a neighbour; unlike the library, mark it seen before it is judged.

        Copies of one message arrive close together. The first is verified and shown to the node once, the others cost
        a look-up.
        """
        if via == self.my_id:
            self._mark_msg_seen(message)
            self.archive.keep(message)
            await self.router.publish(via, message)
            return
        if self._is_msg_seen(message):
            return
        neighbour = PeerId(via.to_base58())
        wrong = self._fault(message)
        if wrong is None:
            try:
                author = author_of(message)
            except DecodeError as error:
                wrong = Drop.SIGNATURE, str(error)
        if wrong is not None:
            self.counters.drop(wrong[0], neighbour)
            self.strike(neighbour, wrong[1])
            return
        self._mark_msg_seen(message)
        if author == self.my_id.to_base58():
            self.counters.drop(Drop.OWN, neighbour)
            self.echo(message.data)
            return  # our own words of a former life, an echo, or a second process with our key
        await self._judge(author, neighbour, via, message)

    def _fault(self, message: rpc_pb2.Message) -> tuple[Drop, str] | None:
        """What is wrong with a message before its signature is looked at."""
        size = len(message.data)
        if size > self._settings.message_bytes:
            return Drop.TOO_LONG, f"a message of {size} bytes"
        # Whatever else stands in it is remembered and passed on, too.
        if len(message.topicIDs) != 1 or len(message.seqno) > SEQNO_BYTES or message.ByteSize() > size + OVERHEAD:
            return Drop.MALFORMED, f"a message of {len(message.topicIDs)} topics, with {message.ByteSize()} bytes"
        return None

    async def _judge(self, author: PeerId, neighbour: PeerId, via: ID, message: rpc_pb2.Message) -> None:
        topic = Topic(message.topicIDs[0])
        inbox = self._inboxes.get(topic)
        if inbox is None:
            self.counters.drop(Drop.FOREIGN_TOPIC, neighbour)
            return
        if not self._recall.first_time(author, topic, message.data):
            self.counters.drop(Drop.REPEATED, neighbour)
            return
        self.archive.see(message)
        verdict = await inbox.offer(author, neighbour, message.data)
        rows = self.counters.topic(topic), self.counters.peer(neighbour)
        match verdict:
            case Accept():
                for row in rows:
                    row.accepted += 1
                self.archive.keep(message)
                await self.router.publish(via, message)
            case Reject(reason=reason):
                for row in rows:
                    row.rejected += 1
                for guilty in {author, neighbour}:  # the neighbour passed on what it should have rejected
                    self.strike(guilty, reason)
            case Ignore(reason=reason):
                if verdict is FULL or verdict is LATE:
                    self.counters.drop(Drop.INBOX_FULL if verdict is FULL else Drop.LATE, neighbour)
                else:
                    for row in rows:
                        row.ignored += 1
                log.debug("ignored on %s from %s: %s", topic, author, reason)

    def misbehaved(self, peer: ID, why: str) -> None:
        """A peer broke the protocol."""
        self.strike(PeerId(peer.to_base58()), why)

    async def listen(self, topic: Topic) -> Inbox:
        """Subscribe, and hand out the topic's inbox; whoever listened before hears no more."""
        check_topic(topic)
        former = self._inboxes.pop(topic, None)
        if former is not None:
            former.close()
        inbox = self._inboxes[topic] = Inbox(self._settings.inbound_queue, self._settings.answer_seconds)
        await self.subscribe(topic)
        self._tell_change()
        return inbox

    async def unlisten(self, topic: Topic, inbox: Inbox) -> None:
        """Unsubscribe, unless another inbox has taken the topic over."""
        inbox.close()
        if self._inboxes.get(topic) is inbox:
            del self._inboxes[topic]
            await self.unsubscribe(topic)

    def close_inboxes(self) -> None:
        """End every listener's iteration."""
        for inbox in self._inboxes.values():
            inbox.close()
        self._inboxes.clear()

    def meetings(self) -> list[Meeting]:
        """Who is connected and listens to what is listened to here."""
        return [
            Meeting(self._met.get(peer, 0), PeerId(peer.to_base58()), topic, self._dialled_us(peer))
            for topic in self._inboxes
            for peer in sorted(self.peer_topics.get(topic, ()), key=ID.to_bytes)
        ]

    def _dialled_us(self, peer: ID) -> float:
        """When a peer has dialled us; minus infinity when we have dialled it."""
        links = self.host.get_network().get_connections(peer)
        sockets = [None if link.muxed_conn.is_initiator else socket_of(link) for link in links]
        return min((-math.inf if socket is None else socket.since for socket in sockets), default=-math.inf)

    async def _handle_new_peer(self, peer_id: ID) -> None:
        self._meetings += 1
        self._met[peer_id] = self._meetings
        await super()._handle_new_peer(peer_id)

    def _handle_dead_peer(self, peer_id: ID) -> None:
        self._met.pop(peer_id, None)
        super()._handle_dead_peer(peer_id)
        self._tell_change()

    def changed(self) -> trio.Event:
        """What is set when somebody comes, goes, or begins or ceases to listen."""
        return self._changed

    def waiting(self) -> dict[str, int]:
        """Messages that wait: for a verdict, and for neighbours."""
        return {
            "verdicts": sum(len(inbox) for inbox in self._inboxes.values()),
            "neighbours": sum(map(len, self.peer_queues.values())),
        }

    def subscribers(self, topic: Topic) -> tuple[PeerId, ...]:
        """The connected peers that listen to a topic."""
        return tuple(sorted(PeerId(peer.to_base58()) for peer in self.peer_topics.get(topic, ())))

    def shares(self, peer: PeerId) -> bool:
        """Whether a connected peer listens to something that is listened to here; anybody does where nothing is."""
        who = ID.from_base58(peer)
        return not self._inboxes or any(who in self.peer_topics.get(topic, ()) for topic in self._inboxes)

    async def wait_for_subscribers(self, topic: Topic, count: int) -> None:
        """Wait until so many connected peers listen to a topic."""
        while len(self.peer_topics.get(topic, ())) < count:
            await self._changed.wait()

    def handle_subscription(self, origin_id: ID, sub_message: rpc_pb2.RPC.SubOpts) -> None:
        """Keep track of who listens to what."""
        super().handle_subscription(origin_id, sub_message)
        self._tell_change()

    def _tell_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
