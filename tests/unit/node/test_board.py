"""Notice boards over real sockets: what strangers may do there, and how boards learn from one another."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core import canonical
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, NetworkError, UsageError
from p2pfd.network.settings import NetworkSettings
from p2pfd.node import board as wire
from p2pfd.node import boards
from p2pfd.node.board import GET, LIST, PUT, Board, Question, neighbourhood, read_page, read_question
from p2pfd.node.notices import TEXT_BYTES, Limits, Outcome
from tests.unit.network.conftest import Nodes
from tests.unit.node.test_notices import NOW, invitation

pytestmark = pytest.mark.network
PLAIN = NetworkSettings(heartbeat_seconds=0.2)


class World:
    """Nodes, some with a board."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    async def peer(self):
        return await self._nodes.open(PLAIN)

    async def board(self, **more):
        transport = await self.peer()
        made = Board(Limits(**more.pop("limits", {})), lambda: NOW, Rng(1), **more)
        await made.serve(transport)
        return transport, made


@pytest.fixture
async def world(nursery):
    yield World(Nodes(nursery))
    nursery.cancel_scope.cancel()


def names(held):
    return [each.manifest.task.name for each in held.newest()]


async def find(words, *transports, most=50):
    addresses = [each.addresses[0] for each in transports]
    return await boards.find(words, addresses, PLAIN, lambda: NOW, most)


async def test_what_one_stranger_hangs_up_another_finds(world, tmp_path):
    at, held = await world.board(folder=tmp_path / "board")
    text = invitation(note="labels wanted").decode()
    told = await boards.hang(text, [at.addresses[0]], PLAIN)
    assert told == [(at.addresses[0], Outcome.KEPT, None)]
    reading = await find(["LABELS"], at)
    assert [each.text for each in reading.found()] == ["".join(text.split())]
    assert (await find(["beer"], at)).found() == []
    task = held.notices.newest()[0].manifest.task.id.hex()
    reading = await boards.fetch(task[:12], [at.addresses[0]], PLAIN, lambda: NOW)
    assert [each.manifest.task.id.hex() for each in reading.notices.of(task)] == [task]
    again = Board(Limits(), lambda: NOW, Rng(1), tmp_path / "board")
    await again.serve(await world.peer())
    assert names(again.notices) == ["wine"]


async def test_a_long_list_is_read_page_by_page(world):
    at, held = await world.board(limits={"of_requester": 100})
    for number in range(40):
        held.notices.put(invitation(f"task {number:02}"), "aa")
    assert len((await find([], at)).found()) == 40
    assert len((await find(["task 1"], at)).found()) == 10
    assert len((await find([], at, most=10)).found()) == 16


async def test_boards_learn_from_one_another_and_a_reader_of_one_finds_what_hangs_at_another(world):
    (first, one), (second, other), (third, last) = [await world.board(limits={"of_requester": 100}) for _ in range(3)]
    for number in range(20):
        one.notices.put(invitation(f"task {number:02}"), "aa")
    await second.connect(first.addresses[0])
    await third.connect(second.addresses[0])
    assert await other.look(second, first.peer) == wire.PAGE
    assert await other.look(second, first.peer) == 4
    assert await other.look(second, first.peer) == 0
    while await last.look(third, second.peer):
        pass
    assert len((await find([], third)).found()) == 20


async def test_who_hangs_up_too_much_waits(world):
    at, held = await world.board(limits={"of_requester": 100})
    stranger = await world.peer()
    await stranger.connect(at.addresses[0])
    outcomes = [await stranger.request(at.peer, PUT, invitation(f"t{n}"), 64) for n in range(16)]
    assert outcomes.count(b"kept") >= 12
    assert b"busy" in outcomes
    assert len(held.notices) == outcomes.count(b"kept")
    with pytest.raises(NetworkError):
        await stranger.request(at.peer, PUT, b"p" * (TEXT_BYTES + 1), 64)


