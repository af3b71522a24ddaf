"""A node of py-libp2p 0.8.1 as it is: what ours has to get on with."""

from __future__ import annotations

from typing import Any

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_pair
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

LISTEN = [Multiaddr("/ip4/127.0.0.1/tcp/0")]
PATIENCE = 20.0


class StockNode:
    """One node that listens to one topic. Only the limits that would lose a burst are not the library's defaults."""

    def __init__(self, seed: bytes, topic: str, protocol: Any = PROTOCOL_ID_V11) -> None:
        pair = create_new_key_pair(seed)
        self.host = new_host(
            key_pair=pair,
            listen_addrs=LISTEN,
            sec_opt={NOISE: Noise(pair, noise_privkey=create_noise_pair().private_key)},
            muxer_opt={YAMUX: Yamux},
        )
        gossipsub = GossipSub([protocol], 4, 3, 6, heartbeat_interval=1, max_messages_per_topic_per_second=1000)
        self.pubsub = Pubsub(self.host, gossipsub)
        self.topic = topic
        self.heard: list[Any] = []
        self._more = trio.Event()

    @property
    def id(self) -> ID:
        """Who it is."""
        return self.host.get_id()

    @property
    def address(self) -> str:
        """Where it listens."""
        return str(self.host.get_addrs()[0])

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled."""
        pubsub = self.pubsub
        try:
            async with (
                self.host.run(listen_addrs=LISTEN),
                background_trio_service(pubsub),
                background_trio_service(pubsub.router),
            ):
                await pubsub.wait_until_ready()
                subscription = await pubsub.subscribe(self.topic)
                task_status.started()
                try:
                    while True:
                        self.heard.append(await subscription.get())
                        self._more.set()
                        self._more = trio.Event()
                finally:
                    self._close_sockets()
        finally:
            pubsub.seen_messages.stop()

    def _close_sockets(self) -> None:
        """Cancelled, it would leave them to the garbage collector."""
        for links in self.host.get_network().connections.values():
            for link in links:
                raw = link.muxed_conn.secured_conn.conn.read_writer.read_write_closer
                raw.stream.stream.socket.close()

    async def connect(self, address: str) -> None:
        """Dial."""
        await self.host.connect(info_from_p2p_addr(Multiaddr(address)))

    async def wait_for_mesh(self, peer: ID) -> None:
        """Wait until it would forward to the peer."""
        await self.pubsub.wait_for_mesh(peer, self.topic, timeout=PATIENCE)

    async def say(self, raw: bytes) -> None:
        """Publish."""
        await self.pubsub.publish(self.topic, raw)

    async def until(self, *bodies: bytes) -> None:
        """Wait until it has heard all of these."""
        while not set(bodies) <= {message.data for message in self.heard}:
            await self._more.wait()
