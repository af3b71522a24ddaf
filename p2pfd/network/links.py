"""Who we are connected to: dialling, dialling again, and who is no longer welcome."""

from __future__ import annotations

import logging

import trio
from libp2p.abc import INetConn, INetStream, INetwork, INotifee, IRawConnection
from libp2p.exceptions import BaseLibp2pError
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey
from multiaddr import Multiaddr

from p2pfd.core.ids import PeerId, peer_id
from p2pfd.errors import DecodeError, NetworkError
from p2pfd.network.conduct import Conduct
from p2pfd.network.counters import Counters, Drop
from p2pfd.network.settings import NetworkSettings

HOW_TO_WRITE = "write it like /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW…"

log = logging.getLogger("p2pfd.network")


def causes_of(error: BaseException) -> list[BaseException]:
    """The error, what caused it, and so on."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    return causes


def reason_of(error: BaseException) -> str:
    """The innermost thing that was said, in one line."""
    innermost = causes_of(error)[-1]
    text = str(innermost).strip().splitlines()
    return text[0] if text else type(innermost).__name__


def parse_address(address: str) -> tuple[Multiaddr, PeerId]:
    """A multiaddr that ends in an Ed25519 peer id; NetworkError for any other text."""
    try:
        maddr = Multiaddr(address)
        protocols = [protocol.name for protocol in maddr.protocols()]
        if protocols[-1:] != ["p2p"] or "tcp" not in protocols:
            raise NetworkError(f"{address!r} is not a TCP address that ends in /p2p/ and a peer id", HOW_TO_WRITE)
        return maddr, peer_id(str(maddr.value_for_protocol("p2p")))
    except (ValueError, LookupError, DecodeError) as error:
        raise NetworkError(f"{address[:200]!r} is no address: {reason_of(error)}", HOW_TO_WRITE) from error


class Links(INotifee):  # type: ignore[misc]
    """The connections of one node."""

    def __init__(
        self, swarm: Swarm, me: PeerId, nursery: trio.Nursery, settings: NetworkSettings, counters: Counters
    ) -> None:
        self._swarm = swarm
        self._counters = counters
        self._me = me
        self._nursery = nursery
        self._settings = settings
        self._conduct = Conduct(settings)
        self._changed = trio.Event()
        swarm.register_notifee(self)

    def peers(self) -> tuple[PeerId, ...]:
        """The peers connected now, in the order of their ids."""
        live = [peer for peer, links in self._swarm.connections.items() if any(not link.is_closed for link in links)]
        return tuple(sorted(PeerId(peer.to_base58()) for peer in live))

    def connections(self) -> list[INetConn]:
        """The connections that are up."""
        return [link for links in self._swarm.connections.values() for link in links if not link.is_closed]

    async def connect(self, address: str) -> PeerId:
        """Dial this very address, once."""
        maddr, peer = parse_address(address)
        if peer == self._me:
            raise NetworkError(f"{address} is this node itself", "connect to another one")
        if self._conduct.is_refused(peer):
            raise NetworkError(f"{peer} is refused for its conduct", "wait until network.refuse_seconds are over")
        if peer in self.peers():
            return peer
        try:
            with trio.fail_after(self._settings.connect_seconds):
                # Not `host.connect`: that would choose among all addresses it ever heard of, and after one failure
                # refuse to dial the peer for a minute.
                await self._swarm.dial_addr(maddr, ID.from_base58(peer))
        except trio.TooSlowError:
            seconds = self._settings.connect_seconds
            raise NetworkError(f"{address} did not answer within {seconds:g} s", "does the node run there?") from None
        except (BaseLibp2pError, OSError, ValueError) as error:
            if any(isinstance(cause, PeerIDMismatchesPubkey) for cause in causes_of(error)):
                what = f"somebody else than {peer} answers at {address}"
                raise NetworkError(what, "take the address from the node itself") from error
            what = f"cannot connect to {address}: {reason_of(error)}"
            raise NetworkError(what, "does the node run there?") from error
        return peer

    def keep(self, address: str) -> None:
        """Dial an address until it is connected, and again whenever the connection is lost."""
        _, peer = parse_address(address)
        if peer != self._me:
            self._nursery.start_soon(self._hold, address)

    async def _hold(self, address: str) -> None:
        pause = self._settings.redial_first_seconds
        while True:
            try:
                peer = await self.connect(address)
            except NetworkError as error:
                log.info("will dial again in %g s: %s", pause, error.what)
            else:
                pause = self._settings.redial_first_seconds
                while peer in self.peers():
                    await self._changed.wait()
            await trio.sleep(pause)
            pause = min(2 * pause, self._settings.redial_max_seconds)

    async def change(self) -> None:
        """Wait until somebody comes or goes."""
        await self._changed.wait()

    async def wait_for_peers(self, count: int) -> None:
        """Wait until so many peers are connected."""
        while len(self.peers()) < count:
            await self._changed.wait()

    async def wait_until_alone(self) -> None:
        """Wait until nobody is connected."""
        while self._swarm.connections:
            await self._changed.wait()

    async def take(self, connection: IRawConnection) -> None:
        """Shake hands with whoever dialled us."""
        try:
            # The address is only used in what the library logs.
            await self._swarm.upgrade_inbound_raw_conn(connection, Multiaddr("/ip4/0.0.0.0/tcp/0"))
        except Exception as error:  # noqa: BLE001 - whatever the bytes of a stranger bring about ends with the connection
            self._counters.drop(Drop.HANDSHAKE)
            log.debug("a stranger did not come in: %r", error)
            await connection.close()

    def strike(self, peer: PeerId, reason: str) -> None:
        """Hold something against a peer; after enough of it the peer is disconnected, and refused for a time."""
        if self._conduct.strike(peer, reason):
            self._nursery.start_soon(self.drop, peer)

    async def drop(self, peer: PeerId) -> None:
        """Close every connection to a peer."""
        await self._swarm.close_peer(ID.from_base58(peer))

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        """A connection is up: close it again when it is nobody we want."""
        text = conn.muxed_conn.peer_id.to_base58()
        try:
            unwelcome = self._conduct.is_refused(peer_id(text))
        except DecodeError:
            unwelcome = True  # not an Ed25519 key
        if unwelcome:
            self._counters.drop(Drop.REFUSED, text)
            self._nursery.start_soon(self.drop, PeerId(text))
        self._tell()

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        """A connection is gone."""
        self._tell()

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None:
        """Of no interest."""

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None:
        """Of no interest."""

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None:
        """Of no interest."""

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None:
        """Of no interest."""
