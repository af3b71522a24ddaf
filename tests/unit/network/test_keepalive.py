"""A peer that says nothing any more is noticed; one that only has nothing to say is not disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from p2pfd.network.counters import Drop
from p2pfd.network.libp2p import Libp2pTransport
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.sockets import CountedStream, socket_of

from .cable import Cable
from .conftest import TOPIC, Ear, Nodes
from .stock import StockNode

pytestmark = pytest.mark.network
SHORT = 0.3
ALERT = NetworkSettings(heartbeat_seconds=0.2, redial_first_seconds=0.05, keepalive_seconds=SHORT)
CALM = NetworkSettings(heartbeat_seconds=0.2, keepalive_seconds=60)
# A node in a process of its own, which tells its address and stays.
OTHER = """
import trio
from p2pfd.network.libp2p import open_transport
async def main():
    async with open_transport(b"another node's seed, of 32 bytes") as node:
        print(node.addresses[0], flush=True)
        await trio.sleep_forever()
trio.run(main)
"""


def socket_to(transport: Libp2pTransport) -> CountedStream:
    (connection,) = transport._links.connections()
    socket = socket_of(connection)
    assert socket is not None
    return socket


@contextmanager
def other_process() -> Iterator[tuple[int, str]]:
    """The process and the address of a node beside this one."""
    other = subprocess.Popen([sys.executable, "-c", OTHER], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        yield other.pid, other.stdout.readline().strip()
    finally:
        other.kill()
        other.communicate()


async def until_alone(node: Libp2pTransport) -> float:
    """How long it takes until the node has no peer."""
    begin = trio.current_time()
    while node.peers():  # noqa: ASYNC110 - what is waited for is that something does not come
        await trio.sleep(0.01)
    return trio.current_time() - begin


async def test_a_pulled_cable_is_noticed_by_both_ends(nodes: Nodes, nursery: trio.Nursery) -> None:
    near, far = await nodes.open(ALERT), await nodes.open(ALERT)
    cable = Cable(far.addresses[0])
    await nursery.start(cable.run)
    await near.connect(cable.address)
    cable.pull()
    await far.wait_for_peers(1)
    for end in (near, far):
        assert await until_alone(end) < 2 * SHORT + 1.5
        assert end.counters.drops[Drop.SILENT] == 1


@pytest.mark.parametrize("fate", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_process_that_is_stopped_or_killed_is_noticed(nodes: Nodes, fate: signal.Signals) -> None:
    near = await nodes.open(ALERT)
    with other_process() as (pid, address):
        await near.connect(address)
        os.kill(pid, fate)
        assert await until_alone(near) < 2 * SHORT + 1.5


async def test_idle_peers_stay_and_only_the_one_that_dialled_asks(nodes: Nodes) -> None:
    near, far = await nodes.open(ALERT), await nodes.open(ALERT)
    await near.connect(far.addresses[0])
    await far.wait_for_peers(1)
    begin, sent = trio.current_time(), near.traffic().sent
    while near.keepalive.asked < 6:  # noqa: ASYNC110 - it asks when it asks
        await trio.sleep(0.05)
    assert trio.current_time() - begin > 5 * SHORT, "it asks too often"
    assert near.peers() == (far.peer,)
    assert far.peers() == (near.peer,)
    assert far.keepalive.asked == 0
    assert near.traffic().sent - sent < 6 * 40 + 2000, "more than small frames, and the greetings"


async def test_whoever_is_heard_is_not_asked(nodes: Nodes) -> None:
    near, far = await nodes.open(ALERT), await nodes.open(CALM)
    await near.connect(far.addresses[0])
    ear = Ear(near)
    async with trio.open_nursery() as nursery:
        await nursery.start(ear.run)
        await far.wait_for_subscribers(TOPIC, 1)
        asked = near.keepalive.asked
        for number in range(12):
            await far.publish(TOPIC, b"%d" % number)
            await ear.until(b"%d" % number)
            await trio.sleep(SHORT / 4)
        assert near.keepalive.asked == asked
        nursery.cancel_scope.cancel()


async def test_a_peer_of_another_make_stays(nodes: Nodes, nursery: trio.Nursery) -> None:
    near = await nodes.open(ALERT)
    stock = StockNode(nodes.seed(), TOPIC)
    await nursery.start(stock.run)
    await near.connect(stock.address)
    while near.keepalive.asked < 6:  # noqa: ASYNC110 - it asks when it asks
        await trio.sleep(0.05)
    assert near.peers() == (stock.id.to_base58(),)
    assert socket_to(near).heard > trio.current_time() - 2 * SHORT


async def test_a_process_that_stood_still_blames_nobody(nodes: Nodes) -> None:
    """What came in meanwhile has not been read yet; that is not the peer's silence."""
    near = await nodes.open(ALERT)
    with other_process() as (pid, address):
        await near.connect(address)
        for _ in range(3):
            os.kill(pid, signal.SIGSTOP)
            heard = socket_to(near).heard
            while socket_to(near).heard > trio.current_time() - 1.2 * SHORT:  # noqa: ASYNC110 - it is asked by then
                await trio.sleep(0.01)
            os.kill(pid, signal.SIGCONT)
            time.sleep(2 * SHORT)  # noqa: ASYNC251 - the loop has to stand still
            while socket_to(near).heard == heard:
                await trio.lowlevel.checkpoint()  # the answer was there all the time
