"""p2pfd nodes that judge what they hear as a running one does, and everybody's keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from libp2p.peer.id import ID

from p2pfd.core.ids import PeerId, TaskId
from p2pfd.core.verdict import ACCEPT, Verdict
from p2pfd.errors import DecodeError
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.settings import NetworkSettings
from p2pfd.node.keys import NodeKeys, verify
from p2pfd.node.ports import topic_of
from p2pfd.settlement.accounts import AccountKey, recover
from p2pfd.wire.envelope import Envelope, judge, open_envelope, seal
from p2pfd.wire.messages import Hello, Message
from p2pfd.wire.vouch import check_vouch

from .js import JsPeer

TASK = TaskId(bytes(range(32)))


def keys_of(number: int) -> NodeKeys:
    return NodeKeys(number.to_bytes(32, "big"), AccountKey((1000 + number).to_bytes(32, "big")))


JS, NEAR, FAR = keys_of(1), keys_of(2), keys_of(3)


def opened(raw: bytes, author: PeerId) -> Envelope:
    """The envelope that an author published; DecodeError when it is refused."""
    envelope = open_envelope(raw, verify, task=TASK, sender=author)
    if isinstance(envelope.body, Hello):
        check_vouch(envelope.body, TASK, verify, recover)
    return envelope


class Listener:
    """A p2pfd node that judges what it hears, and keeps what it accepts."""

    def __init__(self, keys: NodeKeys, transport: Libp2pTransport) -> None:
        self.keys = keys
        self.transport = transport
        self.seq = 0
        self.heard: list[tuple[bytes, Verdict]] = []
        self.opened: list[Envelope] = []
        self._more = trio.Event()

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        async with self.transport.heard(topic_of(TASK)) as deliveries:
            task_status.started()
            async for delivery in deliveries:
                verdict: Verdict = ACCEPT
                try:
                    self.opened.append(opened(delivery.raw, delivery.sender))
                except DecodeError as error:
                    verdict = judge(error)
                delivery.answer(verdict)
                self.heard.append((delivery.raw, verdict))
                self._more.set()
                self._more = trio.Event()

    async def until(self, count: int) -> None:
        with trio.fail_after(20):
            while len(self.heard) < count:
                await self._more.wait()

    async def say(self, message: Message) -> None:
        self.seq += 1
        raw = seal(message, TASK, self.seq, self.keys.peer, self.keys.sign)
        await self.transport.publish(topic_of(TASK), raw)


@asynccontextmanager
async def listening(keys: NodeKeys) -> AsyncGenerator[Listener]:
    settings = NetworkSettings(heartbeat_seconds=0.2)
    async with open_transport(keys.peer_private, settings=settings) as transport, trio.open_nursery() as nursery:
        listener = Listener(keys, transport)
        await nursery.start(listener.run)
        yield listener
        nursery.cancel_scope.cancel()


async def meet(js: JsPeer, near: Listener, js_dials: bool = True) -> None:
    """Connect the two, and wait until what either says reaches the other."""
    if js_dials:
        await js.do("dial", address=near.transport.addresses[0])
    else:
        await near.transport.connect(js.address)
    await js.joined(near.transport.peer)
    with trio.fail_after(20):
        # Only a neighbour in its mesh is sent what the peer passes on for others.
        await near.transport._gossip.router.wait_for_mesh(ID.from_base58(js.peer), topic_of(TASK), 20)
