"""Nodes that are given one address, or none but what they remember, and find the others by themselves."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from p2pfd.core import canonical
from p2pfd.core.ids import PeerId
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import NetworkError
from p2pfd.network import finder as finder_module
from p2pfd.network import libp2p as libp2p_module
from p2pfd.network.introductions import ANSWER_BYTES, INTRODUCED, PROTOCOL, read_answer, write_answer
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.reach import Reach
from p2pfd.network.settings import NetworkSettings

from .cable import Cable
from .conftest import TOPIC, Ear, Nodes

pytestmark = pytest.mark.network
TARGET = 4


class Wall:
    """The wall clock."""

    def now(self) -> Tick:
        return Tick(round(time.time() * SECOND))


def curious(**changes: object) -> NetworkSettings:
    wanted = {"heartbeat_seconds": 0.2, "redial_first_seconds": 0.05, "redial_max_seconds": 0.5, "discover": True}
    return NetworkSettings(**{**wanted, **changes})  # type: ignore[arg-type]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def until(condition: Callable[[], bool]) -> float:
    """Wait until it holds; how long that took."""
    begin = trio.current_time()
    while not condition():  # noqa: ASYNC110 - several nodes are waited for at one time
        await trio.sleep(0.02)
    return trio.current_time() - begin


def hangs_together(mesh: list[Libp2pTransport]) -> bool:
    links = {node.peer: set(node.peers()) for node in mesh}
    reached, waiting = {mesh[0].peer}, [mesh[0].peer]
    while waiting:
        news = links.get(waiting.pop(), set()) - reached
        reached |= news
        waiting += news
    return len(reached & links.keys()) == len(mesh)


async def test_a_relay_that_listens_to_nothing_of_ours_is_no_neighbour(nodes: Nodes) -> None:
    relay = await nodes.open(curious(relay=True))
    way = relay.addresses[:1]
    other = await nodes.open(curious(discover=False, via=way), bootstrap=way)
    one = await nodes.open(curious(mesh_nodes=2), bootstrap=way)  # it looks for one neighbour, and the relay is there
    async with trio.open_nursery() as nursery:
        for node in (one, other):
            await nursery.start(Ear(node).run)
        with trio.fail_after(30):
            await one.wait_for_subscribers(TOPIC, 1)
        nursery.cancel_scope.cancel()


async def test_one_address_is_enough_for_a_mesh(nodes: Nodes) -> None:
    first = await nodes.open(curious())
    mesh = [first] + [await nodes.open(curious(), bootstrap=[first.addresses[0]]) for _ in range(11)]
    took = await until(lambda: all(len(node.peers()) >= TARGET for node in mesh))
    assert took < 15
    assert hangs_together(mesh)
    others = [node for node in mesh if node is not first]
    assert sum(len(node.peers()) for node in others) / len(others) < 9, "far more connections than were asked for"


async def test_the_mesh_holds_without_the_node_that_everybody_began_with(nodes: Nodes) -> None:
    async with open_transport(nodes.seed(), settings=curious()) as first:
        mesh = [await nodes.open(curious(), bootstrap=[first.addresses[0]]) for _ in range(7)]
        await until(lambda: all(len(node.peers()) >= TARGET for node in mesh))
    await until(lambda: first.peer not in {peer for node in mesh for peer in node.peers()})
    await until(lambda: all(len(node.peers()) >= TARGET for node in mesh) and hangs_together(mesh))
    ear = Ear(mesh[6])
    async with trio.open_nursery() as nursery:
        await nursery.start(ear.run)
        for node in mesh[1:6]:
            nursery.start_soon(Ear(node).run)
        await mesh[0].wait_for_subscribers(TOPIC, 3)
        await mesh[0].publish(TOPIC, b"without the first")
        await ear.until(b"without the first")
        nursery.cancel_scope.cancel()


async def test_whoever_was_away_comes_back_without_being_given_an_address(nodes: Nodes, tmp_path: Path) -> None:
    """The others run on, the node that it began with does not."""
    seed, settings = nodes.seed(), curious(state_directory=str(tmp_path))
    async with open_transport(nodes.seed(), settings=curious()) as first:
        mesh = [await nodes.open(curious(), bootstrap=[first.addresses[0]]) for _ in range(5)]
        async with open_transport(seed, "/ip4/127.0.0.1/tcp/0", settings, [first.addresses[0]], clock=Wall()) as node:
            known = node._links._book
            await until(lambda: len({*known.candidates((), Rng(1))} - {first.peer}) >= 3)
    begin = trio.current_time()
    async with open_transport(seed, settings=settings, clock=Wall()) as again:
        await again.wait_for_peers(3)
        assert trio.current_time() - begin < 5
        assert set(again.peers()) <= {node.peer for node in mesh}


async def behind(cable: Cable, nodes: Nodes, settings: NetworkSettings) -> Libp2pTransport:
    """A node that others know at the end of a cable only."""
    port = cable.address.split("/")[4]
    settings = replace(settings, announce=(f"/ip4/127.0.0.1/tcp/{port}",))
    return await nodes.open(settings, listen=cable.target)


async def test_who_was_cut_off_is_brought_back_when_the_cable_is_mended(nodes: Nodes, nursery: trio.Nursery) -> None:
    settings = curious(keepalive_seconds=0.3, connect_seconds=0.5)
    near = await nodes.open(replace(settings, announce=("/ip4/127.0.0.1/tcp/1",)))
    cable = Cable(f"/ip4/127.0.0.1/tcp/{free_port()}")
    await nursery.start(cable.run)
    far = await behind(cable, nodes, settings)
    await near.connect(far.addresses[0])
    await until(lambda: bool(far.peers()))
    for _ in range(2):
        cable.pull()
        await until(lambda: not near.peers() and not far.peers())
        await trio.sleep(1.5)  # so long that the pauses between the dials are at their longest
        cable.mend()
        assert await until(lambda: bool(near.peers() and far.peers())) < 3


async def test_when_one_is_back_the_others_are_dialled_at_once(nodes: Nodes, nursery: trio.Nursery) -> None:
    settings = curious(keepalive_seconds=0.3, connect_seconds=0.3, redial_max_seconds=30)
    near = await nodes.open(replace(settings, announce=("/ip4/127.0.0.1/tcp/1",)))
    cables = [Cable(f"/ip4/127.0.0.1/tcp/{free_port()}") for _ in range(3)]
    for cable in cables:
        await nursery.start(cable.run)
        await near.connect((await behind(cable, nodes, replace(settings, discover=False))).addresses[0])
    for cable in cables:
        cable.pull()
    await until(lambda: not near.peers())
    await trio.sleep(4)  # the pauses are seconds long by now
    for cable in cables:
        cable.mend()
    await near.wait_for_peers(1)
    begin = trio.current_time()
    await near.wait_for_peers(3)
    assert trio.current_time() - begin < 1


def liar_answer(count: int, port: int) -> bytes:
    """So many peers that do not exist, at ports where nobody listens, or somebody else."""
    from p2pfd.core.ids import peer_id_of

    told = [f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id_of(bytes([number]) * 32)}" for number in range(1, count + 1)]
    return write_answer(told)


async def test_a_liar_costs_a_bounded_number_of_dials(nodes: Nodes) -> None:
    trap = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    dials = 0

    async def count() -> None:
        nonlocal dials
        while True:
            stream = await trap.accept()
            dials += 1
            await stream.aclose()

    liar, asker = await nodes.open(), await nodes.open(curious(redial_max_seconds=0.1))
    port = trap.socket.getsockname()[1]
    answered = 0

    def answer(_peer: PeerId, _raw: bytes) -> bytes:
        nonlocal answered
        answered += 1
        return liar_answer(INTRODUCED, port)

    liar.serve(PROTOCOL, 10_000, answer)
    async with trap, trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await asker.connect(liar.addresses[0])
        await until(lambda: dials >= finder_module.LIES)
        await trio.sleep(1.0)  # ten times what it would take to go on
        assert dials <= finder_module.LIES + TARGET, "those under way when it was found out"
        assert answered <= 2
        assert asker.peers() == (liar.peer,)
        nursery.cancel_scope.cancel()


async def test_garbage_about_peers_is_an_offence_and_no_more(nodes: Nodes) -> None:
    asker = await nodes.open(curious(rejects=100))
    wrong = [
        b"\xc1",
        b"",
        canonical.encode({"a": 1}),
        canonical.encode([1]),
        canonical.encode(["nonsense"]),
        canonical.encode([b"no record"]),
        canonical.encode(["/ip4/127.0.0.1/tcp/1"] * (INTRODUCED + 2)),
    ]
    for raw in wrong:
        async with nodes.brief() as liar:
            liar.serve(PROTOCOL, 10_000, lambda _peer, _raw, raw=raw: raw)  # type: ignore[misc]
            await asker.connect(liar.addresses[0])
            peer = liar.peer
            await until(lambda: asker._links._conduct.weight(peer) > 0.9)  # noqa: B023
            with pytest.raises(NetworkError):
                await liar.request(asker.peer, PROTOCOL, b"no record either", ANSWER_BYTES)
            told = read_answer(await liar.request(asker.peer, PROTOCOL, b"", ANSWER_BYTES), Reach.MACHINE)
            assert told[0].peer == asker.peer


async def test_only_those_are_told_that_have_answered_a_dial(nodes: Nodes) -> None:
    first, asker = await nodes.open(curious()), await nodes.open()
    there = await nodes.open(curious(), bootstrap=[first.addresses[0]])
    # Announces an address where nobody is: as behind a router.
    hidden = await nodes.open(curious(announce=("/ip4/127.0.0.1/tcp/1",)), bootstrap=[first.addresses[0]])
    await first.wait_for_peers(2)
    await asker.connect(first.addresses[0])

    async def told() -> set[PeerId]:
        answer = await asker.request(first.peer, PROTOCOL, b"", ANSWER_BYTES)
        return {introduction.peer for introduction in read_answer(answer, Reach.MACHINE)}

    while there.peer not in await told():  # noqa: ASYNC110 - the first node has to dial it first
        await trio.sleep(0.02)
    assert hidden.peer not in await told()


@pytest.mark.parametrize("answers", [True, False], ids=["no news", "no answer"])
async def test_who_had_no_news_is_asked_again_soon(
    answers: bool, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other newcomers may have come a moment later, or be far away, and who is busy may answer later."""
    monkeypatch.setattr(finder_module, "ASK_SOON", 0.1)
    teller, asker, other = await nodes.open(), await nodes.open(curious()), await nodes.open()
    asked = 0

    def answer(_peer: PeerId, _raw: bytes) -> bytes:
        nonlocal asked
        asked += 1
        if asked < 4 and not answers:
            raise NetworkError("not now")
        return write_answer([] if asked < 4 else [other.addresses[0]])

    teller.serve(PROTOCOL, 10_000, answer)
    begin = trio.current_time()
    await asker.connect(teller.addresses[0])
    await until(lambda: other.peer in asker.peers())
    assert 0.1 + 0.2 + 0.4 < trio.current_time() - begin < 8, "later each time"


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """Lets the first node with mDNS overhear that somebody has these addresses on the LAN."""
    ears: list[Callable[[list[str]], None]] = []

    @asynccontextmanager
    async def announced(_mine: object, _listen: str, overheard: Callable[[list[str]], None]) -> AsyncGenerator[None]:
        ears.append(overheard)
        yield

    monkeypatch.setattr(libp2p_module, "announced", announced)
    return lambda addresses: ears[0](addresses)


