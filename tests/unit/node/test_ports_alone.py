"""What a machine says to one peer: it is dialled where it says that it is, and garbage that is said alone is blamed."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
import trio.testing

from p2pfd.core.agenda import Kind
from p2pfd.core.effects import Answer, Publish, Send, accepted
from p2pfd.core.events import Heard, Started
from p2pfd.core.ids import Digest, TaskId
from p2pfd.core.verdict import Reject
from p2pfd.network.memory import open_memory_network
from p2pfd.node.clock import TrioClock
from p2pfd.node.driver import Driver
from p2pfd.node.keys import throwaway
from p2pfd.node.ports import LEEWAY, NodePorts, topic_of
from p2pfd.node.saying import SERVICE, TAKEN
from p2pfd.node.store import Store
from p2pfd.wire.envelope import seal
from p2pfd.wire.limits import MAX_ENVELOPE
from p2pfd.wire.messages import Commit, Deliver, Whereabouts
from tests.unit.node.test_config import SPEC

KEYS = [throwaway(5, f"node-{number}") for number in range(3)]
WORD = Deliver(Digest(b"n" * 32), Digest(b"a" * 32), 9, b"g" * 64)
HELLO = Commit(0, Digest(b"w" * 32))
FOUL = Deliver(Digest(b"f" * 32), Digest(b"a" * 32), 9, b"g" * 64)


class Machine:
    """Tells its peer a word alone when it hears it say hello to all, and finds the foul word foul."""

    def __init__(self):
        self.heard = []
        self.news = trio.Event()

    def handle(self, now, event):
        if isinstance(event, Started):
            return (Publish(HELLO),)
        if not isinstance(event, Heard):
            return ()
        self.heard.append((event.sender, event.message))
        self.news.set()
        if event.message == FOUL:
            return (Answer(event.delivery, Reject("foul")),)
        reply = (Send(event.sender, WORD),) if event.message == HELLO else ()
        return (accepted(event.delivery), *reply)

    async def until(self, holds):
        with trio.fail_after(60):
            while not holds():
                self.news = trio.Event()
                await self.news.wait()


@asynccontextmanager
async def node(network, keys, path, told, *, alone=True):
    with Store(path / f"{keys.peer}.db") as store:
        async with network.open_transport(keys.peer_private) as transport, trio.open_nursery() as nursery:
            machine = Machine()
            rest = (lambda name, fields: told.append(name), nursery)
            ports = NodePorts(SPEC.id, keys, transport, None, None, store, *rest, first_seq=1, alone=alone)
            ports.driver = Driver(machine, ports, TrioClock())
            ports.machine, ports.transport = machine, transport
            nursery.start_soon(ports.run_listening)
            nursery.start_soon(ports.driver.run)
            ports.begin = lambda: [nursery.start_soon(run) for run in (ports.run_publishing, ports.run_placing)]
            yield ports
            nursery.cancel_scope.cancel()


async def test_two_at_the_ends_of_a_line_speak_to_one_another_alone(autojump_clock, tmp_path):
    told = []
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(open_memory_network())
        near, middle, far = [await stack.enter_async_context(node(network, keys, tmp_path, told)) for keys in KEYS]
        for end in (near, far):
            await end.transport.connect(middle.transport.addresses[0])
            await end.transport.wait_for_subscribers(topic_of(SPEC.id), 1)
        for each in (far, middle, near):
            each.begin()
            await trio.sleep(1)
        near.driver.post(Kind.LIFE, Started())
        await near.machine.until(lambda: (KEYS[2].peer, WORD) in near.machine.heard)
        assert KEYS[0].peer in far.transport.peers(), "they were to be connected for it"
        assert all((KEYS[0].peer, WORD) not in each.machine.heard for each in (middle, far)), "nobody else was told"
        assert told == []


async def test_what_is_said_alone_is_checked_like_everything_and_blamed(autojump_clock, tmp_path):
    told = []
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(open_memory_network())
        ports = await stack.enter_async_context(node(network, KEYS[0], tmp_path, told))
        machine, address = ports.machine, ports.transport.addresses[0]
        other = await stack.enter_async_context(network.open_transport(KEYS[1].peer_private))
        await other.connect(address)

        def sealed(message, keys, seq):
            return seal(message, SPEC.id, seq, keys.peer, keys.sign)

        async def say(raw):
            return await other.request(ports.transport.peer, SERVICE, raw, 1)

        assert await say(sealed(WORD, KEYS[1], 1)) == TAKEN
        await machine.until(lambda: machine.heard == [(KEYS[1].peer, WORD)])
        await say(sealed(WORD, KEYS[2], 1))  # what another peer signed, and this one hands over
        await say(b"\1" + bytes(MAX_ENVELOPE - 1))
        await say(sealed(Whereabouts(f"/memory/7/p2p/{KEYS[2].peer}"), KEYS[1], 2))
        assert told.count("peer.garbled") == 3
        assert machine.heard == [(KEYS[1].peer, WORD)]
        assert other.peers(), "it is not cut off for so little"
        for seq in range(20):
            if not other.peers():
                break
            await say(sealed(FOUL, KEYS[1], 10 + seq))
            await trio.testing.wait_all_tasks_blocked()
        assert not other.peers(), "who goes on saying what the machine rejects is cut off"


async def test_where_all_speak_to_all_nobody_is_spoken_to_alone(tmp_path):
    async with open_memory_network() as network, node(network, KEYS[0], tmp_path, [], alone=False) as ports:
        with pytest.raises(TypeError, match="in which all speak to all"):
            ports.send(KEYS[1].peer, WORD)


async def test_who_else_speaks_under_this_nodes_name_is_told_from_its_own_past(autojump_clock, tmp_path):
    told = []
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(open_memory_network())
        ports = await stack.enter_async_context(node(network, KEYS[0], tmp_path, told))

        def came(seq, keys=KEYS[0], task=SPEC.id):
            ports.echoed(seal(WORD, task, seq, keys.peer, keys.sign))

        ports.begin()
        await trio.sleep(30)
        ports.driver.post(Kind.LIFE, Started())
        await trio.sleep(5)
        said = ports._said[-1]
        assert said >= 30_000_000, "the number tells when it was given"
        for seq in (0, 1, LEEWAY, *ports._said):
            came(seq)
        came(said + 1, task=TaskId(b"\7" * 32))
        came(said + 1, keys=KEYS[1])
        assert told == []
        for seq in (said - 1, said + 1):
            came(seq)
        assert told == ["identity.twice"] * 2