async def test_who_reads_too_much_waits(world):
    at, held = await world.board()
    held.notices.put(invitation(), "aa")
    stranger = await world.peer()
    await stranger.connect(at.addresses[0])
    question = Question().write()
    answers = [await stranger.request(at.peer, LIST, question, wire.ANSWER_BYTES) for _ in range(60)]
    assert answers[0] != b"busy"
    assert answers[-1] == b"busy"
    with pytest.raises(NetworkError, match="asked too much"):
        read_page(answers[-1])


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        (GET, b"zz"),
        (GET, b"\xff" * 20),
        (GET, b"0" * 7),
        (LIST, b""),
        (LIST, b"\xc1"),
        (LIST, canonical.encode([[], 0, 17, b""])),
        (LIST, canonical.encode([["a" * 65], 0, 1, b""])),
        (LIST, canonical.encode([[""], 0, 1, b""])),
        (LIST, canonical.encode([["a"] * 9, 0, 1, b""])),
        (LIST, canonical.encode([[1], 0, 1, b""])),
        (LIST, canonical.encode([[], -1, 1, b""])),
        (LIST, canonical.encode([[], True, 1, b""])),
        (LIST, canonical.encode([[], 0, 1, b"123"])),
        (PUT, b"\x00" * 100),
    ],
    ids=range(14),
)
async def test_questions_that_are_none_are_not_answered(world, name, raw):
    at, held = await world.board()
    stranger = await world.peer()
    await stranger.connect(at.addresses[0])
    if name == PUT:
        assert await stranger.request(at.peer, name, raw, 64) == b"bad"
    else:
        with pytest.raises(NetworkError):
            await stranger.request(at.peer, name, raw, wire.ANSWER_BYTES)
    assert len(held.notices) == 0
    assert await stranger.request(at.peer, LIST, Question().write(), 64) == canonical.encode([0, []])


@given(st.binary(max_size=80))
def test_garbage_is_no_question_and_no_answer(raw):
    for read in (read_question, read_page):
        try:
            read(raw)
        except DecodeError:
            continue
        assert canonical.encode(canonical.decode(raw, limit=100)) == raw


@pytest.mark.parametrize(
    "answer",
    [
        canonical.encode([0, [b"\x1b[2Jhello", invitation()[:-9], b"\xff" * 20, invitation(issued=NOW - 90 * 86_400)]]),
        canonical.encode([0, [b"x"] * 17]),
        canonical.encode([0, ["text"]]),
        canonical.encode([-1, []]),
        canonical.encode({"a": 1}),
        b"\x1b]0;title\x07",
        b"x" * (wire.ANSWER_BYTES + 1),
        b"",
    ],
    ids=["bad entries", "too many", "text", "before", "map", "escapes", "huge", "nothing"],
)
async def test_a_board_that_lies_fools_no_reader(world, answer):
    liar, (honest, held) = await world.peer(), await world.board()
    held.notices.put(invitation(), "aa")
    for name in (LIST, GET):
        liar.serve(name, wire.QUESTION_BYTES, lambda peer, raw: answer)
    reading = await find([], liar, honest)
    assert [each.manifest.task.name for each in reading.found()] == ["wine"]
    assert reading.damaged in (0, 3, 4)
    assert reading.damaged or len(reading.silent) == 1
    _, learner = await world.board()
    asker = await world.peer()
    await asker.connect(liar.addresses[0])
    await learner.look(asker, liar.peer)
    assert len(learner.notices) == 0


async def test_a_liar_that_never_ends_is_left_in_the_end(world):
    liar = await world.peer()
    asked = []

    def answer(peer, raw):
        asked.append(raw)
        return canonical.encode([2**61 - len(asked), [invitation()]])

    liar.serve(LIST, wire.QUESTION_BYTES, answer)
    assert len((await find([], liar, most=1000)).found()) == 1
    assert len(asked) == boards.PAGES


async def test_a_peer_without_a_board_is_said(world):
    silent = await world.peer()
    with pytest.raises(NetworkError):
        await find([], silent)
    told = await boards.hang(invitation().decode(), [silent.addresses[0]], PLAIN)
    assert told[0][1] is None
    with pytest.raises(UsageError, match="beginning of a task's id"):
        await boards.fetch("wine", [silent.addresses[0]], PLAIN, lambda: NOW)


async def test_a_nodes_own_invitation_hangs_on_its_board(world):
    at, held = await world.board(own=invitation().decode(), limits={"notices": 1})
    assert [each.manifest.task.name for each in (await find([], at)).found()] == ["wine"]
    asker = await world.peer()
    await asker.connect(at.addresses[0])
    assert await asker.request(at.peer, PUT, invitation("other"), 64) == b"kept"
    assert "wine" in names(held.notices)


async def test_a_board_asks_its_peers_by_itself(autojump_clock):
    """The pull, by the clock of the test: no socket is waited for meanwhile."""
    asked = trio.Event()

    class Peers:
        def peers(self):
            asked.set()
            return ()

    made = Board(Limits(), lambda: NOW, Rng(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run, Peers())
        with trio.fail_after(wire.LOOK_SECONDS + 1):
            await asked.wait()
        nursery.cancel_scope.cancel()


def test_one_network_counts_as_one():
    assert neighbourhood("192.0.2.7") == neighbourhood("192.0.2.200") != neighbourhood("192.0.3.7")
    assert neighbourhood("2001:db8:1::1") == neighbourhood("2001:db8:1:ffff::2") != neighbourhood("2001:db8:2::1")
    assert neighbourhood(None) == "elsewhere"
