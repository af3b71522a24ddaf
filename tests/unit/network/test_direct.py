"""Peers that meet through a relay, and do without it where one of them can be dialled."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import trio
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.id import ID
from libp2p.relay.circuit_v2.pb.dcutr_pb2 import HolePunch
from multiaddr import Multiaddr

from p2pfd.core.ids import PeerId
from p2pfd.network.circuit import write_message
from p2pfd.network.counters import Drop
from p2pfd.network.direct import DCUTR, Direct
from p2pfd.network.libp2p import Libp2pTransport

from .conftest import TOPIC, Ear, Nodes
from .test_finder import free_port, until
from .test_relay import DEAD, far, hidden_behind, host_of, settings

pytestmark = pytest.mark.network


def is_direct(node: Libp2pTransport, other: Libp2pTransport) -> bool:
    return other.peer in node.peers() and not node._links.is_relayed(other.peer)


async def test_a_peer_that_can_be_dialled_is_dialled_by_the_one_behind_the_relay(nodes: Nodes) -> None:
    relay, other = await nodes.open(settings(relay=True)), await nodes.open()
    hidden = await hidden_behind(nodes, relay)
    ear = Ear(hidden)
    async with trio.open_nursery() as nursery:
        await nursery.start(ear.run)
        await other.connect(hidden.addresses[1])
        assert other._links.is_relayed(hidden.peer)
        await until(lambda: is_direct(hidden, other) and is_direct(other, hidden))
        await until(lambda: relay.relay.circuits == 0)  # type: ignore[union-attr]
        await other.wait_for_subscribers(TOPIC, 1)
        await other.publish(TOPIC, b"directly")
        await ear.until(b"directly")
        nursery.cancel_scope.cancel()


@pytest.mark.long
async def test_the_one_that_dialled_tries_when_the_other_cannot(nodes: Nodes) -> None:
    """Somebody may be told an address through a relay of a node that could be dialled as well."""
    relay = await nodes.open(settings(relay=True))
    other = await far(nodes)
    open_one = await nodes.open(settings(via=(relay.addresses[0],)))
    assert open_one.behind is not None
    await open_one.behind.wait_until_reachable()
    await other.connect(open_one.addresses[-1])
    await until(lambda: is_direct(other, open_one) and is_direct(open_one, other))


@pytest.mark.long
async def test_two_that_nobody_can_dial_stay_on_their_relay(nodes: Nodes) -> None:
    relay, other = await nodes.open(settings(relay=True)), await far(nodes)
    hidden = await hidden_behind(nodes, relay)
    await other.connect(hidden.addresses[1])
    await until(lambda: other.peer in hidden.behind.direct._lately)  # type: ignore[union-attr]
    await trio.sleep(1.5)  # by then both have tried
    assert other._links.is_relayed(hidden.peer)
    assert hidden._links.is_relayed(other.peer)


async def test_who_turns_out_to_be_on_the_lan_is_dialled_there(nodes: Nodes) -> None:
    relay, other = await nodes.open(settings(relay=True)), await far(nodes)
    port = free_port()
    hidden = await nodes.open(
        settings(announce=(DEAD,), via=(relay.addresses[0],)), listen=f"/ip4/127.0.0.1/tcp/{port}"
    )
    assert hidden.behind is not None
    assert other.behind is not None
    await hidden.behind.wait_until_reachable()
    await other.connect(hidden.addresses[1])
    await until(lambda: other.peer in hidden.behind.direct._lately)  # type: ignore[union-attr]
    assert other._links.is_relayed(hidden.peer)
    other.behind.direct.nearer(hidden.peer, [f"/ip4/127.0.0.1/tcp/{port}/p2p/{hidden.peer}"])
    await until(lambda: is_direct(hidden, other) and is_direct(other, hidden))


async def test_who_is_on_no_relay_is_not_listened_to(nodes: Nodes) -> None:
    node, stranger = await nodes.open(), await nodes.open()
    await stranger.connect(node.addresses[0])
    stream = await host_of(stranger).new_stream(ID.from_base58(node.peer), [DCUTR])
    with suppress(BaseLibp2pError):  # it may have been reset by then
        await write_message(stream, HolePunch(type=HolePunch.CONNECT))
    await until(lambda: node.counters.drops[Drop.RELAY] == 1)


def test_addresses_nearer_than_the_relay_are_not_tried() -> None:
    peer = PeerId("12D3KooWDaBG8xBmhKNJtSn78g9pq8fcubExgzJ6iGS9ranTLQ9Y")
    said = [DEAD, "/ip4/192.168.1.1/tcp/1", "/ip4/8.8.8.8/tcp/1", "/ip4/8.8.8.8/udp/1"]
    said += [f"/ip4/8.8.8.8/tcp/{port}" for port in range(2, 20)]

    def tried(relay: str | None, *more: Any) -> list[str]:
        told = HolePunch(type=HolePunch.CONNECT, ObsAddrs=[*(Multiaddr(each).to_bytes() for each in said), *more])
        return [address.split("/p2p/")[0] for address in Direct._read(peer, told, relay)]

    assert tried("127.0.0.1")[:3] == said[:3]
    assert tried("192.168.1.7")[:2] == said[1:3]
    assert tried("1.1.1.1")[0] == said[2]
    assert tried(None) == tried("1.1.1.1")
    assert len(tried("1.1.1.1")) == 4
    said = []
    assert tried("127.0.0.1", b"\xff\xff", b"") == []
