"""Strangers: whatever they send, the node goes on, and nothing that is not in order reaches it."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils import encode_varint_prefixed

from p2pfd.core.ids import PeerId
from p2pfd.errors import DecodeError, NetworkError
from p2pfd.network.counters import Drop
from p2pfd.network.exchange import ABSENT, BLOB_PROTOCOL, protocol_name
from p2pfd.network.gossip import author_of
from p2pfd.network.libp2p import Libp2pTransport
from p2pfd.network.manifest import cid_of
from p2pfd.network.reach import parse_address
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.sockets import CountedStream, Meter

from .conftest import TOPIC, Ear, Nodes

pytestmark = pytest.mark.network
MESHSUB = TProtocol("/meshsub/1.1.0")
SEQNO = b"12345678"


def host_of(transport: Libp2pTransport) -> Any:
    return transport._exchange._host


def id_of(transport: Libp2pTransport) -> ID:
    return ID.from_base58(transport.peer)


def signed(author: Libp2pTransport, **changes: Any) -> rpc_pb2.Message:
    """A message in order, and then changed."""
    message = rpc_pb2.Message(data=b"hostile", topicIDs=[TOPIC], from_id=id_of(author).to_bytes(), seqno=SEQNO)
    before = {key: changes.pop(key) for key in ("data", "topicIDs") if key in changes}
    for key, value in before.items():
        message.ClearField(key)
        message.MergeFrom(rpc_pb2.Message(**{key: value}))
    message.signature = host_of(author).get_private_key().sign(b"libp2p-pubsub:" + message.SerializeToString())
    for key, value in changes.items():
        setattr(message, key, value)
    return message


def frames(attacker: Libp2pTransport, honest: Libp2pTransport) -> dict[str, bytes]:
    """What a stranger may write on a gossip stream."""

    def publish(**changes: Any) -> bytes:
        return encode_varint_prefixed(rpc_pb2.RPC(publish=[signed(attacker, **changes)]).SerializeToString())

    control = rpc_pb2.RPC()
    for number in range(300):
        control.control.graft.add(topicID=f"x{number}")
        control.control.ihave.add(topicID=TOPIC, messageIDs=[b"%d" % number])
        control.control.iwant.add(messageIDs=[b"zz\xff"])
        control.control.prune.add(topicID=TOPIC, backoff=2**40)
    subscriptions = rpc_pb2.RPC()
    for number in range(6000):
        subscriptions.subscriptions.add(subscribe=True, topicid=f"q{number}")
    record = rpc_pb2.RPC(senderRecord=b"\xff\x00garbage", publish=[signed(attacker)])
    return {
        "no protobuf": encode_varint_prefixed(b"\xff\xff\xff\xff\x07garbage" * 10),
        "random": bytes(range(255, -1, -1)) * 40,
        "a length beyond all bounds": b"\xff" * 8 + b"\x7f" + b"x" * 1000,
        "a length of eleven bytes": b"\xff" * 11 + b"\x01",
        "two megabytes": encode_varint_prefixed(bytes(2_000_000)),
        "a frame cut short": encode_varint_prefixed(b"x" * 1000)[:100],
        "an id that is none": publish(from_id=b"\x00\x01garbage"),
        "no id": publish(from_id=b""),
        "an id with another kind of key": publish(from_id=b"\x12\x20" + bytes(32), key=b"\x08\x09\x12\x03abc"),
        "a key that is none": publish(from_id=b"\x12\x20" + bytes(32), key=b"\xff\xff\xff"),
        "a wrong signature": publish(signature=b"x" * 64),
        "a short signature": publish(signature=b"x"),
        "no signature": publish(signature=b""),
        "somebody else's name": publish(from_id=id_of(honest).to_bytes()),
        "two topics": publish(topicIDs=[TOPIC, "another"]),
        "too many bytes": publish(data=bytes(64 * 1024 + 1)),
        "a peer record that is none": encode_varint_prefixed(record.SerializeToString()),
        "control without end": encode_varint_prefixed(control.SerializeToString()),
        "subscriptions without end": encode_varint_prefixed(subscriptions.SerializeToString()),
        "a topic that is no text": encode_varint_prefixed(b"\x0a\x06\x08\x01\x12\x02\xff\xfe"),
        "nothing": b"\x00",
    }


async def test_a_gossip_stream_of_a_stranger(nodes: Nodes, nursery: trio.Nursery) -> None:
    victim, honest = await nodes.open(), await nodes.open()
    ear = Ear(victim)
    await nursery.start(ear.run)
    await honest.connect(victim.addresses[0])
    await honest.wait_for_subscribers(TOPIC, 1)
    victim.serve("echo", 10, lambda _peer, raw: raw)
    for number, name in enumerate(frames(honest, honest)):
        attacker = await nodes.open()
        await attacker.connect(victim.addresses[0])
        stream = await host_of(attacker).new_stream(id_of(victim), [MESHSUB])
        with contextlib.suppress(StreamError):  # the victim may not wait for the end of it
            await stream.write(frames(attacker, honest)[name])
        # Frames of one connection are taken in their order: with the answer, the victim has the hostile one behind it.
        assert await attacker.request(victim.peer, "echo", b"hi", 10) == b"hi"
        after = b"after %d: %s" % (number, name.encode())
        await honest.publish(TOPIC, after)
        with trio.move_on_after(5) as patience:
            await ear.until(after)
        assert not patience.cancelled_caught, f"{name}: the victim hears no more"
    assert all(raw.startswith(b"after") for raw in ear.bodies), "something hostile was delivered"
    assert honest.peers() == (victim.peer,)


async def test_who_sends_enough_garbage_is_disconnected(nodes: Nodes) -> None:
    victim = await nodes.open(NetworkSettings(rejects=3))
    attacker = await nodes.open()
    await attacker.connect(victim.addresses[0])
    for _ in range(3):
        stream = await host_of(attacker).new_stream(id_of(victim), [MESHSUB])
        await stream.write(encode_varint_prefixed(b"\xff\xff\xff\xff\x07garbage"))
    while victim.peers():  # noqa: ASYNC110 - closing a connection takes what it takes
        await trio.sleep(0.01)


async def test_more_streams_than_allowed_cost_only_themselves(nodes: Nodes) -> None:
    victim = await nodes.open(NetworkSettings(streams_per_peer=8))
    attacker, honest = await nodes.open(), await nodes.open()
    victim.serve("echo", 10, lambda _peer, raw: raw)
    await attacker.connect(victim.addresses[0])
    refused = 0
    for _ in range(20):
        try:
            await host_of(attacker).new_stream(id_of(victim), [TProtocol(BLOB_PROTOCOL)])
        except Exception:  # noqa: BLE001 - whatever the library makes of a reset
            refused += 1
    assert refused >= 10
    await honest.connect(victim.addresses[0])
    assert await honest.request(victim.peer, "echo", b"hi", 10) == b"hi"


async def test_sockets_that_never_shake_hands(nodes: Nodes) -> None:
    victim = await nodes.open(NetworkSettings(connect_seconds=0.3, connections=16))
    port = int(victim.addresses[0].split("/")[4])
    idle = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(8)]
    noisy = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(4)]
    for stream in noisy:
        await stream.send_all(bytes(range(256)) * 4)
    honest = await nodes.open()
    await honest.connect(victim.addresses[0])
    for stream in (*idle, *noisy):
        try:  # the victim hangs up on every one, some with a word of its handshake first
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
        await stream.aclose()
    assert victim.peers() == (honest.peer,)


Script = Callable[[Any], Awaitable[None]]


async def says_nothing(stream: Any) -> None:
    await trio.sleep_forever()


async def hangs_up(stream: Any) -> None:
    await stream.reset()


async def offers_too_much(stream: Any) -> None:
    await stream.write((10**12).to_bytes(8, "big") + bytes(1000))
    await trio.sleep_forever()


async def stops_half_way(stream: Any) -> None:
    await stream.write((1000).to_bytes(8, "big") + b"\1" + bytes(500))
    await stream.close()


async def stops_in_the_manifest(stream: Any) -> None:
    await stream.write((10**7).to_bytes(8, "big") + bytes(100))
    await stream.close()


async def makes_a_manifest_up(stream: Any) -> None:
    await stream.write((2**20 + 1).to_bytes(8, "big") + bytes(64))
    await trio.sleep_forever()


async def sends_something_else(stream: Any) -> None:
    await stream.write((3).to_bytes(8, "big") + b"\1lie")
    await stream.close()


async def sends_without_end(stream: Any) -> None:
    await stream.write((2**20).to_bytes(8, "big") + b"\1")
    while True:
        await stream.write(bytes(60_000))


async def has_it_no_longer(stream: Any) -> None:
    await stream.write((3).to_bytes(8, "big") + b"\0")
    await stream.close()


async def has_it_not(stream: Any) -> None:
    await stream.write(ABSENT)
    await stream.close()


async def answers_too_much(stream: Any) -> None:
    await stream.write((2**32 - 1).to_bytes(4, "big") + bytes(1000))
    await trio.sleep_forever()


async def answers_by_half(stream: Any) -> None:
    await stream.write((100).to_bytes(4, "big") + bytes(50))
    await stream.close()


@pytest.mark.parametrize(
    "script",
    [
        says_nothing, hangs_up, offers_too_much, stops_half_way, stops_in_the_manifest, makes_a_manifest_up,
        sends_something_else, sends_without_end, has_it_no_longer, has_it_not,
    ],
)  # fmt: skip
async def test_a_blob_from_a_stranger(script: Script, nodes: Nodes) -> None:
    liar = await nodes.open()
    asker = await nodes.open(NetworkSettings(blob_seconds=0.3, request_seconds=0.3))
    host_of(liar).set_stream_handler(TProtocol(BLOB_PROTOCOL), script)
    liar.serve("echo", 10, lambda _peer, raw: raw)
    await asker.connect(liar.addresses[0])
    with pytest.raises(NetworkError, match="none of 1"):
        await asker.get(cid_of(b"what the liar has not"), 10**8)
    assert await asker.request(liar.peer, "echo", b"hi", 10) == b"hi", "the connection did not survive"


async def test_who_lies_about_blobs_is_disconnected_after_so_many_lies(nodes: Nodes) -> None:
    liar = await nodes.open()
    asker = await nodes.open(NetworkSettings(rejects=3))
    host_of(liar).set_stream_handler(TProtocol(BLOB_PROTOCOL), makes_a_manifest_up)
    await asker.connect(liar.addresses[0])
    for number in range(3):
        assert asker.peers() == (liar.peer,)
        with pytest.raises(NetworkError, match="not that of"):
            await asker.get(cid_of(b"%d" % number), 10**8)
    while asker.peers():  # noqa: ASYNC110 - closing a connection takes what it takes
        await trio.sleep(0.01)


@pytest.mark.parametrize("script", [says_nothing, hangs_up, answers_too_much, answers_by_half])
async def test_an_answer_from_a_stranger(script: Script, nodes: Nodes) -> None:
    liar = await nodes.open()
    asker = await nodes.open(NetworkSettings(request_seconds=0.3))
    host_of(liar).set_stream_handler(TProtocol(protocol_name("question")), script)
    liar.serve("echo", 10, lambda _peer, raw: raw)
    await asker.connect(liar.addresses[0])
    with pytest.raises(NetworkError):
        await asker.request(liar.peer, "question", b"?", 99)
    assert await asker.request(liar.peer, "echo", b"hi", 10) == b"hi", "the connection did not survive"


@pytest.mark.parametrize("protocol", [BLOB_PROTOCOL, protocol_name("echo")])
@pytest.mark.parametrize("raw", [b"", b"\x00", b"\xff" * 4, b"\xff" * 40, bytes(100_000)])
async def test_a_question_from_a_stranger(protocol: str, raw: bytes, nodes: Nodes) -> None:
    victim, attacker = await nodes.open(NetworkSettings(request_seconds=0.3, blob_seconds=0.3)), await nodes.open()
    victim.serve("echo", 10, lambda _peer, body: body)
    await attacker.connect(victim.addresses[0])
    stream = await host_of(attacker).new_stream(id_of(victim), [TProtocol(protocol)])
    try:
        await stream.write(raw)
        await stream.read(100)
    except Exception:  # noqa: BLE001 - whatever the library makes of a reset
        assert victim.peers() == (attacker.peer,)
    assert await attacker.request(victim.peer, "echo", b"hi", 10) == b"hi"


async def test_a_request_that_is_given_up_does_not_spoil_the_connection(nodes: Nodes) -> None:
    near, far = await nodes.open(), await nodes.open()
    far.serve("echo", 100_000, lambda _peer, raw: raw)
    await near.connect(far.addresses[0])
    (connection,) = host_of(near).get_network().get_connections(id_of(far))
    for number in range(60):
        with trio.move_on_after(number / 5000):
            await near.request(far.peer, "echo", bytes(60_000), 100_000)
    assert await near.request(far.peer, "echo", b"hi", 10) == b"hi"
    assert host_of(near).get_network().get_connections(id_of(far)) == [connection]


async def connected_streams() -> tuple[trio.SocketStream, trio.SocketStream]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    ours = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
    theirs = await listeners[0].accept()
    await listeners[0].aclose()
    return ours, theirs


async def test_a_write_is_whole_even_when_cancelled() -> None:
    ours, theirs = await connected_streams()
    meter = Meter(5.0)
    counted = CountedStream(ours, meter)
    with trio.CancelScope() as scope:
        scope.cancel()
        await counted.write(b"all of it")
    await counted.close()
    assert b"".join([part async for part in theirs]) == b"all of it"
    assert meter.reading().sent == 9
    await theirs.aclose()


async def test_a_peer_that_takes_nothing_is_cut_off() -> None:
    ours, theirs = await connected_streams()
    meter = Meter(0.2)
    counted = CountedStream(ours, meter)

    async def fill() -> None:
        while True:
            await counted.write(bytes(1_000_000))

    with pytest.raises(ConnectionClosedError):
        await fill()
    assert await counted.read(1) == b"", "the socket is still open"
    assert meter.counters.drops[Drop.STALLED] == 1
    await theirs.aclose()


async def test_reading_ahead_gives_the_same_bytes() -> None:
    ours, theirs = await connected_streams()
    meter = Meter(5.0)
    counted = CountedStream(theirs, meter)
    await ours.send_all(bytes(range(200)))
    got = b""
    for size in (1, 2, 50, 0, 3, 144):
        part = await counted.read(size)
        assert len(part) <= size
        got += part
    assert got == bytes(range(200))
    assert meter.reading().received == 200
    await ours.aclose()
    assert await counted.read(10) == b""
    await counted.close()
    assert meter.open == set()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=80) | st.text(alphabet="/ip4tcpdns.0123456789", max_size=40).map(lambda text: f"/{text}"))
def test_no_text_is_worse_than_a_wrong_address(text: str) -> None:
    with pytest.raises(NetworkError):
        parse_address(text)


@given(st.binary(max_size=60), st.binary(max_size=80), st.binary(max_size=8))
def test_no_bytes_are_worse_than_a_wrong_signature(author: bytes, signature: bytes, seqno: bytes) -> None:
    with pytest.raises(DecodeError):
        author_of(rpc_pb2.Message(data=b"x", topicIDs=["t"], from_id=author, seqno=seqno, signature=signature))


async def test_an_author_is_known_by_its_signature(nodes: Nodes) -> None:
    node = await nodes.open()
    assert author_of(signed(node)) == PeerId(node.peer)
    for changes in ({"seqno": b"1"}, {"signature": bytes(64)}):
        with pytest.raises(DecodeError):
            author_of(signed(node, **changes))
