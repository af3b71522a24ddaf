"""Streams of strangers: what they may write on each protocol that a node speaks, in order and out of it.

A `Piece` is some bytes and how many of the messages in it are out of order for sure. Those that may or may not be, such
as a message with a bit turned, count as none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random
from types import SimpleNamespace
from typing import Any

from libp2p.connection_types import ConnectionType
from libp2p.host.ping import ID as PING
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.identity.identify_push.identify_push import ID_PUSH
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, StopMessage
from libp2p.relay.circuit_v2.pb.circuit_pb2 import PeerId as CircuitPeer
from libp2p.relay.circuit_v2.pb.dcutr_pb2 import HolePunch
from libp2p.utils import encode_varint_prefixed

from p2pfd.core import canonical
from p2pfd.network import callback
from p2pfd.network.circuit import HOP, STOP
from p2pfd.network.direct import DCUTR
from p2pfd.network.exchange import BLOB_PROTOCOL, protocol_name

MESHSUB = "/meshsub/1.1.0"
ECHO = protocol_name("echo")
REACH = protocol_name(callback.PROTOCOL)
ECHO_BYTES = 64
POOL = 100
MULTISTREAM = b"\x13/multistream/1.0.0\n"


@dataclass(frozen=True, slots=True)
class Piece:
    """What is written on one stream, in how many frames, and how many of them are offences."""

    protocol: str
    raw: bytes
    frames: int
    bad: int


class FakeStream:
    """The stream that a node sees when somebody has written this and closed his side."""

    def __init__(self, peer: ID, piece: Piece, rng: Random) -> None:
        self.muxed_conn = SimpleNamespace(
            peer_id=peer,
            get_connection_type=lambda: rng.choice(list(ConnectionType)),
            get_transport_addresses=list,
        )
        self.swarm_conn = None
        name = piece.protocol.encode() + b"\n"
        self._raw = memoryview(MULTISTREAM + encode_varint_prefixed(name) + piece.raw)
        self._rng = rng
        self._protocol: Any = None
        self.written = 0
        self.is_reset = False

    async def read(self, n: int | None = None) -> bytes:
        """Some of it."""
        if not self._raw or self.is_reset:
            raise StreamEOF
        size = min(len(self._raw) if n is None else n, 1 + self._rng.getrandbits(self._rng.randrange(1, 17)))
        part, self._raw = bytes(self._raw[:size]), self._raw[size:]
        return part

    async def write(self, raw: bytes) -> None:
        """Nobody reads it."""
        self.written += len(raw)

    async def close(self) -> None:
        """Nothing to do."""

    async def reset(self) -> None:
        """What was not read is not read any more."""
        self.is_reset = True

    def get_protocol(self) -> Any:
        """What was agreed on."""
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        """What is agreed on."""
        self._protocol = protocol

    def get_remote_address(self) -> None:
        """There is none."""


def peer_of(rng: Random) -> ID:
    """An id with an Ed25519 key in it."""
    return ID(b"\x00\x24\x08\x01\x12\x20" + rng.randbytes(32))


def prefixed(raw: bytes) -> bytes:
    """A frame."""
    return bytes(encode_varint_prefixed(raw))


def mutated(raw: bytes, rng: Random) -> bytes:
    """With some bits turned, something cut out, or something put in."""
    out = bytearray(raw)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(4):
            case 0 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                del out[at : at + rng.randrange(1, 9)]
            case 2:
                out[at:at] = rng.randbytes(rng.randrange(1, 9))
            case _:
                out[at : at + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"\x80" * 4))
    return bytes(out)


# --- Gossip ----------------------------------------------------------------------------------------------------------


def _message(rng: Random, topic: str, **changes: Any) -> rpc_pb2.Message:
    fields = {
        "data": rng.randbytes(rng.randrange(64)),
        "topicIDs": [topic],
        "from_id": peer_of(rng).to_bytes(),
        "seqno": rng.randbytes(8),
        "signature": rng.randbytes(64),
        **changes,
    }
    return rpc_pb2.Message(**fields)


def _publish(*messages: rpc_pb2.Message) -> rpc_pb2.RPC:
    return rpc_pb2.RPC(publish=messages)


def _control(rng: Random, topic: str, count: int) -> rpc_pb2.RPC:
    rpc = rpc_pb2.RPC()
    control = rpc.control
    for _ in range(count):
        name = rng.choice((topic, f"t{rng.getrandbits(16)}"))
        match rng.randrange(4):
            case 0:
                control.graft.add(topicID=name)
            case 1:
                control.prune.add(topicID=name, backoff=rng.getrandbits(rng.randrange(1, 64)))
            case 2:
                control.ihave.add(topicID=name, messageIDs=[rng.randbytes(rng.randrange(200))])
            case _:
                control.iwant.add(messageIDs=[rng.randbytes(rng.randrange(200))])
    return rpc


def _subscriptions(rng: Random, count: int, length: int = 8) -> rpc_pb2.RPC:
    names = [f"{rng.getrandbits(32):0{length}x}" for _ in range(count)]
    return rpc_pb2.RPC(
        subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=rng.random() < 0.7, topicid=name) for name in names]
    )


OFFENCES: tuple[Callable[[Random, str], rpc_pb2.RPC], ...] = (
    lambda rng, topic: _publish(_message(rng, topic)),  # a signature that is none
    lambda rng, topic: _publish(_message(rng, topic, signature=rng.randbytes(rng.randrange(64)))),
    lambda rng, topic: _publish(_message(rng, topic, from_id=rng.randbytes(rng.randrange(60)))),
    lambda rng, topic: _publish(_message(rng, topic, topicIDs=[topic, f"{rng.random()}"])),
    lambda rng, topic: _publish(_message(rng, topic, seqno=rng.randbytes(9))),
    lambda rng, topic: _publish(_message(rng, topic, key=rng.randbytes(1200))),
    lambda rng, topic: _control(rng, topic, 300),
    lambda rng, _topic: _subscriptions(rng, 300),
    lambda rng, _topic: _subscriptions(rng, 1, 300),
    lambda rng, _topic: rpc_pb2.RPC(senderRecord=rng.randbytes(40)),
)
NUISANCES: tuple[Callable[[Random, str], rpc_pb2.RPC], ...] = (
    lambda rng, _topic: _publish(_message(rng, f"t{rng.getrandbits(16)}")),
    lambda rng, topic: _control(rng, topic, 2),
    lambda rng, _topic: _subscriptions(rng, 2),
    lambda _rng, _topic: rpc_pb2.RPC(),
)
FINAL: tuple[Callable[[Random], bytes], ...] = (
    lambda rng: prefixed(b"\xff\xff\xff\xff\x07" + rng.randbytes(rng.randrange(20))),
    lambda rng: b"\xff" * 10 + rng.randbytes(10),
    lambda rng: b"\x80\x80\x80\x01" + rng.randbytes(10),  # two megabytes
    lambda rng: prefixed(bytes(30))[: rng.randrange(2, 20)],  # cut short
)


@cache
def _pool(topic: str) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Offences and nuisances, made once: making them would take longer than hearing them."""
    rng = Random(topic)
    return tuple(
        tuple(kind(rng, topic).SerializeToString() for _ in range(POOL) for kind in kinds)
        for kinds in (OFFENCES, NUISANCES)
    )  # type: ignore[return-value]


