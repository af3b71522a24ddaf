"""TCP as this node uses it: counted at the socket, bound exclusively, read ahead, and aware of peers that are gone."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import socket as std
import sys
from collections.abc import Awaitable, Callable

import trio
from libp2p.abc import IListener, INetConn, IRawConnection
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.transport.exceptions import OpenConnectionError
from libp2p.transport.tcp.tcp import TCP
from libp2p.utils.multiaddr_utils import extract_ip_from_multiaddr
from multiaddr import Multiaddr

from p2pfd.errors import EnvironmentProblem, NetworkError
from p2pfd.network.api import Traffic
from p2pfd.network.counters import Counters, Drop
from p2pfd.network.quicklock import QuickLock
from p2pfd.network.reach import endpoint, is_adrift, plain

READ_AHEAD = 64 * 1024
BACKLOG = 128
# What the kernel does about a peer that vanished without a word, should `p2pfd.network.keepalive` be set to be slower.
KEEPALIVE_IDLE = 10
KEEPALIVE_INTERVAL = 5
KEEPALIVE_COUNT = 3
UNACKNOWLEDGED_MS = 25_000
# Linux waits twice as long before each time that it sends something again: where every fifth packet is lost, a ping or
# its answer would now and then take longer than a peer may be silent. Of connections that carry little it can be told
# not to; where it does not know how, it goes on as it does.
TCP_THIN_LINEAR_TIMEOUTS = 16
# Linux: of several addresses of its own, the one that stays, and not one that is made up anew every day.
IPV6_ADDR_PREFERENCES, IPV6_PREFER_SRC_PUBLIC = 72, 2
NEIGHBOURS = 64
"""Bits of an IPv6 address that a network has in common: whoever has one of its addresses has as many as it likes."""
OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
ACCEPT_PAUSE = 0.1

log = logging.getLogger("p2pfd.network")


class Meter:
    """Counts what crosses the sockets, and knows which are open."""

    def __init__(self, stall_seconds: float, counters: Counters | None = None) -> None:
        self.stall_seconds = stall_seconds
        self.counters = counters or Counters()
        self.sent = 0
        self.received = 0
        self.open: set[CountedStream] = set()
        self.wrap: Callable[[trio.SocketStream], CountedStream] = lambda stream: CountedStream(stream, self)

    def reading(self) -> Traffic:
        """The counts so far."""
        return Traffic(self.sent, self.received)

    def cut(self) -> None:
        """Close every socket at once, without a farewell: whoever waits on one is woken."""
        for stream in tuple(self.open):
            stream.cut()


class Wire:
    """What a connection runs over, as those see it who watch over it: a socket, or a stream through a relay."""

    meter: Meter
    since: float
    """When it came into being."""
    heard: float
    """When something was last read."""

    @property
    def host(self) -> str | None:
        """The IP address of the other end; None where there is none, or none any more."""
        return None

    def cut(self) -> None:
        """End it at once."""
        raise TypeError(f"{type(self).__name__} cannot be cut")


class CountedStream(TrioTCPStream, Wire):  # type: ignore[misc]
    """A TCP connection whose bytes are counted, and which reads more than it is asked for.

    Noise asks for two bytes of length and then for the body. Reading ahead makes one system call of the two, and one
    of many when small frames come in a row. There is one reader per connection: the handshake, and then yamux.
    """

    def __init__(self, stream: trio.SocketStream, meter: Meter) -> None:
        super().__init__(stream)
        self.meter = meter
        self.read_lock, self.write_lock = QuickLock(), QuickLock()
        self._ahead = bytearray()
        self.since = self.heard = trio.current_time()
        self.guest_of = ""
        """Where it came in from: an IPv4 address, or the network of an IPv6 one; empty when we dialled."""
        meter.open.add(self)
        for level, name, value in (
            (std.SOL_SOCKET, "SO_KEEPALIVE", 1),
            (std.IPPROTO_TCP, "TCP_KEEPIDLE", KEEPALIVE_IDLE),
            (std.IPPROTO_TCP, "TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
            (std.IPPROTO_TCP, "TCP_KEEPCNT", KEEPALIVE_COUNT),
            (std.IPPROTO_TCP, "TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS),
        ):
            if hasattr(std, name):  # not every platform has every one
                stream.setsockopt(level, getattr(std, name), value)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                stream.setsockopt(std.IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1)

    async def read(self, n: int | None = None) -> bytes:
        """At most `n` bytes; nothing at the end."""
        if not self._ahead:
            got: bytes = await super().read(READ_AHEAD)
            self.meter.received += len(got)
            self.heard = trio.current_time()
            if n is None or len(got) <= n:
                return bytes(got)
            self._ahead += got
        wanted = len(self._ahead) if n is None else n
        out = bytes(self._ahead[:wanted])
        del self._ahead[:wanted]
        return out

    async def write(self, data: bytes) -> None:
        """All of the bytes, even when cancelled meanwhile; the socket is closed when the peer takes none of them.

        What comes here is encrypted, and the cipher has counted it as sent. Were the write dropped or cut short by a
        cancellation, say because a request took too long, nothing that follows on this connection could be decrypted.
        """
        deadline = trio.current_time() + self.meter.stall_seconds
        with trio.CancelScope(deadline=deadline, shield=True) as patience:
            await super().write(data)
        if patience.cancelled_caught:
            self.meter.counters.drop(Drop.STALLED)
            self.cut()
            raise ConnectionClosedError("the peer takes nothing", transport="tcp")
        if self in self.meter.open:  # the base class is silent about a socket that we closed ourselves
            self.meter.sent += len(data)

    @property
    def host(self) -> str | None:
        """The IP address of the other end; None when it is gone."""
        try:
            return plain(self.stream.socket.getpeername()[0])
        except OSError:
            return None

    async def close(self) -> None:
        """Close the socket; it is no error when it is closed."""
        self.meter.open.discard(self)
        await super().close()

    def cut(self) -> None:
        """Close the socket at once."""
        self.meter.open.discard(self)
        self.stream.socket.close()


def socket_of(connection: INetConn) -> Wire | None:
    """What is under a connection of the swarm."""
    layer: object = connection.muxed_conn
    for name in ("secured_conn", "conn", "read_writer", "read_write_closer", "stream"):
        layer = getattr(layer, name, None)
    return layer if isinstance(layer, Wire) else None


class CountedTcp(TCP):  # type: ignore[misc]
    """libp2p's TCP transport, dialling through `CountedStream`. Listening is done by `accept`, not by the swarm."""

    def __init__(self, meter: Meter) -> None:
        super().__init__(dns_max_retries=1)
        self.meter = meter

    async def _dial_resolved(self, maddr: Multiaddr, source: tuple[str, int] | None = None) -> IRawConnection:
        host, port = host_and_port(maddr)
        try:
            stream = await trio.open_tcp_stream(host, port)
        except OSError as error:
            raise OpenConnectionError(f"cannot reach {endpoint(host, port)}: {error}") from error
        try:
            return RawConnection(self.meter.wrap(stream), True)
        except OSError as error:  # reset by the other side before the options were set
            stream.socket.close()
            raise OpenConnectionError(f"cannot reach {endpoint(host, port)}: {error}") from error


