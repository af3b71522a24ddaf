"""What waits for a verdict: bounded in number and in time."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from p2pfd.core.ids import PeerId
from p2pfd.core.verdict import Accept, Ignore, Reject, Verdict
from p2pfd.network.api import Topic
from p2pfd.network.inbox import LATE, Inbox, Recall

AUTHOR, NEIGHBOUR, TOPIC = PeerId("author"), PeerId("neighbour"), Topic("t")


async def test_the_first_answer_counts(autojump_clock: MockClock) -> None:
    inbox = Inbox(4, 2.0)
    verdicts: list[Verdict] = []

    async def offer() -> None:
        verdicts.append(await inbox.offer(AUTHOR, NEIGHBOUR, b"x"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(offer)
        delivery = await inbox.take()
        assert (delivery.sender, delivery.via, delivery.raw) == (AUTHOR, NEIGHBOUR, b"x")
        delivery.answer(Reject("wrong"))
        delivery.answer(Accept())
    assert verdicts == [Reject("wrong")]


async def test_silence_is_ignore_after_the_time_and_a_late_answer_changes_nothing(autojump_clock: MockClock) -> None:
    inbox = Inbox(4, 2.0)
    verdicts: list[Verdict] = []

    async def offer() -> None:
        verdicts.append(await inbox.offer(AUTHOR, NEIGHBOUR, b"x"))

    before = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(offer)
        await trio.sleep(100)
        assert verdicts == [], "the time begins when it is taken"
        delivery = await inbox.take()
    assert trio.current_time() - before == pytest.approx(102.0)
    delivery.answer(Accept())
    assert verdicts == [LATE]


async def test_the_newest_is_turned_away_when_it_is_full(autojump_clock: MockClock) -> None:
    inbox = Inbox(2, 2.0)
    verdicts: dict[bytes, Verdict] = {}

    async def offer(raw: bytes) -> None:
        verdicts[raw] = await inbox.offer(AUTHOR, NEIGHBOUR, raw)

    async with trio.open_nursery() as nursery:
        for raw in (b"1", b"2"):
            nursery.start_soon(offer, raw)
            await trio.testing.wait_all_tasks_blocked()
        before = trio.current_time()
        await offer(b"3")
        assert trio.current_time() == before, "turned away only after waiting"
        assert inbox.turned_away == 1
        for _ in range(2):
            (await inbox.take()).answer(Accept())
    assert verdicts == {b"1": Accept(), b"2": Accept(), b"3": Ignore("the inbound queue is full")}


async def test_what_is_in_a_closed_inbox_can_be_taken_and_then_it_ends(autojump_clock: MockClock) -> None:
    inbox = Inbox(2, 2.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.offer, AUTHOR, NEIGHBOUR, b"x")
        await trio.testing.wait_all_tasks_blocked()
        inbox.close()
        assert (await inbox.take()).raw == b"x"
        with pytest.raises(StopAsyncIteration):
            await inbox.take()
    assert isinstance(await inbox.offer(AUTHOR, NEIGHBOUR, b"y"), Ignore)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("tu"), st.binary(max_size=2)), max_size=60))
def test_recall_knows_what_was_said_by_whom_and_where(said: list[tuple[str, str, bytes]]) -> None:
    recall = Recall(10_000)
    known = set()
    for author, topic, raw in said:
        assert recall.first_time(PeerId(author), Topic(topic), raw) == ((author, topic, raw) not in known)
        known.add((author, topic, raw))


def test_recall_forgets_the_oldest() -> None:
    recall = Recall(2)
    for raw in (b"1", b"2", b"3"):
        assert recall.first_time(AUTHOR, TOPIC, raw)
    assert not recall.first_time(AUTHOR, TOPIC, b"3")
    assert recall.first_time(AUTHOR, TOPIC, b"1")


def test_recall_does_not_confuse_where_one_part_ends() -> None:
    recall = Recall(10)
    assert recall.first_time(AUTHOR, Topic("a"), b"b\nc")
    assert recall.first_time(AUTHOR, Topic("a\nb"), b"c")
