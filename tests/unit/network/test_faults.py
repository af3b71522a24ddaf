"""A node whose network is made bad on purpose, on real sockets: what gets through, when, and what does not."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2

from p2pfd.core.rng import Rng
from p2pfd.errors import NetworkError
from p2pfd.network.faults import WHOLE, Faults
from p2pfd.network.libp2p import Libp2pTransport
from p2pfd.network.settings import NetworkSettings

from .conftest import TOPIC, Ear, Nodes

pytestmark = pytest.mark.network
LONG = NetworkSettings(heartbeat_seconds=30.0, redial_first_seconds=0.05, request_seconds=2.0)
"""Nothing is told twice within a test: what is lost stays lost."""


async def pair(nodes: Nodes, nursery: trio.Nursery, settings: NetworkSettings) -> tuple[Libp2pTransport, Ear]:
    """Who speaks, and who listens to it."""
    speaker, ear = await nodes.open(settings), Ear(await nodes.open(settings))
    await nursery.start(ear.run)
    await nursery.start(Ear(speaker).run)
    await speaker.connect(ear.transport.addresses[0])
    await speaker.wait_for_subscribers(TOPIC, 1)
    await ear.transport.wait_for_subscribers(TOPIC, 1)
    return speaker, ear


async def test_a_share_of_what_comes_in_is_lost_and_which_is_up_to_the_seed(
    nodes: Nodes, nursery: trio.Nursery
) -> None:
    speaker, ear = await pair(nodes, nursery, LONG)
    faults = Faults(ear.transport, nursery, Rng(7))
    faults.lose(WHOLE // 5)
    for number in range(200):
        await speaker.publish(TOPIC, b"%d" % number)
    while faults.seen["messages lost"] + faults.seen["messages taken"] < 200:
        await trio.testing.wait_all_tasks_blocked(0.01)
    lost, came, rng = faults.seen["messages lost"], faults.seen["messages taken"], Rng(7).split("messages")
    assert 20 <= lost <= 60
    assert lost == sum(rng.chance(WHOLE // 5, WHOLE) for _ in range(lost + came)), "copies come, too"
    while len(set(ear.bodies)) < 200 - lost:
        await trio.testing.wait_all_tasks_blocked(0.01)
    faults.lose(0)
    await speaker.publish(TOPIC, b"last")
    await ear.until(b"last")


async def test_what_is_late_keeps_its_order(nodes: Nodes, nursery: trio.Nursery) -> None:
    speaker, ear = await pair(nodes, nursery, LONG)
    gossip, took, last = ear.transport._gossip, [], trio.Event()

    def take(_via: ID, message: rpc_pb2.Message) -> None:
        took.append(message.data)
        if message.data == b"at once":
            last.set()

    gossip.arrive = take
    faults = Faults(ear.transport, nursery, Rng(7))
    faults.delay(0.1, 0.4)
    began = trio.current_time()
    said = [b"%d" % number for number in range(50)]
    for raw in said:
        await speaker.publish(TOPIC, raw)
    while faults.seen["messages taken"] < 50:
        await trio.testing.wait_all_tasks_blocked(0.01)
    faults.delay(0.0, 0.0)
    await speaker.publish(TOPIC, b"at once")
    await last.wait()
    assert trio.current_time() - began >= 0.3
    assert list(dict.fromkeys(took)) == [*said, b"at once"], "it does not overtake what came before it"


async def test_questions_are_late_and_lost_too(nodes: Nodes, nursery: trio.Nursery) -> None:
    speaker, ear = await pair(nodes, nursery, LONG)
    ear.transport.serve("echo", 100, lambda _peer, raw: raw)
    faults = Faults(ear.transport, nursery, Rng(7))
    faults.delay(0.3, 0.3)
    began = trio.current_time()
    assert await speaker.request(ear.transport.peer, "echo", b"hello", 100) == b"hello"
    assert trio.current_time() - began >= 0.3
    faults.delay(0.0, 0.0)
    faults.lose(WHOLE)
    with pytest.raises(NetworkError, match="failed at"):
        await speaker.request(ear.transport.peer, "echo", b"hello", 100)
    faults.lose(0)
    assert await speaker.request(ear.transport.peer, "echo", b"again", 100) == b"again"


async def test_a_cut_holds_both_ways_until_it_heals(nodes: Nodes, nursery: trio.Nursery) -> None:
    settings = NetworkSettings(heartbeat_seconds=0.2, redial_first_seconds=0.05, redial_max_seconds=0.2)
    one, other, third = [await nodes.open(settings) for _ in range(3)]
    one.keep_connected(other.addresses[0])
    one.keep_connected(third.addresses[0])
    other.keep_connected(third.addresses[0])
    for each in (one, other, third):
        await each.wait_for_peers(2)
    faults = Faults(one, nursery, Rng(7))
    faults.cut([other.peer])
    while other.peer in one.peers() or one.peer in other.peers():
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert third.peer in one.peers()
    with pytest.raises(NetworkError, match="refused"):
        await one.connect(other.addresses[0])
    # Its side can dial, but it is not let in.
    with trio.move_on_after(0.5):
        other.keep_connected(one.addresses[0])
        await other._links.wait_for_peers(2)
    while one.peer in other.peers():
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert other.peer not in one.peers()
    faults.cut([])
    await one.wait_for_peers(2)
    assert other.peer in one.peers()


async def test_a_node_without_faults_leaves_its_messages_to_gossip(nodes: Nodes, nursery: trio.Nursery) -> None:
    speaker, ear = await pair(nodes, nursery, LONG)
    faults = Faults(ear.transport, nursery, Rng(7))
    await speaker.publish(TOPIC, b"hello")
    await ear.until(b"hello")
    assert faults.seen["messages taken"] == 1
    assert faults.seen["messages lost"] == faults.seen["streams lost"] == 0
