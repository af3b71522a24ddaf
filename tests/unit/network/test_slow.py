"""Peers that begin and do not go on, and peers that ask and do not listen."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from libp2p.io.exceptions import IncompleteReadError
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.pubsub.pb import rpc_pb2
from trio.testing import MockClock

from p2pfd.network.counters import Drop
from p2pfd.network.host import SafeHost
from p2pfd.network.libp2p import Libp2pTransport
from p2pfd.network.patches import FRAME_SECONDS, FrameReader
from p2pfd.network.settings import NetworkSettings

from .conftest import TOPIC, Ear, Nodes
from .strangers import MESHSUB, dropped, frame, gossip, host_of

pytestmark = pytest.mark.network
PATIENT = NetworkSettings(connect_seconds=1.0, stall_seconds=0.3)


class Slow:
    """A stream on which something came, and then nothing."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = list(parts)

    async def read(self, _n: int) -> bytes:
        if self._parts:
            return self._parts.pop(0)
        await trio.sleep_forever()
        raise AssertionError("not reached")


async def test_a_frame_that_was_begun_has_to_end(autojump_clock: MockClock) -> None:
    frames = FrameReader(Slow(b"\x02ab\x05a", b"b"), 300)  # type: ignore[arg-type]
    assert await frames.next() == b"ab"
    before = trio.current_time()
    with pytest.raises(trio.TooSlowError):
        await frames.next()
    assert trio.current_time() - before == pytest.approx(FRAME_SECONDS)


async def test_between_frames_a_peer_may_be_silent(autojump_clock: MockClock) -> None:
    frames = FrameReader(Slow(b"\x02ab"), 300)  # type: ignore[arg-type]
    await frames.next()
    with trio.move_on_after(100 * FRAME_SECONDS) as patience:
        await frames.next()
    assert patience.cancelled_caught


async def test_a_stream_that_ends_within_a_frame_is_told_from_one_that_ends() -> None:
    class Ends(Slow):
        async def read(self, _n: int) -> bytes:
            if not self._parts:
                raise StreamEOF
            return self._parts.pop(0)

    with pytest.raises(StreamEOF):
        await FrameReader(Ends(), 300).next()  # type: ignore[arg-type]
    with pytest.raises(IncompleteReadError):
        await FrameReader(Ends(b"\x05ab"), 300).next()  # type: ignore[arg-type]


async def until(victim: Libp2pTransport, reason: Drop) -> None:
    while not victim.counters.drops[reason]:  # noqa: ASYNC110 - a count tells nobody that it changes
        await trio.sleep(0.01)


async def test_a_stream_that_agrees_on_no_protocol_is_reset(nodes: Nodes) -> None:
    victim, stranger = await nodes.open(PATIENT), await nodes.open()
    await stranger.connect(victim.addresses[0])
    (connection,) = host_of(stranger).get_network().connections.values()
    stream = await connection[0].muxed_conn.open_stream()
    await stream.write(b"\x13/multi")
    await until(victim, Drop.PROTOCOL)
    while not stream.is_closed:  # noqa: ASYNC110 - until the reset has come
        await trio.sleep(0.01)
    assert dropped(victim) == {Drop.PROTOCOL: 1}


async def test_a_neighbour_that_takes_no_gossip_is_cut_off(nodes: Nodes, nursery: trio.Nursery) -> None:
    """It subscribes, and never reads what it is told; its socket is read, so that only the stream's window fills."""
    victim, honest, deaf = await nodes.open(PATIENT), await nodes.open(), await nodes.open()
    ear = Ear(honest)
    await nursery.start(ear.run)
    await honest.connect(victim.addresses[0])

    async def reads_nothing(_stream: Any) -> None:
        await trio.sleep_forever()

    host: SafeHost = host_of(deaf)
    host.set_stream_handler(MESHSUB, reads_nothing)
    await deaf.connect(victim.addresses[0])
    subscribe = rpc_pb2.RPC(subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid=TOPIC)])
    graft = rpc_pb2.RPC()
    graft.control.graft.add(topicID=TOPIC)
    await (await gossip(deaf, victim)).write(frame(subscribe) + frame(graft))
    await victim.wait_for_subscribers(TOPIC, 2)
    said = [bytes([number]) * 60_000 for number in range(30)]
    for raw in said:
        await victim.publish(TOPIC, raw)
    await ear.until(*said)
    await until(victim, Drop.SLOW_READER)
    while deaf.peer in victim.peers():  # noqa: ASYNC110 - closing a connection takes what it takes
        await trio.sleep(0.01)
    assert victim.peers() == (honest.peer,)
