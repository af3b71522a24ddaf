"""What is said to one peer alone: in order, once taken, to who is not connected yet, and not for ever in vain."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
import trio.testing

from p2pfd.core.ids import PeerId
from p2pfd.errors import NetworkError
from p2pfd.network.libp2p import open_transport
from p2pfd.network.memory import open_memory_network
from p2pfd.network.statefile import StateFile
from p2pfd.node.saying import FIRST_PAUSE, MOST_KNOWN, TRIES, Places, Saying
from p2pfd.wire.messages import Whereabouts


class Side:
    """A node that says, and takes what is said while it has room."""

    def __init__(self, transport):
        self.transport = transport
        self.places = Places(transport)
        self.taken = []
        self.room = True
        self.refused = trio.Event()
        self.told = []
        self.saying = Saying(transport, self.places, self.take, lambda name, fields: self.told.append((name, fields)))

    def take(self, peer, raw):
        if self.room:
            self.taken.append((peer, raw))
        else:
            self.refused.set()
        return self.room

    def meets(self, other):
        assert self.places.note(other.transport.peer, other.places.own())


@asynccontextmanager
async def real(count):
    async with AsyncExitStack() as stack:
        yield [
            Side(await stack.enter_async_context(open_transport(bytes([number + 1]) * 32, "/ip4/127.0.0.1/tcp/0")))
            for number in range(count)
        ]


@asynccontextmanager
async def remembered(count):
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(open_memory_network())
        yield [
            Side(await stack.enter_async_context(network.open_transport(bytes([number + 1]) * 32)))
            for number in range(count)
        ]


@pytest.mark.parametrize("network", [real, remembered], ids=["libp2p", "memory"])
async def test_a_peer_that_is_not_connected_is_dialled_and_hears_all_in_order(network):
    async with network(2) as (near, far):
        near.meets(far)
        said = [b"%d" % number for number in range(20)]
        async with trio.open_nursery() as nursery:
            for raw in said:
                nursery.start_soon(near.saying.say, far.transport.peer, raw)
                await trio.testing.wait_all_tasks_blocked()
        assert far.taken == [(near.transport.peer, raw) for raw in said]
        assert near.told == []


async def test_who_has_no_room_is_asked_again(autojump_clock):
    async with remembered(2) as (near, far):
        near.meets(far)
        far.room = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.saying.say, far.transport.peer, b"at last")
            await far.refused.wait()
            assert far.taken == []
            far.room = True
        assert far.taken == [(near.transport.peer, b"at last")]
        assert trio.current_time() >= FIRST_PAUSE


async def test_words_to_nobody_end_and_are_told(autojump_clock):
    async with remembered(2) as (near, far):
        assert not await near.saying.say(far.transport.peer, b"hello?")
        ((name, fields),) = near.told
        assert (name, fields["peer"]) == ("peer.untold", far.transport.peer)
        assert "has not told where it can be dialled" in fields["why"]
        near.meets(far)
        assert await near.saying.say(far.transport.peer, b"hello!")
        began = trio.current_time()
        far.room = False
        assert not await near.saying.say(far.transport.peer, b"anybody?")
        assert trio.current_time() - began >= FIRST_PAUSE * (2 ** (TRIES - 1) - 1)
        assert "has no room" in near.told[-1][1]["why"]


async def test_a_peer_speaks_for_itself_only_and_the_oldest_word_is_forgotten():
    async with remembered(2) as (near, far):
        assert not near.places.note(PeerId("somebody"), far.places.own())
        lie = Whereabouts(f"{far.transport.addresses[0]} /memory/9/p2p/somebody")
        assert not near.places.note(far.transport.peer, lie)
        near.meets(far)
        for number in range(MOST_KNOWN):
            assert near.places.note(PeerId(f"p{number}"), Whereabouts(f"/memory/9/p2p/p{number}"))
        with pytest.raises(NetworkError, match="has not told"):
            await near.places.connect(far.transport.peer)
        near.meets(far)
        await near.places.connect(far.transport.peer)
        assert near.transport.peers() == (far.transport.peer,)


async def test_where_the_others_are_outlives_the_process(tmp_path, autojump_clock):
    async with remembered(3) as (near, far, third):
        file = StateFile(tmp_path / "places.json")
        places = Places(near.transport, file)
        assert places.note(far.transport.peer, far.places.own())
        assert places.note(third.transport.peer, third.places.own())
        await places.news()
        with trio.move_on_after(60) as quiet:
            await places.news()
        assert quiet.cancelled_caught, "the same once more is no news"
        again = Places(near.transport, file)
        await again.connect(third.transport.peer)
        assert near.transport.peers() == (third.transport.peer,)
        for damaged in ("[]", "{", '{"a": 1}', '{"a": "/memory/1/p2p/b"}'):
            file.path.write_text(damaged)
            with pytest.raises(NetworkError, match="has not told"):
                await Places(near.transport, file).connect(far.transport.peer)


async def test_an_address_that_means_another_machine_is_not_dialled():
    class Outside:
        peer = PeerId("12D3KooWDaBG8xBmhKNJtSn78g9pq8fcubExgzJ6iGS9ranTLQ9Y")
        addresses = (f"/ip4/8.8.8.8/tcp/4001/p2p/{peer}",)

    class Inside(Outside):
        addresses = (f"/ip4/127.0.0.1/tcp/4001/p2p/{Outside.peer}",)

    peer = PeerId("12D3KooWFmmxUiBzYjHVQMtYZVXxgcBtpnZcjRnRUvnZqrS6wwMu")
    ways = ["/ip4/127.0.0.1/tcp/22", "/ip4/10.0.0.1/tcp/22", "/dns4/a.example/tcp/5"]
    for here, expected in ((Outside, ways[2:]), (Inside, ways)):
        places = Places(here())
        assert places.note(peer, Whereabouts(" ".join(f"{way}/p2p/{peer}" for way in ways)))
        assert [address.removesuffix(f"/p2p/{peer}") for address in places.of(peer)] == expected