def gossip(rng: Random, topic: str) -> Piece:
    """Many frames that can be read, and at times one in the end that cannot, or that may be anything."""
    offences, nuisances = _pool(topic)
    parts, bad = [], 0
    for _ in range(rng.randrange(1, 60)):
        offence = rng.random() < 0.05
        parts.append(prefixed(rng.choice(offences if offence else nuisances)))
        bad += offence
    end = rng.random()
    if end < 0.2:
        parts.append(rng.choice(FINAL)(rng))
        bad += 1
    elif end < 0.7:
        parts.append(prefixed(mutated(rng.choice((*offences, *nuisances) if end < 0.3 else nuisances), rng)))
    return Piece(MESHSUB, b"".join(parts), len(parts), bad)


# --- The others ------------------------------------------------------------------------------------------------------


def blob(rng: Random, _topic: str) -> Piece:
    """Questions for blobs that nobody has, and half a question."""
    count = rng.randrange(8)
    ends = (b"\xff" * 4, bytes(4), rng.randbytes(4))
    raw = b"".join(rng.randbytes(32) + rng.choice(ends) for _ in range(count))
    half = rng.randbytes(rng.randrange(36))
    return Piece(BLOB_PROTOCOL, raw + half, count + bool(half), int(bool(half)))


def request(rng: Random, _topic: str) -> Piece:
    """A request in order, one that is too long, one that is cut short."""
    match rng.randrange(3):
        case 0:
            body = rng.randbytes(rng.randrange(ECHO_BYTES + 1))
            return Piece(ECHO, len(body).to_bytes(4, "big") + body, 1, 0)
        case 1:
            size = rng.randrange(ECHO_BYTES + 1, 2**32)
            return Piece(ECHO, size.to_bytes(4, "big") + rng.randbytes(rng.randrange(100)), 1, 1)
        case _:
            size = rng.randrange(1, ECHO_BYTES + 1)
            return Piece(ECHO, size.to_bytes(4, "big") + rng.randbytes(rng.randrange(size)), 1, 1)


