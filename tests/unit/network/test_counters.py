"""The counts of a node: rows that are bounded, and sums that lose nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2pfd.network.counters import Counters, Drop, PeerFlow

ROWS = 3
NAMES = st.sampled_from([f"peer {number}" for number in range(8)])
STEPS = st.lists(st.tuples(st.sampled_from(["count", "came", "left"]), NAMES), max_size=60)


def everyone(counters: Counters) -> PeerFlow:
    total = PeerFlow()
    for row in (*counters.peers.values(), counters.other_peers):
        total.join(row)
    return total


@given(STEPS)
def test_whoever_comes_and_goes_the_sums_stay_and_the_rows_are_bounded(steps: list[tuple[str, str]]) -> None:
    counters = Counters(ROWS)
    counted = 0
    for what, peer in steps:
        if what == "count":
            counted += 1
            counters.peer(peer).messages_in += 1
            counters.drop(Drop.LATE, peer)
            counters.drop(Drop.FRAME)
        else:
            getattr(counters, what)(peer)
        assert len(counters.peers) <= ROWS
        assert len(counters._gone) <= ROWS + 1
    total = everyone(counters)
    assert (total.messages_in, total.drops.get(Drop.LATE, 0), counters.drops[Drop.FRAME]) == (counted,) * 3


def test_who_is_connected_keeps_its_row_and_who_has_gone_longest_is_summed_up_first() -> None:
    counters = Counters(ROWS)
    for peer in "abc":
        counters.peer(peer).messages_in += 1
    for peer in "ab":
        counters.left(peer)
    counters.came("a")
    counters.peer("d")
    assert set(counters.peers) == {"a", "c", "d"}
    assert counters.other_peers.messages_in == 1
    assert counters.peer("e") is counters.other_peers, "all rows belong to peers that are connected"


def test_topics_beyond_the_rows_are_summed_up() -> None:
    counters = Counters(ROWS)
    for topic in "abcde":
        counters.topic(topic).messages_in += 1
    assert set(counters.topics) == set("abc")
    assert counters.other_topics.messages_in == 2
    assert counters.topic("a").messages_in == 1


def test_every_reason_has_a_name_of_its_own_and_a_meaning() -> None:
    assert len({reason.label for reason in Drop}) == len(Drop)
    for reason in Drop:
        assert reason.label == reason.name.lower()
        assert reason.meaning[:1].islower()
        assert not reason.meaning.endswith(".")
