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
from libp2p.io.exceptions import IncompleteReadError
from libp2p.kad_dht.common import MAX_RECORD_SIZE, MAX_VALUE_STORE_SIZE, PROTOCOL_ID
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.kad_dht.pb.kademlia_pb2 import Message as DhtMessage
from libp2p.kad_dht.value_store import ValueStore
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.records.record import make_signed_put_record
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, Status
from libp2p.relay.circuit_v2.pb.circuit_pb2 import PeerId as CircuitPeer
from libp2p.relay.circuit_v2.protocol import CircuitV2Protocol
from libp2p.relay.circuit_v2.resources import RelayLimits
from libp2p.tools.anyio_service import background_trio_service
from libp2p.utils import encode_varint_prefixed
from libp2p.utils.varint import read_varint_prefixed_bytes_limited
from multiaddr import Multiaddr

from p2pfd.network.circuit import HOP, read_message, write_message
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


async def test_the_librarys_relay_gives_all_its_places_to_one_stranger(nodes: Nodes) -> None:
    """It believes whoever asks to be whom it says it is. Ours: `test_relay.py`."""
    relay, stranger, honest = await nodes.open(), await nodes.open(), await nodes.open()
    limits = RelayLimits(duration=60, data=2**20, max_circuit_conns=4, max_reservations=5)
    logging.getLogger("libp2p.relay").setLevel(logging.CRITICAL)
    service = CircuitV2Protocol(host_of(relay), limits, allow_hop=True)
    async with background_trio_service(service):
        for node, count in ((stranger, 5), (honest, 1)):
            await node.connect(relay.addresses[0])
            for number in range(count):
                who = CircuitPeer(id=bytes([0, 36, 8, 1, 18, 32]) + bytes([number]) * 32) if node is stranger else None
                stream = await host_of(node).new_stream(ID.from_base58(relay.peer), [HOP])
                await write_message(stream, HopMessage(type=HopMessage.RESERVE, peer=who))
                answer = await read_message(stream, HopMessage)
                await stream.reset()
        kept = {peer.to_base58() for peer in service.resource_manager._reservations}
    assert answer.status == Status.RESOURCE_LIMIT_EXCEEDED, "the honest one came last"
    assert len(kept) == 5
    assert not kept & {stranger.peer, honest.peer}, "five that nobody has ever seen"


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


async def test_twelve_silent_streams_take_a_dht_server_away_from_everybody(nodes: Nodes) -> None:
    """Its store can be replaced by one with limits; how many streams it handles, and for how long, cannot be."""
    node, stranger, honest = await nodes.open(), await nodes.open(), await nodes.open()
    logging.getLogger("libp2p.kad_dht").setLevel(logging.CRITICAL)
    dht = KadDHT(host_of(node), DHTMode.SERVER)
    dht.value_store = ValueStore(host_of(node), host_of(node).get_id())
    ping = encode_varint_prefixed(DhtMessage(type=DhtMessage.PING).SerializeToString())

    async def asked(peer: Libp2pTransport) -> Any:
        stream = await host_of(peer).new_stream(ID.from_base58(node.peer), [PROTOCOL_ID])
        await stream.write(ping)
        assert await read_varint_prefixed_bytes_limited(stream, 4096)
        return stream

    for peer in (stranger, honest):
        await peer.connect(node.addresses[0])
    await (await asked(honest)).reset()
    for _ in range(12):
        await asked(stranger)  # and then it says nothing more, for ever
    with pytest.raises((StreamError, IncompleteReadError)):
        await asked(honest)
