"""A network within one process, for tests: the meaning of `Transport` without sockets, under any clock.

    async with open_memory_network(carry) as network, network.open_transport(seed) as transport: …

Under trio's `MockClock` an hour of latency passes in no time. Nothing is random: at each instant everybody first says
what there is to say, then one message arrives, by the order of its due time, its way and its number, and only when all
it brought about has come to rest does the next one. The same program gives the same run.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trio.testing import wait_all_tasks_blocked

from p2pfd.core.ids import PeerId, peer_id_of
from p2pfd.core.verdict import Accept, Reject, Verdict
from p2pfd.errors import NetworkError, PlanError
from p2pfd.network.api import Cid, Progress, Topic, Traffic
from p2pfd.network.blobs import BlobStore, MemoryBlobs
from p2pfd.network.conduct import Conduct
from p2pfd.network.inbox import Inbox, Listening, Recall
from p2pfd.network.manifest import named
from p2pfd.network.memorysource import MemorySource
from p2pfd.network.names import check_message, check_request, check_topic
from p2pfd.network.pull import Pull, Pulls
from p2pfd.network.settings import NetworkSettings

SEED_BYTES = 32
SEEN = 65_536
MICROSECONDS = 1_000_000
DEFAULT = NetworkSettings()

Carry = Callable[[PeerId, PeerId, int], float | None]
"""How many seconds so many bytes take from one peer to another; None when they are lost."""
Serve = Callable[[PeerId, bytes], bytes]


def at_once(_from: PeerId, _to: PeerId, _size: int) -> float | None:
    """No latency, no loss."""
    return 0.0


def _microseconds(seconds: float) -> int:
    return round(seconds * MICROSECONDS)


@dataclass(order=True, slots=True)
class _Parcel:
    due: int  # in microseconds: whether two fall together must not hang on the rounding of a sum
    sender: PeerId
    receiver: PeerId
    number: int
    arrive: Callable[[], None] = field(compare=False)


class MemoryNetwork:
    """Carries messages between the transports opened on it. Made by `open_memory_network`."""

    def __init__(self, carry: Carry) -> None:
        self._carry = carry
        self._under_way: list[_Parcel] = []
        self._number = 0
        self._last_due: dict[tuple[PeerId, PeerId], int] = {}
        self._posted = trio.Event()
        self.nodes: dict[str, MemoryTransport] = {}

    @asynccontextmanager
    async def open_transport(
        self, private_key: bytes, settings: NetworkSettings = DEFAULT
    ) -> AsyncGenerator[MemoryTransport]:
        """A node on this network for as long as the context lasts."""
        if len(private_key) != SEED_BYTES:
            raise PlanError(f"a private key of {len(private_key)} bytes", f"give the {SEED_BYTES}-byte Ed25519 seed")
        peer = peer_id_of(Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw())
        address = f"/memory/{len(self.nodes)}/p2p/{peer}"
        if any(node.peer == peer for node in self.nodes.values()):
            raise PlanError(f"{peer} is on this network already", "give every node a key of its own")
        node = self.nodes[address] = MemoryTransport(self, peer, address, settings)
        try:
            yield node
        finally:
            del self.nodes[address]
            node.leave()

    def post(self, sender: PeerId, receiver: PeerId, size: int, arrive: Callable[[], None]) -> bool:
        """Send something on its way; False when it gets lost. One way delivers in order, as a connection does."""
        seconds = self._carry(sender, receiver, size)
        if seconds is None:
            return False
        way = (sender, receiver)
        due = max(_microseconds(trio.current_time() + seconds), self._last_due.get(way, 0))
        self._last_due[way] = due
        self._number += 1
        heapq.heappush(self._under_way, _Parcel(due, sender, receiver, self._number, arrive))
        self._posted.set()
        return True

    async def travel(self, sender: PeerId, receiver: PeerId, size: int) -> None:
        """Take as long as so many bytes take; for ever when they get lost."""
        arrived = trio.Event()
        self.post(sender, receiver, size, arrived.set)
        await arrived.wait()

    async def deliver(self) -> None:
        """Let things arrive, one at a time, each once all is quiet."""
        while True:
            due = self._under_way[0].due / MICROSECONDS if self._under_way else math.inf
            self._posted = trio.Event()
            with trio.CancelScope(deadline=due):  # or until something is posted, which may be due earlier
                await self._posted.wait()
            await wait_all_tasks_blocked()
            if self._under_way[0].due <= _microseconds(trio.current_time()):
                heapq.heappop(self._under_way).arrive()


class MemoryTransport:
    """A peer on a `MemoryNetwork`, as `p2pfd.network.api.Transport` describes it."""

    def __init__(self, network: MemoryNetwork, peer: PeerId, address: str, settings: NetworkSettings) -> None:
        self._network = network
        self._peer = peer
        self._address = address
        self._settings = settings
        self._links: dict[PeerId, MemoryTransport] = {}
        self._queued: dict[PeerId, int] = {}
        self._inboxes: dict[Topic, Inbox] = {}
        self._services: dict[str, tuple[int, Serve]] = {}
        self._seen: OrderedDict[tuple[PeerId, int], None] = OrderedDict()
        self._recall = Recall(settings.remembered)
        self._conduct = Conduct(settings)
        self._store: BlobStore = MemoryBlobs(settings.blob_quota)
        self._pulls = Pulls(settings.blob_pulls)
        self._said = self._sent = self._received = 0
        self._changed = trio.Event()

    @property
    def peer(self) -> PeerId:
        """Who this node is."""
        return self._peer

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others can dial it."""
        return (self._address,)

    async def connect(self, address: str) -> PeerId:
        """Connect to another node of the same network, by its address."""
        await trio.lowlevel.checkpoint()
        node = self._network.nodes.get(address)
        if node is None:
            raise NetworkError(f"nobody is at {address!r}", "take the address from the node itself")
        if node is self:
            raise NetworkError(f"{address} is this node itself", "connect to another one")
        if self._conduct.is_refused(node.peer) or node._conduct.is_refused(self.peer):
            raise NetworkError(f"{node.peer} is refused for its conduct", "wait until network.refuse_seconds are over")
        if node.peer not in self._links:
            for one, other in ((self, node), (node, self)):
                one._links[other.peer] = other
                one._tell()
        return node.peer

    async def disconnect(self, peer: PeerId) -> None:
        """Let go of a peer."""
        self._drop(peer)
        await trio.lowlevel.checkpoint()

    def _drop(self, peer: PeerId) -> None:
        node = self._links.get(peer)
        if node is not None:
            for one, other in ((self, node), (node, self)):
                one._links.pop(other.peer, None)
                one._queued.pop(other.peer, None)
                one._tell()

    def leave(self) -> None:
        """Let go of everybody, and end what listens."""
        for peer in tuple(self._links):
            self._drop(peer)
        for inbox in self._inboxes.values():
            inbox.close()
        self._inboxes.clear()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def peers(self) -> tuple[PeerId, ...]:
        """The peers connected now."""
        return tuple(sorted(self._links))

    def is_refused(self, peer: PeerId) -> bool:
        """Whether a peer is not welcome at present, for what it did."""
        return self._conduct.is_refused(peer)

    async def wait_for_peers(self, count: int) -> None:
        """Wait until so many peers are connected."""
        while len(self._links) < count:
            await self._changed.wait()

    def subscribers(self, topic: Topic) -> tuple[PeerId, ...]:
        """The connected peers that listen to a topic."""
        return tuple(sorted(peer for peer, node in self._links.items() if topic in node._inboxes))

    async def wait_for_subscribers(self, topic: Topic, count: int) -> None:
        """Wait until so many connected peers listen to a topic."""
        while len(self.subscribers(topic)) < count:
            await self._changed.wait()

    def traffic(self) -> Traffic:
        """Bytes of messages, blobs, requests and answers; there is no overhead here."""
        return Traffic(self._sent, self._received)

    async def publish(self, topic: Topic, raw: bytes) -> None:
        """Say it to all who subscribe; waits while too much is under way to a neighbour."""
        check_message(topic, raw, self._settings)
        while any(self._queued.get(peer, 0) >= self._settings.outbound_queue for peer in self.subscribers(topic)):
            await self._changed.wait()
        self._said += 1
        self._pass_on(topic, raw, self.peer, self._said, self.peer)
        await trio.lowlevel.checkpoint()

    def _pass_on(self, topic: Topic, raw: bytes, author: PeerId, number: int, via: PeerId) -> None:
        for peer in self.subscribers(topic):
            if peer in (author, via):
                continue
            node = self._links[peer]

            def arrive(peer: PeerId = peer, node: MemoryTransport = node) -> None:
                if peer in self._queued:
                    self._queued[peer] -= 1
                    self._tell()
                if self.peer in node._links:
                    node._count(0, len(raw))
                    node._hear(topic, raw, author, number, self.peer)

            self._count(len(raw), 0)
            if self._network.post(self.peer, peer, len(raw), arrive):
                self._queued[peer] = self._queued.get(peer, 0) + 1

    def _count(self, sent: int, received: int) -> None:
        self._sent += sent
        self._received += received

    def _hear(self, topic: Topic, raw: bytes, author: PeerId, number: int, via: PeerId) -> None:
        inbox = self._inboxes.get(topic)
        if inbox is None or author == self.peer or (author, number) in self._seen:
            return
        self._seen[(author, number)] = None
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        if not self._recall.first_time(author, topic, raw):
            return

        def decided(verdict: Verdict) -> None:
            if isinstance(verdict, Accept):
                self._pass_on(topic, raw, author, number, via)
            elif isinstance(verdict, Reject):
                for guilty in sorted({author, via}):
                    self._strike(guilty, verdict.reason)

        inbox.submit(author, via, raw, decided)

    def _strike(self, guilty: PeerId, reason: str) -> None:
        if self._conduct.strike(guilty, reason):
            self._drop(guilty)

    def heard(self, topic: Topic) -> Listening:
        """What others say on a topic. The first step subscribes; a later call takes the topic over."""
        return Listening(self, topic)

    async def listen(self, topic: Topic) -> Inbox:
        """Subscribe; for `heard`."""
        check_topic(topic)
        former = self._inboxes.pop(topic, None)
        if former is not None:
            former.close()
        inbox = self._inboxes[topic] = Inbox(self._settings.inbound_queue, self._settings.answer_seconds)
        for node in self._links.values():
            node._tell()
        await trio.lowlevel.checkpoint()
        return inbox

    async def unlisten(self, topic: Topic, inbox: Inbox) -> None:
        """Unsubscribe; for `heard`."""
        inbox.close()
        if self._inboxes.get(topic) is inbox:
            del self._inboxes[topic]
        await trio.lowlevel.checkpoint()

    async def put(self, blob: bytes) -> Cid:
        """Offer a blob to whoever asks for it by hash."""
        cid, manifest = named(blob)
        await self._store.put(cid, blob, manifest)
        return cid

    async def get(self, cid: Cid, limit: int, progress: Progress | None = None) -> bytes:
        """Fetch a blob from the connected peers that have it, and offer it too from then on."""
        async with self._pulls.of(cid):
            blob = await self._store.get(cid)
            if blob is None:
                pull = Pull(cid, limit, self._store, self._provider, progress)
                blob = await pull.run(self.peers(), self._settings.blob_providers, self._strike)
            if blob is None or len(blob) > limit:
                raise NetworkError(f"nobody connected has the blob {cid.hex()} within {limit} bytes", "try again later")
            return blob

    @asynccontextmanager
    async def _provider(self, peer: PeerId) -> AsyncGenerator[MemorySource]:
        node = self._links.get(peer)
        if node is None:
            raise NetworkError(f"{peer} is not connected", "connect to it first")
        yield MemorySource(
            peer, node._store, lambda ask, answer: self._there_and_back(node, ask, answer), self._settings.blob_seconds
        )

    async def _there_and_back(self, node: MemoryTransport, question: int, answer: int) -> None:
        for sender, receiver, size in ((self, node, question), (node, self, answer)):
            sender._count(size, 0)
            await self._network.travel(sender.peer, receiver.peer, size)
            receiver._count(0, size)

    async def request(self, peer: PeerId, protocol: str, raw: bytes, limit: int) -> bytes:
        """Ask one peer one thing."""
        check_request(protocol)
        node = self._links.get(peer)
        if node is None:
            raise NetworkError(f"{peer} is not connected", "connect to it first")
        bound, serve = node._services.get(protocol, (-1, None))
        if serve is None or len(raw) > bound:
            raise NetworkError(f"{peer} refused {protocol} with {len(raw)} bytes", "does it serve this?")
        with trio.move_on_after(self._settings.request_seconds):
            await self._there_and_back(node, len(raw), 0)
            try:
                answer = serve(self.peer, raw)
            except Exception as error:
                raise NetworkError(f"{peer} failed at {protocol}", "try again, or ask another peer") from error
            await self._there_and_back(node, 0, len(answer))
            if len(answer) > limit:
                raise NetworkError(f"{peer} answers {protocol} with {len(answer)} bytes, the limit is {limit}")
            return answer
        raise NetworkError(f"{peer} did not answer {protocol} in time", "try again, or later")

    def serve(self, protocol: str, limit: int, answer: Serve) -> None:
        """Answer `request`s under this protocol name."""
        check_request(protocol)
        self._services[protocol] = (limit, answer)

    def blame(self, peer: PeerId, reason: str) -> None:
        """Hold it against a peer that what it asked was wrong."""
        self._strike(peer, reason)


@asynccontextmanager
async def open_memory_network(carry: Carry = at_once) -> AsyncGenerator[MemoryNetwork]:
    """A network within this process, for as long as the context lasts."""
    body: Exception | None = None
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(carry)
        nursery.start_soon(network.deliver)
        try:
            yield network
        except Exception as error:  # noqa: BLE001 - held until the nursery is closed, which would wrap it in a group
            body = error
        nursery.cancel_scope.cancel()
    if body is not None:
        raise body