async def test_who_has_enough_neighbours_still_connects_to_some_of_the_lan(
    nodes: Nodes, tell: Callable[[list[str]], None]
) -> None:
    """Else all that it hears may come over a relay, though others sit beside it."""
    far = [await nodes.open() for _ in range(TARGET)]
    one = await nodes.open(curious(mdns=True), bootstrap=[node.addresses[0] for node in far])
    near = [await nodes.open() for _ in range(3)]
    async with trio.open_nursery() as nursery:
        for node in (*far, one):
            await nursery.start(Ear(node).run)
        await until(lambda: {node.peer for node in far} <= set(one.peers()))
        for node in near:
            tell(list(node.addresses))
        await until(lambda: len({node.peer for node in near} & set(one.peers())) == finder_module.NEAR)
        nursery.cancel_scope.cancel()


async def test_who_is_gone_from_the_lan_is_dialled_when_it_is_back_though_it_says_nothing(
    nodes: Nodes, tell: Callable[[list[str]], None]
) -> None:
    one = await nodes.open(curious(mdns=True))
    seed, port = nodes.seed(), free_port()
    async with open_transport(seed) as node:
        peer = node.peer
    (nobody,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
    tell([f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer}"])
    async with nobody:
        await (await nobody.accept()).aclose()
    async with open_transport(seed, f"/ip4/127.0.0.1/tcp/{port}"):
        await until(lambda: one.peers() == (peer,))


async def test_an_address_that_lets_one_wait_does_not_hold_up_the_next(nodes: Nodes) -> None:
    (trap,) = await trio.open_tcp_listeners(0, host="127.0.0.1")  # connections come in, and nobody says anything
    first = await nodes.open(curious(connect_seconds=0.3))
    port = free_port()
    places = tuple(f"/ip4/127.0.0.1/tcp/{each}" for each in (trap.socket.getsockname()[1], port))
    there = await nodes.open(curious(announce=places), listen=places[1], bootstrap=[first.addresses[0]])
    async with trap:
        await until(lambda: first._links._book.has_reached(there.peer))
        begin = trio.current_time()
        asker = await nodes.open(curious(), bootstrap=[first.addresses[0]])
        await until(lambda: there.peer in asker.peers())
        assert trio.current_time() - begin < 5, "and not when connect_seconds are over"


async def test_an_address_told_over_a_private_network_may_not_lead_to_this_machine() -> None:
    raw = liar_answer(3, 4001)
    assert [introduction.addresses for introduction in read_answer(raw, Reach.SITE)] == [(), (), ()]
    assert all(introduction.addresses for introduction in read_answer(raw, Reach.MACHINE))
