"""Our yamux: bytes in order whatever the pieces, windows that are kept, and connections that end when they are not."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import (
    MuxedConnUnavailable,
    MuxedStreamClosed,
    MuxedStreamEOF,
    MuxedStreamError,
    MuxedStreamReset,
)
from libp2p.stream_muxer.yamux.yamux import Yamux
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from p2pfd.network.muxstream import (
    ACK,
    CREDIT_SECONDS,
    DATA,
    EXTRA,
    FIN,
    GO_AWAY,
    HEADER,
    PING,
    RST,
    SYN,
    WINDOW,
    WINDOW_BYTES,
)
from p2pfd.network.quicklock import QuickLock
from p2pfd.network.yamux import ANSWERS, Mux

PEER = ID(b"\x12\x20" + bytes(32))
LIMIT = 8


class Secure:
    """A secure connection without the security: bytes, cut up by a rule on their way in."""

    def __init__(self, stream: Any, is_initiator: bool, cut: Callable[[], int] = lambda: 10**6) -> None:
        self.stream = stream
        self.is_initiator = is_initiator
        self.cut = cut

    async def read(self, n: int | None = None) -> bytes:
        return bytes(await self.stream.receive_some(self.cut() if n is None else n))

    async def write(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def close(self) -> None:
        await self.stream.aclose()


@asynccontextmanager
async def joined(kinds: tuple[Any, Any] = (Mux, Mux), **options: Any) -> AsyncGenerator[tuple[Any, Any]]:
    """Two connections with streams, end to end; one may be the library's."""
    ends = memory_stream_pair()
    made = [
        Mux(Secure(end, first, **options), PEER, LIMIT) if kind is Mux else kind(Secure(end, first, **options), PEER)
        for kind, end, first in zip(kinds, ends, (True, False), strict=True)
    ]
    async with trio.open_nursery() as nursery:
        for each in made:
            nursery.start_soon(each.start)
        for each in made:
            await each.event_started.wait()
        yield made[0], made[1]
        for each in made:
            await each.close()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def facing() -> AsyncGenerator[tuple[Mux, Any]]:
    """One of ours, and the bare bytes of whoever dialled it."""
    ours, theirs = memory_stream_pair()
    mux = Mux(Secure(ours, False), PEER, LIMIT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mux.start)
        await mux.event_started.wait()
        yield mux, theirs
        await mux.close()


def frame(kind: int, flags: int, number: int, length: int, payload: bytes = b"") -> bytes:
    return HEADER.pack(0, kind, flags, number, length) + payload


async def frames(theirs: Any, count: int) -> list[tuple[int, ...]]:
    """The next headers that come in; none of them has a body."""
    raw = b""
    while len(raw) < count * HEADER.size:
        part = await theirs.receive_some(count * HEADER.size - len(raw))
        assert part, "the connection ended"
        raw += part
    return [HEADER.unpack_from(raw, at)[1:] for at in range(0, len(raw), HEADER.size)]


async def until_the_end(mux: Mux) -> None:
    while True:
        await mux.accept_stream()


async def drained(stream: Any, at_most: int = 100_000) -> bytes:
    got = bytearray()
    try:
        while part := await stream.read(at_most):
            got += part
    except MuxedStreamEOF:
        pass
    return bytes(got)


@pytest.mark.parametrize("kinds", [(Mux, Mux), (Mux, Yamux), (Yamux, Mux)], ids=["ours", "dialling", "dialled"])
async def test_two_speak_at_once_on_several_streams(kinds: tuple[Any, Any]) -> None:
    dice = random.Random(1)
    said = [dice.randbytes(size) for size in (0, 1, 70_000, 1_500_000)]
    heard: dict[bytes, bytes] = {}

    async def say(stream: Any, raw: bytes) -> None:
        await stream.write(raw)
        await stream.close()

    async def echo(stream: Any) -> None:
        raw = await drained(stream)
        await say(stream, raw[::-1])

    async def ask(near: Any, raw: bytes) -> None:
        stream = await near.open_stream()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(say, stream, raw)
            heard[raw] = await drained(stream)

    async with joined(kinds) as (near, far), trio.open_nursery() as nursery:

        async def serve() -> None:
            while True:
                nursery.start_soon(echo, await far.accept_stream())

        nursery.start_soon(serve)
        async with trio.open_nursery() as asking:
            for raw in said:
                asking.start_soon(ask, near, raw)
        nursery.cancel_scope.cancel()
    assert heard == {raw: raw[::-1] for raw in said}


@pytest.mark.parametrize("seed", range(5))
async def test_frames_may_come_in_any_pieces(seed: int) -> None:
    dice = random.Random(seed)
    raw = dice.randbytes(50_000)
    async with joined(cut=lambda: dice.choice((1, 2, 5, 11, 12, 13, 1000))) as (near, far):
        stream = await near.open_stream()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.write, raw)
            other = await far.accept_stream()
            got = b""
            while len(got) < len(raw):
                got += await other.read(dice.randint(1, 5000))
        assert got == raw


