"""What was missed is made up by asking, whatever gossipsub has forgotten."""

from __future__ import annotations

import contextlib
import math

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from libp2p.pubsub.pb import rpc_pb2
from trio.testing import MockClock

from p2pfd.core.ids import PeerId
from p2pfd.core.verdict import Accept, Ignore, Verdict
from p2pfd.errors import DecodeError, NetworkError
from p2pfd.network.api import Topic
from p2pfd.network.catchup import (
    ANSWER_BYTES,
    ASK_SECONDS,
    ATTEMPTS,
    GRACE_SECONDS,
    NAME_BYTES,
    QUIET,
    SAME,
    SAME_BYTES,
    SERVICE,
    Archive,
    CatchUp,
    Meeting,
    messages,
    name_of,
)
from p2pfd.network.settings import NetworkSettings
from tests.unit.network.conftest import TOPIC, Ear, Nodes

FAST = NetworkSettings(heartbeat_seconds=0.05)
PEER = PeerId("12D3KooWBFe6c8HvYPEhSqPVrQBJijxE89ceeFKojkiFFhDtSm2i")


def message(number: int, topic: str = "t", size: int = 3, author: bytes = b"author") -> rpc_pb2.Message:
    return rpc_pb2.Message(from_id=author, seqno=number.to_bytes(8, "big"), topicIDs=[topic], data=bytes(size))


def numbers(answer: bytes) -> list[int]:
    return [int.from_bytes(each.seqno, "big") for each in messages(answer)]


def test_an_archive_answers_with_what_the_asker_lacks() -> None:
    full, half = Archive(), Archive()
    for number in range(6):
        full.keep(message(number, "tu"[number == 3]))
    half.keep(message(1))
    half.see(message(4))
    assert numbers(full.answer(half.question(Topic("t")))) == [0, 2, 5]
    assert numbers(full.answer(half.question(Topic("u")))) == [3]
    assert numbers(half.answer(Archive().question(Topic("t")))) == [1], "what was only seen is not handed on"
    half.keep(message(4))
    assert numbers(half.answer(Archive().question(Topic("t")))) == [1, 4]


def test_an_archive_is_bounded_in_number_and_in_bytes() -> None:
    few, small = Archive(count=3), Archive(size=3 * message(0, size=100).ByteSize())
    for number in range(10):
        few.keep(message(number))
        small.keep(message(number, size=100))
        small.keep(message(number, size=100))
    for archive in (few, small):
        assert numbers(archive.answer(Archive().question(Topic("t")))) == [7, 8, 9]


def test_who_says_much_pushes_out_nobody_elses_only_word() -> None:
    few, small = Archive(count=6), Archive(size=6 * message(0, size=100).ByteSize())
    for archive in (few, small):
        archive.keep(message(0, size=100, author=b"quiet1"))
        archive.see(message(1, size=100, author=b"quiet2"))
        for number in range(10, 30):
            archive.keep(message(number, size=100))
        archive.keep(message(2, size=100, author=b"quiet3"))
    assert numbers(few.answer(Archive().question(Topic("t")))) == [0, 27, 28, 29, 2], "and one that was only seen"
    assert numbers(small.answer(Archive().question(Topic("t")))) == [0, 26, 27, 28, 29, 2]
    for archive in (few, small):
        assert archive.question(Topic("t")).count(name_of(message(1, author=b"quiet2"))) == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 60), st.booleans()), max_size=60))
@settings(max_examples=500)
def test_an_archive_never_holds_more_than_it_may(said: list[tuple[int, int, int, bool]]) -> None:
    archive = Archive(count=5, size=200)
    for author, number, size, accepted in said:
        one = message(number, size=size, author=bytes([author]))
        (archive.keep if accepted else archive.see)(one)
        answer = archive.answer(Archive().question(Topic("t")))
        assert archive.count(Topic("t")) <= 5
        assert len(answer) - 4 * len(numbers(answer)) <= 200
        if accepted and one.ByteSize() <= 200:
            assert number in numbers(answer), "the last word is here"


def test_an_answer_is_bounded_and_the_next_one_goes_on() -> None:
    full, mine = Archive(size=10**7), Archive(size=10**7)
    for number in range(40):
        full.keep(message(number, size=50_000))
    got: list[int] = []
    while answer := full.answer(mine.question(Topic("t"))):
        assert len(answer) <= ANSWER_BYTES
        for each in messages(answer):
            mine.keep(each)
        got += numbers(answer)
    assert got == list(range(40))


def test_two_that_have_the_same_find_it_out_in_a_few_bytes() -> None:
    one, other = Archive(), Archive()
    for number in range(40):
        one.keep(message(number))
        other.keep(message(39 - number))
        other.keep(message(100 + number, "u"))
    summary = one.summary(Topic("t"))
    assert len(summary) <= SAME_BYTES
    assert other.compare(summary) == b"\1", "the order is not the same, nor are other topics"
    other.see(message(40))
    assert other.compare(summary) == b"\0"
    with pytest.raises(DecodeError):
        other.compare(one.question(Topic("t")))


async def told(archive: Archive, meetings: list[Meeting], answers: dict[str, bytes], questions: list[str]) -> CatchUp:
    async def ask(_peer: PeerId, service: str, _raw: bytes, _limit: int) -> bytes:
        questions.append(service)
        return answers[service]

    async def hand(*_: object) -> None:
        pytest.fail("there was no message")

    return CatchUp(archive, ask, hand, lambda _peer, _why: None)


