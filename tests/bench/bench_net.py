"""What gossip and blobs cost: ten nodes of ours, and ten of py-libp2p 0.8.1 as it is, on the same graph.

Prints a table; the last line is the same as one JSON object. Both kinds run in this process; the one is idle in the
other's turns, and there are several, so that what else the machine does hits both. Bytes are counted at the sockets,
for both in one place. The rival has the parameters that ours has, and queues that hold a burst; with its own limits
most of one would be lost.
"""

from __future__ import annotations

import hashlib
import json
import random
import struct
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_pair
from libp2p.custom_types import TProtocol
from libp2p.io.trio import TrioTCPStream
from libp2p.network.config import ConnectionConfig
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub import pubsub as stock_pubsub
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux, YamuxStream
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from p2pfd.core.rng import Rng
from p2pfd.core.verdict import ACCEPT
from p2pfd.network import patches
from p2pfd.network.api import Topic
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.settings import NetworkSettings
from p2pfd.sim.world import circle_with_chords

NODES = 10
DEGREE = 3
PAYLOADS = (20, 300, 4096)
MESSAGES = 25
TURNS = 2
PAUSE = 0.02
SETTLE = 0.2
PATIENCE = 5.0
BLOB = 16 * 1024 * 1024
CHUNK = 65_507
BLOB_PROTOCOL = TProtocol("/p2pfd/blob/1")
LISTEN = [Multiaddr("/ip4/127.0.0.1/tcp/0")]
TOPIC = Topic("p2pfd/bench")
STOCK_CREDIT = YamuxStream._auto_tune_and_send_window_update


@dataclass
class Run:
    """What one kind of node did with payloads of one size, or with blobs."""

    sent: int = 0
    copies: int = 0
    messages: int = 0
    deliveries: int = 0
    cpu: float = 0.0
    late: list[float] = field(default_factory=list)


class Tally:
    """Delays of what was heard, from when it was said."""

    def __init__(self) -> None:
        self.said: dict[bytes, float] = {}
        self.late: list[float] = []
        self._more = trio.Event()

    def heard(self, raw: bytes) -> None:
        self.late.append(trio.current_time() - self.said[raw])
        self._more.set()
        self._more = trio.Event()

    async def until(self, count: int) -> None:
        """Wait for so many, but not for ever: what is lost is lost."""
        with trio.move_on_after(PATIENCE):
            while len(self.late) < count:
                await self._more.wait()


class Counter:
    """Bytes written to sockets, and copies of messages written into frames, by whoever writes them."""

    def __init__(self) -> None:
        self.sent = 0
        write = TrioTCPStream.write

        async def counted(stream: TrioTCPStream, data: bytes) -> None:
            self.sent += len(data)
            await write(stream, data)

        TrioTCPStream.write = counted


class Ours:
    """A node of p2pfd."""

    def __init__(self, transport: Libp2pTransport) -> None:
        self.transport = transport
        self.address = transport.addresses[0]
        self.copies = 0
        hear = transport._gossip._hear

        async def count(peer: Any, rpc: Any) -> None:
            self.copies += len(rpc.publish)
            await hear(peer, rpc)

        transport._gossip._hear = count  # type: ignore[method-assign]

    async def connect(self, address: str) -> None:
        await self.transport.connect(address)

    async def say(self, raw: bytes) -> None:
        await self.transport.publish(TOPIC, raw)

    async def listen(self, heard: Callable[[bytes], None]) -> None:
        async for delivery in self.transport.heard(TOPIC):
            delivery.answer(ACCEPT)
            heard(delivery.raw)

    async def put(self, blob: bytes) -> bytes:
        return await self.transport.put(blob)

    async def get(self, other: Any, name: bytes, size: int) -> int:
        return len(await self.transport.get(name, size))  # type: ignore[arg-type]