async def test_a_side_that_has_said_all_still_hears() -> None:
    async with joined() as (near, far):
        stream = await near.open_stream()
        await stream.write(b"question")
        await stream.close()
        with pytest.raises(MuxedStreamClosed):
            await stream.write(b"more")
        other = await far.accept_stream()
        assert await drained(other) == b"question"
        await other.write(b"answer")
        assert await stream.read() == b"answer"
        await other.close()
        with pytest.raises(MuxedStreamEOF):
            await stream.read(1)
        assert stream.is_closed
        assert other.is_closed
        assert not near._streams
        assert not far._streams


async def test_a_reset_ends_both_sides_at_once() -> None:
    async with joined() as (near, far):
        stream = await near.open_stream()
        await stream.write(b"x")
        other = await far.accept_stream()
        assert await other.read(1) == b"x"
        await stream.reset()
        with pytest.raises(MuxedStreamReset):
            await other.read(1)
        with pytest.raises(MuxedStreamReset):
            await other.write(b"y")
        with pytest.raises(MuxedStreamReset):
            await stream.read(1)
        assert not near._streams
        assert not far._streams


async def test_a_writer_waits_for_its_reader_and_for_no_other() -> None:
    async with joined() as (near, far), trio.open_nursery() as nursery:
        stuck, free = await near.open_stream(), await near.open_stream()
        nursery.start_soon(stuck.write, bytes(2 * WINDOW_BYTES))
        unread, other = await far.accept_stream(), await far.accept_stream()
        await free.write(b"passes by")
        assert await other.read() == b"passes by"
        await wait_all_tasks_blocked()
        assert stuck._credit == 0
        got = 0
        while got < 2 * WINDOW_BYTES:
            got += len(await unread.read(10_000))


async def test_a_writer_gives_up_on_a_reader_that_never_reads(autojump_clock: MockClock) -> None:
    async with joined() as (near, _far):
        stream = await near.open_stream()
        with pytest.raises(MuxedStreamError, match="took nothing"):
            await stream.write(bytes(WINDOW_BYTES + 1))
        assert trio.current_time() >= CREDIT_SECONDS


async def test_the_window_grows_for_a_quick_reader_within_bounds() -> None:
    async with joined() as (near, far), trio.open_nursery() as nursery:
        for _ in range(6):
            stream = await near.open_stream()
            nursery.start_soon(stream.write, bytes(16 * 1024 * 1024))
            other = await far.accept_stream()
            got = 0
            while got < 16 * 1024 * 1024:
                got += len(await other.read(1024 * 1024))
        assert other._window > WINDOW_BYTES or far.extra > EXTRA - other._window
        assert 0 < far.extra <= EXTRA


async def test_who_sends_more_than_it_may_is_cut_off() -> None:
    async with facing() as (mux, theirs):
        await theirs.send_all(frame(DATA, SYN, 1, WINDOW_BYTES, bytes(WINDOW_BYTES)))
        stream = await mux.accept_stream()
        assert await frames(theirs, 1) == [(WINDOW, ACK, 1, 0)]
        await theirs.send_all(frame(DATA, 0, 1, 1, b"x"))
        with pytest.raises(MuxedConnUnavailable):
            await mux.accept_stream()
        assert mux.is_closed
        assert len(await stream.read()) == WINDOW_BYTES, "what was allowed is there"
        with pytest.raises(MuxedStreamReset):
            await stream.read()


