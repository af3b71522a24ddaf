"""Nothing is dropped in silence: every reason is driven here, and its count looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from libp2p.host.ping import ID as PING
from libp2p.pubsub.pb import rpc_pb2

from p2pfd.core.verdict import Accept
from p2pfd.network.counters import Drop
from p2pfd.network.exchange import BLOB_PROTOCOL, protocol_name
from p2pfd.network.libp2p import Libp2pTransport
from p2pfd.network.manifest import cid_of
from p2pfd.network.muxstream import DATA
from p2pfd.network.patches import GOSSIP_STREAMS
from p2pfd.network.settings import NetworkSettings

from .conftest import TOPIC, Ear, Nodes
from .strangers import ask, dropped, frame, gossip, host_of, id_of, signed

pytestmark = pytest.mark.network
SMALL = NetworkSettings(
    heartbeat_seconds=0.2,
    message_bytes=1000,
    messages_per_second=5,
    answer_seconds=0.2,
    outbound_queue=4,
    stall_seconds=0.3,
    streams_per_peer=8,
    request_seconds=0.4,
    blob_seconds=0.4,
    connect_seconds=0.4,
    rejects=10_000,
)
ECHO = protocol_name("echo")


class Pair:
    """A victim that listens on a topic and serves an echo, and a peer of it."""

    def __init__(self, victim: Libp2pTransport, peer: Libp2pTransport, nodes: Nodes) -> None:
        self.victim = victim
        self.peer = peer
        self.nodes = nodes

    async def until(self, reason: Drop, count: int = 1) -> None:
        """Wait until so many were dropped for this reason."""
        while self.victim.counters.drops[reason] < count:  # noqa: ASYNC110 - a count tells nobody that it changes
            await trio.sleep(0.005)

    async def say(self, *messages: rpc_pb2.Message) -> None:
        stream = await gossip(self.peer, self.victim)
        await stream.write(frame(rpc_pb2.RPC(publish=messages)))

    async def control(self, rpc: rpc_pb2.RPC) -> None:
        await (await gossip(self.peer, self.victim)).write(frame(rpc))

    def message(self, number: int = 0, **changes: Any) -> rpc_pb2.Message:
        return signed(self.peer, **{"seqno": number.to_bytes(8, "big"), "data": b"%d" % number, **changes})


@asynccontextmanager
async def pair_of(nodes: Nodes, nursery: trio.Nursery, rule: Callable[[bytes], Any] | None) -> AsyncIterator[Pair]:
    victim, peer = await nodes.open(SMALL), await nodes.open()
    if rule is not None:
        await nursery.start(Ear(victim, rule).run)
    victim.serve("echo", 10, lambda _peer, raw: raw)
    victim.serve("fails", 10, lambda _peer, raw: raw[1000:1000].index(raw).to_bytes(1, "big"))
    await peer.connect(victim.addresses[0])
    await victim._gossip.wait_for_peer(id_of(peer), 20)
    yield Pair(victim, peer, nodes)


# --- One function for each reason ------------------------------------------------------------------------------------


async def frame_(pair: Pair) -> None:
    await (await gossip(pair.peer, pair.victim)).write(b"\x05\xff\xff\xff\xff\x07")


async def record(pair: Pair) -> None:
    await pair.control(rpc_pb2.RPC(senderRecord=b"\xff\x00garbage"))


async def foreign_topic(pair: Pair) -> None:
    await pair.say(pair.message(topicIDs=["of no interest"]))


async def malformed(pair: Pair) -> None:
    await pair.say(
        pair.message(topicIDs=[TOPIC, "another"]), pair.message(1, seqno=bytes(9)), pair.message(2, key=bytes(2000))
    )
    await pair.until(Drop.MALFORMED, 3)


async def too_long(pair: Pair) -> None:
    await pair.say(pair.message(data=bytes(1001)))


async def signature(pair: Pair) -> None:
    message = pair.message()
    message.signature = bytes(64)
    await pair.say(message)


async def own(pair: Pair) -> None:
    await pair.say(signed(pair.victim))


async def repeated(pair: Pair) -> None:
    await pair.say(pair.message(0, data=b"same"), pair.message(1, data=b"same"))


async def rate(pair: Pair) -> None:
    await pair.say(*map(pair.message, range(SMALL.messages_per_second + 1)))


async def inbox_full(pair: Pair) -> None:
    await pair.say(pair.message(0), pair.message(1))


async def late(pair: Pair) -> None:
    await pair.say(pair.message())


async def equivocation(pair: Pair) -> None:
    first, second = pair.message(0, data=b"one"), pair.message(0, data=b"two")
    for message in (first, second):
        await pair.victim._gossip.router.publish(id_of(pair.peer), message)


async def error(pair: Pair) -> None:
    def fails(*_: Any) -> None:
        raise KeyError("a fault of ours")

    pair.victim._gossip._recall.first_time = fails  # type: ignore[assignment]
    await pair.say(pair.message())


async def control(pair: Pair) -> None:
    rpc = rpc_pb2.RPC()
    for _ in range(300):
        rpc.control.graft.add(topicID=TOPIC)
    await pair.control(rpc)
    await pair.until(Drop.CONTROL, 1)
    assert pair.victim.counters.peer(pair.peer.peer).offences == 1


async def control_of_unknown_topics(pair: Pair) -> None:
    rpc = rpc_pb2.RPC()
    rpc.control.prune.add(topicID="of no interest", backoff=2**40)
    rpc.control.ihave.add(topicID="of no interest", messageIDs=[b"1"])
    await pair.control(rpc)
    await pair.until(Drop.CONTROL, 2)
    assert "of no interest" not in pair.victim._gossip.router.back_off


async def the_same_over_and_over(pair: Pair) -> None:
    await pair.victim.publish(TOPIC, b"asked for")
    (name,) = pair.victim._gossip.router.mcache.msgs
    rpc = rpc_pb2.RPC()
    for _ in range(5):
        rpc.control.iwant.add(messageIDs=[b"".join(name) if isinstance(name, tuple) else name])
    await pair.control(rpc)
    await pair.until(Drop.CONTROL, 2)


async def subscription(pair: Pair) -> None:
    many = [rpc_pb2.RPC.SubOpts(subscribe=True, topicid=f"{number}") for number in range(101)]
    await pair.control(rpc_pb2.RPC(subscriptions=many))
    await pair.until(Drop.SUBSCRIPTION, 1)
    assert pair.victim._gossip._subscribed(id_of(pair.peer)) == 100
    await pair.control(rpc_pb2.RPC(subscriptions=many * 2))
    await pair.until(Drop.SUBSCRIPTION, 203)


async def a_topic_with_a_long_name(pair: Pair) -> None:
    await pair.control(rpc_pb2.RPC(subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid="x" * 300)]))


async def queue_full(pair: Pair) -> None:
    router = pair.victim._gossip.router
    for number in range(50):  # without a chance for the writer to run in between
        router.send_rpc(id_of(pair.peer), rpc_pb2.RPC(publish=[pair.message(number)]))


async def oversized(pair: Pair) -> None:
    message = pair.message(data=bytes(2_000_000))
    pair.victim._gossip.router.send_rpc(id_of(pair.peer), rpc_pb2.RPC(publish=[message]))


async def gone(pair: Pair) -> None:
    gossip = pair.victim._gossip
    gossip.router.send_rpc(id_of(pair.peer), rpc_pb2.RPC(publish=[pair.message()]))
    gossip._handle_dead_peer(id_of(pair.peer))


async def newcomer(pair: Pair) -> None:
    router = pair.victim._gossip.router
    for number in range(router._max_pending_messages_per_peer + 2):
        router._hold_for_newcomers(TOPIC, rpc_pb2.RPC(publish=[pair.message(number)]), set())


async def streams(pair: Pair) -> None:
    for _ in range(SMALL.streams_per_peer + 2):
        with suppress(Exception):
            await ask(pair.peer, pair.victim, BLOB_PROTOCOL)


async def gossip_streams(pair: Pair) -> None:
    for _ in range(GOSSIP_STREAMS + 1):
        await gossip(pair.peer, pair.victim)


async def protocol(pair: Pair) -> None:
    with suppress(Exception):
        await ask(pair.peer, pair.victim, "/nothing/like/this")


async def stream_time(pair: Pair) -> None:
    await (await ask(pair.peer, pair.victim, ECHO)).write(b"\0")


async def half_a_question(pair: Pair) -> None:
    stream = await ask(pair.peer, pair.victim, BLOB_PROTOCOL)
    await stream.write(b"half")
    await stream.close()


async def half_a_ping(pair: Pair) -> None:
    stream = await ask(pair.peer, pair.victim, PING)
    await stream.write(b"half")
    await stream.close()


async def request_size(pair: Pair) -> None:
    await (await ask(pair.peer, pair.victim, ECHO)).write((11).to_bytes(4, "big"))


async def service(pair: Pair) -> None:
    await (await ask(pair.peer, pair.victim, protocol_name("fails"))).write((1).to_bytes(4, "big") + b"x")


async def slow_reader(pair: Pair) -> None:
    blob = bytes(2**20)
    await pair.victim.put(blob)
    stream = await ask(pair.peer, pair.victim, BLOB_PROTOCOL)
    await stream.write((cid_of(blob) + bytes(4)) * 2)  # more than a window, and nobody reads


async def wrong_blob(pair: Pair) -> None:
    async def lies(stream: Any) -> None:
        await stream.write((3).to_bytes(8, "big") + b"\1lie")
        await stream.close()

    host_of(pair.peer).set_stream_handler(BLOB_PROTOCOL, lies)
    with suppress(Exception):
        await pair.victim.get(cid_of(b"abc"), 10)


async def window(pair: Pair) -> None:
    stream = await ask(pair.peer, pair.victim, BLOB_PROTOCOL)
    mux = stream.muxed_conn
    with suppress(Exception):  # it is hung up on
        for _ in range(20):  # much more than the first window
            await mux.send(DATA, 0, stream.muxed_stream.stream_id, 60_000, bytes(60_000))


async def handshake(pair: Pair) -> None:
    port = int(pair.victim.addresses[0].split("/")[4])
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(bytes(100))
    await pair.until(Drop.HANDSHAKE)
    await stream.aclose()


async def refused(pair: Pair) -> None:
    pair.victim._links._conduct._refused[pair.peer.peer] = trio.current_time() + 100
    await pair.peer.disconnect(pair.victim.peer)
    with suppress(Exception):
        await pair.peer.connect(pair.victim.addresses[0])


Act = Callable[[Pair], Awaitable[None]]
ACCEPTED: list[tuple[Drop, Act]] = [
    (Drop.FRAME, frame_),
    (Drop.RECORD, record),
    (Drop.FOREIGN_TOPIC, foreign_topic),
    (Drop.MALFORMED, malformed),
    (Drop.TOO_LONG, too_long),
    (Drop.SIGNATURE, signature),
    (Drop.OWN, own),
    (Drop.REPEATED, repeated),
    (Drop.RATE, rate),
    (Drop.EQUIVOCATION, equivocation),
    (Drop.ERROR, error),
    (Drop.CONTROL, control),
    (Drop.CONTROL, control_of_unknown_topics),
    (Drop.CONTROL, the_same_over_and_over),
    (Drop.SUBSCRIPTION, subscription),
    (Drop.SUBSCRIPTION, a_topic_with_a_long_name),
    (Drop.QUEUE_FULL, queue_full),
    (Drop.OVERSIZED, oversized),
    (Drop.GONE, gone),
    (Drop.NEWCOMER, newcomer),
    (Drop.STREAMS, streams),
    (Drop.STREAMS, gossip_streams),
    (Drop.PROTOCOL, protocol),
    (Drop.STREAM_TIME, stream_time),
    (Drop.STREAM_ERROR, half_a_question),
    (Drop.STREAM_ERROR, half_a_ping),
    (Drop.REQUEST_SIZE, request_size),
    (Drop.SERVICE, service),
    (Drop.SLOW_READER, slow_reader),
    (Drop.WRONG_BLOB, wrong_blob),
    (Drop.WINDOW, window),
    (Drop.HANDSHAKE, handshake),
    (Drop.REFUSED, refused),
]
UNANSWERED: list[tuple[Drop, Act]] = [(Drop.INBOX_FULL, inbox_full), (Drop.LATE, late)]
ELSEWHERE = {Drop.CONNECTIONS, Drop.STALLED, Drop.SILENT, Drop.RELAY, Drop.CIRCUIT, Drop.MEMORY}


def test_every_reason_is_driven_by_a_test() -> None:
    assert {reason for reason, _ in (*ACCEPTED, *UNANSWERED)} | ELSEWHERE == set(Drop)


@pytest.mark.parametrize(("reason", "act"), ACCEPTED, ids=[act.__name__ for _, act in ACCEPTED])
async def test_what_is_dropped_is_counted(reason: Drop, act: Act, nodes: Nodes, nursery: trio.Nursery) -> None:
    async with pair_of(nodes, nursery, lambda _raw: Accept()) as pair:
        before = pair.victim.counters.drops[reason]
        await act(pair)
        await pair.until(reason, before + 1)
        assert set(dropped(pair.victim)) - {reason} <= {Drop.GONE, Drop.STREAM_ERROR}


@pytest.mark.parametrize(("reason", "act"), UNANSWERED, ids=[act.__name__ for _, act in UNANSWERED])
async def test_what_nobody_answers_is_counted(reason: Drop, act: Act, nodes: Nodes) -> None:
    victim, peer = await nodes.open(dataclasses.replace(SMALL, inbound_queue=1)), await nodes.open()
    async with victim.heard(TOPIC) as heard:
        await peer.connect(victim.addresses[0])
        pair = Pair(victim, peer, nodes)
        await act(pair)
        if reason is Drop.LATE:
            await anext(heard)  # the time for a verdict begins when it is taken
        await pair.until(reason)


async def test_connections_above_the_limit_are_counted(nodes: Nodes) -> None:
    victim = await nodes.open(NetworkSettings(connections=1))
    port = int(victim.addresses[0].split("/")[4])
    streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(3)]
    while victim.counters.drops[Drop.CONNECTIONS] < 2:  # noqa: ASYNC110
        await trio.sleep(0.005)
    for stream in streams:
        await stream.aclose()