class Stock:
    """A node of the library as it is, with the same parameters."""

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

    async def listen(self, heard: Callable[[bytes], None]) -> None:
        subscription = await self.pubsub.subscribe(TOPIC)
        while True:
            heard((await subscription.get()).data)

    async def put(self, blob: bytes) -> bytes:
        self._blob = blob
        return hashlib.sha256(blob).digest()

    async def _serve(self, stream: Any) -> None:
        await stream.read(32)
        await stream.write(struct.pack("!Q", len(self._blob)))
        for start in range(0, len(self._blob), CHUNK):
            await stream.write(self._blob[start : start + CHUNK])
        await stream.close()

    async def get(self, other: Stock, name: bytes, size: int) -> int:
        stream = await self.host.new_stream(other.host.get_id(), [BLOB_PROTOCOL])
        await stream.write(name)
        got = bytearray()
        while len(got) < size + 8:
            got += await stream.read(1024 * 1024)
        return len(got) - 8 if hashlib.sha256(got[8:]).digest() == name else 0


@asynccontextmanager
async def ours(seed: bytes) -> AsyncGenerator[Ours]:
    """Open a node of p2pfd."""
    async with open_transport(seed, settings=NetworkSettings(mesh_nodes=NODES)) as transport:
        yield Ours(transport)


@asynccontextmanager
async def stock(seed: bytes) -> AsyncGenerator[Stock]:
    """Open a node of the library, without the replacements that ours make in it."""
    pair = create_new_key_pair(seed)
    host = new_host(
        key_pair=pair,
        listen_addrs=LISTEN,
        sec_opt={NOISE: Noise(pair, noise_privkey=create_noise_pair().private_key)},
        muxer_opt={YAMUX: Yamux},
        connection_config=ConnectionConfig(min_connections=0, low_watermark=0),
    )
    router = GossipSub(
        [PROTOCOL_ID_V11], 4, 3, 6, heartbeat_interval=1, max_messages_per_topic_per_second=1000,
        adaptive_gossip_enabled=False, eclipse_protection_enabled=False,
    )  # fmt: skip
    pubsub = stock_pubsub.Pubsub(host, router)
    async with host.run(listen_addrs=LISTEN), background_trio_service(pubsub), background_trio_service(router):
        await pubsub.wait_until_ready()
        yield Stock(host, pubsub)


class Mesh:
    """One kind of node, connected, and what was measured of it."""

    def __init__(self, nodes: list[Any]) -> None:
        self.nodes = nodes
        self.graph = circle_with_chords(Rng(1), NODES, DEGREE)
        self.tally = Tally()
        self.payloads = {size: Run() for size in PAYLOADS}
        self.blobs: list[float] = []

    async def connect(self, nursery: trio.Nursery) -> None:
        """Listen, and dial along the graph."""
        for node in self.nodes:
            nursery.start_soon(node.listen, self.tally.heard)
        for one, neighbours in enumerate(self.graph):
            for other in neighbours:
                if other > one:
                    await self.nodes[one].connect(self.nodes[other].address)

    async def turn(self, counter: Counter, dice: random.Random) -> None:
        """Every load once."""
        for size, run in self.payloads.items():
            for timed in (True, False):
                await one_load(self.nodes, size, run, timed, counter, self.tally, dice)
        await blob(self.nodes, self.graph, self.blobs, dice)


async def one_load(
    nodes: list[Any], size: int, run: Run, timed: bool, counter: Counter, tally: Tally, dice: random.Random
) -> None:
    """Messages of one size, from all nodes in turn: one after another for bytes and delays, at once for the CPU."""
    tally.late.clear()
    hearers = NODES - 1 if isinstance(nodes[0], Ours) else NODES  # the library hands a speaker its own words, too
    sent, copies, cpu = counter.sent, sum(node.copies for node in nodes), time.process_time()
    for number in range(MESSAGES):
        raw = dice.randbytes(size)
        tally.said[raw] = trio.current_time()
        await nodes[number % NODES].say(raw)
        if timed:
            await tally.until((number + 1) * hearers)
            await trio.sleep(PAUSE)  # the last copies
    await tally.until(MESSAGES * hearers)
    if len(tally.late) != MESSAGES * hearers:
        raise SystemExit(f"{len(tally.late)} of {MESSAGES * hearers} deliveries of {size} bytes: nothing to compare")
    await trio.sleep(SETTLE)
    if timed:
        run.sent += counter.sent - sent
        run.copies += sum(node.copies for node in nodes) - copies
        run.messages += MESSAGES
        run.late += sorted(tally.late)[(hearers - NODES + 1) * MESSAGES :]
    else:
        run.cpu += time.process_time() - cpu
        run.deliveries += MESSAGES * (NODES - 1)