async def test_of_two_that_meet_the_one_that_dialled_asks(autojump_clock: MockClock) -> None:
    mine = Archive()
    mine.keep(message(1))
    more = Archive()
    more.keep(message(2))
    for since, question, expected in (
        (-math.inf, None, 1),  # we have dialled
        (0.0, mine.question(Topic("t")), 0),  # it has asked, and has nothing that is not here
        (0.0, more.question(Topic("t")), 1),  # it has asked, and has something
        (0.0, None, 1),  # it has not asked in time
    ):
        questions: list[str] = []
        meeting = Meeting(1, PEER, Topic("t"), since=trio.current_time() + since)
        catchup = await told(mine, [meeting], {SERVICE: b""}, questions)
        never = trio.Event()
        with trio.move_on_after(GRACE_SECONDS + 1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(catchup.run, lambda: [meeting], lambda: never)  # noqa: B023
                await trio.testing.wait_all_tasks_blocked()
                if question is not None:
                    catchup.answer(PEER, question)
        assert questions == [SERVICE] * expected, (since, question)


async def test_where_nothing_goes_on_few_questions_are_asked(autojump_clock: MockClock) -> None:
    archive, questions, never = Archive(), list[str](), trio.Event()
    for number in range(40):
        archive.keep(message(number))
    meeting = Meeting(1, PEER, Topic("t"))
    catchup = await told(archive, [meeting], {SERVICE: b"", SAME: b"\1"}, questions)
    with trio.move_on_after(200.5 * ASK_SECONDS):
        await catchup.run(lambda: [meeting], lambda: never)
    assert questions == [SERVICE, *[SAME] * (200 // QUIET + 1)]
    archive.keep(message(40))
    del questions[:]
    with trio.move_on_after(1.5 * ASK_SECONDS):
        await catchup.run(lambda: [meeting], lambda: never)
    assert questions == [SAME]


@given(st.binary(max_size=60))
def test_a_question_of_a_stranger_is_answered_or_refused(raw: bytes) -> None:
    archive = Archive()
    archive.keep(message(1))
    with contextlib.suppress(DecodeError):
        archive.answer(raw)


@given(st.binary(max_size=60))
def test_an_answer_of_a_stranger_is_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(DecodeError):
        for each in messages(raw):
            assert len(name_of(each)) == NAME_BYTES


async def test_a_node_that_was_away_hears_what_was_said_meanwhile(nodes: Nodes) -> None:
    near, middle, away = [await nodes.open(FAST) for _ in range(3)]
    heard = Ear(away)
    async with trio.open_nursery() as nursery:
        for ear in (Ear(near), Ear(middle), heard):
            await nursery.start(ear.run)
        await near.connect(middle.addresses[0])
        await away.connect(middle.addresses[0])
        await near.publish(TOPIC, b"before")
        await heard.until(b"before")
        await away.disconnect(middle.peer)
        said = [b"meanwhile %d" % number for number in range(30)]
        for raw in said:
            await near.publish(TOPIC, raw)
        while len(middle._gossip.archive._kept) < 31:  # noqa: ASYNC110 - several hops
            await trio.sleep(0.01)
        while middle._gossip.router.mcache.msgs:  # noqa: ASYNC110 - until gossipsub has forgotten all of it
            await trio.sleep(0.01)
        await away.connect(middle.addresses[0])
        await heard.until(*said)
        assert sorted(heard.bodies) == sorted([b"before", *said]), "something was heard twice"
        nursery.cancel_scope.cancel()


async def test_what_was_ignored_is_not_handed_on_nor_asked_for_again(nodes: Nodes) -> None:
    near, middle, far = [await nodes.open(FAST) for _ in range(3)]

    def rule(raw: bytes) -> Verdict:
        return Ignore("no") if raw == b"ignored" else Accept()

    ears = [Ear(near), Ear(middle, rule), Ear(far)]
    async with trio.open_nursery() as nursery:
        for ear in ears:
            await nursery.start(ear.run)
        await near.connect(middle.addresses[0])
        await middle.wait_for_subscribers(TOPIC, 1)
        await near.wait_for_subscribers(TOPIC, 1)
        for raw in (b"ignored", b"accepted"):
            await near.publish(TOPIC, raw)
        await ears[1].until(b"ignored", b"accepted")
        await far.connect(middle.addresses[0])
        await ears[2].until(b"accepted")
        assert ears[2].bodies == [b"accepted"]
        asked = middle._gossip.archive.question(TOPIC)
        assert near._gossip.archive.answer(asked) == b""
        nursery.cancel_scope.cancel()


async def test_who_answers_with_nonsense_is_blamed_and_who_does_not_answer_is_let_be() -> None:
    blamed: list[PeerId] = []
    answers: list[bytes | NetworkError] = [b"\0\0\0\5abc", *[NetworkError("no such service")] * 3, b""]
    asked = 0

    async def ask(_peer: PeerId, service: str, _raw: bytes, _limit: int) -> bytes:
        nonlocal asked
        assert service == SERVICE
        asked += 1
        answer = answers.pop(0)
        if isinstance(answer, NetworkError):
            raise answer
        return answer

    async def hand(*_: object) -> None:
        pytest.fail("there was no message")

    catchup = CatchUp(Archive(), ask, hand, lambda peer, _why: blamed.append(peer))
    for _ in range(5):
        await catchup.ask(Meeting(1, PEER, Topic("t")))
    assert blamed == [PEER]
    assert asked == ATTEMPTS, "who has no such service is not asked for ever"
    await catchup.ask(Meeting(2, PEER, Topic("t")))
    assert asked == ATTEMPTS + 1, "but once more when it has come back"
