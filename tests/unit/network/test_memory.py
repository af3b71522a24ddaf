"""The network within one process: latency, loss, order and back-pressure, in virtual time."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from p2pfd.core.ids import PeerId
from p2pfd.core.verdict import Accept, Reject
from p2pfd.errors import NetworkError, PlanError
from p2pfd.network.api import Topic
from p2pfd.network.memory import Carry, MemoryTransport, at_once, open_memory_network
from p2pfd.network.settings import NetworkSettings

TOPIC = Topic("t")


def seed(number: int) -> bytes:
    return number.to_bytes(32, "big")


async def _gossip(carry: Carry, nodes: int = 5) -> list[tuple[float, PeerId, PeerId, bytes]]:
    """Each of some nodes in a ring says two things, and answers what it hears from the first node; the whole story."""
    story: list[tuple[float, PeerId, PeerId, bytes]] = []

    async def live(transport: MemoryTransport, first: PeerId) -> None:
        async for delivery in transport.heard(TOPIC):
            delivery.answer(Accept())
            story.append((trio.current_time(), transport.peer, delivery.sender, delivery.raw))
            if delivery.sender == first:
                await transport.publish(TOPIC, b"answer to " + delivery.raw + transport.peer.encode())

    async def speak(transport: MemoryTransport) -> None:
        for word in (b"one", b"two"):
            await transport.publish(TOPIC, word + b" of " + transport.peer.encode())

    async with open_memory_network(carry) as network, AsyncExitStack() as stack, trio.open_nursery() as nursery:
        mesh = [await stack.enter_async_context(network.open_transport(seed(number + 1))) for number in range(nodes)]
        for one, other in zip(mesh, mesh[1:] + mesh[:1], strict=True):
            await one.connect(other.addresses[0])
        for transport in mesh:
            nursery.start_soon(live, transport, mesh[0].peer)
        await wait_all_tasks_blocked()
        for transport in mesh:
            nursery.start_soon(speak, transport)
        await trio.sleep(1000)
        nursery.cancel_scope.cancel()
    return story


def uneven(sender: PeerId, receiver: PeerId, size: int) -> float:
    return (sum(sender.encode()) * 7 + sum(receiver.encode()) + size) % 97 / 100


@pytest.mark.parametrize("carry", [at_once, uneven])
async def test_everything_arrives_everywhere_and_in_the_same_order_every_time(
    carry: Carry, autojump_clock: MockClock
) -> None:
    stories = []
    for _ in range(3):
        begin = trio.current_time()
        stories.append([(round(when - begin, 6), *rest) for when, *rest in await _gossip(carry)])
    assert stories[0] == stories[1] == stories[2]
    # Ten sayings and, for each of the first node's two, four answers: each is heard by the other four.
    assert len(stories[0]) == (10 + 8) * 4


async def test_latency_is_kept(autojump_clock: MockClock) -> None:
    def carry(_sender: PeerId, _receiver: PeerId, size: int) -> float:
        return 3.0 + size

    async with (
        open_memory_network(carry) as network,
        network.open_transport(seed(1)) as near,
        network.open_transport(seed(2)) as far,
    ):
        await near.connect(far.addresses[0])
        async with far.heard(TOPIC) as heard:
            begin = trio.current_time()
            await near.publish(TOPIC, b"four")
            await near.publish(TOPIC, b"")
            for raw in (b"four", b""):  # the short one does not overtake
                assert (await heard.__anext__()).raw == raw
                assert trio.current_time() - begin == pytest.approx(7.0)


async def test_a_slow_way_does_not_hold_up_a_quick_one(autojump_clock: MockClock) -> None:
    seconds = {b"x": 1.0, b"xx": 9.0}
    async with (
        open_memory_network(lambda _sender, _receiver, size: seconds[b"x" * size]) as network,
        network.open_transport(seed(1)) as near,
        network.open_transport(seed(2)) as far,
        network.open_transport(seed(3)) as third,
    ):
        await near.connect(far.addresses[0])
        await third.connect(far.addresses[0])
        async with far.heard(TOPIC) as heard:
            begin = trio.current_time()
            await near.publish(TOPIC, b"xx")
            await trio.sleep(2)
            await third.publish(TOPIC, b"x")
            for raw, when in ((b"x", 3.0), (b"xx", 9.0)):
                assert (await heard.__anext__()).raw == raw
                assert trio.current_time() - begin == pytest.approx(when)


async def test_what_is_lost_is_lost(autojump_clock: MockClock) -> None:
    async with (
        open_memory_network(lambda _sender, _receiver, size: None if size == 4 else 0.1) as network,
        network.open_transport(seed(1)) as near,
        network.open_transport(seed(2)) as far,
    ):
        await near.connect(far.addresses[0])
        far.serve("echo", 10, lambda _peer, raw: raw)
        async with far.heard(TOPIC) as heard:
            await near.publish(TOPIC, b"lost")
            await near.publish(TOPIC, b"found")
            assert (await heard.__anext__()).raw == b"found"
        assert await near.request(far.peer, "echo", b"found", 10) == b"found"
        begin = trio.current_time()
        with pytest.raises(NetworkError, match="in time"):
            await near.request(far.peer, "echo", b"lost", 10)
        assert trio.current_time() - begin == pytest.approx(NetworkSettings().request_seconds)


async def test_publish_waits_for_room(autojump_clock: MockClock) -> None:
    settings = NetworkSettings(outbound_queue=3)
    async with (
        open_memory_network(lambda *_way: 1.0) as network,
        network.open_transport(seed(1), settings) as near,
        network.open_transport(seed(2)) as far,
    ):
        await near.connect(far.addresses[0])
        async with far.heard(TOPIC):
            begin = trio.current_time()
            for number in range(7):
                await near.publish(TOPIC, b"%d" % number)
            assert trio.current_time() - begin == pytest.approx(2.0)


async def test_who_is_rejected_too_often_is_disconnected_and_refused(autojump_clock: MockClock) -> None:
    settings = NetworkSettings(rejects=2, refuse_seconds=10.0)
    async with (
        open_memory_network() as network,
        network.open_transport(seed(1)) as bad,
        network.open_transport(seed(2), settings) as judge,
    ):
        await bad.connect(judge.addresses[0])
        async with judge.heard(TOPIC) as heard:
            for raw in (b"1", b"2"):
                assert judge.peers() == (bad.peer,)
                await bad.publish(TOPIC, raw)
                (await heard.__anext__()).answer(Reject("wrong"))
                await wait_all_tasks_blocked()
            assert judge.peers() == bad.peers() == ()
            with pytest.raises(NetworkError, match="refused"):
                await bad.connect(judge.addresses[0])
            await trio.sleep(10)
            await bad.connect(judge.addresses[0])


async def test_leaving_disconnects_and_ends_listening(autojump_clock: MockClock) -> None:
    async with open_memory_network() as network, network.open_transport(seed(1)) as stays:
        async with network.open_transport(seed(2)) as leaves:
            await stays.connect(leaves.addresses[0])
            heard = leaves.heard(TOPIC)
            await heard.__aenter__()
        assert [delivery async for delivery in heard] == []
        assert stays.peers() == ()
        with pytest.raises(NetworkError, match="nobody is at"):
            await stays.connect(leaves.addresses[0])


async def test_keys_are_checked() -> None:
    async with open_memory_network() as network, network.open_transport(seed(1)):
        with pytest.raises(PlanError, match="32-byte"):
            async with network.open_transport(b"short"):
                pass
        with pytest.raises(PlanError, match="a key of its own"):
            async with network.open_transport(seed(1)):
                pass


async def test_an_error_within_comes_out_as_it_is() -> None:
    with pytest.raises(NetworkError, match="mine"):
        async with open_memory_network():
            raise NetworkError("mine")
