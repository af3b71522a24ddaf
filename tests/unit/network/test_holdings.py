"""What connections hold unread is bounded for each and for all, and so is how many come from one host."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import trio
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.id import ID

from p2pfd.network.counters import Drop
from p2pfd.network.holdings import Holdings
from p2pfd.network.libp2p import Libp2pTransport
from p2pfd.network.settings import NetworkSettings

from .conftest import Nodes
from .strangers import host_of
from .test_finder import until

pytestmark = pytest.mark.network
DEAF = TProtocol("/test/deaf/1")


class Connection:
    def __init__(self) -> None:
        self.over = False

    def shed(self) -> None:
        self.over = True


def test_when_all_hold_too_much_the_one_that_holds_the_most_ends() -> None:
    small, large, last = Connection(), Connection(), Connection()
    holdings = Holdings(1000)
    holdings.change(small, 300)
    holdings.change(large, 650)
    holdings.change(last, 50)
    assert holdings.total == 1000
    holdings.change(last, 1)
    assert (small.over, large.over, last.over) == (False, True, False)
    assert holdings.total == 351
    holdings.change(last, -51)
    holdings.forget(small)
    assert holdings.total == 0


async def never_reads(_stream: Any) -> None:
    await trio.sleep_forever()


async def fill(stranger: Libp2pTransport, victim: Libp2pTransport, streams: int, size: int) -> None:
    with suppress(BaseLibp2pError):
        for _ in range(streams):
            stream = await host_of(stranger).new_stream(ID.from_base58(victim.peer), [DEAF])
            await stream.write(bytes(size))


async def test_a_peer_that_fills_the_memory_is_cut_off_and_the_others_are_not(nodes: Nodes) -> None:
    victim = await nodes.open(NetworkSettings(memory_bytes=1024 * 1024))
    stranger, honest = await nodes.open(), await nodes.open()
    host_of(victim).set_stream_handler(DEAF, never_reads)
    victim.serve("echo", 100, lambda _peer, raw: raw)
    for node in (stranger, honest):
        await node.connect(victim.addresses[0])
    await fill(honest, victim, 1, 100_000)
    await fill(stranger, victim, 8, 200_000)
    await until(lambda: victim.peers() == (honest.peer,))
    assert victim.counters.drops[Drop.MEMORY] == 1
    assert await honest.request(victim.peer, "echo", b"still there", 100) == b"still there"
    assert not victim._links.is_refused(stranger.peer), "it may have been slow readers of ours"
    holdings = host_of(victim).get_network().upgrader.muxer_multistream._holdings
    assert 100_000 <= holdings.total < 110_000
    await honest.disconnect(victim.peer)
    await until(lambda: not victim.peers())
    assert holdings.total == 0, "what is gone is not counted"


async def test_what_was_read_or_reset_is_not_held(nodes: Nodes) -> None:
    one, two = await nodes.open(), await nodes.open()
    await one.connect(two.addresses[0])
    blob = bytes(3_000_000)
    await one.get(await two.put(blob), len(blob))
    host_of(two).set_stream_handler(DEAF, never_reads)
    stream = await host_of(one).new_stream(ID.from_base58(two.peer), [DEAF])
    await stream.write(bytes(50_000))
    holdings = [host_of(node).get_network().upgrader.muxer_multistream._holdings for node in (one, two)]
    await until(lambda: holdings[1].total >= 50_000)
    await stream.reset()
    await until(lambda: all(each.total < 5_000 for each in holdings))


async def test_a_connections_windows_grow_as_far_as_the_setting_says(nodes: Nodes) -> None:
    asker, holder = await nodes.open(NetworkSettings(peer_window_bytes=0)), await nodes.open()
    await asker.connect(holder.addresses[0])
    blob = bytes(4_000_000)
    assert await asker.get(await holder.put(blob), len(blob)) == blob
    (connection,) = asker._links.connections()
    assert connection.muxed_conn.extra == 0


async def test_one_host_does_not_take_all_places(nodes: Nodes) -> None:
    victim = await nodes.open(NetworkSettings(connections=8, connections_per_host=2))
    port = int(victim.addresses[0].split("/")[4])
    idle = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(4)]
    await until(lambda: victim.counters.drops[Drop.CONNECTIONS] == 2)
    elsewhere = await trio.open_tcp_stream("127.0.0.1", port, local_address="127.0.0.9")
    await until(lambda: victim.waiting()["connections"] == 3)
    for stream in (*idle, elsewhere):
        await stream.aclose()
