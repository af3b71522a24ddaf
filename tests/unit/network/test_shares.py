"""Nobody takes more than its share: places, questions and bytes, by peer."""

from __future__ import annotations

import pytest
import trio
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from trio.testing import MockClock

from p2pfd.core.ids import PeerId
from p2pfd.network.exchange import protocol_name
from p2pfd.network.guard import ENTRIES, IDS, SENT_AGAIN, SUBSCRIPTIONS, Guard
from p2pfd.network.pace import Pace
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.shares import KNOWN, Shares

from .conftest import Nodes
from .strangers import ask

PEER = ID(b"somebody")


async def test_one_peer_with_many_slow_requests_leaves_places_to_others(nodes: Nodes) -> None:
    settings = NetworkSettings(services=4, services_per_peer=3, request_seconds=30)
    victim, attacker, honest = await nodes.open(settings), await nodes.open(), await nodes.open()
    victim.serve("echo", 10, lambda _peer, raw: raw)
    await attacker.connect(victim.addresses[0])
    await honest.connect(victim.addresses[0])
    for _ in range(20):
        await (await ask(attacker, victim, protocol_name("echo"))).write(b"\0")  # and no more than that
    while victim.waiting()["services"] < 3:  # noqa: ASYNC110 - nobody is told when a place is taken
        await trio.sleep(0.01)
    with trio.fail_after(5):
        assert await honest.request(victim.peer, "echo", b"hi", 10) == b"hi"
    assert victim.waiting()["services"] == 3


async def test_questions_above_the_rate_wait_and_none_is_lost(nodes: Nodes) -> None:
    victim, asker = await nodes.open(NetworkSettings(requests_per_second=20)), await nodes.open()
    victim.serve("echo", 10, lambda _peer, raw: raw)
    await asker.connect(victim.addresses[0])
    before = trio.current_time()
    for number in range(50):
        assert await asker.request(victim.peer, "echo", b"%d" % number, 10) == b"%d" % number
    # Twenty at once, the others one by one; the streams of the connection's beginning count, too.
    assert trio.current_time() - before > (50 - 20) / 20 * 0.9
    assert victim.counters.peer(asker.peer).requests == 50


async def test_bytes_above_the_rate_wait_and_none_is_lost(nodes: Nodes) -> None:
    rate = 2**20
    victim, asker = await nodes.open(NetworkSettings(serve_bytes_per_second=rate)), await nodes.open()
    blob = bytes(range(256)) * (3 * rate // 256)
    cid = await victim.put(blob)
    await asker.connect(victim.addresses[0])
    before = trio.current_time()
    assert await asker.get(cid, len(blob)) == blob
    # One second's worth is at hand, and what the last answer costs is paid by the next one.
    assert trio.current_time() - before > 0.9
    assert victim.counters.peer(asker.peer).served > len(blob)


async def test_a_pace_gives_what_it_says(autojump_clock: MockClock) -> None:
    pace = Pace(10)
    assert [pace.take() for _ in range(11)] == [True] * 10 + [False]
    await trio.sleep(0.25)
    assert [pace.take() for _ in range(3)] == [True, True, False]
    before = trio.current_time()
    for _ in range(20):
        await pace.wait()
    assert trio.current_time() - before == pytest.approx(1.95)
    await trio.sleep(100)
    assert [pace.take() for _ in range(11)] == [True] * 10 + [False], "a pause saves up no more than a second"
    pace.owe(10)
    before = trio.current_time()
    await pace.wait(0)
    assert trio.current_time() - before == pytest.approx(1.0)


async def test_shares_are_remembered_and_bounded(autojump_clock: MockClock) -> None:
    shares = Shares(NetworkSettings(requests_per_second=1))
    mine = shares.of(PeerId("me"))
    assert shares.of(PeerId("me")) is mine
    for number in range(KNOWN - 1):
        shares.of(PeerId(f"{number}"))
    assert shares.of(PeerId("me")) is mine
    shares.of(PeerId("one more"))
    assert len(shares._shares) == KNOWN
    assert shares.of(PeerId("me")) is mine, "the one that was not used for longest went"


async def test_control_is_bounded_in_each_heartbeat(autojump_clock: MockClock) -> None:
    guard = Guard(1.0)
    one = rpc_pb2.ControlMessage(graft=[rpc_pb2.ControlGraft(topicID="t")])
    assert all(guard.control(PEER, one) for _ in range(ENTRIES))
    assert not guard.control(PEER, one)
    assert guard.control(ID(b"another"), one)
    await trio.sleep(1.0)
    assert guard.control(PEER, one)
    many = rpc_pb2.ControlMessage(ihave=[rpc_pb2.ControlIHave(messageIDs=[b"1"] * (IDS + 1))])
    assert not guard.control(PEER, many)


async def test_subscriptions_are_bounded_in_each_heartbeat(autojump_clock: MockClock) -> None:
    guard = Guard(0.1)
    one = [rpc_pb2.RPC.SubOpts(subscribe=True, topicid="t")]
    assert all(guard.subscriptions(PEER, one) for _ in range(SUBSCRIPTIONS))
    assert not guard.subscriptions(PEER, one)
    await trio.sleep(1.0)
    assert guard.subscriptions(PEER, one)
    assert not guard.subscriptions(PEER, [rpc_pb2.RPC.SubOpts(subscribe=True, topicid="ü" * 129)])


async def test_a_message_is_sent_again_only_so_often(autojump_clock: MockClock) -> None:
    guard = Guard(1.0)
    assert [guard.send_again(PEER, b"1") for _ in range(SENT_AGAIN + 1)] == [True] * SENT_AGAIN + [False]
    assert guard.send_again(PEER, b"2")
    assert guard.send_again(ID(b"another"), b"1")
    guard.forget(PEER)
    assert guard.send_again(PEER, b"1")
