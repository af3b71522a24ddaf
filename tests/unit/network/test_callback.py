"""Whether others can dial a node, asked of them: over real sockets, and of peers that lie."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core import canonical
from p2pfd.core.ids import PeerId
from p2pfd.core.ticks import Tick
from p2pfd.errors import DecodeError, NetworkError
from p2pfd.network import callback
from p2pfd.network.counters import Drop
from p2pfd.network.settings import NetworkSettings

from .conftest import Nodes

pytestmark = pytest.mark.network


class Still:
    """A clock that stands."""

    def now(self) -> Tick:
        return Tick(12_345)


async def test_a_node_that_can_be_dialled_is_told_so_and_by_whose_clock(nodes: Nodes) -> None:
    asker, other = await nodes.open(), await nodes.open(clock=Still())
    await asker.connect(other.addresses[0])
    view = await asker.ask_back(other.peer)
    assert (view.host, view.now) == ("127.0.0.1", 12_345)
    assert view.tried == (callback.Tried(asker.addresses[0], ""),)
    assert asker.peers() == (other.peer,), "what was dialled back is no connection"
    assert (await asker.ask_back(other.peer)).tried == (), "a moment later nothing is dialled"


async def test_an_address_at_which_nobody_answers_is_told_with_the_reason(nodes: Nodes) -> None:
    settings = NetworkSettings(announce=("/ip4/127.0.0.1/tcp/1",))
    asker, other = await nodes.open(settings), await nodes.open()
    await asker.connect(other.addresses[0])
    ((tried),) = (await asker.ask_back(other.peer)).tried
    assert tried.address == f"/ip4/127.0.0.1/tcp/1/p2p/{asker.peer}"
    assert "refused" in tried.why


async def test_only_the_host_that_the_asker_comes_from_is_dialled(nodes: Nodes) -> None:
    (trap,) = await trio.open_tcp_listeners(0, host="127.0.0.2")
    port = trap.socket.getsockname()[1]
    settings = NetworkSettings(announce=(f"/ip4/127.0.0.2/tcp/{port}",))
    asker, other = await nodes.open(settings), await nodes.open()
    await asker.connect(other.addresses[0])
    async with trap:
        (tried,) = (await asker.ask_back(other.peer)).tried
        assert tried.address.startswith(f"/ip4/127.0.0.1/tcp/{port}/")
        with pytest.raises(trio.TooSlowError), trio.fail_after(0.1):
            await trap.accept()


async def test_somebody_else_at_an_address_is_not_the_asker(nodes: Nodes) -> None:
    other, somebody = await nodes.open(), await nodes.open()
    place = somebody.addresses[0].split("/p2p/")[0]
    asker = await nodes.open(NetworkSettings(announce=(place,)))
    await asker.connect(other.addresses[0])
    (tried,) = (await asker.ask_back(other.peer)).tried
    assert tried.why


WRONG_QUESTIONS = (b"\xc1", canonical.encode({"a": 1}), canonical.encode([1]), canonical.encode(["x"] * 5))


@pytest.mark.parametrize("raw", WRONG_QUESTIONS)
async def test_a_question_that_is_none_costs_the_asker_its_stream(raw: bytes, nodes: Nodes) -> None:
    asker, other = await nodes.open(), await nodes.open()
    await asker.connect(other.addresses[0])
    with pytest.raises(NetworkError):
        await asker.request(other.peer, callback.PROTOCOL, raw, callback.ANSWER_BYTES)
    assert other.counters.drops[Drop.SERVICE] == 1
    assert (await asker.ask_back(other.peer)).tried, "and a sensible one is answered"


async def test_addresses_of_others_or_of_none_are_passed_over(nodes: Nodes) -> None:
    asker, other = await nodes.open(), await nodes.open()
    await asker.connect(other.addresses[0])
    said = (other.addresses[0], "nonsense", "/ip4/127.0.0.1/udp/1", f"/dns4/x/tcp/1/p2p/{asker.peer}")
    raw = await asker.request(other.peer, callback.PROTOCOL, callback.write_question(said), callback.ANSWER_BYTES)
    assert [each.address for each in callback.read_view(raw).tried] == [f"/ip4/127.0.0.1/tcp/1/p2p/{asker.peer}"]


async def test_an_answer_that_is_nonsense_is_an_error(nodes: Nodes) -> None:
    asker, liar = await nodes.open(), await nodes.open()

    def answer(_peer: PeerId, _raw: bytes) -> bytes:
        return canonical.encode({"host": "nowhere", "now": 1, "tried": []})

    liar.serve(callback.PROTOCOL, callback.QUESTION_BYTES, answer)
    await asker.connect(liar.addresses[0])
    with pytest.raises(NetworkError, match="nonsense"):
        await asker.ask_back(liar.peer)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_refused(raw: bytes) -> None:
    try:
        view = callback.read_view(raw)
    except DecodeError:
        return
    assert view.host


def test_an_answer_is_read_as_it_was_written() -> None:
    raw = canonical.encode({"host": "::1", "now": 0, "tried": [["a", "b"], ["c", ""]]})
    view = callback.View("::1", 0, (callback.Tried("a", "b"), callback.Tried("c", "")))
    assert callback.read_view(raw) == view
    for wrong in ({"host": 1}, {"now": True}, {"tried": 1}, {"tried": [["a"]]}, {"tried": [[1, "a"]]}):
        with pytest.raises(DecodeError):
            callback.read_view(canonical.encode({"host": "::1", "now": 0, "tried": [], **wrong}))
