"""Strangers on every stream protocol of a real node, beside honest traffic that stays whole.

What they write goes to the host where streams come in, above yamux; who they are is made up, and ends as a connection
would. The same over sockets, some hundred messages of it, is in the last test: there offenders come back, too.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from libp2p.exceptions import BaseLibp2pError
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.peer.id import ID

from p2pfd.core.ids import PeerId
from p2pfd.core.verdict import Accept
from p2pfd.errors import NetworkError
from p2pfd.network.api import Topic
from p2pfd.network.counters import Drop
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.settings import NetworkSettings
from tests.fuzz import streams
from tests.fuzz.streams import ECHO_BYTES, FakeStream, Piece

pytestmark = pytest.mark.network
TOPIC = Topic("p2pfd/fuzz")
CUT_OFF_WITHIN = 20
WORKERS = 4
STATM = Path("/proc/self/statm")
GROWTH = 48 * 1024 * 1024


@pytest.fixture(autouse=True)
def hush(caplog: pytest.LogCaptureFixture) -> None:
    """What is said of strangers would be kept until the end of the test."""
    caplog.set_level(logging.CRITICAL, logger="p2pfd.network")


class Honest:
    """A peer that speaks all the time, and the node that hears it."""

    def __init__(self, node: Libp2pTransport, peer: Libp2pTransport) -> None:
        self.node = node
        self.peer = peer
        self.said: list[bytes] = []
        self.heard: list[bytes] = []
        self.done = False
        self._more = trio.Event()

    async def listen(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with self.node.heard(TOPIC) as deliveries:
            task_status.started()
            async for delivery in deliveries:
                delivery.answer(Accept())
                self.heard.append(delivery.raw)
                self._more.set()
                self._more = trio.Event()

    async def speak(self) -> None:
        await self.peer.wait_for_subscribers(TOPIC, 1)
        while not self.done:
            self.said.append(b"%d" % len(self.said))
            await self.peer.publish(TOPIC, self.said[-1])
            assert await self.peer.request(self.node.peer, "echo", b"still there", ECHO_BYTES) == b"still there"
            await trio.sleep(0.02)

    async def all_heard(self) -> None:
        with trio.fail_after(30):
            while len(self.heard) < len(self.said):
                await self._more.wait()
        assert sorted(self.heard) == sorted(self.said)
        assert self.node.peers() == (self.peer.peer,)


class Crowd:
    """Strangers, one after the other, each until it is cut off or has nothing more to say."""

    def __init__(self, node: Libp2pTransport, seed: int, frames: int) -> None:
        self._node = node
        self._host: Any = node._exchange._host
        self._seed = seed
        self._left = frames
        self.frames = 0
        self.cut_off = 0
        self.worst = 0
        self.size = 0

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for worker in range(WORKERS):
                nursery.start_soon(self._work, Random(f"{self._seed} {worker}"))

    async def _work(self, rng: Random) -> None:
        while self._left > 0:
            await self._stranger(rng)
            if self.size == 0 and self.frames > 5000:  # everything that is bounded has been filled a first time
                self.size = resident()

    async def _stranger(self, rng: Random) -> None:
        peer = streams.peer_of(rng)
        name = PeerId(peer.to_base58())
        write = rng.choice(streams.EVERY) if rng.random() < 0.5 else streams.gossip
        bad = 0
        for _ in range(60):
            piece = write(rng, TOPIC)
            await self._host._swarm_stream_handler(FakeStream(peer, piece, rng))
            await trio.lowlevel.checkpoint()  # a message is judged in a task of its own,
            await trio.lowlevel.checkpoint()  # and those of one turn run in any order
            bad += piece.bad
            self.frames += piece.frames
            self._left -= piece.frames
            if self._node._links._conduct.is_refused(name):
                self.cut_off += 1
                self.worst = max(self.worst, bad - piece.bad)
                break
            assert bad - piece.bad <= CUT_OFF_WITHIN, f"seed {self._seed}: {name} goes on after {bad} offences"
        self._node._gossip._handle_dead_peer(peer)
        self._node.counters.left(name)


def resident() -> int:
    gc.collect()
    return int(STATM.read_text().split()[1]) * 4096 if STATM.exists() else 0


async def fuzz(seed: int, frames: int) -> Crowd:
    """So many frames from a crowd, beside honest traffic."""
    # Nobody is at the relay; the node listens for what one would say all the same.
    settings = NetworkSettings(relay=True, via=(f"/ip4/127.0.0.1/tcp/1/p2p/{streams.peer_of(Random(seed))}",))
    async with (
        open_transport(seed.to_bytes(32, "big"), settings=settings) as node,
        open_transport(bytes(31) + b"\xff") as peer,
    ):
        node.serve("echo", ECHO_BYTES, lambda _peer, raw: raw)
        await peer.connect(node.addresses[0])
        honest = Honest(node, peer)
        crowd = Crowd(node, seed, frames)
        async with trio.open_nursery() as nursery:
            await nursery.start(honest.listen)
            async with trio.open_nursery() as speaking:
                speaking.start_soon(honest.speak)
                await crowd.run()
                grown = resident() - crowd.size
                honest.done = True
            await honest.all_heard()
            nursery.cancel_scope.cancel()
        assert len(honest.said) > 5
        assert crowd.cut_off > frames / 2000
        assert 0 < crowd.worst <= CUT_OFF_WITHIN
        assert grown < GROWTH, f"{grown / 1e6:.1f} MB more"
        return crowd


async def test_ten_thousand_frames_of_strangers() -> None:
    assert (await fuzz(1, 10_000)).frames >= 10_000


@pytest.mark.long
async def test_a_million_frames_of_strangers() -> None:
    crowd = await fuzz(2, 1_000_000)
    print(f"{crowd.frames} frames, {crowd.cut_off} cut off, after {crowd.worst} offences at most")
    assert crowd.frames >= 1_000_000


# --- Over sockets ----------------------------------------------------------------------------------------------------


async def until_refused(node: Libp2pTransport, stranger: Libp2pTransport, pieces: Iterator[Piece]) -> int:
    """Send offences one by one; how many were sent when the stranger was cut off."""
    host: Any = stranger._exchange._host
    for count, piece in enumerate(pieces, 1):
        try:
            stream = await host.new_stream(ID.from_base58(node.peer), [piece.protocol])
            await stream.write(piece.raw)
            await stream.close()
        except (BaseLibp2pError, OSError):
            pass
        with trio.move_on_after(1):
            while node.counters.peer(stranger.peer).offences < count and stranger.peer in node.peers():  # noqa: ASYNC110
                await trio.sleep(0.001)
        if stranger.peer not in node.peers():
            return count
        assert count <= CUT_OFF_WITHIN
    raise AssertionError("too few of them")


async def test_who_answers_garbage_when_asked_who_it_is_is_cut_off_and_stays_so() -> None:
    """One lie for each connection: a peer is asked once."""
    rng = Random(9)

    async def lies(stream: Any) -> None:
        await stream.write(next(piece for piece in iter(lambda: streams.push(rng, TOPIC), None) if piece.bad).raw)
        await stream.close()

    with trio.fail_after(20):
        async with open_transport(bytes(31) + b"\1") as node, open_transport(bytes(31) + b"\3") as stranger:
            stranger._exchange._host.set_stream_handler(IDENTIFY, lies)
            for count in range(1, CUT_OFF_WITHIN + 1):
                with suppress(NetworkError):
                    await stranger.connect(node.addresses[0])
                row = node.counters.peer(stranger.peer)
                while row.offences < count and not node._links._conduct.is_refused(stranger.peer):  # noqa: ASYNC110
                    await trio.sleep(0.002)
                if node._links._conduct.is_refused(stranger.peer):
                    return
                await stranger.disconnect(node.peer)
                while node.peers() or stranger.peers():  # noqa: ASYNC110
                    await trio.sleep(0.002)
    raise AssertionError("it may go on")


def offences(write: Any) -> Iterator[Piece]:
    """Streams with one offence each."""
    rng = Random(7)
    while True:
        piece = write(rng, TOPIC)
        if piece.bad == 1:
            yield piece


@pytest.mark.parametrize("write", [streams.gossip, streams.blob, streams.request, streams.push, streams.ping])
async def test_an_offender_is_cut_off_and_stays_so(write: Any) -> None:
    with trio.fail_after(20):
        await _offend(write)


async def _offend(write: Any) -> None:
    async with (
        open_transport(bytes(31) + b"\1") as node,
        open_transport(bytes(31) + b"\2") as peer,
        open_transport(bytes(31) + b"\3") as stranger,
    ):
        node.serve("echo", ECHO_BYTES, lambda _peer, raw: raw)
        honest = Honest(node, peer)
        async with trio.open_nursery() as nursery:
            await nursery.start(honest.listen)
            await peer.connect(node.addresses[0])
            await stranger.connect(node.addresses[0])
            async with trio.open_nursery() as speaking:
                speaking.start_soon(honest.speak)
                assert await until_refused(node, stranger, offences(write)) <= CUT_OFF_WITHIN
                for _ in range(3):  # it comes back, and is shown the door each time
                    while stranger.peers():  # noqa: ASYNC110 - it may not have noticed yet
                        await trio.sleep(0.005)
                    before = node.counters.drops[Drop.REFUSED]
                    with suppress(NetworkError):
                        await stranger.connect(node.addresses[0])
                    while node.counters.drops[Drop.REFUSED] == before or node.peers() != (peer.peer,):  # noqa: ASYNC110
                        await trio.sleep(0.005)
                honest.done = True
            await honest.all_heard()
            nursery.cancel_scope.cancel()
