"""`check_transport`: what every `Transport` has to do. Run it on yours:

    async def test_my_transport():
        await check_transport(my_factory)

where ``my_factory()`` is an async context manager that gives a fresh, unconnected peer of one and the same network.
It raises AssertionError, naming what was not kept, and takes some seconds on real sockets.

PYTEST_DONT_REWRITE: what was not kept is said in words; a diff of two states would take minutes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import trio

from p2pfd.core.ids import PeerId, public_key_of
from p2pfd.core.verdict import Accept, Ignore, Reject, Verdict
from p2pfd.errors import NetworkError
from p2pfd.network.api import Cid, Delivery, Topic, Transport

Factory = Callable[[], AbstractAsyncContextManager[Transport]]

TOPIC = Topic("p2pfd/check")
OTHER = Topic("p2pfd/check/other")
PATIENCE = 20.0
MOST_BLAMES = 20
"""Nobody may have more patience than this with a peer that is wrong."""
BURST = 100


class _Listener:
    """Listens to a topic in the background and answers by a rule."""

    def __init__(self, transport: Transport, topic: Topic, rule: Callable[[bytes], Verdict]) -> None:
        self._transport = transport
        self._topic = topic
        self._rule = rule
        self.heard: list[Delivery] = []
        self._more = trio.Event()

    async def run(self) -> None:
        async for delivery in self._transport.heard(self._topic):
            self.heard.append(delivery)
            delivery.answer(self._rule(delivery.raw))
            self._more.set()
            self._more = trio.Event()

    async def until(self, raw: bytes) -> Delivery:
        """The delivery of these bytes, once it is there."""
        while True:
            for delivery in self.heard:
                if delivery.raw == raw:
                    return delivery
            await self._more.wait()

    async def until_count(self, count: int) -> None:
        while len(self.heard) < count:
            await self._more.wait()


def _accept(_raw: bytes) -> Verdict:
    return Accept()


async def _reached(speaker: Transport, listener: _Listener, topic: Topic) -> None:
    """Speak until the listener hears: subscriptions take a moment to go round, and no transport promises how long."""
    attempt = 0
    while not any(delivery.sender == speaker.peer for delivery in listener.heard):
        await speaker.publish(topic, b"are you there? %d" % attempt)
        attempt += 1
        with trio.move_on_after(0.2):
            await listener.until_count(len(listener.heard) + 1)


async def check_transport(factory: Factory) -> None:
    """Hold a transport to the whole of `p2pfd.network.api`."""
    for check in (
        _check_identity,
        _check_publishing,
        _check_verdicts,
        _check_blobs,
        _check_requests,
        _check_blame,
        _check_leaving,
    ):
        try:
            with trio.fail_after(PATIENCE):
                async with AsyncExitStack() as stack:
                    await check(*[await stack.enter_async_context(factory()) for _ in range(3)])
        except trio.TooSlowError as error:
            raise AssertionError(f"{check.__doc__} This did not come about within {PATIENCE:g} seconds.") from error


async def _refused(action: Callable[[], Awaitable[object]], what: str) -> None:
    try:
        await action()
    except NetworkError:
        return
    raise AssertionError(f"{what}: not refused")


async def _check_identity(near: Transport, far: Transport, third: Transport) -> None:
    """Peers have Ed25519 ids; connecting is mutual, can be repeated, and insists on the id."""
    for each in (near, far, third):
        public_key_of(each.peer)
        assert each.addresses, "no address to be dialled at"
        for address in each.addresses:
            assert address.endswith(f"/p2p/{each.peer}"), f"{address} does not end in the peer's id"
        assert each.peers() == (), "connected before anybody connected"
    assert await near.connect(far.addresses[0]) == far.peer
    assert await near.connect(far.addresses[0]) == far.peer, "connecting twice is not the same as once"
    assert near.peers() == (far.peer,)
    while far.peers() != (near.peer,):  # noqa: ASYNC110 - the interface has no event for it
        await trio.sleep(0.01)
    lie = far.addresses[0].replace(far.peer, third.peer)
    await _refused(lambda: near.connect(lie), "somebody else at the address")
    await _refused(lambda: near.connect(near.addresses[0]), "connecting to oneself")
    for nonsense in ("", "nonsense", "/ip4/127.0.0.1", "/ip4/127.0.0.1/tcp/1", "/p2p/x", far.addresses[0][:-3]):
        await _refused(lambda nonsense=nonsense: near.connect(nonsense), f"the address {nonsense!r}")  # type: ignore[misc]
    assert near.peers() == (far.peer,), "a refused dial changed who is connected"


async def _check_publishing(near: Transport, middle: Transport, far: Transport) -> None:
    """What is said reaches everybody once, over two hops, in full, and not its author; topics are apart."""
    await near.connect(middle.addresses[0])
    await far.connect(middle.addresses[0])
    listeners = [_Listener(each, TOPIC, _accept) for each in (near, middle, far)]
    elsewhere = _Listener(far, OTHER, _accept)
    async with trio.open_nursery() as nursery:
        for listener in (*listeners, elsewhere):
            nursery.start_soon(listener.run)
        await _reached(near, listeners[2], TOPIC)
        await _reached(near, listeners[1], TOPIC)
        said = [b"%d of a burst" % number for number in range(BURST)]
        for raw in said:
            await near.publish(TOPIC, raw)
        for listener in listeners[1:]:
            await listener.until(said[-1])
            for raw in said:
                delivery = await listener.until(raw)
                assert delivery.sender == near.peer, "the author is somebody else"
                assert delivery.via == (near.peer if listener is listeners[1] else middle.peer), "not by this way"
            bodies = [delivery.raw for delivery in listener.heard]
            assert len(set(bodies)) == len(bodies), "something was delivered twice"
        assert not listeners[0].heard, "the author heard itself"
        assert not elsewhere.heard, "a topic leaked into another"
        await near.publish(TOPIC, said[0])
        await near.publish(TOPIC, b"the end")
        await listeners[2].until(b"the end")
        again = [delivery for delivery in listeners[2].heard if delivery.raw == said[0]]
        assert len(again) == 1, "the same words of the same author were delivered twice"
        await _refused(lambda: near.publish(TOPIC, bytes(1024 * 1024)), "a message of a mebibyte")
        nursery.cancel_scope.cancel()


async def _check_verdicts(near: Transport, middle: Transport, far: Transport) -> None:
    """A message goes on only from a peer that accepted it."""

    def rule(raw: bytes) -> Verdict:
        if raw.startswith(b"ignored"):
            return Ignore("of no use here")
        return Reject("wrong") if raw.startswith(b"rejected") else Accept()

    await near.connect(middle.addresses[0])
    await far.connect(middle.addresses[0])
    first, second = _Listener(middle, TOPIC, rule), _Listener(far, TOPIC, _accept)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(first.run)
        nursery.start_soon(second.run)
        await _reached(near, first, TOPIC)
        await _reached(near, second, TOPIC)
        for raw in (b"ignored", b"rejected", b"accepted"):
            await near.publish(TOPIC, raw)
            await first.until(raw)
        delivery = await second.until(b"accepted")
        delivery.answer(Accept())  # a second answer changes nothing
        bodies = [each.raw for each in second.heard]
        assert b"ignored" not in bodies, "an ignored message was passed on"
        assert b"rejected" not in bodies, "a rejected message was passed on"
        nursery.cancel_scope.cancel()


async def _check_blobs(near: Transport, far: Transport, third: Transport) -> None:
    """Blobs are found by hash at whoever has them; sizes are bounded; what was fetched can be fetched on."""
    blob = bytes(range(256)) * 1000
    cid = await near.put(blob)
    assert cid == hashlib.sha256(blob).digest(), "a blob's name is not its SHA-256"
    assert await near.put(blob) == cid, "putting twice is not the same as once"
    assert await near.get(cid, len(blob)) == blob, "one's own blob is not there"
    await _refused(lambda: far.get(cid, len(blob)), "a blob that no connected peer has")
    await far.connect(near.addresses[0])
    await _refused(lambda: far.get(cid, len(blob) - 1), "a blob above the limit")
    assert await far.get(cid, len(blob)) == blob
    await third.connect(far.addresses[0])
    assert await third.get(cid, len(blob)) == blob, "what was fetched is not offered"
    await _refused(lambda: third.get(Cid(bytes(32)), 1), "a blob that nobody has")
    assert await far.get(await near.put(b""), 0) == b"", "the empty blob is a blob"
    large = blob * 9
    told: list[tuple[int, int]] = []
    name = await near.put(large)
    assert await far.get(name, len(large), lambda *step: told.append(step)) == large, "a blob of several pieces"
    assert told[0] == (0, len(large)), "progress is not told from the beginning"
    assert told[-1] == (len(large), len(large)), "progress is not told to the end"
    assert await third.get(name, len(large)) == large
    assert near.traffic().sent >= len(blob), "the traffic does not count what was sent"
    assert far.traffic().received >= len(blob), "the traffic does not count what came in"


async def _check_requests(near: Transport, far: Transport, third: Transport) -> None:
    """A request has one answer; both are bounded; a server that fails is asked again like any other."""

    def answer(asker: PeerId, raw: bytes) -> bytes:
        if raw == b"fail":
            raise ValueError("the service is broken")
        return asker.encode() + b" " + raw

    far.serve("echo", 64, answer)
    await _refused(lambda: near.request(far.peer, "echo", b"hi", 128), "a request to a peer that is not connected")
    await near.connect(far.addresses[0])
    await third.connect(far.addresses[0])
    assert await near.request(far.peer, "echo", b"hi", 128) == near.peer.encode() + b" hi"
    assert await third.request(far.peer, "echo", b"", 128) == third.peer.encode() + b" "
    await _refused(lambda: near.request(far.peer, "echo", bytes(65), 128), "a request above the server's limit")
    await _refused(lambda: near.request(far.peer, "echo", b"hi", 8), "an answer above the asker's limit")
    await _refused(lambda: near.request(far.peer, "echo", b"fail", 128), "a service that raises")
    await _refused(lambda: near.request(far.peer, "unknown", b"hi", 128), "a service that is not there")
    await _refused(lambda: near.request(far.peer, "Not/A name", b"hi", 128), "a name that is none")
    assert await near.request(far.peer, "echo", b"still there", 128), "a failure ended the service"


async def _check_blame(near: Transport, far: Transport, third: Transport) -> None:
    """Who is blamed again and again is let go, and is not taken back at once; others are not touched."""
    await near.connect(far.addresses[0])
    await near.connect(third.addresses[0])
    for number in range(MOST_BLAMES):
        near.blame(far.peer, f"lie {number}")
    while near.peers() != (third.peer,):  # noqa: ASYNC110 - the interface has no event for it
        await trio.sleep(0.01)
    await _refused(lambda: near.connect(far.addresses[0]), f"a peer that was blamed {MOST_BLAMES} times")
    await near.connect(third.addresses[0])


async def _check_leaving(near: Transport, far: Transport, third: Transport) -> None:
    """A listener can stop and start again; a later one takes over from the former."""
    await near.connect(far.addresses[0])
    assert third.peers() == ()
    former = _Listener(far, TOPIC, _accept)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(former.run)
        await _reached(near, former, TOPIC)
        later = _Listener(far, TOPIC, _accept)
        nursery.start_soon(later.run)
        await _reached(near, later, TOPIC)
        count = len(former.heard)
        await near.publish(TOPIC, b"for the later one")
        await later.until(b"for the later one")
        assert len(former.heard) == count, "two listeners on one topic"
        nursery.cancel_scope.cancel()
