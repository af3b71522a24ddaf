"""Bytes that are not sent, and that nodes of the library as it is get along without them."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2

from p2pfd.core.verdict import Accept
from p2pfd.network.holders import ID_BYTES, Holders
from p2pfd.network.libp2p import Libp2pTransport
from p2pfd.network.outlet import Outlet
from p2pfd.network.patches import BATCH
from p2pfd.network.settings import NetworkSettings

from .conftest import TOPIC, Ear, Nodes
from .stock import StockNode

QUICK = NetworkSettings(heartbeat_seconds=0.05)

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


async def test_a_neighbour_that_sent_it_meanwhile_is_not_sent_it(
    nodes: Nodes, nursery: trio.Nursery, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of ours and two stock nodes, all connected. Both stock nodes send the message before ours has judged it."""
    ours, first, _ = await meet_stock(nodes, nursery, ours_dials=True)
    second = StockNode(nodes.seed(), TOPIC)
    await nursery.start(second.run)
    await second.connect(first.address)
    await second.connect(ours.addresses[0])
    for peer in (first.id, ID.from_base58(ours.peer)):
        await second.wait_for_mesh(peer)
    for each in (first, second):
        await ours._gossip.wait_for_mesh(each.id, TOPIC)
        await each.wait_for_mesh(ID.from_base58(ours.peer))
    senders: set[ID] = set()
    both = trio.Event()
    note = Holders.note

    def watch(holders: Holders, message: bytes, peer: ID) -> None:
        note(holders, message, peer)
        senders.add(peer)
        if {first.id, second.id} <= senders:
            both.set()

    monkeypatch.setattr(Holders, "note", watch)
    async with ours.heard(TOPIC) as deliveries:
        await first.say(b"said once")
        delivery = await anext(deliveries)
        assert delivery.raw == b"said once"
        await both.wait()
        delivery.answer(Accept())
        await first.say(b"said later")
        (await anext(deliveries)).answer(Accept())
    await second.until(b"said once", b"said later")
    assert b"said once" not in [message.data for message in wire.published]


async def test_what_waits_goes_in_few_writes_and_a_stock_node_hears_all(
    nodes: Nodes, nursery: trio.Nursery, wire: Wire
) -> None:
    ours, stock, ear = await meet_stock(nodes, nursery, ours_dials=True)
    said = [b"%d" % number * 50 for number in range(100)]
    gossip = ours._gossip
    for raw in said:  # without a chance for the writer to run in between
        gossip.router.send_rpc(stock.id, rpc_pb2.RPC(publish=[gossip._signed(TOPIC, raw)]))
    await stock.say(b"meanwhile")
    await stock.until(*said)
    await ear.until(b"meanwhile")
    assert [message.data for message in stock.heard if message.data in said] == said
    sizes = [sum(rpc.ByteSize() for rpc in write) for write in wire.writes if write[0].publish]
    assert len(sizes) <= -(-sum(sizes) // BATCH) + 1
    assert max(sizes) < BATCH + 1000


async def test_closing_waits_for_what_is_being_written(nodes: Nodes, nursery: trio.Nursery) -> None:
    far = await nodes.open()
    ear = Ear(far)
    await nursery.start(ear.run)
    said = [b"%d" % number * 100 for number in range(60)]
    async with nodes.brief() as near:
        await near.connect(far.addresses[0])
        await near.wait_for_subscribers(TOPIC, 1)
        for raw in said:
            await near.publish(TOPIC, raw)
    await ear.until(*said)


async def test_what_a_neighbour_sent_while_it_stood_in_its_queue_is_taken_out(
    nodes: Nodes, nursery: trio.Nursery, wire: Wire
) -> None:
    near, far = await nodes.open(), await nodes.open()
    ear = Ear(far)
    await nursery.start(ear.run)
    await near.connect(far.addresses[0])
    await near.wait_for_subscribers(TOPIC, 1)
    gossip, peer = near._gossip, ID.from_base58(far.peer)
    known = gossip._signed(TOPIC, b"known")
    await gossip.say(TOPIC, b"first")
    gossip.router.send_rpc(peer, rpc_pb2.RPC(publish=[known]))
    gossip.holders.note(gossip.get_message_id(known), peer)
    await gossip.say(TOPIC, b"last")
    await ear.until(b"first", b"last")
    assert {message.data for message in wire.published} == {b"first", b"last"}


async def test_a_neighbour_is_not_told_of_what_it_has_said(nodes: Nodes, nursery: trio.Nursery, wire: Wire) -> None:
    """A stock node, pruned from the mesh, is told what we have, but for what came from it; it asks, and we send it."""
    ours, stock, ear = await meet_stock(nodes, nursery, ours_dials=True)
    router = ours._gossip.router
    await stock.say(b"its own")
    await ear.until(b"its own")
    while not router.mcache.msgs:  # it is passed on a turn after it was accepted
        await trio.lowlevel.checkpoint()
    router.mesh[TOPIC].clear()
    await ours.publish(TOPIC, b"ours")
    names = {message.data: message.from_id + message.seqno for message in router.mcache.msgs.values()}
    assert set(names) == {b"its own", b"ours"}
    await router._emit_control_msgs({}, {}, {stock.id: {TOPIC: list(names.values())}})
    await router._emit_control_msgs({}, {}, {stock.id: {TOPIC: [names[b"its own"]]}})
    await stock.until(b"ours")
    told = {name for rpc in wire.rpcs for ihave in rpc.control.ihave for name in ihave.messageIDs}
    assert told == {names[b"ours"]}


def test_holders_are_bounded_and_forgotten() -> None:
    holders = Holders(2)
    a, b = ID(b"a"), ID(b"b")
    holders.note(b"1", a)
    holders.note(b"1", b)
    holders.note(b"2", b)
    assert holders.of(b"1") == {a, b}
    holders.forget(b)
    assert holders.of(b"1") == {a}
    holders.note(b"3", a)
    holders.note(bytes(ID_BYTES + 1), a)
    assert [set(holders.of(name)) for name in (b"1", b"2", b"3", bytes(ID_BYTES + 1))] == [set(), set(), {a}, set()]


async def test_a_heartbeat_rests_while_there_is_nothing_to_mend_or_to_tell(nodes: Nodes, nursery: trio.Nursery) -> None:
    near, far = await nodes.open(QUICK), await nodes.open(QUICK)
    ears = Ear(near), Ear(far)
    for ear in ears:
        await nursery.start(ear.run)
    routers = [node._gossip.router for node in (near, far)]

    async def rest() -> None:
        while not all(router._stir.statistics().tasks_waiting for router in routers):  # noqa: ASYNC110 - it rests when it does
            await trio.sleep(0.01)

    await rest()
    await near.connect(far.addresses[0])
    await far.wait_for_subscribers(TOPIC, 1)
    await rest()
    assert all(router.mesh[TOPIC] for router in routers), "they have grafted each other"
    await near.publish(TOPIC, b"something")
    assert not routers[0]._is_quiet()
    await ears[1].until(b"something")
    await rest()
    assert not any(router.mcache.msgs for router in routers), "it has gone on until all was told and forgotten"
    await near.disconnect(far.peer)
    while any(router.mesh[TOPIC] for router in routers):  # noqa: ASYNC110 - the other side hears of it when it does
        await trio.sleep(0.01)
    await rest()
    assert not any(router.mesh[TOPIC] for router in routers)