@pytest.mark.parametrize("size", [100, 5000])
async def test_small_parts_hold_on_to_no_more_than_themselves(size: int) -> None:
    async with facing() as (mux, theirs):
        await theirs.send_all(frame(WINDOW, SYN, 1, 0))
        stream = await mux.accept_stream()
        for _ in range(30_000 // size):  # each comes with a lot that is for nobody
            await theirs.send_all(frame(DATA, 0, 1, size, bytes(size)) + frame(DATA, 0, 99, 60_000, bytes(60_000)))
            await wait_all_tasks_blocked()
        held = sum(len(part.obj) if isinstance(part, memoryview) else len(part) for part in stream._arrived)
        assert held == 30_000
        assert len(stream._arrived) < 10
        got = b""
        while len(got) < 30_000:
            got += await stream.read(777)
        assert got == bytes(30_000)


async def test_the_end_can_be_said_when_nobody_hears_it() -> None:
    async with facing() as (mux, theirs):
        first, second = await mux.open_stream(), await mux.open_stream()
        await theirs.send_all(frame(GO_AWAY, 0, 0, 0))
        with pytest.raises(MuxedConnUnavailable):
            await mux.accept_stream()
        await first.close()
        await second.reset()


@pytest.mark.parametrize(
    "raw",
    [
        frame(DATA, SYN, 2, 0),
        frame(DATA, SYN, 0, 0),
        frame(WINDOW, SYN, 1, 0) * 2,
        frame(4, 0, 0, 0),
        HEADER.pack(1, DATA, SYN, 1, 0),
        b"GET / HTTP/1.1\r\n\r\n",
        frame(WINDOW, SYN, 1, 0) + frame(DATA, FIN, 1, 1, b"x") + frame(DATA, 0, 1, 1, b"y"),
    ],
    ids=["our number", "no number", "twice", "no type", "no version", "no yamux", "after the end"],
)
async def test_who_breaks_the_protocol_is_cut_off(raw: bytes) -> None:
    async with facing() as (mux, theirs):
        await theirs.send_all(raw)
        with pytest.raises(MuxedConnUnavailable):
            await until_the_end(mux)
        assert mux.is_closed


async def test_streams_beyond_the_limit_are_refused_and_make_room_again() -> None:
    async with facing() as (mux, theirs):
        for place in range(LIMIT + 1):
            await theirs.send_all(frame(WINDOW, SYN, 2 * place + 1, 0))
        answers = await frames(theirs, LIMIT + 1)
        assert answers[:-1] == [(WINDOW, ACK, 2 * place + 1, 0) for place in range(LIMIT)]
        assert answers[-1] == (WINDOW, RST, 2 * LIMIT + 1, 0)
        await theirs.send_all(frame(WINDOW, RST, 3, 0) + frame(WINDOW, SYN, 2 * LIMIT + 5, 0))
        assert await frames(theirs, 1) == [(WINDOW, RST, 2 * LIMIT + 5, 0)], "the host has looked at none yet"
        assert (await mux.accept_stream()).stream_id == 1
        await theirs.send_all(frame(DATA, 0, 2 * LIMIT + 1, 3, b"abc") + frame(WINDOW, RST, 1, 0))
        await theirs.send_all(frame(WINDOW, SYN, 2 * LIMIT + 3, 0))
        assert await frames(theirs, 1) == [(WINDOW, ACK, 2 * LIMIT + 3, 0)]


async def test_streams_that_the_other_side_never_ends_are_given_up() -> None:
    async with facing() as (mux, theirs), trio.open_nursery() as nursery:
        nursery.start_soon(theirs.receive_some, 10**6)
        streams = []
        for _ in range(3 * LIMIT):
            streams.append(await mux.open_stream())
            await streams[-1].close()
        assert len(mux._streams) == LIMIT
        assert [stream.broken for stream in streams] == [True] * (2 * LIMIT) + [False] * LIMIT


async def test_a_ping_is_answered_and_an_answer_is_not() -> None:
    async with facing() as (_mux, theirs):
        await theirs.send_all(frame(PING, SYN, 0, 77) + frame(PING, ACK, 0, 78) + frame(PING, SYN, 0, 79))
        assert await frames(theirs, 2) == [(PING, ACK, 0, 77), (PING, ACK, 0, 79)]


async def test_who_asks_without_end_and_takes_no_answer_is_cut_off() -> None:
    async with facing() as (mux, theirs):

        async def stuck(_raw: bytes) -> None:
            await trio.sleep_forever()

        mux.secured_conn.write = stuck
        await theirs.send_all(frame(PING, SYN, 0, 1) * (2 * ANSWERS // HEADER.size))
        with pytest.raises(MuxedConnUnavailable):
            await mux.accept_stream()


@pytest.mark.parametrize("farewell", [frame(GO_AWAY, 0, 0, 0), b""])
async def test_the_end_of_the_connection_wakes_everybody(farewell: bytes) -> None:
    async with facing() as (mux, theirs), trio.open_nursery() as nursery:
        reading, writing = await mux.open_stream(), await mux.open_stream()

        async def expect(what: Any) -> None:
            with pytest.raises(MuxedStreamError):
                await what

        nursery.start_soon(expect, reading.read())
        nursery.start_soon(expect, writing.write(bytes(WINDOW_BYTES + 1)))
        nursery.start_soon(theirs.receive_some, 10**7)
        await wait_all_tasks_blocked()
        await (theirs.send_all(farewell) if farewell else theirs.send_stream.aclose())
        with pytest.raises(MuxedConnUnavailable):
            await mux.accept_stream()
    with pytest.raises(MuxedStreamError):
        await mux.open_stream()


async def test_a_quick_lock_is_held_by_one_and_given_to_who_waits_longest() -> None:
    lock, order = QuickLock(), []

    async def worker(number: int) -> None:
        async with lock:
            assert lock.locked()
            order.append(number)
            await trio.lowlevel.checkpoint()
            order.append(number)

    async with trio.open_nursery() as nursery:
        await lock.acquire()
        for number in range(5):
            nursery.start_soon(worker, number)
            await wait_all_tasks_blocked()
        with trio.move_on_after(0):
            await lock.acquire()
            order.append(-1)
        lock.release()
    assert order == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert not lock.locked()
    with pytest.raises(RuntimeError, match="nobody"):
        lock.release()
