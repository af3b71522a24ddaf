"""What an address is, from where it can be dialled, and what a signed peer record says."""

from __future__ import annotations

import enum
import ipaddress
from functools import lru_cache

from libp2p.peer.envelope import consume_envelope
from libp2p.peer.id import ID
from libp2p.peer.peer_record import PEER_RECORD_ENVELOPE_DOMAIN
from multiaddr import Multiaddr

from p2pfd.core.ids import PeerId, peer_id
from p2pfd.errors import DecodeError, NetworkError

RECORD_BYTES = 2048
ADDRESS_CHARS = 256
ADDRESSES = 8


CIRCUIT = "/p2p-circuit"
HOW_TO_RELAY = "write it like /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW…/p2p-circuit/p2p/12D3KooW…"
HOW_TO_WRITE = "write it like /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW…"


def causes_of(error: BaseException) -> list[BaseException]:
    """The error, what caused it, and so on; of several at one time the first."""
    causes = [error]
    while True:
        last = causes[-1]
        cause = last.exceptions[0] if isinstance(last, BaseExceptionGroup) else last.__cause__
        if cause is None:
            return causes
        causes.append(cause)


def reason_of(error: BaseException) -> str:
    """The innermost thing that was said, in one line."""
    innermost = causes_of(error)[-1]
    said = (isinstance(innermost, OSError) and innermost.strerror) or str(innermost)
    text = said.strip().splitlines()
    return text[0] if text else type(innermost).__name__


def parse_address(address: str) -> tuple[Multiaddr, PeerId]:
    """A multiaddr that ends in an Ed25519 peer id; NetworkError for any other text."""
    try:
        maddr = Multiaddr(address)
        protocols = [protocol.name for protocol in maddr.protocols()]
        if protocols[-1:] != ["p2p"] or "tcp" not in protocols:
            raise NetworkError(f"{address!r} is not a TCP address that ends in /p2p/ and a peer id", HOW_TO_WRITE)
        if "p2p-circuit" in protocols and protocols[1:] != ["tcp", "p2p", "p2p-circuit", "p2p"]:
            raise NetworkError(f"{address!r} leads through a relay, but not as one can dial", HOW_TO_RELAY)
        return maddr, peer_id(str(maddr).rsplit("/", 1)[1])
    except (ValueError, LookupError, DecodeError) as error:
        raise NetworkError(f"{address[:200]!r} is no address: {reason_of(error)}", HOW_TO_WRITE) from error


def relay_in(address: str) -> str | None:
    """The address of the relay that an address leads through; None when it leads through none."""
    relay, mark, _ = address.partition(CIRCUIT)
    return relay if mark else None


class Reach(enum.IntEnum):
    """How far away an address still means the same machine."""

    MACHINE = 0
    """Loopback."""
    SITE = 1
    """Private ranges, link-local."""
    WORLD = 2


def plain(host: str) -> str:
    """An IP address without the interface that a link-local one comes with, and as IPv4 where IPv6 only carries it."""
    ip = ipaddress.ip_address(host.partition("%")[0])
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def endpoint(host: str, port: int) -> str:
    """A host and a port in one word, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_adrift(host: str) -> bool:
    """Whether an address means nothing without an interface: IPv6's link-local ones, which every interface has."""
    ip = ipaddress.ip_address(host.partition("%")[0])
    return ip.version == 6 and ip.is_link_local


def reach_of_host(host: str) -> Reach | None:
    """How far an IP address reaches; None for one that cannot be dialled at all."""
    try:
        ip = ipaddress.ip_address(plain(host))
    except ValueError:
        return None
    if ip.is_unspecified or ip.is_multicast:
        return None
    if ip.is_loopback:
        return Reach.MACHINE
    # What providers share out among their customers (100.64.0.0/10) is neither private nor the world's.
    return Reach.SITE if ip.is_link_local or not ip.is_global else Reach.WORLD


@lru_cache(maxsize=4096)
def reach_of(address: str) -> Reach | None:
    """How far a multiaddr reaches; None when it is not one that this program dials: TCP, with a peer id at its end.

    One that leads through a relay reaches as far as the relay's.
    """
    if len(address) > ADDRESS_CHARS:
        return None
    try:
        parse_address(address)
        maddr, _ = parse_address(relay_in(address) or address)
        names = [protocol.name for protocol in maddr.protocols()]
        if len(names) != 3 or names[1] != "tcp" or not 0 < int(maddr.value_for_protocol("tcp")) < 65536:
            return None
        host = str(maddr.value_for_protocol(names[0]))
    except (NetworkError, ValueError, LookupError):
        return None
    if names[0] in ("ip4", "ip6"):
        return None if is_adrift(host) else reach_of_host(host)
    return Reach.WORLD if names[0] in ("dns", "dns4", "dns6") else None


def read_record(raw: bytes) -> tuple[PeerId, tuple[str, ...]]:
    """Who signed a peer record, and the addresses in it that can be dialled; DecodeError for anything else."""
    if len(raw) > RECORD_BYTES:
        raise DecodeError(f"a peer record of {len(raw)} bytes, at most {RECORD_BYTES}")
    try:
        envelope, record = consume_envelope(raw, PEER_RECORD_ENVELOPE_DOMAIN)
        signer = ID.from_pubkey(envelope.public_key)
    except Exception as error:  # whatever the library makes of a stranger's bytes
        raise DecodeError(f"a peer record that is none: {error!r}") from error
    peer = peer_id(signer.to_base58())
    if record.peer_id != signer:
        raise DecodeError(f"a peer record of {record.peer_id} that {peer} has signed")
    told = (whole(str(maddr), peer) for maddr in record.addrs[: 2 * ADDRESSES])
    return peer, tuple(dict.fromkeys(address for address in told if address is not None))[:ADDRESSES]


def whole(address: str, peer: PeerId) -> str | None:
    """An address with the peer's id at its end; None when it cannot be dialled, or is somebody else's."""
    suffix = f"/p2p/{peer}"
    full = address + suffix if "/p2p/" not in address or address.endswith(CIRCUIT) else address
    if not full.endswith(suffix) or reach_of(full) is None:
        return None
    return str(Multiaddr(full))
