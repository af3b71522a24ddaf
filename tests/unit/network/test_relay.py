"""Peers that nobody can dial, reached through a relay: over real sockets, within limits, and with strangers about."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from libp2p.peer.id import ID
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, Status, StopMessage
from libp2p.relay.circuit_v2.pb.circuit_pb2 import PeerId as CircuitPeer

from p2pfd.errors import NetworkError
from p2pfd.network.circuit import HOP, STOP, read_message, write_message
from p2pfd.network.counters import Drop
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.settings import NetworkSettings

from .conftest import TOPIC, Ear, Nodes
from .test_finder import curious, until

pytestmark = pytest.mark.network
DEAD = "/ip4/127.0.0.1/tcp/1"
PATIENT = {"heartbeat_seconds": 0.2, "redial_first_seconds": 0.05, "redial_max_seconds": 0.3}


def settings(**changes: Any) -> NetworkSettings:
    return NetworkSettings(**{**PATIENT, **changes})


async def hidden_behind(nodes: Nodes, at: Libp2pTransport, **changes: Any) -> Libp2pTransport:
    """A node that tells others an address where nobody is, and one through the relay."""
    node = await nodes.open(settings(announce=(DEAD,), via=(at.addresses[0],), **changes))
    assert node.behind is not None
    await node.behind.wait_until_reachable()
    return node


async def far(nodes: Nodes, **changes: Any) -> Libp2pTransport:
    """A node that nobody can dial either, so that what goes through a relay stays there."""
    return await nodes.open(settings(announce=(DEAD,), **changes))


def host_of(transport: Libp2pTransport) -> Any:
    return transport._exchange._host


async def ask(node: Libp2pTransport, other: Libp2pTransport, protocol: Any, message: Any) -> Any:
    stream = await host_of(node).new_stream(ID.from_base58(other.peer), [protocol])
    await write_message(stream, message)
    return (await read_message(stream, type(message))).status


async def test_messages_blobs_and_requests_go_through_a_relay_both_ways(nodes: Nodes) -> None:
    relay = await nodes.open(settings(relay=True))
    hidden, other = await hidden_behind(nodes, relay), await far(nodes)
    direct, through = hidden.addresses
    assert through == f"{relay.addresses[0]}/p2p-circuit/p2p/{hidden.peer}"
    with pytest.raises(NetworkError, match="refused"):
        await other.connect(direct)
    assert await other.connect(through) == hidden.peer
    assert set(other.peers()) == {relay.peer, hidden.peer}
    blob = bytes(range(256)) * 1000
    assert await hidden.get(await other.put(blob), len(blob)) == blob
    assert await other.get(await hidden.put(blob[1:]), len(blob)) == blob[1:]
    hidden.serve("echo", 100, lambda _peer, raw: raw)
    assert await other.request(hidden.peer, "echo", b"hello", 100) == b"hello"
    ear = Ear(hidden)
    async with trio.open_nursery() as nursery:
        await nursery.start(ear.run)
        await other.wait_for_subscribers(TOPIC, 1)
        await other.publish(TOPIC, b"through a relay")
        await ear.until(b"through a relay")
        nursery.cancel_scope.cancel()
    assert ear.heard[0].via == other.peer, "and not by way of the relay, which does not listen"
    assert relay.relay is not None
    assert (relay.relay.places, relay.relay.circuits) == ((hidden.peer,), 1)
    await other.disconnect(hidden.peer)
    await until(lambda: relay.relay.circuits == 0 and hidden.peers() == (relay.peer,))  # type: ignore[union-attr]
    rows = [relay.counters.protocol(protocol) for protocol in (HOP, STOP)]
    through_it = sum(row.bytes_in for row in rows)
    assert 2 * len(blob) < relay.relay.carried < through_it < relay.relay.carried + 1000, (
        "but for the relay's own words"
    )
    assert (relay.relay.most, relay.relay.full) == (1, 0)


async def test_a_node_that_knows_the_relay_alone_finds_who_is_behind_it(nodes: Nodes) -> None:
    relay = await nodes.open(curious(relay=True))
    one = await hidden_behind(nodes, relay, discover=True)
    two = await hidden_behind(nodes, relay, discover=True)
    await until(lambda: one.peer in two.peers() and two.peer in one.peers())
    last = await nodes.open(curious(), bootstrap=[relay.addresses[0]])
    await until(lambda: set(last.peers()) == {relay.peer, one.peer, two.peer})


async def test_who_has_no_place_cannot_be_reached(nodes: Nodes) -> None:
    relay, here, other = await nodes.open(settings(relay=True)), await nodes.open(), await nodes.open()
    await here.connect(relay.addresses[0])
    with pytest.raises(NetworkError, match="no reservation"):
        await other.connect(f"{relay.addresses[0]}/p2p-circuit/p2p/{here.peer}")
    itself = HopMessage(type=HopMessage.CONNECT, peer=CircuitPeer(id=ID.from_base58(other.peer).to_bytes()))
    assert await ask(other, relay, HOP, itself) == Status.NO_RESERVATION
    assert relay.counters.drops[Drop.RELAY] == 2
    assert other.peers() == (relay.peer,)


async def test_a_node_that_is_no_relay_carries_nobody(nodes: Nodes) -> None:
    plain, other = await nodes.open(), await nodes.open()
    hidden = await nodes.open(settings(via=(plain.addresses[0],)))
    await hidden.wait_for_peers(1)
    with pytest.raises(NetworkError, match="cannot connect"):
        await other.connect(hidden.addresses[1])
    assert hidden.behind is not None
    assert hidden.behind.relays == ()


async def test_places_are_as_many_as_the_setting_says(nodes: Nodes) -> None:
    relay = await nodes.open(settings(relay=True, relay_reservations=1))
    hidden, other = await hidden_behind(nodes, relay), await far(nodes)
    await other.connect(relay.addresses[0])
    assert await ask(other, relay, HOP, HopMessage(type=HopMessage.RESERVE)) == Status.RESERVATION_REFUSED
    assert await ask(hidden, relay, HOP, HopMessage(type=HopMessage.RESERVE)) == Status.OK, "it has one already"
    await hidden.disconnect(relay.peer)
    await until(lambda: hidden.peer not in relay.peers())
    assert await ask(other, relay, HOP, HopMessage(type=HopMessage.RESERVE)) == Status.OK, "a place ends with its peer"


async def test_a_place_is_given_to_whom_the_handshake_has_shown_and_to_nobody_else(nodes: Nodes) -> None:
    relay, stranger = await nodes.open(settings(relay=True)), await nodes.open()
    await stranger.connect(relay.addresses[0])
    for number in range(10):
        made_up = CircuitPeer(id=ID(bytes([0, 36, 8, 1, 18, 32]) + bytes([number]) * 32).to_bytes())
        message = HopMessage(type=HopMessage.RESERVE, peer=made_up)
        assert await ask(stranger, relay, HOP, message) == Status.OK
    assert relay.relay is not None
    assert relay.relay.places == (stranger.peer,)


def test_the_defaults_let_three_homes_of_four_through_when_all_dial_all() -> None:
    homes, machines = 3, 4
    elsewhere = (homes - 1) * machines
    limits = NetworkSettings()
    assert limits.relay_circuits_per_peer >= 2 * elsewhere, "both of two may dial at one time"
    assert limits.relay_circuits >= homes * machines * elsewhere
    assert limits.relay_reservations >= homes * machines


@pytest.mark.parametrize("setting", ["relay_circuits", "relay_circuits_per_peer"])
async def test_circuits_are_as_many_as_the_settings_say(setting: str, nodes: Nodes) -> None:
    relay = await nodes.open(settings(relay=True, **{setting: 1}))
    hidden, one, two = await hidden_behind(nodes, relay), await far(nodes), await nodes.open()
    await one.connect(hidden.addresses[1])
    with pytest.raises(NetworkError, match="resource limit exceeded"):
        await two.connect(hidden.addresses[1])
    await one.disconnect(hidden.peer)
    await until(lambda: relay.relay.circuits == 0)  # type: ignore[union-attr]
    await two.connect(hidden.addresses[1])


async def test_a_circuit_ends_when_its_bytes_are_used_up(nodes: Nodes) -> None:
    relay = await nodes.open(settings(relay=True, relay_bytes=200_000))
    hidden, other = await hidden_behind(nodes, relay), await far(nodes)
    await other.connect(hidden.addresses[1])
    cid = await hidden.put(bytes(1_000_000))
    with pytest.raises(NetworkError):
        await other.get(cid, 1_000_000)
    await until(lambda: hidden.peer not in other.peers())
    assert relay.counters.drops[Drop.CIRCUIT] == 1
    await other.connect(hidden.addresses[1])  # another one


@pytest.mark.long
async def test_a_circuit_ends_when_its_time_is_over(nodes: Nodes) -> None:
    relay = await nodes.open(settings(relay=True, relay_seconds=1))
    hidden, other = await hidden_behind(nodes, relay), await far(nodes)
    await other.connect(hidden.addresses[1])
    await until(lambda: hidden.peer not in other.peers() and other.peer not in hidden.peers())
    assert relay.counters.drops[Drop.CIRCUIT] == 1


@pytest.mark.long
async def test_a_circuit_is_no_quicker_than_the_setting_says(nodes: Nodes) -> None:
    relay = await nodes.open(settings(relay=True, relay_bytes_per_second=200_000))
    hidden, other = await hidden_behind(nodes, relay), await far(nodes)
    await other.connect(hidden.addresses[1])
    cid, begin = await hidden.put(bytes(500_000)), trio.current_time()
    await other.get(cid, 500_000)
    assert 1.2 < trio.current_time() - begin < 6


async def test_a_place_is_taken_again_when_the_relay_is_back(nodes: Nodes) -> None:
    seed = nodes.seed()
    async with open_transport(seed, settings=settings(relay=True)) as relay:
        listen = relay.addresses[0].split("/p2p/")[0]
        hidden, other = await hidden_behind(nodes, relay), await far(nodes)
        await other.connect(hidden.addresses[1])
    await until(lambda: hidden.peers() == () and other.peers() == ())
    assert hidden.behind is not None
    await until(lambda: hidden.behind.relays == ())  # type: ignore[union-attr]
    async with open_transport(seed, listen, settings=settings(relay=True)):
        await hidden.behind.wait_until_reachable()
        await other.connect(hidden.addresses[1])


GARBAGE = CircuitPeer(id=b"\xff" * 80)
ODD = {
    "of no kind": (HOP, HopMessage(type=HopMessage.STATUS), Status.UNEXPECTED_MESSAGE),
    "to nobody": (HOP, HopMessage(type=HopMessage.CONNECT), Status.MALFORMED_MESSAGE),
    "to garbage": (
        HOP,
        HopMessage(type=HopMessage.CONNECT, peer=CircuitPeer(id=b"\xff" * 80)),
        Status.MALFORMED_MESSAGE,
    ),
}


@pytest.mark.parametrize(("protocol", "message", "status"), ODD.values(), ids=ODD)
async def test_odd_questions_are_answered_and_counted(protocol: Any, message: Any, status: int, nodes: Nodes) -> None:
    relay, stranger = await nodes.open(settings(relay=True)), await nodes.open()
    await stranger.connect(relay.addresses[0])
    assert await ask(stranger, relay, protocol, message) == status
    assert relay.counters.drops[Drop.RELAY] == 1


async def test_only_a_relay_of_ones_own_brings_visitors(nodes: Nodes) -> None:
    relay, stranger = await nodes.open(settings(relay=True)), await nodes.open()
    hidden = await hidden_behind(nodes, relay)
    await hidden.connect(stranger.addresses[0])
    who = CircuitPeer(id=ID.from_base58(relay.peer).to_bytes())
    message = StopMessage(type=StopMessage.CONNECT, peer=who)
    assert await ask(stranger, hidden, STOP, message) == Status.PERMISSION_DENIED
    assert hidden.counters.drops[Drop.RELAY] == 1


async def test_a_relay_is_not_asked_for_through_another_one(nodes: Nodes) -> None:
    relay, other = await nodes.open(settings(relay=True)), await far(nodes)
    second = await hidden_behind(nodes, relay, relay=True)
    await other.connect(second.addresses[1])
    assert await ask(other, second, HOP, HopMessage(type=HopMessage.RESERVE)) == Status.PERMISSION_DENIED


async def test_garbage_for_a_relay_costs_its_stream(nodes: Nodes) -> None:
    relay, stranger = await nodes.open(settings(relay=True)), await nodes.open()
    await stranger.connect(relay.addresses[0])
    for raw in (b"\xff" * 20, b"\x05garba", b"\x80\x80\x04" + bytes(100)):
        before = relay.counters.drops[Drop.STREAM_ERROR]
        stream = await host_of(stranger).new_stream(ID.from_base58(relay.peer), [HOP])
        await stream.write(raw)
        await until(lambda: relay.counters.drops[Drop.STREAM_ERROR] > before)  # noqa: B023
    assert stranger.peers() == (relay.peer,)


@pytest.mark.long
async def test_a_peer_that_falls_silent_behind_a_relay_is_noticed(nodes: Nodes) -> None:
    """The relay is alive, and goes on pinging; what lies behind it is asked by itself."""
    relay = await nodes.open(settings(relay=True))
    hidden, other = await hidden_behind(nodes, relay), await far(nodes, keepalive_seconds=0.4)
    await other.connect(hidden.addresses[1])
    asked = other.keepalive.asked
    await until(lambda: other.keepalive.asked > asked + 2)
    assert hidden.peer in other.peers(), "it answers"


@pytest.mark.parametrize(
    "address", [f"{DEAD}/p2p-circuit", f"{DEAD}/p2p/{{0}}/p2p-circuit", f"{DEAD}/p2p-circuit/p2p/{{0}}"]
)
async def test_half_an_address_through_a_relay_is_none(address: str, nodes: Nodes) -> None:
    node = await nodes.open()
    with pytest.raises(NetworkError, match=r"address|relay"):
        await node.connect(address.format(node.peer))