def host_and_port(maddr: Multiaddr) -> tuple[str, int]:
    """The IP address and TCP port in a multiaddr; OpenConnectionError when it has none."""
    host = extract_ip_from_multiaddr(maddr)
    names = [protocol.name for protocol in maddr.protocols()]
    if host is None or names[:1] not in (["ip4"], ["ip6"]) or names[1:2] != ["tcp"]:
        raise OpenConnectionError(f"{maddr} is not /ip4/…/tcp/… or /ip6/…/tcp/…")
    if is_adrift(host):
        raise OpenConnectionError(f"{host} is every interface's own, and no address here can say which one is meant")
    return host, int(maddr.value_for_protocol("tcp"))


async def bind(listen: str) -> trio.SocketListener:
    """A listening socket of our own.

    libp2p's listener sets SO_REUSEPORT, and then a second node on the same port starts without a word and takes half
    of the first one's connections. Ours does not share.
    """
    try:
        host, port = host_and_port(Multiaddr(listen))
    except (ValueError, OpenConnectionError) as error:
        raise NetworkError(f"cannot listen on {listen!r}: {error}", "write it like /ip4/127.0.0.1/tcp/0") from error
    where, family = endpoint(host, port), std.AF_INET6 if ":" in host else std.AF_INET
    try:
        sock = trio.socket.socket(family, trio.socket.SOCK_STREAM)
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot listen on {where}: {error}", "this machine has no IPv6: listen on /ip4/0.0.0.0/tcp/4001"
        ) from error
    try:
        sock.setsockopt(std.SOL_SOCKET, std.SO_REUSEADDR, 1)  # or a restarted node waits for its old connections
        if host == "::":  # IPv4 comes in there too, whatever the system's own habit is
            sock.setsockopt(std.IPPROTO_IPV6, std.IPV6_V6ONLY, 0)
        await sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise EnvironmentProblem(
                f"port {port} is in use", f"stop what listens on {where}, or choose another port, or 0 for any"
            ) from error
        raise EnvironmentProblem(
            f"cannot listen on {where}: {error}", "choose an address of this machine, and a port above 1023"
        ) from error
    return trio.SocketListener(sock)


