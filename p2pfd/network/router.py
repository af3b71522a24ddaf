"""The router: gossipsub of py-libp2p 0.8.1, without some of its faults, and with less to send.

Each repair says why, as in `p2pfd.network.patches`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

import trio
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.utils import safe_bytes_from_hex

from p2pfd.network.counters import Drop
from p2pfd.network.guard import names_in


class SafeGossipSub(GossipSub):  # type: ignore[misc]
    """The router, without some faults of 0.8.1."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._stir = trio.Event()

    async def heartbeat(self) -> None:
        """Mend the mesh and tell what there is, when there is something to mend or to tell.

        0.8.1 works out the scores of all neighbours and sorts them every second, whether anything was said or not.
        """
        await trio.sleep(self.heartbeat_initial_delay)
        while True:
            while self._is_quiet():
                self._stir = trio.Event()
                await self._stir.wait()
            await self.beat()
            await trio.sleep(self.heartbeat_interval)

    def _is_quiet(self) -> bool:
        """Whether nothing was said lately, and every mesh has as many neighbours as it should, or all there are."""
        return not (self.mcache.msgs or self.fanout) and all(
            len(mesh) <= self.degree_high
            and (len(mesh) >= self.degree_low or len(mesh) == len(self.pubsub.peer_topics.get(topic, ())))
            for topic, mesh in self.mesh.items()
        )

    def stir(self) -> None:
        """Something has changed that the next heartbeat may have to do with."""
        self._stir.set()

    def add_peer(self, peer_id: ID, protocol_id: TProtocol | None) -> None:
        """Somebody has come."""
        super().add_peer(peer_id, protocol_id)
        self.stir()

    def remove_peer(self, peer_id: ID) -> None:
        """Somebody has gone."""
        super().remove_peer(peer_id)
        self.stir()

    async def join(self, topic: str) -> None:
        """A topic is listened to."""
        await super().join(topic)
        self.stir()

    async def beat(self) -> None:
        """One heartbeat."""
        grafts, prunes = self.mesh_heartbeat()
        self.fanout_heartbeat()
        await self._emit_control_msgs(grafts, prunes, self.gossip_heartbeat())
        self.mcache.shift()
        self.scorer.on_heartbeat()
        self._periodic_security_cleanup()
        for topic in list(self.mesh):
            await self._maintain_mesh_quality(topic)
        self._prune_idontwant_entries()

    async def publish(self, msg_forwarder: ID, pubsub_msg: rpc_pb2.Message) -> None:
        """Pass a message on.

        0.8.1 attaches the peer record to each, copies it three times for each neighbour, and keeps the time of every
        message for ever, for statistics that we have switched off.
        """
        pubsub = self.pubsub
        if pubsub is None:
            return
        if not self._check_equivocation(pubsub_msg):
            pubsub.counters.drop(Drop.EQUIVOCATION, msg_forwarder.to_base58())
            return
        self.mcache.put(pubsub_msg)
        self.stir()
        rpc = rpc_pb2.RPC(publish=[pubsub_msg])
        topics = list(pubsub_msg.topicIDs)
        author, name = ID(pubsub_msg.from_id), pubsub.get_message_id(pubsub_msg)
        behind = {msg_forwarder, author, *pubsub.holders.of(name)}
        neighbours = set(self._get_peers_to_send(topics, msg_forwarder, author, name))
        for peer in (neighbours | self._next_neighbours(topics)) - behind:
            if peer in pubsub.peers and (self.scorer is None or self.scorer.allow_publish(peer, topics)):
                self.send_rpc(peer, rpc)
        for topic in topics:
            self._hold_for_newcomers(topic, rpc, behind)
            self.time_since_last_publish[topic] = int(time.time())  # the library compares it with this clock

    def _next_neighbours(self, topics: Sequence[str]) -> set[ID]:
        """Peers that have just subscribed. 0.8.1 grafts them in a task of its own, a moment later.

        Until then a message would not be sent to them, and afterwards they are neighbours, whom no IHAVE tells of it.
        """
        return {
            peer
            for topic in topics
            if topic in self.mesh and len(self.mesh[topic]) < self.degree_low
            for peer in self.pubsub.peer_topics.get(topic, ())
            if self._is_gossipsub_peer(peer) and not self._check_back_off(peer, topic)
        }

    def _hold_for_newcomers(self, topic: str, rpc: rpc_pb2.RPC, behind: set[ID]) -> None:
        """Keep a message for peers that have just connected: their protocol or their topics are not known yet."""
        listening = self.pubsub.peer_topics.get(topic, set())
        unnamed = {peer for peer in listening if peer not in self.peer_protocol}
        for peer in (unnamed | self.pubsub.peers.keys() - listening) - behind:
            self._prune_pending_messages(peer)
            self._pending_messages[peer].append((time.time(), rpc))

    def send_rpc(self, peer_id: ID, rpc: rpc_pb2.RPC, priority: bool = False) -> None:
        """Queue an RPC for a peer; whole and uncopied where nothing has to be added or split."""
        queue = self.pubsub.peer_queues.get(peer_id)
        if queue is None:
            self.pubsub.counters.drop(Drop.GONE, peer_id.to_base58(), len(rpc.publish))
        elif peer_id in self._pending_control or rpc.ByteSize() > queue.max_message_size:
            super().send_rpc(peer_id, rpc, priority)
        elif not queue.push(rpc, priority):
            self._handle_dropped_rpc(peer_id, rpc, "queue_full")

    def _handle_dropped_rpc(self, peer_id: ID, rpc: rpc_pb2.RPC, reason: str) -> None:
        kind = Drop.OVERSIZED if reason == "oversized" else Drop.QUEUE_FULL
        self.pubsub.counters.drop(kind, peer_id.to_base58(), max(1, len(rpc.publish)))
        super()._handle_dropped_rpc(peer_id, rpc, reason)

    def _prune_pending_messages(self, peer_id: ID) -> None:
        before = len(self._pending_messages.get(peer_id, ()))
        super()._prune_pending_messages(peer_id)
        lost = before - len(self._pending_messages.get(peer_id, ()))
        if self.pubsub is not None:
            self.pubsub.counters.drop(Drop.NEWCOMER, peer_id.to_base58(), lost)

    async def _emit_control_msgs(self, graft: Any, prune: Any, gossip: Any) -> None:
        """0.8.1 lets what it tells one peer pile up and tells it the next one too: grafts and prunes go astray."""
        for peer in {*graft, *prune, *gossip}:
            news = {topic: self._news(peer, ids) for topic, ids in gossip.get(peer, {}).items()}
            if not any(news.values()) and peer not in graft and peer not in prune:
                continue
            told = [
                [rpc_pb2.ControlIHave(messageIDs=ids, topicID=topic) for topic, ids in news.items() if ids],
                [rpc_pb2.ControlGraft(topicID=topic) for topic in graft.get(peer, ())],
                [rpc_pb2.ControlPrune(topicID=topic, backoff=self.prune_back_off) for topic in prune.get(peer, ())],
            ]
            await self.emit_control_message(self.pack_control_msgs(*told), peer)

    def _news(self, peer: ID, ids: Sequence[bytes]) -> list[bytes]:
        """The messages of these that the peer has not sent us itself."""
        return [name for name in ids if self.pubsub is None or peer not in self.pubsub.holders.of(name)]

    def _check_equivocation(self, msg: rpc_pb2.Message) -> bool:
        """0.8.1 keeps a thousand whole messages to compare with; their digests do as well."""
        key = msg.from_id + msg.seqno
        said = hashlib.blake2b(msg.data + b"\n" + "\n".join(msg.topicIDs).encode(), digest_size=16).digest()
        return bool(self.equivocation_detection.setdefault(key, said) == said)

    async def _do_px(self, px_peers: list[rpc_pb2.PeerInfo]) -> None:
        """0.8.1 dials whatever addresses a neighbour sends along with a prune, even when told not to exchange peers."""

    async def handle_rpc(self, rpc: rpc_pb2.RPC, sender_peer_id: ID) -> None:
        """Control messages of gossipsub 1.1. 0.8.1 verifies the peer record a second time here."""
        control = rpc.control
        self.stir()
        for ihave in self._of_ours(control.ihave, sender_peer_id):
            await self.handle_ihave(ihave, sender_peer_id)
        for iwant in control.iwant:
            await self.handle_iwant(iwant, sender_peer_id)
        for graft in control.graft:
            await self.handle_graft(graft, sender_peer_id)
        for prune in self._of_ours(control.prune, sender_peer_id):
            await self.handle_prune(prune, sender_peer_id)

    def _of_ours(self, told: Any, peer: ID) -> list[Any]:
        """What is said of topics that we are on. 0.8.1 remembers the others too, as many as anybody makes up."""
        ours = [each for each in told if each.topicID in self.pubsub.topic_ids]
        self.pubsub.counters.drop(Drop.CONTROL, peer.to_base58(), len(told) - len(ours))
        return ours

    async def handle_ihave(self, ihave_msg: rpc_pb2.ControlIHave, sender_peer_id: ID) -> None:
        """Ask for what is news. 0.8.1 has a limit of its own, and says nothing of what it drops."""
        names = filter(None, map(safe_bytes_from_hex, names_in(ihave_msg)))
        if wanted := [name for name in names if not self.pubsub.seen_messages.has(name)]:
            await self.emit_iwant(wanted, sender_peer_id)

    async def handle_iwant(self, iwant_msg: rpc_pb2.ControlIWant, sender_peer_id: ID) -> None:
        """Send what is asked for, but not the same over and over, as 0.8.1 does: sixty bytes ask for sixty thousand."""
        found = []
        for name in filter(None, map(safe_bytes_from_hex, names_in(iwant_msg))):
            message = self.mcache.get(name)
            if message is None:
                continue
            if self.pubsub.guard.send_again(sender_peer_id, name):
                found.append(message)
            else:
                self.pubsub.counters.drop(Drop.CONTROL, sender_peer_id.to_base58())
        if found:
            self.send_rpc(sender_peer_id, rpc_pb2.RPC(publish=found))
