"""Finding peers on a LAN without any address: libp2p's mDNS, ``_p2p._udp.local``, spoken by zeroconf.

zeroconf runs threads and a loop of its own; what it hears is handed to the node as text, and tried like any other
hearsay. The library's own module keeps whatever a LAN tells it, in a registry that all nodes of a process share.
"""

from __future__ import annotations

import logging
import secrets
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import trio
from zeroconf import (
    InterfaceChoice,
    IPVersion,
    NonUniqueNameException,
    NotRunningException,
    ServiceBrowser,
    ServiceInfo,
    ServiceListener,
    Zeroconf,
)

from p2pfd.errors import EnvironmentProblem
from p2pfd.network.reach import ADDRESS_CHARS, ADDRESSES, Reach, reach_of

SERVICE = "_p2p._udp.local."
KEY = b"dnsaddr="
NAME_BYTES = 20
ASK_MS = 2000
GROUP = "224.0.0.251"
PORT = 4001
"""Stands in the announcement because something has to; the addresses say where to dial."""

Overheard = Callable[[list[str]], None]

log = logging.getLogger("p2pfd.network")


def write_text(addresses: list[str]) -> bytes:
    """The TXT record of a peer at these addresses, as libp2p's specification has it."""
    parts = [KEY + address.encode() for address in addresses]
    return b"".join(bytes([len(part)]) + part for part in parts if len(part) < 256)


def read_text(raw: bytes) -> list[str]:
    """The addresses in a TXT record; what is none is left out."""
    found: list[str] = []
    at = 0
    while at < len(raw) and len(found) < ADDRESSES:
        part = raw[at + 1 : at + 1 + raw[at]]
        at += 1 + raw[at]
        if part.startswith(KEY):
            address = part[len(KEY) :].decode(errors="replace")
            if len(address) <= ADDRESS_CHARS and reach_of(address) is not None:
                found.append(address)
    return found


class _Ear(ServiceListener):
    """Called by zeroconf in a thread of its own, one announcement at a time."""

    def __init__(self, mine: str, token: trio.lowlevel.TrioToken, overheard: Overheard) -> None:
        self._mine = mine
        self._token = token
        self._overheard = overheard

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Somebody is there."""
        if name == self._mine:
            return
        try:
            info = zc.get_service_info(type_, name, timeout=ASK_MS)
        except NotRunningException:
            return  # closed while somebody was asked
        addresses = [] if info is None else read_text(info.text or b"")
        if addresses:
            try:
                self._token.run_sync_soon(self._overheard, addresses)
            except trio.RunFinishedError:
                log.debug("mDNS heard of %s when all was over", name)

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Somebody says something new."""
        self.add_service(zc, type_, name)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Of no interest: whether somebody is there is found out by dialling."""


@asynccontextmanager
async def announced(addresses: tuple[str, ...], listen: str, overheard: Overheard) -> AsyncGenerator[None]:
    """Be found on the LAN, and hear of others, for as long as the context lasts."""
    host = listen.split("/")[2]
    reach = min((reach_of(address) or Reach.MACHINE for address in addresses), default=Reach.MACHINE)
    everywhere = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    told = [address for address in addresses if not everywhere or (reach_of(address) or Reach.MACHINE) > Reach.MACHINE]
    label = secrets.token_hex(NAME_BYTES)  # not of the seed: two meshes of one seed on a LAN would bear the same names
    text = write_text(told or list(addresses))
    name = f"{label}.{SERVICE}"
    info = ServiceInfo(SERVICE, name, port=PORT, properties=text, server=f"{label}.local.", addresses=[_any(reach)])
    zeroconf: Zeroconf | None = None
    try:
        try:
            zeroconf = await trio.to_thread.run_sync(_open, host, everywhere)
            await trio.to_thread.run_sync(zeroconf.register_service, info)
        except (OSError, NonUniqueNameException) as error:
            raise EnvironmentProblem(f"no mDNS on {host}: {error}", "set network.mdns to false") from error
        ServiceBrowser(zeroconf, SERVICE, listener=_Ear(name, trio.lowlevel.current_trio_token(), overheard))
        yield
    finally:
        if zeroconf is not None:
            with trio.CancelScope(shield=True):  # says goodbye, and ends its threads: half a second
                await trio.to_thread.run_sync(zeroconf.close)


async def check_multicast(listen: str, seconds: float = 1.0) -> None:
    """Say something to mDNS's group, at a port of our own, and hear it; EnvironmentProblem where that cannot be."""
    host = listen.split("/")[2]
    interface = socket.inet_aton("0.0.0.0" if ":" in host else host)  # noqa: S104 - for the kernel to choose
    token = secrets.token_bytes(16)
    fix = "use --bootstrap, or listen on another interface"
    try:
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
            await sock.bind(("", 0))
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + interface)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
            with trio.move_on_after(seconds):
                await sock.sendto(token, (GROUP, sock.getsockname()[1]))
                while await sock.recv(len(token)) != token:
                    continue
                return
    except OSError as error:
        raise EnvironmentProblem(f"no multicast on {host}: {error.strerror or error}", fix) from error
    raise EnvironmentProblem(f"what is sent to {GROUP} on {host} does not come back", fix)


def _open(host: str, everywhere: bool) -> Zeroconf:
    if not everywhere:
        return Zeroconf(interfaces=[host])
    return Zeroconf(InterfaceChoice.All, ip_version=IPVersion.All if host == "::" else IPVersion.V4Only)


def _any(reach: Reach) -> bytes:
    """An address for the announcement's A record, which libp2p does not look at."""
    return socket.inet_aton("127.0.0.1" if reach == Reach.MACHINE else "0.0.0.0")  # noqa: S104 - not bound
