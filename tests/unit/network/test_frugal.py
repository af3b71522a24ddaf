"""Bytes that are not sent, and that nodes of the library as it is get along without them."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2

from p2pfd.network.libp2p import Libp2pTransport
from p2pfd.network.outlet import Outlet

from .conftest import TOPIC, Ear, Nodes
from .stock import StockNode

pytestmark = pytest.mark.network


class Wire:
    """Every frame that our nodes write on gossip streams after the hello."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes: list[list[rpc_pb2.RPC]] = []
        original = Outlet._write

        async def note(outlet: Outlet, raw: bytes) -> None:
            self.writes.append(list(split(raw)))
            await original(outlet, raw)

        monkeypatch.setattr(Outlet, "_write", note)

    @property
    def rpcs(self) -> list[rpc_pb2.RPC]:
        return [rpc for write in self.writes for rpc in write]

    @property
    def published(self) -> list[Any]:
        return [message for rpc in self.rpcs for message in rpc.publish]


def split(raw: bytes) -> list[rpc_pb2.RPC]:
    """The RPCs in what was written: a varint of the length before each."""
    rpcs = []
    while raw:
        size = index = 0
        while True:
            size |= (raw[index] & 0x7F) << 7 * index
            index += 1
            if raw[index - 1] < 0x80:
                break
        rpcs.append(rpc_pb2.RPC.FromString(raw[index : index + size]))
        raw = raw[index + size :]
    return rpcs


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    return Wire(monkeypatch)


async def meet_stock(nodes: Nodes, nursery: trio.Nursery, ours_dials: bool) -> tuple[Libp2pTransport, StockNode, Ear]:
    """One of ours and a stock node that forward to each other."""
    ours, stock = await nodes.open(), StockNode(nodes.seed(), TOPIC)
    await nursery.start(stock.run)
    ear = Ear(ours)
    await nursery.start(ear.run)
    if ours_dials:
        await ours.connect(stock.address)
    else:
        await stock.connect(ours.addresses[0])
    await stock.wait_for_mesh(ID.from_base58(ours.peer))
    await ours._gossip.wait_for_mesh(stock.id, TOPIC)
    return ours, stock, ear


@pytest.mark.parametrize("ours_dials", [True, False])
async def test_a_stock_node_needs_our_record_once(
    ours_dials: bool, nodes: Nodes, nursery: trio.Nursery, wire: Wire
) -> None:
    ours, stock, ear = await meet_stock(nodes, nursery, ours_dials)
    said = [b"%d" % number for number in range(20)]
    for raw in said:
        await ours.publish(TOPIC, raw)
        await stock.say(b"stock " + raw)
    await stock.until(*said)
    await ear.until(*(b"stock " + raw for raw in said))
    assert len(wire.published) >= len(said)
    assert [rpc for rpc in wire.rpcs if rpc.senderRecord] == []
    known = stock.host.get_peerstore().get_peer_record(ID.from_base58(ours.peer))
    assert known is not None, "the hello told it"


async def test_a_stock_node_needs_no_key_beside_the_sender_id(nodes: Nodes, nursery: trio.Nursery, wire: Wire) -> None:
    """Straight, and by way of a stock node: two of ours with one in between hear each other."""
    ours, stock, ear = await meet_stock(nodes, nursery, ours_dials=True)
    other = await nodes.open()
    other_ear = Ear(other)
    await nursery.start(other_ear.run)
    await other.connect(stock.address)
    await stock.wait_for_mesh(ID.from_base58(other.peer))
    await ours.publish(TOPIC, b"ours")
    await other.publish(TOPIC, b"the other")
    await stock.say(b"stock")
    await stock.until(b"ours", b"the other")
    await ear.until(b"the other", b"stock")
    await other_ear.until(b"ours", b"stock")
    by_author = {message.from_id: message for message in stock.heard}
    assert {peer for peer, message in by_author.items() if not message.key} == {
        ID.from_base58(each.peer).to_bytes() for each in (ours, other)
    }


async def test_a_record_that_changes_is_told_once_more() -> None:
    written: list[bytes] = []

    class Stream:
        async def write(self, raw: bytes) -> None:
            written.append(raw)

    outlet = Outlet(Stream(), b"old")
    shared = rpc_pb2.RPC(senderRecord=b"new")
    for rpc in (rpc_pb2.RPC(senderRecord=b"old"), shared, shared, rpc_pb2.RPC(senderRecord=b"old")):
        await outlet.write(rpc)
    assert [rpc.senderRecord for raw in written for rpc in split(raw)] == [b"", b"new", b"", b"old"]
    assert shared.senderRecord == b"new", "other neighbours' queues hold the same RPC"