def push(rng: Random, _topic: str) -> Piece:
    """An identify that nobody asked for: changed, too long, too full."""
    message = Identify(protocol_version="x", protocols=["/a/1"], listen_addrs=[rng.randbytes(8)])
    match rng.randrange(4):
        case 0:
            return Piece(ID_PUSH, prefixed(mutated(message.SerializeToString(), rng)), 1, 0)
        case 1:
            return Piece(ID_PUSH, prefixed(b"\xff\xff\xff\xff\x07" + rng.randbytes(9)), 1, 1)
        case 2:
            message.protocols.extend(f"/{number}" for number in range(200))
        case _:
            message.listen_addrs.extend(rng.randbytes(8) for _ in range(40))
    return Piece(ID_PUSH, prefixed(message.SerializeToString()), 1, 1)


def ping(rng: Random, _topic: str) -> Piece:
    """Pings, and half of one."""
    count, half = rng.randrange(4), rng.randbytes(rng.randrange(32))
    return Piece(PING, rng.randbytes(32 * count) + half, count + bool(half), int(bool(half)))


def identify(rng: Random, _topic: str) -> Piece:
    """A question that has no words, and words all the same."""
    return Piece(IDENTIFY, rng.randbytes(rng.randrange(40)), 1, 0)


def unknown(rng: Random, _topic: str) -> Piece:
    """Protocols that nobody speaks, in other letters than they should be."""
    name = "".join(chr(rng.randrange(1, 0x2000)) for _ in range(rng.randrange(1, 30)))
    return Piece(f"/{name}", rng.randbytes(rng.randrange(40)), 1, 0)


def relay(rng: Random, _topic: str) -> Piece:
    """What is said to relays and about them, and to whoever dials back: in order, out of it, and garbage."""
    protocol = rng.choice((HOP, STOP, DCUTR, REACH))
    if protocol == REACH:
        asked = canonical.encode([f"/ip4/127.0.0.{rng.randrange(256)}/tcp/{rng.randrange(70_000)}"] * rng.randrange(6))
        raw = len(asked).to_bytes(4, "big") + mutated(asked, rng)
        return Piece(protocol, raw, 1, 0)
    who = CircuitPeer(id=rng.choice((peer_of(rng).to_bytes(), rng.randbytes(rng.randrange(100)))))
    match protocol:
        case _ if protocol == DCUTR:
            addresses = [rng.randbytes(rng.randrange(40)) for _ in range(rng.randrange(10))]
            said = [HolePunch(type=rng.choice((100, 300)), ObsAddrs=addresses) for _ in range(2)]
        case _ if protocol == HOP:
            said = [HopMessage(type=rng.randrange(3), peer=who)]
        case _:
            said = [StopMessage(type=rng.randrange(2), peer=who)]
    raw = b"".join(prefixed(message.SerializeToString()) for message in said)
    return Piece(protocol, mutated(raw, rng) if rng.random() < 0.5 else raw, len(said), 0)


OTHERS = (blob, request, push, ping, identify, unknown, relay)
EVERY = (gossip, *OTHERS)
