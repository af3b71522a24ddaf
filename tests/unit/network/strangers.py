"""A stranger: a peer that writes what it likes on streams of its own choice."""

from __future__ import annotations

from typing import Any

from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils import encode_varint_prefixed

from p2pfd.network.counters import Drop
from p2pfd.network.libp2p import Libp2pTransport

from .conftest import TOPIC

MESHSUB = TProtocol("/meshsub/1.1.0")
SEQNO = b"12345678"


def host_of(transport: Libp2pTransport) -> Any:
    return transport._exchange._host


def id_of(transport: Libp2pTransport) -> ID:
    return ID.from_base58(transport.peer)


def signed(author: Libp2pTransport, **changes: Any) -> rpc_pb2.Message:
    """A message of an author, signed whatever stands in it."""
    fields = {"data": b"x", "topicIDs": [TOPIC], "from_id": id_of(author).to_bytes(), "seqno": SEQNO, **changes}
    message = rpc_pb2.Message(**fields)
    message.signature = host_of(author).get_private_key().sign(b"libp2p-pubsub:" + message.SerializeToString())
    return message


def frame(rpc: rpc_pb2.RPC) -> bytes:
    return bytes(encode_varint_prefixed(rpc.SerializeToString()))


async def gossip(attacker: Libp2pTransport, victim: Libp2pTransport) -> Any:
    """A gossip stream beside the one that a peer has."""
    return await host_of(attacker).new_stream(id_of(victim), [MESHSUB])


async def ask(attacker: Libp2pTransport, victim: Libp2pTransport, protocol: str) -> Any:
    """A stream of any protocol."""
    return await host_of(attacker).new_stream(id_of(victim), [TProtocol(protocol)])


def dropped(victim: Libp2pTransport) -> dict[Drop, int]:
    """What it has dropped so far."""
    return {reason: count for reason, count in victim.counters.drops.items() if count}
