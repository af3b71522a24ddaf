"""The event `node.network`: whom a node is connected to, whom it hears, what it has sent."""

from __future__ import annotations

import pytest
import trio

from p2pfd.core.ids import PeerId
from p2pfd.network.api import Traffic
from p2pfd.network.counters import Counters
from p2pfd.node.neighbours import EVENT, MOST, SECONDS, Neighbours

ONE, TWO = PeerId("peer-1"), PeerId("peer-2")


class Quiet:
    """A transport on which nothing happens but what a test says."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.connected: tuple[PeerId, ...] = (TWO, ONE)
        self.unwelcome: set[PeerId] = set()

    def peers(self) -> tuple[PeerId, ...]:
        return self.connected

    def traffic(self) -> Traffic:
        return Traffic(sent=7, received=11)

    def is_refused(self, peer: PeerId) -> bool:
        return peer in self.unwelcome


@pytest.fixture
def transport() -> Quiet:
    return Quiet()


def told_by(transport: Quiet, **figures: int) -> tuple[Neighbours, list[tuple[str, dict[str, object]]]]:
    told: list[tuple[str, dict[str, object]]] = []
    return Neighbours(transport, lambda name, fields: told.append((name, dict(fields))), lambda: figures), told


def test_after_a_round_it_tells_what_is_new(transport: Quiet) -> None:
    neighbours, told = told_by(transport, weights_bytes=40, label_bytes=0)
    transport.counters.peer(ONE).accepted = 3
    neighbours.emit("round.absorbed", {"round": 0})
    assert told == [
        ("round.absorbed", {"round": 0}),
        (EVENT, {"bytes_sent": 7, "bytes_received": 11, "peers": [ONE, TWO], "heard": {ONE: 3}, "weights_bytes": 40}),
    ]
    transport.counters.peer(ONE).accepted = 4
    transport.counters.peer(TWO).offences = 1
    neighbours.emit("round.opened", {"round": 1})
    neighbours.emit("round.absorbed", {"round": 1})
    assert told[2:4] == [("round.opened", {"round": 1}), ("round.absorbed", {"round": 1})]
    assert told[4][1] == {
        "bytes_sent": 7,
        "bytes_received": 11,
        "heard": {ONE: 1},
        "offences": {TWO: 1},
        "weights_bytes": 40,
    }
    neighbours.tell()
    assert told[5][1] == {"bytes_sent": 7, "bytes_received": 11, "weights_bytes": 40}, "nothing else changed"


def test_a_neighbour_whose_row_was_summed_up_is_not_heard_less_than_nothing(transport: Quiet) -> None:
    neighbours, told = told_by(transport)
    transport.counters.peer(ONE).accepted = 9
    neighbours.tell()
    transport.counters.peers[ONE].accepted = 2
    transport.counters.peer(TWO).accepted = 1
    neighbours.tell()
    assert told[1][1]["heard"] == {TWO: 1}


async def test_it_tells_when_it_is_connected_to_others(
    transport: Quiet, nursery: trio.Nursery, autojump_clock: object
) -> None:
    neighbours, told = told_by(transport)
    nursery.start_soon(neighbours.run)
    await trio.sleep(10 * SECONDS)
    assert len(told) == 1
    transport.connected = (TWO,)
    await trio.sleep(2 * SECONDS)
    assert [fields.get("peers") for _, fields in told] == [[ONE, TWO], [TWO]]
    transport.connected = tuple(PeerId(f"peer-{number:04}") for number in range(900))
    await trio.sleep(2 * SECONDS)
    assert len(told[2][1]["peers"]) == MOST


def test_who_is_refused_is_told_when_that_changes(transport: Quiet) -> None:
    neighbours, told = told_by(transport)
    transport.counters.peer(ONE).offences = 16
    transport.unwelcome.add(ONE)
    neighbours.emit("learner.settled", {})
    assert told[-1][1]["refused"] == [ONE]
    neighbours.tell()
    assert "refused" not in told[-1][1]
    transport.unwelcome.clear()
    neighbours.tell()
    assert told[-1][1]["refused"] == []
