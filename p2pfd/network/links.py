"""Who we are connected to: dialling, dialling again, and who is no longer welcome."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable

import trio
from libp2p.abc import INetConn, INetStream, INetwork, INotifee, IRawConnection
from libp2p.connection_types import ConnectionType
from libp2p.exceptions import BaseLibp2pError
from libp2p.io.exceptions import IncompleteReadError
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey
from libp2p.transport.exceptions import OpenConnectionError
from multiaddr import Multiaddr

from p2pfd.core.ids import PeerId, peer_id
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, NetworkError
from p2pfd.network.addressbook import AddressBook
from p2pfd.network.conduct import Conduct
from p2pfd.network.counters import Counters, Drop
from p2pfd.network.reach import causes_of, parse_address, reason_of, relay_in
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.sockets import socket_of

log = logging.getLogger("p2pfd.network")


def _unconnected(address: str, error: BaseException, settings: NetworkSettings) -> NetworkError:
    """Why a dial came to nothing, and what to look at."""
    causes = causes_of(error)
    if any(isinstance(cause, OpenConnectionError) for cause in causes):
        return NetworkError(f"cannot connect to {address}: {reason_of(error)}", "does the node run there?")
    # Somebody is there. Members of a private mesh tell a stranger nothing: all that one sees is that they hang up.
    reason = "it hung up during the handshake" if isinstance(causes[-1], IncompleteReadError) else reason_of(error)
    fix = "have its members another --swarm-key than this one, or none?"
    if not settings.network_key:
        fix = "is it a p2pfd node, and its mesh an open one? a private mesh needs the --swarm-key of its members"
    return NetworkError(f"cannot connect to {address}: {reason}", fix)


class Links(INotifee):  # type: ignore[misc]
    """The connections of one node."""

    def __init__(
        self, swarm: Swarm, me: PeerId, nursery: trio.Nursery, settings: NetworkSettings, counters: Counters,
        conduct: Conduct, book: AddressBook, rng: Rng,
    ) -> None:  # fmt: skip
        self._swarm = swarm
        self._counters = counters
        self._me = me
        self._nursery = nursery
        self._settings = settings
        self._conduct = conduct
        self._book = book
        self._rng = rng
        self._changed = trio.Event()
        self._sought: set[PeerId] = set()
        self._let_go: set[PeerId] = set()
        self._kept: set[PeerId] = set()
        self._revival = trio.Event()
        self._revived = -math.inf
        self.on_lost: Callable[[PeerId], None] = self.forget
        self.relayed: Callable[[str], Awaitable[IRawConnection]] = self.no_relay
        self.is_refused: Callable[[PeerId], bool] = conduct.is_refused
        swarm.register_notifee(self)

    def peers(self) -> tuple[PeerId, ...]:
        """The peers connected now, in the order of their ids."""
        live = [peer for peer, links in self._swarm.connections.items() if any(not link.is_closed for link in links)]
        return tuple(sorted(PeerId(peer.to_base58()) for peer in live))

    def forget(self, peer: PeerId) -> None:
        """What is done about a lost peer where nothing is."""

    async def no_relay(self, address: str) -> IRawConnection:
        """How peers behind a relay are dialled where nobody can."""
        raise NetworkError(f"{address} leads through a relay, and this node dials none")

    def note_connected(self) -> None:
        """Whoever is in the address book and connected was seen just now."""
        for peer in self.peers():
            if peer in self._book:
                self._book.met(peer)

    def host_of(self, peer: PeerId) -> str | None:
        """The IP address that a connected peer is at."""
        for connection in self._swarm.connections.get(ID.from_base58(peer), ()):
            socket = socket_of(connection)
            host = None if socket is None else socket.host
            if host is not None:
                return host
        return None

    def is_relayed(self, peer: PeerId) -> bool:
        """Whether a peer is connected, and through relays alone."""
        links = [link for link in self._swarm.connections.get(ID.from_base58(peer), ()) if not link.is_closed]
        return bool(links) and all(link.get_connection_type() is ConnectionType.RELAYED for link in links)

    def since(self, peer: PeerId) -> float:
        """When the first of a peer's connections came into being; now, where there is none."""
        links = self._swarm.connections.get(ID.from_base58(peer), ())
        return min(
            (socket.since for link in links if (socket := socket_of(link)) is not None), default=trio.current_time()
        )

    def connections(self) -> list[INetConn]:
        """The connections that are up."""
        return [link for links in self._swarm.connections.values() for link in links if not link.is_closed]

    async def connect(self, address: str) -> PeerId:
        """Dial this very address, once."""
        maddr, peer = parse_address(address)
        if peer == self._me:
            raise NetworkError(f"{address} is this node itself", "connect to another one")
        if self.is_refused(peer):
            raise NetworkError(f"{peer} is refused for its conduct", "wait until network.refuse_seconds are over")
        if peer in self.peers():
            return peer
        try:
            with trio.fail_after(self._settings.connect_seconds):
                # Not `host.connect`: that would choose among all addresses it ever heard of, and after one failure
                # refuse to dial the peer for a minute.
                if relay_in(address) is None:
                    await self._swarm.dial_addr(maddr, ID.from_base58(peer))
                else:
                    await self._swarm.upgrade_outbound_raw_conn(await self.relayed(address), ID.from_base58(peer))
        except trio.TooSlowError:
            seconds = self._settings.connect_seconds
            self._book.failed(address, peer)
            raise NetworkError(f"{address} did not answer within {seconds:g} s", "does the node run there?") from None
        except (BaseLibp2pError, OSError, ValueError) as error:
            self._book.failed(address, peer)
            if any(isinstance(cause, PeerIDMismatchesPubkey) for cause in causes_of(error)):
                what = f"somebody else than {peer} answers at {address}"
                raise NetworkError(what, "take the address from the node itself") from error
            raise _unconnected(address, error, self._settings) from error
        self._book.reached(address, peer)
        return peer

    async def prove(self, address: str) -> bool:
        """Whether this very peer answers there, found out by a handshake, and without being connected after it."""
        return not await self.refusal(address)

    async def refusal(self, address: str) -> str:
        """Why this very peer does not answer there; nothing when it does. As `prove`."""
        maddr, peer = parse_address(address)
        raw: IRawConnection | None = None
        why = f"no answer within {self._settings.connect_seconds:g} s"
        try:
            with trio.move_on_after(self._settings.connect_seconds):
                if relay_in(address) is None:
                    raw = await self._swarm.transport_manager.transport_for_dialing(maddr).dial(maddr)
                else:
                    raw = await self.relayed(address)
                await self._swarm.upgrader.upgrade_security(raw, True, ID.from_base58(peer))
                why = ""
        except (BaseLibp2pError, OSError, ValueError, NetworkError) as error:
            why = reason_of(error) or "the handshake failed"
            log.debug("%s is not answered by %s: %s", address, peer, why)
        finally:
            if raw is not None:
                with trio.CancelScope(shield=True):  # closing a socket waits for nobody
                    await raw.close()
        if why:
            self._book.failed(address, peer)
        else:
            self._book.reached(address, peer)
        return why

    def vouch(self, address: str, peer: PeerId) -> None:
        """The peer can be reached there: this node is the relay in between."""
        self._book.reached(address, peer)

    def keep(self, address: str) -> None:
        """Dial an address until it is connected, and again whenever the connection is lost."""
        _, peer = parse_address(address)
        if peer != self._me:
            self._kept.add(peer)
            self._nursery.start_soon(self._hold, address, peer)

    async def _hold(self, address: str, peer: PeerId) -> None:
        while True:
            await self.bring_back(peer, lambda: [address], math.inf)
            while peer in self.peers():
                await self._changed.wait()
            await self._pause(self._settings.redial_first_seconds)

    async def bring_back(self, peer: PeerId, addresses: Callable[[], list[str]], seconds: float) -> bool:
        """Dial until the peer is connected, whoever dialled; False when it is not after so many seconds."""
        pause, end = self._settings.redial_first_seconds, trio.current_time() + seconds
        self._sought.add(peer)
        try:
            while peer not in self.peers():
                if trio.current_time() >= end:
                    return False
                for address in addresses():
                    try:
                        await self.connect(address)
                        return True
                    except NetworkError as error:
                        level = logging.INFO if pause == self._settings.redial_first_seconds else logging.DEBUG
                        log.log(level, "will dial again in some %g s: %s", pause, error.what)
                if await self._pause(pause):
                    pause = self._settings.redial_first_seconds
                else:
                    pause = min(2 * pause, self._settings.redial_max_seconds)
            return True
        finally:
            self._sought.discard(peer)

    async def _pause(self, seconds: float) -> bool:
        """Wait for half of the time to all of it; True when others that were sought have come back meanwhile."""
        with trio.move_on_after(seconds * (1 + self._rng.unit()) / 2) as waiting:
            await self._revival.wait()
        if not waiting.cancelled_caught:  # not all who wait at the same moment
            await trio.sleep(self._settings.redial_first_seconds * self._rng.unit())
        return not waiting.cancelled_caught

    def _revive(self, peer: PeerId) -> None:
        """A peer is back that was dialled in vain: the network is, and the others need not wait any longer.

        Not more often than the longest pause, or a peer that comes and goes would have us dial without a pause.
        """
        if peer in self._sought and trio.current_time() >= self._revived + self._settings.redial_max_seconds:
            self._revived = trio.current_time()
            self._revival.set()
            self._revival = trio.Event()

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
        self._let_go.add(peer)
        await self._swarm.close_peer(ID.from_base58(peer))

    def stir(self) -> None:
        """Wake whoever waits for a change: there is something to look at."""
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        """A connection is up: close it again when it is nobody we want."""
        text = conn.muxed_conn.peer_id.to_base58()
        try:
            unwelcome = self.is_refused(peer_id(text))
        except DecodeError:
            unwelcome = True  # not an Ed25519 key
        if unwelcome:
            self._counters.drop(Drop.REFUSED, text)
            self._nursery.start_soon(self.drop, PeerId(text))
        else:
            self._let_go.discard(PeerId(text))
            self._revive(PeerId(text))
        self._tell()

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        """A connection is gone."""
        peer = PeerId(conn.muxed_conn.peer_id.to_base58())
        if peer in self._book:
            self._book.met(peer)
        if peer not in self.peers():
            let_go = peer in self._let_go
            self._let_go.discard(peer)
            if not let_go and peer not in self._kept:
                self.on_lost(peer)
        self._tell()

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None:
        """Of no interest."""

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None:
        """Of no interest."""

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None:
        """Of no interest."""

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None:
        """Of no interest."""
