"""The repairs of py-libp2p: what stock does, and that ours does not."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_pair
from libp2p.custom_types import TProtocol
from libp2p.exceptions import ParseError
from libp2p.io.exceptions import IncompleteReadError, MessageTooLarge
from libp2p.network.connection import swarm_connection
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.tools.anyio_service import background_trio_service
from libp2p.utils import encode_varint_prefixed
from multiaddr import Multiaddr

from p2pfd.network import patches
from p2pfd.network.counters import Counters
from p2pfd.network.gossip import router
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.settings import NetworkSettings

from .conftest import QUICK, TOPIC, Ear, Nodes

pytestmark = pytest.mark.network
MESHSUB = TProtocol("/meshsub/1.1.0")
FRAGILE = TProtocol("/test/fragile/1")


def host_of(transport: Libp2pTransport) -> Any:
    return transport._exchange._host


# --- What ends a stock node ------------------------------------------------------------------------------------------


async def send_frame(attacker: Any, victim: ID, frame: bytes) -> None:
    stream = await attacker.new_stream(victim, [MESHSUB])
    await stream.write(encode_varint_prefixed(frame))


async def bad_frame(attacker: Any, victim: ID) -> None:
    await send_frame(attacker, victim, b"\xff\xff\xff\xff\x07garbage")


async def bad_key(attacker: Any, victim: ID) -> None:
    message = rpc_pb2.Message(data=b"x", topicIDs=[TOPIC], seqno=b"12345678", signature=b"x" * 64)
    message.from_id = b"\x12\x20" + bytes(32)  # an id that is a hash: the key has to be in the message
    message.key = b"\xff\xff\xff"
    await send_frame(attacker, victim, rpc_pb2.RPC(publish=[message]).SerializeToString())


async def bad_handler(attacker: Any, victim: ID) -> None:
    await attacker.new_stream(victim, [FRAGILE])


async def bad_validator(attacker: Any, victim: ID) -> None:
    message = rpc_pb2.Message(data=b"boom", topicIDs=[TOPIC], from_id=attacker.get_id().to_bytes(), seqno=b"12345678")
    message.signature = attacker.get_private_key().sign(b"libp2p-pubsub:" + message.SerializeToString())
    await send_frame(attacker, victim, rpc_pb2.RPC(publish=[message]).SerializeToString())


def raising_validator(_peer: ID, message: Any) -> bool:
    if message.data == b"boom":
        raise KeyError("a fault in a validator")
    return True


async def raising_handler(_stream: Any) -> None:
    raise KeyError("a fault in a handler")


ATTACKS = [bad_frame, bad_key, bad_handler, bad_validator]


async def run_node(
    host: Any, pubsub: Any, listen: list[Multiaddr], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    pubsub.set_topic_validator(TOPIC, raising_validator, False)
    host.set_stream_handler(FRAGILE, raising_handler)
    async with (
        host.run(listen_addrs=listen),
        background_trio_service(pubsub),
        background_trio_service(pubsub.router),
    ):
        await pubsub.wait_until_ready()
        await pubsub.subscribe(TOPIC)
        task_status.started()
        await trio.sleep_forever()


@pytest.mark.parametrize("attack", ATTACKS)
async def test_stock_ends(attack: Callable[[Any, ID], Awaitable[None]], nodes: Nodes) -> None:
    """Should this fail, the library has learned, and the repair can go."""
    attacker = await nodes.open()
    pair = create_new_key_pair(bytes([9]) * 32)
    listen = [Multiaddr("/ip4/127.0.0.1/tcp/0")]
    host = new_host(
        key_pair=pair,
        listen_addrs=listen,
        sec_opt={NOISE: Noise(pair, noise_privkey=create_noise_pair().private_key)},
        muxer_opt={YAMUX: Yamux},
    )
    pubsub = Pubsub(host, GossipSub([MESHSUB], 4, 3, 6, heartbeat_interval=1))

    async def live_and_be_attacked() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(run_node, host, pubsub, listen)
            await attacker.connect(str(host.get_addrs()[0]))
            await attack(host_of(attacker), host.get_id())
            await trio.sleep(5)
            nursery.cancel_scope.cancel()

    with pytest.raises(ExceptionGroup):
        await live_and_be_attacked()
    pubsub.seen_messages.stop()


@pytest.mark.parametrize("attack", ATTACKS)
async def test_ours_goes_on(attack: Callable[[Any, ID], Awaitable[None]], nodes: Nodes, nursery: trio.Nursery) -> None:
    attacker, honest, victim = [await nodes.open() for _ in range(3)]
    victim._gossip.set_topic_validator(TOPIC, raising_validator, False)
    host_of(victim).set_stream_handler(FRAGILE, raising_handler)
    ear = Ear(victim)
    await nursery.start(ear.run)
    for each in (attacker, honest):
        await each.connect(victim.addresses[0])
        await each.wait_for_subscribers(TOPIC, 1)
    await attack(host_of(attacker), ID.from_base58(victim.peer))
    await honest.publish(TOPIC, b"after")
    await ear.until(b"after")


async def test_the_guards_hold_with_validators_of_the_library(nodes: Nodes, nursery: trio.Nursery) -> None:
    """SafePubsub itself, as somebody else may use it: a validator that raises costs the message, not the service."""
    attacker, base = await nodes.open(), await nodes.open()
    host = host_of(base)
    guarded = patches.SafePubsub(host, router(QUICK), nursery, NetworkSettings(), Counters())
    guarded.set_topic_validator(TOPIC, raising_validator, False)
    async with background_trio_service(guarded), background_trio_service(guarded.router):
        await guarded.wait_until_ready()
        subscription = await guarded.subscribe(TOPIC)
        await attacker.connect(base.addresses[0])
        await bad_validator(host_of(attacker), host.get_id())
        await bad_key(host_of(attacker), host.get_id())
        await attacker.publish(TOPIC, b"after")
        assert (await subscription.get()).data == b"after"
    guarded.seen_messages.stop()


# --- Replacements ----------------------------------------------------------------------------------------------------


def test_applying_twice_is_the_same_as_once() -> None:
    assert patches.apply()
    patched = swarm_connection.logging
    assert patches.apply()
    assert swarm_connection.logging is patched


def test_another_version_is_left_alone_with_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = object()
    monkeypatch.setattr(swarm_connection, "logging", stock)
    assert not patches.apply("0.9.0")
    assert swarm_connection.logging is stock
    assert "0.9.0" in caplog.text
    assert patches.WRITTEN_FOR in caplog.text


async def test_nothing_of_libp2p_is_logged_and_no_handler_installed(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    handlers = list(logging.getLogger().handlers)
    with caplog.at_level(logging.DEBUG):
        async with nodes.brief() as near, nodes.brief() as far:
            await near.connect(far.addresses[0])
    assert [record for record in caplog.records if not record.name.startswith("p2pfd")] == []
    assert logging.getLogger().handlers == handlers
    assert swarm_connection.logging is not logging


async def test_with_debug_it_is_logged(nodes: Nodes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with nodes.brief(NetworkSettings(debug=True)):
            pass
    assert any(record.name.startswith("libp2p") for record in caplog.records)


# --- Frames ----------------------------------------------------------------------------------------------------------


class Pieces:
    """A stream that gives its bytes in pieces of given sizes."""

    def __init__(self, raw: bytes, sizes: list[int]) -> None:
        self._raw = raw
        self._sizes = list(sizes)

    async def read(self, count: int) -> bytes:
        size = min(self._sizes.pop(0) if self._sizes else count, count)
        piece, self._raw = self._raw[:size], self._raw[size:]
        return piece


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(1, 200), max_size=40))
def test_frames_survive_being_cut_anywhere(frames: list[bytes], sizes: list[int]) -> None:
    async def read_all() -> list[bytes]:
        reader = patches.FrameReader(Pieces(b"".join(map(encode_varint_prefixed, frames)), sizes), 300)  # type: ignore[arg-type]
        got = [await reader.next() for _ in frames]
        with pytest.raises(IncompleteReadError):
            await reader.next()
        return got

    assert trio.run(read_all) == frames


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (encode_varint_prefixed(bytes(301)), MessageTooLarge),
        (b"\xff" * 9 + b"\x01", MessageTooLarge),
        (b"\xff" * 10 + b"\x01", ParseError),
        (b"\x05ab", IncompleteReadError),
        (b"\x80", IncompleteReadError),
    ],
)
async def test_frames_that_are_none(raw: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        await patches.FrameReader(Pieces(raw, []), 300).next()  # type: ignore[arg-type]


async def test_a_frame_that_is_too_long_is_refused_before_its_body() -> None:
    announced = encode_varint_prefixed(bytes(301))[:2]
    with pytest.raises(MessageTooLarge):
        await patches.FrameReader(Pieces(announced, []), 300).next()  # type: ignore[arg-type]


# --- The router ------------------------------------------------------------------------------------------------------


async def test_control_for_one_peer_does_not_go_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    gossipsub = router(QUICK)
    sent: dict[ID, rpc_pb2.ControlMessage] = {}

    async def capture(message: rpc_pb2.ControlMessage, peer: ID) -> None:
        sent[peer] = message

    monkeypatch.setattr(gossipsub, "emit_control_message", capture)
    a, b, c = (ID(name) for name in (b"a", b"b", b"c"))
    await gossipsub._emit_control_msgs({a: ["t"], b: ["u"]}, {b: ["v"]}, {a: {"t": [b"1"]}, c: {"w": [b"2", b"3"]}})

    def told(peer: ID) -> tuple[list[str], list[str], list[tuple[str, list[bytes]]]]:
        control = sent[peer]
        ihave = [(each.topicID, list(each.messageIDs)) for each in control.ihave]
        return [each.topicID for each in control.graft], [each.topicID for each in control.prune], ihave

    assert told(a) == (["t"], [], [("t", [b"1"])])
    assert told(b) == (["u"], ["v"], [])
    assert told(c) == ([], [], [("w", [b"2", b"3"])])


def test_equivocation_is_seen_and_only_digests_are_kept() -> None:
    gossipsub = router(QUICK)
    said = rpc_pb2.Message(data=bytes(50_000), topicIDs=["t"], from_id=b"me", seqno=b"1")
    other = rpc_pb2.Message(data=b"x", topicIDs=["t"], from_id=b"me", seqno=b"1")
    assert gossipsub._check_equivocation(said)
    assert gossipsub._check_equivocation(said)
    assert not gossipsub._check_equivocation(other)
    assert {len(kept) for kept in gossipsub.equivocation_detection.values()} == {16}


async def test_what_we_say_ourselves_does_not_count_against_the_limit_for_neighbours(
    nodes: Nodes, nursery: trio.Nursery
) -> None:
    near, far = await nodes.open(NetworkSettings(messages_per_second=5)), await nodes.open()
    ear = Ear(far)
    await nursery.start(ear.run)
    await near.connect(far.addresses[0])
    await near.wait_for_subscribers(TOPIC, 1)
    said = [b"%d" % number for number in range(30)]
    for raw in said:
        await near.publish(TOPIC, raw)
    await ear.until(*said)


async def test_addresses_that_come_with_a_prune_are_not_dialled(nodes: Nodes, nursery: trio.Nursery) -> None:
    attacker, victim, third = [await nodes.open() for _ in range(3)]
    await nursery.start(Ear(victim).run)
    await attacker.connect(victim.addresses[0])
    record = host_of(third).get_peerstore().get_local_record().marshal_envelope()
    rpc = rpc_pb2.RPC()
    prune = rpc.control.prune.add(topicID=TOPIC, backoff=60)
    prune.peers.add(peerID=host_of(third).get_id().to_bytes(), signedPeerRecord=record)
    ihave = rpc.control.ihave.add(topicID=TOPIC)
    ihave.messageIDs.append(b"a question that will be answered")
    asked = trio.Event()
    original = victim._gossip.router.emit_iwant

    async def emit_iwant(ids: Any, peer: ID) -> None:
        await original(ids, peer)
        asked.set()

    victim._gossip.router.emit_iwant = emit_iwant
    await send_frame(host_of(attacker), ID.from_base58(victim.peer), rpc.SerializeToString())
    await send_frame(host_of(attacker), ID.from_base58(victim.peer), rpc.SerializeToString())
    await asked.wait()  # the prune of the same frame has been handled, or is being handled, by then
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert victim.peers() == (attacker.peer,)
    assert PROTOCOL_ID_V11 in victim._gossip.protocols


# --- Who listens to what, and who has said what ----------------------------------------------------------------------


async def test_a_topic_joined_while_the_hello_is_under_way_is_announced(nodes: Nodes, nursery: trio.Nursery) -> None:
    near, far = await nodes.open(), await nodes.open()
    ear = Ear(far)
    build = far._gossip.get_hello_packet

    def join_in_between() -> rpc_pb2.RPC:
        hello = build()
        nursery.start_soon(ear.run)
        return hello

    far._gossip.get_hello_packet = join_in_between
    await near.connect(far.addresses[0])
    await near.wait_for_subscribers(TOPIC, 1)


async def test_a_restarted_node_is_heard(nodes: Nodes, nursery: trio.Nursery) -> None:
    """Stock numbers its messages from the second of its start, and repeats numbers after a burst and a restart."""
    listener = await nodes.open()
    ear = Ear(listener)
    await nursery.start(ear.run)
    seed = nodes.seed()
    for life in range(2):
        async with open_transport(seed, settings=QUICK) as speaker:
            await speaker.connect(listener.addresses[0])
            await speaker.wait_for_subscribers(TOPIC, 1)
            said = [b"%d in life %d" % (number, life) for number in range(30)]
            for raw in said:
                await speaker.publish(TOPIC, raw)
            await ear.until(*said)


async def test_who_is_connected_is_not_forgotten_with_its_former_connection(
    nodes: Nodes, nursery: trio.Nursery
) -> None:
    near, far = await nodes.open(QUICK), await nodes.open(QUICK)
    ear = Ear(far)
    await nursery.start(ear.run)
    await near.connect(far.addresses[0])
    await near.wait_for_subscribers(TOPIC, 1)
    near._gossip._handle_dead_peer(ID.from_base58(far.peer))  # as when a former connection's end is noticed late
    assert near.subscribers(TOPIC) == (far.peer,)
    await near._gossip.wait_for_peer(ID.from_base58(far.peer), 5)
    await near.publish(TOPIC, b"still here")
    await ear.until(b"still here")
    await near.disconnect(far.peer)
    while near.subscribers(TOPIC):
        await near._gossip.changed().wait()
    assert not near._gossip._told
