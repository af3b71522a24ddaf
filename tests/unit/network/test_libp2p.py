"""The libp2p transport on real sockets."""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path

import pytest
import trio

from p2pfd.core.verdict import Accept, Reject
from p2pfd.errors import EnvironmentProblem, NetworkError, PlanError
from p2pfd.network.api import Topic
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.manifest import cid_of
from p2pfd.network.settings import NetworkSettings

from .conftest import QUICK, TOPIC, Ear, Nodes

pytestmark = pytest.mark.network


def port_of(transport: Libp2pTransport) -> int:
    return int(transport.addresses[0].split("/")[4])


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tasks() -> set[trio.lowlevel.Task]:
    """Every task there is, libp2p's system tasks included."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    found, waiting = set(), [root]
    while waiting:
        task = waiting.pop()
        found.add(task)
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


async def test_a_burst_reaches_all_of_ten_nodes(nodes: Nodes) -> None:
    mesh = [await nodes.open(NetworkSettings(mesh_nodes=10, heartbeat_seconds=0.2)) for _ in range(10)]
    ears = [Ear(each) for each in mesh]
    async with trio.open_nursery() as nursery:
        for ear in ears:
            await nursery.start(ear.run)
        # A ring with chords: nobody is connected to everybody, so that messages have to be passed on.
        for number in range(10):
            for step in (1, 3):
                await mesh[number].connect(mesh[(number + step) % 10].addresses[0])
        for each in mesh:
            await each.wait_for_subscribers(TOPIC, 4)
        said = [b"%d" % number * 50 for number in range(200)]
        for raw in said:
            await mesh[0].publish(TOPIC, raw)
        for ear in ears[1:]:
            await ear.until(*said)
            assert sorted(ear.bodies) == sorted(said), "something was delivered twice"
        assert ears[0].bodies == []
        nursery.cancel_scope.cancel()


async def test_the_mesh_goes_on_when_a_node_is_gone(nodes: Nodes) -> None:
    hub, near, far = [await nodes.open() for _ in range(3)]
    ear = Ear(far)
    async with trio.open_nursery() as nursery:
        for listener in (ear, Ear(hub)):
            await nursery.start(listener.run)
        async with nodes.brief() as brief:
            nursery.start_soon(Ear(brief).run)
            for each in (near, far):
                await each.connect(brief.addresses[0])
                await each.connect(hub.addresses[0])
            await near.wait_for_subscribers(TOPIC, 2)
            await near.publish(TOPIC, b"before")
            await ear.until(b"before")
        while near.peers() != (hub.peer,):  # noqa: ASYNC110 - the other side's close arrives when it arrives
            await trio.sleep(0.01)
        for number in range(10):
            await near.publish(TOPIC, b"after %d" % number)
        await ear.until(*(b"after %d" % number for number in range(10)))
        nursery.cancel_scope.cancel()


async def test_a_large_blob_goes_over_the_wire_and_is_counted(nodes: Nodes) -> None:
    near, far = await nodes.open(), await nodes.open()
    await far.connect(near.addresses[0])
    blob = bytes(range(256)) * (5_000_000 // 256)
    cid = await near.put(blob)
    before = near.traffic(), far.traffic()
    assert await far.get(cid, len(blob)) == blob
    sent = near.traffic().sent - before[0].sent
    received = far.traffic().received - before[1].received
    # Noise adds 18 bytes to each of its messages of at most 65,535; yamux 12 to each frame, and window updates.
    assert len(blob) < received < len(blob) * 1.01
    assert abs(sent - received) < 70_000, "more apart than one frame under way"
    assert far.traffic().sent - before[1].sent < 0.01 * len(blob)


async def test_traffic_is_the_same_seen_from_both_ends(nodes: Nodes) -> None:
    async with nodes.brief() as near, nodes.brief() as far:
        await far.connect(near.addresses[0])
        far.serve("echo", 1000, lambda _peer, raw: raw)
        for _ in range(20):
            await near.request(far.peer, "echo", bytes(1000), 1000)
        with trio.move_on_after(1):
            while (near.traffic().sent, near.traffic().received) != (far.traffic().received, far.traffic().sent):  # noqa: ASYNC110 - the last bytes are under way
                await trio.sleep(0.01)
        assert near.traffic().sent == far.traffic().received > 20_000
        assert near.traffic().received == far.traffic().sent > 20_000


async def test_blobs_can_be_kept_on_disk(nodes: Nodes, tmp_path: Path) -> None:
    settings = NetworkSettings(blob_directory=str(tmp_path))
    async with nodes.brief(settings) as first:
        cid = await first.put(b"kept")
    async with nodes.brief(settings) as again, nodes.brief() as other:
        await other.connect(again.addresses[0])
        assert await other.get(cid, 10) == b"kept"


async def test_a_peer_that_lies_about_a_blob_is_found_out(nodes: Nodes) -> None:
    liar, honest, asker = [await nodes.open() for _ in range(3)]
    cid = cid_of(b"the truth")
    await liar._store.put(cid, b"something else")
    await asker.connect(liar.addresses[0])
    with pytest.raises(NetworkError, match="are not"):
        await asker.get(cid, 100)
    await honest.put(b"the truth")
    await asker.connect(honest.addresses[0])
    assert await asker.get(cid, 100) == b"the truth"


async def test_closing_leaves_nothing_behind(nodes: Nodes) -> None:
    before = tasks()
    async with nodes.brief() as near, nodes.brief() as far:
        await near.connect(far.addresses[0])
        near.keep_connected("/ip4/127.0.0.1/tcp/1/p2p/" + far.peer)
        ports = [port_of(near), port_of(far)]
        assert all(is_open(port) for port in ports)
        heard = near.heard(TOPIC)
        await heard.__aenter__()
    assert not any(is_open(port) for port in ports)
    assert [delivery async for delivery in heard] == []
    while tasks() - before:  # system tasks end within a few turns of the loop, or the fixture's time runs out
        await trio.lowlevel.checkpoint()


async def test_closing_is_quick_whatever_the_peers_do(nodes: Nodes) -> None:
    """A peer whose sockets take nothing, and one that never shakes hands."""
    deaf = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        async with nodes.brief() as near, nodes.brief() as far:
            await near.connect(far.addresses[0])
            stuck = [await trio.open_tcp_stream("127.0.0.1", port_of(near)) for _ in range(5)]
            near.keep_connected(f"/ip4/127.0.0.1/tcp/{deaf[0].socket.getsockname()[1]}/p2p/{far.peer}")
            for stream in tuple(far._meter.open):
                stream.stream.socket._sock.shutdown(socket.SHUT_RD)
            begin = trio.current_time()
        assert trio.current_time() - begin < 4, "two seconds for each of two nodes"
        for stream in (*stuck, *deaf):
            await stream.aclose()
        nursery.cancel_scope.cancel()


async def test_a_cancelled_body_closes_as_well(nodes: Nodes) -> None:
    with trio.CancelScope() as scope:
        async with nodes.brief() as transport:
            port = port_of(transport)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert not is_open(port)


async def test_an_error_within_comes_out_as_it_is(nodes: Nodes) -> None:
    with pytest.raises(NetworkError, match="mine"):
        async with nodes.brief():
            raise NetworkError("mine")


async def test_a_busy_port_is_an_error_that_says_so(nodes: Nodes) -> None:
    first = await nodes.open()
    with pytest.raises(EnvironmentProblem, match=f"port {port_of(first)} is in use") as caught:
        await nodes.open(listen=f"/ip4/127.0.0.1/tcp/{port_of(first)}")
    assert "choose another port" in caught.value.fix


async def test_a_port_can_be_used_again_at_once(nodes: Nodes) -> None:
    async with nodes.brief() as first, nodes.brief() as other:
        await first.connect(other.addresses[0])
        port = port_of(first)
    again = await nodes.open(listen=f"/ip4/127.0.0.1/tcp/{port}")
    assert port_of(again) == port


@pytest.mark.parametrize("listen", ["", "nonsense", "/ip4/127.0.0.1/udp/0", "/dns4/example.org/tcp/0", "/tcp/0"])
async def test_listening_somewhere_impossible_is_an_error(nodes: Nodes, listen: str) -> None:
    with pytest.raises(NetworkError, match="cannot listen"):
        await nodes.open(listen=listen)


async def test_listening_on_somebody_elses_address_is_an_error(nodes: Nodes) -> None:
    with pytest.raises(EnvironmentProblem, match="cannot listen"):
        await nodes.open(listen="/ip4/192.0.2.1/tcp/0")


async def test_a_wildcard_is_announced_as_addresses_one_can_dial(nodes: Nodes) -> None:
    wide, near = await nodes.open(listen="/ip4/0.0.0.0/tcp/0"), await nodes.open()
    assert all("0.0.0.0" not in address for address in wide.addresses)
    await near.connect(wide.addresses[-1])


async def test_announced_addresses_replace_the_bound_one(nodes: Nodes) -> None:
    settings = NetworkSettings(announce=("/ip4/192.0.2.1/tcp/9", "/dns4/node.example/tcp/9"))
    node = await nodes.open(settings)
    assert node.addresses == tuple(f"{address}/p2p/{node.peer}" for address in settings.announce)


async def test_six_works_as_well(nodes: Nodes) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise
        pytest.skip("this machine has no IPv6")
    near, far = await nodes.open(listen="/ip6/::1/tcp/0"), await nodes.open(listen="/ip6/::1/tcp/0")
    assert await near.connect(far.addresses[0]) == far.peer


async def test_a_key_of_the_wrong_size_is_an_error() -> None:
    with pytest.raises(PlanError, match="32-byte"):
        async with open_transport(b"short"):
            pass


async def test_a_dial_that_is_not_answered_ends_in_time(nodes: Nodes) -> None:
    near = await nodes.open(NetworkSettings(connect_seconds=0.2))
    silent = await trio.open_tcp_listeners(0, host="127.0.0.1")
    begin = trio.current_time()
    with pytest.raises(NetworkError, match="did not answer"):
        await near.connect(f"/ip4/127.0.0.1/tcp/{silent[0].socket.getsockname()[1]}/p2p/{near.peer[:-4]}AAAA")
    assert trio.current_time() - begin < 2
    await silent[0].aclose()


async def test_somebody_else_at_an_address_is_named_so(nodes: Nodes) -> None:
    near, far, third = [await nodes.open() for _ in range(3)]
    with pytest.raises(NetworkError, match="somebody else than"):
        await near.connect(far.addresses[0].replace(far.peer, third.peer))


async def test_a_bootstrap_address_is_dialled_until_it_answers_and_again_when_it_is_lost(nodes: Nodes) -> None:
    seed = nodes.seed()
    async with open_transport(seed, settings=QUICK) as first:
        address = first.addresses[0]
    node = await nodes.open(bootstrap=[address])
    listen = address.rpartition("/p2p/")[0]
    for _ in range(2):
        assert node.peers() == ()
        async with open_transport(seed, listen, QUICK) as again:
            await node.wait_for_peers(1)
            assert node.peers() == (again.peer,)
        while node.peers():  # noqa: ASYNC110 - the other side's close arrives when it arrives
            await trio.sleep(0.01)


async def test_a_bootstrap_address_that_is_none_is_refused_at_once(nodes: Nodes) -> None:
    with pytest.raises(NetworkError, match="no address"):
        await nodes.open(bootstrap=["nonsense"])
    with pytest.raises(NetworkError, match="TCP address"):
        (await nodes.open()).keep_connected("/ip4/127.0.0.1/tcp/1")


async def test_who_is_rejected_too_often_is_disconnected_and_refused(nodes: Nodes) -> None:
    judge = await nodes.open(NetworkSettings(rejects=3, refuse_seconds=60))
    bad = await nodes.open()
    ear = Ear(judge, lambda _raw: Reject("wrong"))
    async with trio.open_nursery() as nursery:
        await nursery.start(ear.run)
        await bad.connect(judge.addresses[0])
        await bad.wait_for_subscribers(TOPIC, 1)
        for number in range(3):
            assert judge.peers() == (bad.peer,)
            await bad.publish(TOPIC, b"%d" % number)
            await ear.until(b"%d" % number)
        while judge.peers():  # noqa: ASYNC110 - closing a connection takes what it takes
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    with pytest.raises(NetworkError, match="refused"):
        await judge.connect(bad.addresses[0])
    # It may dial, but does not stay.
    with contextlib.suppress(NetworkError):
        await bad.connect(judge.addresses[0])
    while bad.peers():  # noqa: ASYNC110 - closing a connection takes what it takes
        await trio.sleep(0.01)
    assert judge.peers() == ()


async def test_a_message_without_a_verdict_is_not_passed_on(nodes: Nodes) -> None:
    silent = await nodes.open(NetworkSettings(heartbeat_seconds=0.2, answer_seconds=0.2))
    near, far = await nodes.open(), await nodes.open()
    ear = Ear(far)
    async with trio.open_nursery() as nursery, silent.heard(TOPIC) as unanswered:
        await nursery.start(ear.run)
        await near.connect(silent.addresses[0])
        await far.connect(silent.addresses[0])
        await near.wait_for_subscribers(TOPIC, 1)
        await silent.wait_for_subscribers(TOPIC, 1)
        await near.publish(TOPIC, b"one")
        await unanswered.__anext__()
        await trio.sleep(0.4)  # the time for the verdict passes, and two heartbeats with it
        await near.publish(TOPIC, b"two")
        (await unanswered.__anext__()).answer(Accept())
        await ear.until(b"two")
        assert ear.bodies == [b"two"]
        nursery.cancel_scope.cancel()


async def test_publish_waits_for_a_neighbour_that_is_slow(nodes: Nodes) -> None:
    """Were it not to wait, most of the burst would find the queue full and be dropped."""
    near, far = await nodes.open(NetworkSettings(outbound_queue=4, heartbeat_seconds=0.2)), await nodes.open()
    ear = Ear(far)
    async with trio.open_nursery() as nursery:
        await nursery.start(ear.run)
        await near.connect(far.addresses[0])
        await near.wait_for_subscribers(TOPIC, 1)
        said = [b"%d " % number + bytes(20_000) for number in range(100)]
        for raw in said:
            await near.publish(TOPIC, raw)
            assert all(len(queue) <= 4 for queue in near._gossip.peer_queues.values())
        await ear.until(*said)
        nursery.cancel_scope.cancel()


async def test_what_cannot_be_published_is_refused(nodes: Nodes) -> None:
    node = await nodes.open()
    await node.publish(TOPIC, bytes(64 * 1024))
    with pytest.raises(NetworkError, match="put it as a blob"):
        await node.publish(TOPIC, bytes(64 * 1024 + 1))
    for topic in ("", "x" * 257):
        with pytest.raises(NetworkError, match="topic"):
            await node.publish(Topic(topic), b"x")
        with pytest.raises(NetworkError, match="topic"):
            await node.heard(Topic(topic)).__anext__()


async def test_more_connections_than_the_limit_over_time_are_no_problem(nodes: Nodes) -> None:
    """The library counts every connection it ever accepted against its limit."""
    node = await nodes.open(NetworkSettings(connections=2))
    for _ in range(5):
        async with nodes.brief() as visitor:
            await visitor.connect(node.addresses[0])
        while node.peers():  # noqa: ASYNC110 - the other side's close arrives when it arrives
            await trio.sleep(0.01)


async def test_more_connections_than_the_limit_at_one_time_are_turned_away(nodes: Nodes) -> None:
    node = await nodes.open(NetworkSettings(connections=2))
    for _ in range(2):
        await (await nodes.open()).connect(node.addresses[0])
    with pytest.raises(NetworkError):
        await (await nodes.open()).connect(node.addresses[0])
    assert len(node.peers()) == 2
