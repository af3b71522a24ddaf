"""`open_transport`: a `Transport` over py-libp2p: TCP with Noise and Yamux, and gossipsub 1.1."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio
from libp2p.peer.id import ID
from libp2p.peer.peerstore import env_to_send_in_RPC
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from p2pfd.core.ids import PeerId
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import SECOND, Clock
from p2pfd.errors import DecodeError, NetworkError, P2pfdError, PlanError
from p2pfd.network import callback, patches
from p2pfd.network.addressbook import AddressBook
from p2pfd.network.api import Cid, Progress, Topic, Traffic
from p2pfd.network.assembly import build, identity
from p2pfd.network.behind import Behind
from p2pfd.network.blobs import BlobStore, open_store
from p2pfd.network.catchup import QUESTION_BYTES, SAME, SAME_BYTES, SERVICE, CatchUp
from p2pfd.network.conduct import Conduct
from p2pfd.network.counters import Counters, Drop
from p2pfd.network.direct import Direct
from p2pfd.network.exchange import Exchange
from p2pfd.network.finder import Finder
from p2pfd.network.gossip import Gossip
from p2pfd.network.host import SafeHost
from p2pfd.network.housekeeping import Housekeeping
from p2pfd.network.inbox import Inbox, Listening
from p2pfd.network.keepalive import Keepalive
from p2pfd.network.links import Links
from p2pfd.network.manifest import PIECE, named
from p2pfd.network.mdns import announced
from p2pfd.network.pull import Pull, Pulls
from p2pfd.network.reach import parse_address, reason_of
from p2pfd.network.relay import Relay
from p2pfd.network.remembrance import Remembrance
from p2pfd.network.sealed import SealedStream
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.shares import Shares
from p2pfd.network.sockets import Meter, accept, addresses_of, bind
from p2pfd.network.swarmkey import read_key
from p2pfd.network.upnp import Forwarded, ask_router

LISTEN = "/ip4/127.0.0.1/tcp/0"
GREETING_SECONDS = 2.0
FLUSH_SECONDS = 0.5
CLOSE_SECONDS = 1.0
DEFAULT = NetworkSettings()

log = logging.getLogger("p2pfd.network")


class Libp2pTransport:
    """A peer on the libp2p network, as `p2pfd.network.api.Transport` describes it. Made by `open_transport`."""

    def __init__(
        self, peer: PeerId, addresses: tuple[str, ...], gossip: Gossip, links: Links, exchange: Exchange, meter: Meter,
        store: BlobStore, settings: NetworkSettings, counters: Counters,
    ) -> None:  # fmt: skip
        self._peer = peer
        self._addresses = addresses
        self._gossip = gossip
        self._links = links
        self._exchange = exchange
        self._meter = meter
        self._store = store
        self._settings = settings
        self.counters = counters
        self._pulls = Pulls(settings.blob_pulls)
        self.keepalive = Keepalive(links, settings)
        self.relay: Relay | None = None
        self.behind: Behind | None = None

    @property
    def peer(self) -> PeerId:
        """Who this node is."""
        return self._peer

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others can dial it, each ending in ``/p2p/<peer id>``."""
        return self._addresses

    async def connect(self, address: str) -> PeerId:
        """Dial a peer; NetworkError when it cannot be reached in time or is somebody else."""
        peer = await self._links.connect(address)
        # What is published from here on reaches the peer; one that speaks no gossipsub is a peer all the same.
        with contextlib.suppress(trio.TooSlowError):
            await self._gossip.wait_for_peer(ID.from_base58(peer), GREETING_SECONDS)
        return peer

    def keep_connected(self, address: str) -> None:
        """Dial an address in the background until it is connected, and again whenever it is lost."""
        self._links.keep(address)

    async def disconnect(self, peer: PeerId) -> None:
        """Close every connection to a peer."""
        await self._links.drop(peer)

    def peers(self) -> tuple[PeerId, ...]:
        """The peers connected now."""
        return self._links.peers()

    def host_of(self, peer: PeerId) -> str | None:
        """The IP address that a connected peer is at; None where it comes through a relay."""
        return self._links.host_of(peer)

    def is_refused(self, peer: PeerId) -> bool:
        """Whether a peer is not welcome at present, for what it did."""
        return self._links.is_refused(peer)

    async def wait_for_peers(self, count: int) -> None:
        """Wait until so many peers are connected."""
        await self._links.wait_for_peers(count)

    def subscribers(self, topic: Topic) -> tuple[PeerId, ...]:
        """The connected peers that listen to a topic."""
        return self._gossip.subscribers(topic)

    async def wait_for_subscribers(self, topic: Topic, count: int) -> None:
        """Wait until so many connected peers listen to a topic."""
        await self._gossip.wait_for_subscribers(topic, count)

    def traffic(self) -> Traffic:
        """What went over the wire, counted at the sockets."""
        return self._meter.reading()

    def waiting(self) -> dict[str, int]:
        """What stands in queues, and what is open, now."""
        return {"connections": len(self._meter.open), **self._gossip.waiting(), **self._exchange.waiting()}

    async def publish(self, topic: Topic, raw: bytes) -> None:
        """Say it to all who subscribe; waits while a neighbour's queue is full."""
        await self._gossip.say(topic, raw)

    def heard(self, topic: Topic) -> Listening:
        """What others say on a topic. The first step subscribes; a later call takes the topic over."""
        return Listening(self, topic)

    async def listen(self, topic: Topic) -> Inbox:
        """Subscribe; for `heard`."""
        return await self._gossip.listen(topic)

    async def unlisten(self, topic: Topic, inbox: Inbox) -> None:
        """Unsubscribe; for `heard`."""
        await self._gossip.unlisten(topic, inbox)

    async def put(self, blob: bytes) -> Cid:
        """Offer a blob to whoever asks for it by hash."""
        cid, manifest = await trio.to_thread.run_sync(named, blob) if len(blob) > PIECE else named(blob)
        await self._store.put(cid, blob, manifest)
        return cid

    async def get(self, cid: Cid, limit: int, progress: Progress | None = None) -> bytes:
        """Fetch a blob from the connected peers that have it, several at once, and offer it too from then on."""
        async with self._pulls.of(cid):
            blob = await self._store.get(cid)
            if blob is None:
                return await self._pull(cid, limit, progress)
            if len(blob) > limit:
                raise NetworkError(f"the blob {cid.hex()} has {len(blob)} bytes, the limit is {limit}")
            return blob

    async def _pull(self, cid: Cid, limit: int, progress: Progress | None) -> bytes:
        asked = self.peers()
        pull = Pull(cid, limit, self._store, self._exchange.provider, progress)
        blob = await pull.run(asked, self._settings.blob_providers, self._wrong_blob)
        if blob is not None:
            return blob
        found = "".join(f"; {failure}" for failure in pull.failures[-3:])
        raise NetworkError(f"none of {len(asked)} connected peers has the blob {cid.hex()}{found}", "try again later")

    def _wrong_blob(self, peer: PeerId, reason: str) -> None:
        self.counters.drop(Drop.WRONG_BLOB, peer)
        self._gossip.strike(peer, reason)

    async def request(self, peer: PeerId, protocol: str, raw: bytes, limit: int) -> bytes:
        """Ask one peer one thing."""
        if peer not in self.peers():
            raise NetworkError(f"{peer} is not connected", "connect to it first")
        return await self._exchange.request(peer, protocol, raw, limit)

    async def ask_back(self, peer: PeerId) -> callback.View:
        """How a peer sees this node, and whether it can dial it; NetworkError when it does not tell."""
        question = callback.write_question(self._addresses)
        raw = await self.request(peer, callback.PROTOCOL, question, callback.ANSWER_BYTES)
        try:
            return callback.read_view(raw)
        except DecodeError as error:
            raise NetworkError(f"{peer} has answered nonsense: {error.what}", "ask another peer") from error

    def serve(self, protocol: str, limit: int, answer: Callable[[PeerId, bytes], bytes | Awaitable[bytes]]) -> None:
        """Answer `request`s under this protocol name, at once or after a while."""
        self._exchange.serve(protocol, limit, answer)

    def blame(self, peer: PeerId, reason: str) -> None:
        """Hold it against a peer that what it asked was wrong."""
        self._gossip.strike(peer, reason)

    def on_echo(self, hear: Callable[[bytes], None]) -> None:
        """Have it told what comes in under this node's own name: said by a former life, or by a second process."""
        self._gossip.echo = hear


