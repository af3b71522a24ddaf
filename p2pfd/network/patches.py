"""What py-libp2p 0.8.1 needs before one node can be left alone with strangers. Each repair says why.

Two kinds. Repairs of a class that we create ourselves are subclasses, which change nobody else's libp2p. Repairs of
what libp2p creates inside itself replace a function in the library; `apply` does so once, and only in the version they
were written for: in another one it warns, and the node is louder, not less safe.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import libp2p
import trio
from libp2p.abc import INetStream
from libp2p.exceptions import BaseLibp2pError, ParseError
from libp2p.io.exceptions import ConnectionClosedError, IncompleteReadError, MessageTooLarge
from libp2p.network.connection import swarm_connection
from libp2p.network.connection.exceptions import RawConnError
from libp2p.network.stream.exceptions import StreamClosed, StreamEOF, StreamError, StreamReset
from libp2p.peer.id import ID
from libp2p.peer.peerstore import env_to_send_in_RPC
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.pubsub.utils import maybe_consume_signed_record

from p2pfd.network.counters import Counters, Drop, PeerFlow
from p2pfd.network.guard import Guard
from p2pfd.network.holders import Holders
from p2pfd.network.outlet import Outlet
from p2pfd.network.pace import Pace
from p2pfd.network.quicklock import quicken
from p2pfd.network.settings import NetworkSettings

WRITTEN_FOR = "0.8.1"
MAX_VARINT_BYTES = 10
HELD = 1024
BATCH = 16 * 1024
FRAME_READ = 64 * 1024
FRAME_SECONDS = 30.0
GOSSIP_STREAMS = 4
"""Of one peer: two connections at one time, each with a stream that takes the place of another, and no more."""
SILENT = logging.CRITICAL + 1

log = logging.getLogger("p2pfd.network")


# --- Replaced inside the library -------------------------------------------------------------------------------------


def apply(version: str = libp2p.__version__) -> bool:
    """Replace what has to be replaced; False, with a warning, in a version these repairs were not written for.

    Calling it again changes nothing.
    """
    if version != WRITTEN_FOR:
        log.warning(
            "libp2p is %s, the repairs are for %s: left out, and it may print other libraries' warnings",
            version,
            WRITTEN_FOR,
        )
        return False
    # This module logs through the root logger, whose first use installs a handler that prints everybody's warnings.
    swarm_connection.logging = logging.getLogger("libp2p.network.connection")
    return True


def silence(debug: bool) -> None:
    """Let libp2p and its address library be heard in the log, or not."""
    for name in ("libp2p", "multiaddr"):
        logging.getLogger(name).setLevel(logging.NOTSET if debug else SILENT)
    # This one sets a level of its own when it is imported, and would go on.
    logging.getLogger("libp2p.network.auto_connector").setLevel(logging.NOTSET)


# --- Subclasses ------------------------------------------------------------------------------------------------------


class FrameReader:
    """Reads length-prefixed frames through a buffer. 0.8.1 reads the prefix byte by byte."""

    def __init__(self, stream: INetStream, limit: int) -> None:
        quicken(stream)
        self._stream = stream
        self._limit = limit
        self._buffer = bytearray()

    async def next(self) -> bytes:
        """The next frame; the length is checked before the body is waited for."""
        while True:
            size = shift = 0
            for index, byte in enumerate(self._buffer[:MAX_VARINT_BYTES]):
                size |= (byte & 0x7F) << shift
                shift += 7
                if byte & 0x80:
                    continue
                if size > self._limit:
                    raise MessageTooLarge(f"a frame of {size} bytes, at most {self._limit}")
                end = index + 1 + size
                if len(self._buffer) >= end:
                    frame = bytes(self._buffer[index + 1 : end])
                    del self._buffer[:end]
                    return frame
                break
            else:
                if len(self._buffer) >= MAX_VARINT_BYTES:
                    raise ParseError("a frame's length of more than ten bytes")
            # Between frames a peer may be silent for ever, within one it may not.
            with trio.fail_after(FRAME_SECONDS if self._buffer else math.inf):
                more = await self._read()
            if not more:
                raise IncompleteReadError("the stream ended within a frame", expected_bytes=1, received_bytes=0)
            self._buffer += more

    async def _read(self) -> bytes:
        try:
            return bytes(await self._stream.read(FRAME_READ))
        except StreamEOF:
            if self._buffer:
                return b""
            raise


class SafePubsub(Pubsub):  # type: ignore[misc]
    """Pubsub that outlives bad frames, keys and validators, and whose queues hold more than thirty-two messages."""

    def __init__(
        self, host: Any, router: GossipSub, nursery: trio.Nursery, settings: NetworkSettings, counters: Counters,
        **options: Any,
    ) -> None:  # fmt: skip
        self.counters = counters
        super().__init__(host, router, **options)
        self.queue_limit = settings.outbound_queue
        self._messages_per_second = settings.messages_per_second
        self._nursery = nursery
        # The manager of 0.8.1 walks through all of its tasks to start one; a nursery does not.
        self.arrive: Callable[[ID, rpc_pb2.Message], None] = partial(nursery.start_soon, self.push_msg)
        self._room = trio.Event()
        self._records: dict[ID, bytes] = {}
        self._outlets: dict[ID, Outlet] = {}
        self._paces: dict[ID, dict[str, Pace]] = {}
        self._reading: dict[ID, int] = {}
        self._told: dict[ID, dict[INetStream, set[str]]] = {}
        self.guard = Guard(settings.heartbeat_seconds)
        self._stall_seconds = settings.stall_seconds
        self.holders = Holders(HELD)
        # 0.8.1 counts up from the second at which it started. A node that said more than one thing a second, and was
        # restarted, repeats numbers it has used, and its neighbours take what it says for old.
        self.counter = secrets.randbits(62)

    async def stream_handler(self, stream: INetStream) -> None:
        """A neighbour has one stream to talk on; each is a buffer of ours."""
        peer = stream.muxed_conn.peer_id
        reading = self._reading.get(peer, 0)
        if reading >= GOSSIP_STREAMS:
            self.counters.drop(Drop.STREAMS, peer.to_base58())
            await stream.reset()
            return
        self._reading[peer] = reading + 1
        try:
            await super().stream_handler(stream)
        finally:
            self._reading[peer] -= 1
            if not self._reading[peer]:
                del self._reading[peer]

    async def continuously_read_stream(self, stream: INetStream) -> None:
        """In 0.8.1 a frame that is no protobuf, or a key that is none, raises through the service and ends the node."""
        peer = stream.muxed_conn.peer_id
        frames = FrameReader(stream, self.max_inbound_rpc_size)
        try:
            while self.manager.is_running:
                rpc = rpc_pb2.RPC()
                frame = await frames.next()
                rpc.ParseFromString(frame)
                flow = self.counters.peer(peer.to_base58())
                flow.bytes_in += len(frame)
                await self._hear(peer, rpc, flow)
                for said in rpc.subscriptions:
                    topics = self._told.setdefault(peer, {}).setdefault(stream, set())
                    (topics.add if peer in self.peer_topics.get(said.topicid, ()) else topics.discard)(said.topicid)
        except (StreamError, RawConnError, ConnectionClosedError) as error:
            log.debug("%s ended its stream: %r", peer, error)
        except Exception as error:  # noqa: BLE001 - whatever the bytes of a stranger bring about ends here
            self.counters.drop(Drop.FRAME, peer.to_base58())
            self.misbehaved(peer, f"a frame that cannot be read: {error!r}")
            await stream.reset()
            self._told.get(peer, {}).pop(stream, None)
            self._handle_dead_peer(peer)
        finally:
            self._told.get(peer, {}).pop(stream, None)
            if not self._told.get(peer, True):
                del self._told[peer]

    async def _hear(self, peer: ID, rpc: rpc_pb2.RPC, flow: PeerFlow) -> None:
        # 0.8.1 verifies the signature of the peer record in every RPC, though it hardly ever differs from the last.
        if rpc.HasField("senderRecord") and self._records.get(peer) != rpc.senderRecord:
            if not maybe_consume_signed_record(rpc, self.host, peer):
                self.counters.drop(Drop.RECORD, peer.to_base58())
                self.misbehaved(peer, "a record of addresses that is not its own")
                return
            self._records[peer] = rpc.senderRecord
        for message in rpc.publish:
            flow.messages_in += 1
            if not self._is_subscribed_to_msg(message):
                self.counters.drop(Drop.FOREIGN_TOPIC, peer.to_base58())
                continue
            name = message.topicIDs[0]
            if name not in self.topic_ids:  # of two topics, one of which is ours
                name = ""
            topic = self.counters.topic(name) if name else self.counters.other_topics
            topic.messages_in += 1
            topic.bytes_in += len(message.data)
            self.holders.note(self.get_message_id(message), peer)
            # A copy of a message that we have ends here; most of the copies come while the first one is being judged.
            if self._is_msg_seen(message):
                flow.duplicates += 1
                topic.duplicates += 1
            elif not self._pace_of(peer, name).take():
                self.counters.drop(Drop.RATE, peer.to_base58())
            else:
                self.arrive(peer, message)
        if rpc.subscriptions:
            self._hear_subscriptions(peer, rpc.subscriptions)
        if rpc.HasField("control"):
            if self.guard.control(peer, rpc.control):
                await self.router.handle_rpc(rpc, peer)
            else:
                self.counters.drop(Drop.CONTROL, peer.to_base58())
                self.misbehaved(peer, "more control than one heartbeat takes")

    def _hear_subscriptions(self, peer: ID, subscriptions: Sequence[rpc_pb2.RPC.SubOpts]) -> None:
        if not self.guard.subscriptions(peer, subscriptions):
            self.counters.drop(Drop.SUBSCRIPTION, peer.to_base58(), len(subscriptions))
            self.misbehaved(peer, "more subscriptions than one heartbeat takes, or longer ones")
            return
        for subscription in subscriptions:
            known = peer in self.peer_topics.get(subscription.topicid, ())
            if subscription.subscribe and not known and self._subscribed(peer) >= self.max_subscriptions_per_peer:
                self.counters.drop(Drop.SUBSCRIPTION, peer.to_base58())
            else:
                self.handle_subscription(peer, subscription)
        self.router.stir()

    def _subscribed(self, peer: ID) -> int:
        return int(self._peer_subscription_count.get(peer, 0))

    def _pace_of(self, peer: ID, topic: str) -> Pace:
        """What a neighbour may still say on a topic of ours. 0.8.1 counts only what is passed on for it in the end,
        walks through all that it said within the second for each message, and counts our own against us.
        """
        paces = self._paces.setdefault(peer, {})
        pace = paces.get(topic)
        if pace is None:
            pace = paces[topic] = Pace(self._messages_per_second)
        return pace

    async def _handle_new_peer(self, peer_id: ID) -> None:
        """In 0.8.1 a topic joined between writing the hello and registering the peer is never announced to it."""
        before = set(self.topic_ids)
        await super()._handle_new_peer(peer_id)
        queue = self.peer_queues.get(peer_id)
        for topic in before ^ set(self.topic_ids) if queue is not None else ():
            queue.push(self._build_announce_rpc(topic, topic in self.topic_ids)[0])

    def _handle_dead_peer(self, peer_id: ID) -> None:
        queue = self.peer_queues.get(peer_id)
        if queue is not None and not queue.closed:
            waiting = (*queue._queue._priority, *queue._queue._non_priority)
            self.counters.drop(Drop.GONE, peer_id.to_base58(), sum(len(rpc.publish) for rpc in waiting))
        self._records.pop(peer_id, None)
        self._paces.pop(peer_id, None)
        self.guard.forget(peer_id)
        self._outlets.pop(peer_id, None)
        self.holders.forget(peer_id)
        super()._handle_dead_peer(peer_id)
        # A peer that comes back at once has said on its new connection what it listens to, when we learn of the old
        # one's end. It says so once: 0.8.1 forgets it, and that peer hears no more of us.
        for stream, topics in self._told.get(peer_id, {}).items():
            for topic in () if stream.muxed_conn.is_closed else topics:
                self.handle_subscription(peer_id, rpc_pb2.RPC.SubOpts(subscribe=True, topicid=topic))
        self._tell_room()

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        """In 0.8.1 a validator that raises, or a malformed key, ends the service."""
        try:
            await self.take(msg_forwarder, msg)
        except Exception as error:  # noqa: BLE001 - one message must not end the service
            self.counters.drop(Drop.ERROR, msg_forwarder.to_base58())
            log.warning("a message by way of %s: %r", msg_forwarder, error)

    async def take(self, via: ID, message: rpc_pb2.Message) -> None:
        """Validate a message, deliver it, and pass it on."""
        await super().push_msg(via, message)

    def misbehaved(self, peer: ID, why: str) -> None:
        """A peer broke the protocol."""
        log.warning("%s misbehaved: %s", peer, why)

    async def handle_sending_messages(self, peer_id: ID, stream: INetStream, queue: RpcQueue) -> None:
        """Send what is queued for a peer, and tell whoever waits for room.

        0.8.1 holds thirty-two messages for a neighbour and drops the rest without a word. Here `publish` waits at the
        limit, and there is room for as much again, for what is passed on for others and for control.
        """
        queue._queue.max_size = 2 * self.queue_limit
        try:
            while (rpc := await queue.pop()) is not None:
                batch = self._batch(peer_id, rpc, queue)
                if batch and not await self._write_in_time(stream, batch):
                    self.counters.drop(Drop.GONE, peer_id.to_base58(), sum(len(rpc.publish) for rpc in batch))
                    break
                self._tell_room()
            await stream.close()  # 0.8.1 leaves it open, and opens another
        except (BaseLibp2pError, OSError) as error:
            log.debug("sending to %s ended: %r", peer_id, error)
            self._handle_dead_peer(peer_id)

    async def _write_in_time(self, stream: INetStream, batch: list[rpc_pb2.RPC]) -> bool:
        """Write; a neighbour whose stream takes nothing for long is cut off: 0.8.1 would open another one to it."""
        with trio.move_on_after(2 * self._stall_seconds) as patience:
            written = await self.write_msg(stream, *batch)
        if not patience.cancelled_caught:
            return written
        peer = stream.muxed_conn.peer_id
        self.counters.drop(Drop.SLOW_READER, peer.to_base58())
        self._nursery.start_soon(self.host.get_network().close_peer, peer)
        self._handle_dead_peer(peer)
        return False

    def _batch(self, peer: ID, rpc: rpc_pb2.RPC | None, queue: RpcQueue) -> list[rpc_pb2.RPC]:
        """What stands in the queue now and has not become needless, up to the size of one write.

        Each write costs thirty bytes of yamux and noise, and an encryption.
        """
        batch: list[rpc_pb2.RPC] = []
        size = 0
        while rpc is not None:
            if not self._knows(peer, rpc):
                batch.append(rpc)
                size += rpc.ByteSize()
            rpc = queue._queue.pop() if size < BATCH else None
        return batch

    def _knows(self, peer: ID, rpc: rpc_pb2.RPC) -> bool:
        """Whether the peer has sent us itself, while this stood in its queue, all that it would learn from it."""
        if not rpc.publish or rpc.subscriptions or rpc.HasField("control"):
            return False
        return all(peer in self.holders.of(self.get_message_id(message)) for message in rpc.publish)

    async def write_msg(self, stream: INetStream, *rpc_msg: rpc_pb2.RPC) -> bool:
        """Write at one time; False, and the peer counts as gone, when its stream has ended."""
        peer = stream.muxed_conn.peer_id
        try:
            size = await self._outlet(peer, stream).write(*rpc_msg)
        except (StreamClosed, StreamReset):
            self._handle_dead_peer(peer)
            return False
        flow = self.counters.peer(peer.to_base58())
        flow.bytes_out += size
        for rpc in rpc_msg:
            for message in rpc.publish:
                flow.messages_out += 1
                topic = self.counters.topic(message.topicIDs[0])
                topic.messages_out += 1
                topic.bytes_out += len(message.data)
        return True

    def _outlet(self, peer: ID, stream: INetStream) -> Outlet:
        outlet = self._outlets.get(peer)
        if outlet is None or outlet.stream is not stream:
            outlet = Outlet(stream, env_to_send_in_RPC(self.host)[0])  # what has just been told in the hello
            if self.peers.get(peer) is stream:
                self._outlets[peer] = outlet
        return outlet

    def _tell_room(self) -> None:
        self._room.set()
        self._room = trio.Event()

    async def room(self, topic: str) -> None:
        """Wait until no neighbour on the topic has a full queue."""
        while any(len(queue) >= self.queue_limit for queue in self._queues(topic)):
            await self._room.wait()

    async def flush(self) -> None:
        """Wait until nothing is queued for anybody."""
        while any(map(len, self.peer_queues.values())) or any(outlet.busy for outlet in self._outlets.values()):
            await self._room.wait()

    def _queues(self, topic: str) -> list[RpcQueue]:
        peers = self.router.mesh.get(topic) or self.router.fanout.get(topic, ())
        return [queue for peer in peers if (queue := self.peer_queues.get(peer)) is not None]
