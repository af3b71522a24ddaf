"""Nodes to be measured: ours, and py-libp2p 0.8.1 as it is, with the same parameters and queues that hold a burst."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_pair
from libp2p.custom_types import TProtocol
from libp2p.network.config import ConnectionConfig
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub import pubsub as stock_pubsub
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from p2pfd.core.verdict import ACCEPT
from p2pfd.network.api import Cid, Progress, Topic
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.settings import NetworkSettings, degrees

CHUNK = 65_507
BLOB_PROTOCOL = TProtocol("/bench/blob")
LISTEN = [Multiaddr("/ip4/127.0.0.1/tcp/0")]
TOPIC = Topic("p2pfd/bench")
ROOM = 4096

Hear = Callable[[bytes], None]


class Node(Protocol):
    """What both kinds can do."""

    address: str

    async def connect(self, address: str) -> None: ...

    async def say(self, raw: bytes) -> None: ...

    async def listen(self, heard: Hear) -> None: ...

    def neighbours(self) -> int:
        """How many of those it is connected to listen to the topic."""
        ...

    async def put(self, blob: bytes) -> bytes: ...

    async def get(self, name: bytes, size: int, progress: Progress | None = None) -> bytes: ...


class Ours:
    """A node of p2pfd."""

    def __init__(self, transport: Libp2pTransport) -> None:
        self.transport = transport
        self.address = transport.addresses[0]
        self.copies = 0
        hear = transport._gossip._hear

        async def count(peer: Any, rpc: Any, *rest: Any) -> None:
            self.copies += len(rpc.publish)
            await hear(peer, rpc, *rest)

        transport._gossip._hear = count  # type: ignore[method-assign]

    async def connect(self, address: str) -> None:
        await self.transport.connect(address)

    async def say(self, raw: bytes) -> None:
        await self.transport.publish(TOPIC, raw)

    async def listen(self, heard: Hear) -> None:
        async for delivery in self.transport.heard(TOPIC):
            delivery.answer(ACCEPT)
            heard(delivery.raw)

    def neighbours(self) -> int:
        return len(self.transport.subscribers(TOPIC))

    async def put(self, blob: bytes) -> bytes:
        return await self.transport.put(blob)

    async def get(self, name: bytes, size: int, progress: Progress | None = None) -> bytes:
        return await self.transport.get(Cid(name), size, progress)


class Stock:
    """A node of the library as it is."""

    def __init__(self, host: Any, pubsub: Any) -> None:
        self.host = host
        self.pubsub = pubsub
        self.address = str(host.get_addrs()[0])
        self.copies = 0
        self._blob = b""
        host.set_stream_handler(BLOB_PROTOCOL, self._serve)
        push = pubsub.push_msg

        async def count(via: Any, message: Any) -> None:
            self.copies += via != pubsub.my_id
            await push(via, message)

        pubsub.push_msg = count

    async def connect(self, address: str) -> None:
        await self.host.connect(info_from_p2p_addr(Multiaddr(address)))

    async def say(self, raw: bytes) -> None:
        await self.pubsub.publish(TOPIC, raw)
        await trio.lowlevel.checkpoint()

    async def listen(self, heard: Hear) -> None:
        subscription = await self.pubsub.subscribe(TOPIC)
        me = self.host.get_id().to_bytes()
        while True:
            message = await subscription.get()
            if message.from_id != me:  # the library hands a speaker its own words, too
                heard(message.data)

    def neighbours(self) -> int:
        return len(self.pubsub.peer_topics.get(TOPIC, ()))

    async def put(self, blob: bytes) -> bytes:
        self._blob = blob
        return hashlib.sha256(blob).digest()

    async def _serve(self, stream: Any) -> None:
        await stream.read(32)
        await stream.write(struct.pack("!Q", len(self._blob)))
        for start in range(0, len(self._blob), CHUNK):
            await stream.write(self._blob[start : start + CHUNK])
        await stream.close()

    async def get(self, name: bytes, size: int, progress: Progress | None = None) -> bytes:
        """From the first peer it has: whole, and checked at the end."""
        stream = await self.host.new_stream(next(iter(self.host.get_connected_peers())), [BLOB_PROTOCOL])
        await stream.write(name)
        got = bytearray()
        while len(got) < size + 8:
            got += await stream.read(1024 * 1024)
        if hashlib.sha256(got[8:]).digest() != name:
            raise SystemExit("the library's blob is not what was asked for")
        return bytes(got[8:])


@asynccontextmanager
async def ours(seed: bytes, mesh: int) -> AsyncGenerator[Ours]:
    """Open a node of p2pfd."""
    async with open_transport(seed, settings=NetworkSettings(mesh_nodes=mesh)) as transport:
        yield Ours(transport)


@asynccontextmanager
async def stock(seed: bytes, mesh: int) -> AsyncGenerator[Stock]:
    """Open a node of the library. Nothing of ours may have replaced anything in it: see `as_it_is`."""
    pair = create_new_key_pair(seed)
    host = new_host(
        key_pair=pair,
        listen_addrs=LISTEN,
        sec_opt={NOISE: Noise(pair, noise_privkey=create_noise_pair().private_key)},
        muxer_opt={YAMUX: Yamux},
        connection_config=ConnectionConfig(min_connections=0, low_watermark=0),
    )
    degree = degrees(mesh)
    router = GossipSub(
        [PROTOCOL_ID_V11], degree.target, degree.low, degree.high, heartbeat_interval=1,
        max_messages_per_topic_per_second=1000, adaptive_gossip_enabled=False, eclipse_protection_enabled=False,
    )  # fmt: skip
    pubsub = stock_pubsub.Pubsub(host, router)
    async with host.run(listen_addrs=LISTEN), background_trio_service(pubsub), background_trio_service(router):
        await pubsub.wait_until_ready()
        yield Stock(host, pubsub)


def make_room() -> None:
    """Queues of the library that hold a burst; its own 32 places drop it."""

    def roomy(max_size: int = ROOM) -> RpcQueue:
        return RpcQueue(max_size=max_size)

    stock_pubsub.SUBSCRIPTION_CHANNEL_SIZE = ROOM
    stock_pubsub.RpcQueue = roomy