def addresses_of(listener: trio.SocketListener) -> list[str]:
    """Where the socket can be reached from outside; a wildcard is replaced by addresses of this machine."""
    host, port = listener.socket.getsockname()[:2]
    hosts = [host]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        families = (std.AF_INET,) if host != "::" else (std.AF_INET6, std.AF_INET)
        own = ["127.0.0.1"] if host != "::" else ["::1", "127.0.0.1"]
        outward = [_outward_address(family) for family in families]
        hosts = [each for each in outward if each is not None and each not in own] + own
    return [f"/{'ip6' if ':' in each else 'ip4'}/{each}/tcp/{port}" for each in hosts]


def _outward_address(family: int) -> str | None:
    """The address from which this machine would talk to the internet; nothing is sent to find out."""
    somewhere = "192.0.2.1" if family == std.AF_INET else "2001:db8::1"  # reserved for documentation
    with contextlib.suppress(OSError), std.socket(family, std.SOCK_DGRAM) as probe:
        if family == std.AF_INET6 and sys.platform == "linux":
            probe.setsockopt(std.IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, IPV6_PREFER_SRC_PUBLIC)
        probe.connect((somewhere, 9))
        found = str(probe.getsockname()[0])
        return None if is_adrift(found) else found
    return None


async def accept(
    listener: trio.SocketListener, meter: Meter, limit: int, per_host: int,
    take: Callable[[IRawConnection], Awaitable[None]],
) -> None:  # fmt: skip
    """Accept connections until cancelled, at most `limit` at one time and `per_host` of one host; `take` shakes hands.

    libp2p's swarm keeps a task and a slot of its inbound limit for each connection it ever accepted, until it stops:
    after as many connections as the limit allows, all of them long closed, it accepts no more. Ours end with `take`.
    """
    async with listener, trio.open_nursery() as nursery:
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:
                if error.errno not in OUT_OF_DESCRIPTORS:
                    raise
                meter.counters.drop(Drop.CONNECTIONS)
                log.warning("cannot accept a connection: %s", error)
                await trio.sleep(ACCEPT_PAUSE)
                continue
            try:
                host = _origin(stream.socket.getpeername()[0])
                if len(meter.open) >= limit or sum(each.guest_of == host for each in meter.open) >= per_host:
                    meter.counters.drop(Drop.CONNECTIONS)
                    stream.socket.close()
                    continue
                counted = meter.wrap(stream)
            except OSError:  # gone already
                stream.socket.close()
                continue
            counted.guest_of = host
            nursery.start_soon(take, RawConnection(counted, False))


def _origin(host: str) -> str:
    """Whom a guest is counted with."""
    address = plain(host)
    return str(ipaddress.ip_network((address, NEIGHBOURS), strict=False)) if ":" in address else address


class Bound(IListener):  # type: ignore[misc]
    """Tells the swarm the addresses; the socket itself is ours."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = tuple(Multiaddr(address) for address in addresses)

    async def listen(self, maddr: Multiaddr) -> None:
        """Nothing to do: the socket listens."""

    def get_addrs(self) -> tuple[Multiaddr, ...]:
        """Where it listens."""
        return self._addresses

    async def close(self) -> None:
        """Nothing to do: `accept` closes the socket."""