def _seconds(clock: Clock) -> float:
    return clock.now() / SECOND


@asynccontextmanager
async def open_transport(
    private_key: bytes, listen: str = LISTEN, settings: NetworkSettings = DEFAULT, bootstrap: Sequence[str] = (),
    rng: Rng | None = None, clock: Clock | None = None,
) -> AsyncGenerator[Libp2pTransport]:  # fmt: skip
    """A node on the network for as long as the context lasts; addresses in `bootstrap` are kept connected.

    ``rng`` decides when to dial again, and whom; without one it hangs on the key. ``clock`` tells when peers were seen;
    it must be given when they are to be remembered in `state_directory`.
    Closing it ends every task and socket within two seconds, whatever the peers do.
    """
    patches.silence(settings.debug)
    patches.apply()
    for address in (*bootstrap, *settings.via):
        parse_address(address)
    pair, me = identity(private_key)
    rng = rng or Rng(private_key).split("network")
    if settings.state_directory and clock is None:
        raise PlanError("network.state_directory without a clock", "open the transport with one")
    network_key = read_key(Path(settings.network_key)) if settings.network_key else None
    listener = await bind(listen)
    counters = Counters()
    meter = Meter(settings.stall_seconds, counters)
    if network_key is not None:
        meter.wrap = partial(SealedStream, meter=meter, key=network_key)
    body: Exception | None = None
    router: Forwarded | None = None
    try:
        now = trio.current_time if clock is None else partial(_seconds, clock)
        book, conduct = AddressBook(now), Conduct(settings, now)
        remembrance: Remembrance | None = None
        if settings.state_directory:
            remembrance = Remembrance(Path(settings.state_directory), book, conduct)
            await remembrance.read()
        bound = list(settings.announce) or addresses_of(listener)
        if settings.upnp and (router := await ask_router(listen, listener.socket.getsockname()[1])) is not None:
            bound.append(router.address)
        bound += [f"{relay}/p2p-circuit" for relay in settings.via]
        shares = Shares(settings)
        host = build(pair, [Multiaddr(address) for address in bound], meter, settings, shares)
        async with trio.open_nursery() as nursery:
            links = Links(host.get_network(), me, nursery, settings, counters, conduct, book, rng.split("links"))

            def strike(peer: PeerId, reason: str) -> None:
                counters.peer(peer).offences += 1
                links.strike(peer, reason)

            gossip = Gossip(host, nursery, settings, strike, counters)
            store = open_store(settings)
            exchange = Exchange(host, store, settings, shares, counters)
            catchup = CatchUp(gossip.archive, exchange.request, gossip.push_msg, strike)
            exchange.serve(SERVICE, QUESTION_BYTES, catchup.answer)
            exchange.serve(SAME, SAME_BYTES, lambda _peer, raw: gossip.archive.compare(raw))
            keeping = Housekeeping(host, shares)
            host.strike, host.identify = strike, partial(keeping.identify, strike=strike)
            exchange.serve(callback.PROTOCOL, callback.QUESTION_BYTES, callback.Callback(links, clock).answer)
            direct = Direct(host, links, settings, tuple(bound), nursery)
            finder = Finder(
                me, links, book, exchange, lambda: env_to_send_in_RPC(host)[0], nursery, settings, rng.split("finder"),
                gossip.shares, direct.nearer,
            )  # fmt: skip
            behind = Behind(me, host, links, settings, meter, nursery, rng.split("relays"), direct)
            if router is not None:
                nursery.start_soon(router.keep)
            if remembrance is not None:
                nursery.start_soon(remembrance.run)
            addresses = tuple(f"{address}/p2p/{me}" for address in bound)
            transport = Libp2pTransport(me, addresses, gossip, links, exchange, meter, store, settings, counters)
            transport.behind = behind
            if settings.relay:
                transport.relay = Relay(host, links, settings, counters, addresses, clock)
            services = (host.get_network(), gossip, gossip.router)
            async with contextlib.AsyncExitStack() as stack:
                for service in services:
                    await stack.enter_async_context(background_trio_service(service))
                await gossip.wait_until_ready()
                nursery.start_soon(
                    accept, listener, meter, settings.connections, settings.connections_per_host, links.take
                )
                nursery.start_soon(transport.keepalive.run)
                nursery.start_soon(catchup.run, gossip.meetings, gossip.changed)
                for address in bootstrap:
                    links.keep(address)
                for address in settings.via:
                    nursery.start_soon(behind.hold, address)
                if settings.discover:
                    links.on_lost = finder.lost
                    nursery.start_soon(finder.run)
                if settings.mdns:
                    await stack.enter_async_context(announced(addresses, listen, finder.overhear))
                try:
                    yield transport
                except Exception as error:  # noqa: BLE001 - held until all is closed: nurseries would wrap it in groups
                    body = error
                finally:
                    links.on_lost = links.forget
                    if remembrance is not None:
                        links.note_connected()
                        remembrance.write()
                    await _close(host, gossip, links, meter)
                    nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        crash, rest = group.split(Exception)
        if rest is not None or crash is None:
            raise
        leaf: BaseException = crash
        while isinstance(leaf, BaseExceptionGroup):
            leaf = leaf.exceptions[0]
        if isinstance(leaf, P2pfdError):
            raise leaf from crash
        raise NetworkError(f"the network stack stopped: {reason_of(leaf)}", "start the node again") from crash
    finally:
        meter.cut()  # what was being dialled while the rest was closed
        listener.socket.close()
        if router is not None:
            await router.close()
    if body is not None:
        raise body


async def _close(host: SafeHost, gossip: Gossip, links: Links, meter: Meter) -> None:
    # When we are cancelled, so are the library's tasks: nothing can be flushed, and nobody left to wait for.
    orderly = trio.current_effective_deadline() > -math.inf
    with trio.CancelScope(shield=True):
        if orderly:
            with trio.move_on_after(FLUSH_SECONDS):
                await gossip.flush()
        gossip.close_inboxes()
        # The library closes connections one after another, each with a farewell and a pause. A closed socket ends its
        # tasks at once, all of them together, and whoever hangs on a peer that is gone.
        meter.cut()
        if orderly:
            with trio.move_on_after(CLOSE_SECONDS):
                await links.wait_until_alone()
                await host.close()
        for scope in host._identify_tasks:
            scope.cancel()
        gossip.seen_messages.stop()
