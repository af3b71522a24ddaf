"""Which protocol a stream speaks: agreed on in one message either way, with every other make of libp2p too."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from libp2p.custom_types import TProtocol
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator

from p2pfd.network.negotiation import ATTEMPTS, HEADER, LONGEST, NegotiationError, agree, choose, line

ONE, TWO, OTHER = TProtocol("/one/1"), TProtocol("/two/1"), TProtocol("/" + "long/" * 40)
SPOKEN = {ONE: None, OTHER: None}


class Pipe:
    """One end of a stream, which counts what it writes."""

    def __init__(self, stream: trio.StapledStream[Any, Any]) -> None:
        self._stream = stream
        self.writes = 0
        self.muxed_stream = self
        self.held = 1

    async def read(self, n: int | None = None) -> bytes:
        part = bytes(await self._stream.receive_some(n))
        if not part:
            raise StreamEOF
        return part

    async def write(self, raw: bytes) -> None:
        self.writes += 1
        await self._stream.send_all(raw)

    async def end(self) -> None:
        await self._stream.send_eof()


@pytest.fixture
def ends() -> tuple[Any, Any]:
    one, other = trio.testing.memory_stream_pair()
    return Pipe(one), Pipe(other)


async def met(ends: tuple[Any, Any], *wanted: TProtocol, early: bytes = b"") -> tuple[Any, Any]:
    found: list[Any] = [None, None]

    async def run(place: int, one: Any) -> None:
        try:
            found[place] = await one
        except NegotiationError as error:
            found[place] = error
            await ends[place].end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, 0, choose(ends[0], wanted, early))
        nursery.start_soon(run, 1, agree(ends[1], SPOKEN))
    return found[0], found[1]


@pytest.mark.parametrize("protocol", [ONE, OTHER], ids=["short", "long"])
async def test_one_message_either_way_is_enough(ends: tuple[Any, Any], protocol: TProtocol) -> None:
    assert await met(ends, protocol) == (protocol, protocol)
    assert (ends[0].writes, ends[1].writes) == (1, 1)


async def test_what_is_said_early_is_what_comes_first(ends: tuple[Any, Any]) -> None:
    assert await met(ends, ONE, early=b"hello") == (ONE, ONE)
    assert await ends[1].read() == b"hello"


async def test_the_second_choice_is_as_good(ends: tuple[Any, Any]) -> None:
    assert await met(ends, TWO, ONE, early=b"never said") == (ONE, ONE)


async def test_who_speaks_nothing_of_it_says_so(ends: tuple[Any, Any]) -> None:
    chosen, agreed = await met(ends, TWO)
    assert isinstance(chosen, NegotiationError)
    assert isinstance(agreed, NegotiationError)


async def test_nobody_guesses_for_ever(ends: tuple[Any, Any]) -> None:
    chosen, agreed = await met(ends, *[TProtocol(f"/guess/{number}") for number in range(ATTEMPTS + 5)])
    assert isinstance(chosen, NegotiationError)
    assert "none of them" in str(agreed)


@pytest.mark.parametrize("protocols", [(ONE,), (TWO, ONE)], ids=["first", "second"])
async def test_the_library_agrees_with_us(ends: tuple[Any, Any], protocols: tuple[TProtocol, ...]) -> None:
    ends[1].held = 0  # it says nothing more until it has heard our header
    async with trio.open_nursery() as nursery:
        nursery.start_soon(agree, ends[1], SPOKEN)
        assert await MultiselectClient().select_one_of(protocols, MultiselectCommunicator(ends[0])) == ONE


@pytest.mark.parametrize("protocols", [(ONE,), (TWO, ONE)], ids=["first", "second"])
async def test_we_agree_with_the_library(ends: tuple[Any, Any], protocols: tuple[TProtocol, ...]) -> None:
    async def handle(_stream: Any) -> None:
        """Never called here."""

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Multiselect({ONE: handle}).negotiate, MultiselectCommunicator(ends[1]))
        assert await choose(ends[0], protocols) == ONE


@given(st.lists(st.one_of(st.binary(max_size=40), st.just(line(HEADER)), st.sampled_from(["na", "x"]).map(line))))
async def test_whatever_a_stranger_says_ends_in_order(parts: list[bytes]) -> None:
    for ours in (lambda end: choose(end, [TWO]), lambda end: agree(end, SPOKEN)):
        one, other = trio.testing.memory_stream_pair()
        stranger, end = Pipe(one), Pipe(other)
        await stranger.write(b"".join(parts))
        await stranger.end()
        with pytest.raises(NegotiationError):
            await ours(end)


@pytest.mark.parametrize("size", [0, LONGEST + 1])
async def test_a_line_has_some_bytes_and_not_too_many(ends: tuple[Any, Any], size: int) -> None:
    await ends[0].write(bytes([size & 0x7F | 0x80, size >> 7]) + bytes(size))
    with pytest.raises(NegotiationError, match=f"a line of {size} bytes"):
        await agree(ends[1], SPOKEN)