async def blob(nodes: list[Any], graph: Any, blobs: list[float], dice: random.Random) -> None:
    """One blob from a neighbour."""
    name = await nodes[0].put(dice.randbytes(BLOB))
    started = time.perf_counter()
    got = await nodes[graph[0][0]].get(nodes[0], name, BLOB)
    if got != BLOB:
        raise SystemExit(f"{got} of {BLOB} bytes of a blob")
    blobs.append(BLOB / 1e6 / (time.perf_counter() - started))


def at(values: list[float], share: float) -> float:
    """A quantile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def figures(payloads: dict[int, Run], blobs: list[float]) -> dict[str, float]:
    """Everything measured of one kind, by name."""
    out: dict[str, float] = {}
    for size, run in payloads.items():
        deliveries = run.messages * (NODES - 1)
        out[f"bytes_per_node_per_message_{size}"] = round(run.sent / NODES / run.messages, 1)
        out[f"duplicates_per_delivery_{size}"] = round(run.copies / deliveries - 1, 3)
        out[f"cpu_ms_per_delivery_{size}"] = round(1e3 * run.cpu / max(1, run.deliveries), 3)
        out[f"latency_ms_p50_{size}"] = round(1e3 * at(run.late, 0.5), 2)
        out[f"latency_ms_p99_{size}"] = round(1e3 * at(run.late, 0.99), 2)
    out["blob_mb_per_s"] = round(max(blobs), 1)
    return out


async def main() -> None:
    """Measure both, in turns."""
    counter = Counter()
    dice = random.Random(1)
    async with AsyncExitStack() as stack:
        meshes = []
        for opener in (ours, stock):
            seeds = [bytes([node + 1]) * 32 for node in range(NODES)]
            meshes.append(Mesh([await stack.enter_async_context(opener(seed)) for seed in seeds]))
        async with trio.open_nursery() as nursery:
            for mesh in meshes:
                await mesh.connect(nursery)
            await trio.sleep(2.2)  # two heartbeats: who is to be grafted is
            for _ in range(TURNS):
                for mesh, credit in zip(meshes, (patches._credit_in_batches, STOCK_CREDIT), strict=True):
                    YamuxStream._auto_tune_and_send_window_update = credit  # what ours replace in the library
                    await mesh.turn(counter, dice)
            nursery.cancel_scope.cancel()
    mine, rival = [figures(mesh.payloads, mesh.blobs) for mesh in meshes]
    ratios = {name: round(mine[name] / rival[name], 3) if rival[name] else None for name in mine}
    print(
        f"{NODES} nodes, ring and chords of degree {DEGREE}, one process, {TURNS} turns of {MESSAGES} messages a size"
    )
    print(f"{'':34}{'p2pfd':>10}{'py-libp2p 0.8.1':>18}{'ratio':>8}")
    for name in mine:
        print(f"{name:34}{mine[name]:>10}{rival[name]:>18}{ratios[name]!s:>8}")
    print(json.dumps({"p2pfd": mine, "py-libp2p 0.8.1": rival, "ratio": ratios}))


if __name__ == "__main__":

    def roomy(max_size: int = 1024) -> RpcQueue:
        """A queue that holds a burst; the library's 32 drop it."""
        return RpcQueue(max_size=max_size)

    stock_pubsub.SUBSCRIPTION_CHANNEL_SIZE = 4096
    stock_pubsub.RpcQueue = roomy
    trio.run(main)
