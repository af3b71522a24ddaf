"""Frames of strangers below the streams: whatever comes, yamux ends in order, blames the right one, and stays small."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio
from libp2p.stream_muxer.exceptions import MuxedConnUnavailable, MuxedStreamError

from p2pfd.network.counters import Drop
from p2pfd.network.muxstream import ACK, DATA, EXTRA, FIN, GO_AWAY, HEADER, PING, RST, SYN, WINDOW, WINDOW_BYTES
from p2pfd.network.yamux import Mux
from tests.fuzz.streams import peer_of

LIMIT = 8
FRAMES = 120


class Wire:
    """The secure connection to a stranger: what it sends, in parts of any size."""

    is_initiator = False

    def __init__(self, raw: bytes, rng: Random) -> None:
        self._raw = memoryview(raw)
        self._rng = rng
        self.written = 0
        self.mux: Mux | None = None
        self.most = 0

    async def read(self, _n: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if self.mux is not None:
            self.most = max(self.most, sum(stream._held for stream in self.mux._streams.values()))
        size = 1 + self._rng.getrandbits(self._rng.randrange(1, 18))
        part, self._raw = bytes(self._raw[:size]), self._raw[size:]
        return part

    async def write(self, raw: bytes) -> None:
        self.written += len(raw)

    async def close(self) -> None:
        pass


def frames(rng: Random, wild: bool) -> bytes:
    """Many frames that may be in order, and with `wild` ones that are not."""
    parts = []
    number = 1
    for _ in range(FRAMES):
        kind = rng.choice((DATA, DATA, DATA, WINDOW, WINDOW, PING))
        flags = rng.choice((0, 0, 0, SYN, ACK, FIN, RST, SYN | FIN))
        if flags & SYN and kind != PING:
            number += 2
        stream = rng.choice((number, number, max(1, number - 2), rng.randrange(1, number + 2, 2)))
        length = rng.randrange(3000) if kind == DATA else rng.getrandbits(rng.randrange(1, 33))
        if kind != PING and flags & SYN:
            stream = number
        if wild and rng.random() < 0.02:
            kind, flags = rng.choice((DATA, WINDOW, PING, GO_AWAY, 4, 200)), rng.getrandbits(16)
            stream, length = rng.getrandbits(32), rng.getrandbits(rng.randrange(1, 33))
        body = rng.randbytes(length) if kind == DATA and length < 10**5 else b""
        parts.append(HEADER.pack(0, kind, flags, stream, length) + body)
    return b"".join(parts)


async def reader(mux: Mux, rng: Random) -> None:
    """The host: it takes what comes, reads some of it, and at times forgets to."""
    async with trio.open_nursery() as nursery:
        while True:
            try:
                stream = await mux.accept_stream()
            except MuxedConnUnavailable:
                nursery.cancel_scope.cancel()
                return
            if rng.random() < 0.7:
                nursery.start_soon(drain, stream, rng)


async def drain(stream: Any, rng: Random) -> None:
    try:
        while rng.random() < 0.9:
            await stream.read(1 + rng.getrandbits(rng.randrange(1, 16)))
        await (stream.close() if rng.random() < 0.5 else stream.reset())
    except MuxedStreamError:
        pass


@pytest.mark.parametrize("wild", [False, True])
async def test_frames_of_strangers(wild: bool) -> None:
    blamed = {Drop.STREAMS: 0, Drop.WINDOW: 0}
    with trio.fail_after(60):
        for seed in range(250):
            rng = Random(f"{seed} {wild}")
            wire = Wire(frames(rng, wild), rng)

            def blame(_peer: Any, reason: Drop, _why: str) -> None:
                blamed[reason] += 1

            mux = Mux(wire, peer_of(rng), LIMIT, blame)  # type: ignore[arg-type]
            wire.mux = mux
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reader, mux, rng)
                await mux.start()
                nursery.cancel_scope.cancel()
            assert wire.most <= 2 * LIMIT * WINDOW_BYTES + EXTRA
            assert mux.is_closed
    assert blamed[Drop.STREAMS] > 0
    assert blamed[Drop.WINDOW] > 0
