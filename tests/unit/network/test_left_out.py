"""Why some parts of py-libp2p 0.8.1 are left out: should one of these fail, the library has learned.

What stands in docs/explanation/reachability.md is shown here, on our own hosts.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
from libp2p.discovery.rendezvous.config import RENDEZVOUS_PROTOCOL
from libp2p.discovery.rendezvous.messages import create_register_message
from libp2p.discovery.rendezvous.service import RendezvousService
from libp2p.host.autonat.autonat import AutoNATService
from libp2p.host.autonat.pb.autonat_pb2 import Message
from libp2p.kad_dht.common import MAX_RECORD_SIZE, MAX_VALUE_STORE_SIZE
from libp2p.kad_dht.value_store import ValueStore
from libp2p.peer.id import ID
from libp2p.records.record import make_signed_put_record
from libp2p.utils import encode_varint_prefixed
from libp2p.utils.varint import read_varint_prefixed_bytes_limited
from multiaddr import Multiaddr

from p2pfd.network.libp2p import Libp2pTransport

from .conftest import Nodes

pytestmark = pytest.mark.network
DEAD = Multiaddr("/ip4/127.0.0.1/tcp/1")


def host_of(transport: Libp2pTransport) -> Any:
    return transport._exchange._host


async def test_autonat_calls_a_dead_port_reachable(nodes: Nodes) -> None:
    """The server is connected to whoever asks, and takes that for a successful dial."""
    asker, server = await nodes.open(), await nodes.open()
    service = AutoNATService(host_of(asker))
    AutoNATService(host_of(server))
    await asker.connect(server.addresses[0])
    status, _ = await service.query_server(ID.from_base58(server.peer), [DEAD.to_bytes()])
    assert status == Message.OK
    # The same question, asked our way.
    assert not await server._links.prove(f"{DEAD}/p2p/{asker.peer}")
    assert await server._links.prove(asker.addresses[0])


async def test_a_rendezvous_point_keeps_whatever_one_stranger_sends(nodes: Nodes) -> None:
    """A thousand registrations for each namespace, and namespaces without a limit."""
    point, stranger = await nodes.open(), await nodes.open()
    service = RendezvousService(host_of(point))
    await stranger.connect(point.addresses[0])
    stream = await host_of(stranger).new_stream(ID.from_base58(point.peer), [RENDEZVOUS_PROTOCOL])
    me = ID.from_base58(stranger.peer)
    logging.getLogger("libp2p.discovery.rendezvous").setLevel(logging.CRITICAL)
    for number in range(1500):
        message = create_register_message(f"{number:0200}", me, [DEAD], 3600)
        await stream.write(encode_varint_prefixed(message.SerializeToString()))
        await read_varint_prefixed_bytes_limited(stream, 4096)
    assert len(service.registrations) == 1500


async def test_a_dht_server_keeps_fifty_gigabytes_for_strangers(nodes: Nodes) -> None:
    node = await nodes.open()
    host = host_of(node)
    store = ValueStore(host, host.get_id())
    value = bytes(100_000)
    for number in range(300):
        key = b"/p2pfd/%d" % number
        store.put_record(key, make_signed_put_record(key, value, host.get_private_key()))
        await trio.lowlevel.checkpoint()
    assert sum(len(record.value) for record, _ in store.store.values()) == 300 * len(value), "it counts bytes now"
    assert MAX_VALUE_STORE_SIZE * MAX_RECORD_SIZE > 50 * 10**9
