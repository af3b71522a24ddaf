"""What the page is told: the board, the events folded into it, and the chain's side of it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import trio
from p2pfd_localnet.board import Board
from p2pfd_localnet.chainview import ChainView
from p2pfd_localnet.events import NodeEvent
from p2pfd_localnet.ledger import NoLedger
from p2pfd_localnet.onlookers import onlookers
from p2pfd_localnet.picture import LOG_AT_ONCE, Picture
from p2pfd_localnet.plan import UNIT, DataFacts, change
from p2pfd_localnet.presets import PRESETS
from p2pfd_localnet.view import MeshView, NodeView

from p2pfd.core.claims import (
    BondForfeited,
    Enrolled,
    LabelsRevealed,
    RevealsClosed,
    RoundOpened,
    RoundSettled,
    TaskClosed,
    WorkerPaid,
    WorkerSuspended,
)
from p2pfd.core.ids import Account, Amount, RoundId, TaskId
from p2pfd.core.labels import pack
from p2pfd.core.ticks import Tick
from p2pfd.errors import ChainError
from p2pfd.incentives import ptsc

TASK = TaskId(bytes(32))


class Wall:
    def now(self) -> Tick:
        return Tick(7_000_000)


class Stage:
    """A picture of some nodes, and what is told of it."""

    def __init__(self, nodes: int = 3) -> None:
        self.plan = change(PRESETS[0], nodes=nodes)
        self.view = MeshView(self.plan.names(), self.plan.rounds)
        self.picture = Picture(self.plan, self.view, Wall())
        self.said = 0
        for place, name in enumerate(self.plan.names()):
            self.happen("node.started", name, peer=f"peer-{place}", account=f"0x{place:040x}", pid=1)

    def happen(self, event: str, node: str = "node-0", t: int = 5_000, **fields: object) -> None:
        happened = NodeEvent(t, node, event, fields)
        self.view.take(happened)
        self.picture.take(happened)

    def told(self) -> dict[str, dict]:
        self.said, patch = self.picture.since(self.said)
        return json.loads(json.dumps(patch))  # what the page gets


def test_a_board_tells_what_is_new_and_nothing_twice() -> None:
    board = Board(log=3, log_at_once=2)
    board.put("a", "x", 1)
    board.put("a", "y", [2])
    first = board.version
    assert board.since(0) == {"a": {"x": 1, "y": [2]}}
    board.put("a", "x", 1)
    assert board.version == first, "the same once more is no news"
    board.put("a", "x", 3)
    assert board.since(first) == {"a": {"x": 3}}
    for number in range(5):
        board.log({"what": number})
    assert [entry["what"] for entry in board.since(first)["log"]] == [3, 4], "the latest, and so many at most"
    assert board.since(board.version) == {}
    board.keep("a", 1)
    assert board.since(0)["a"] == {"y": [2]}


def test_a_round_as_it_passes() -> None:
    stage = Stage()
    stage.told()
    stage.happen("round.opened", round=0, workers=3)
    stage.happen("round.committed", round=0, have=2, of=3)
    stage.happen("round.absorbed", "node-1", round=0, accuracy=0.5, weights="ab")
    told = stage.told()
    assert (told["rounds"]["0"]["workers"], told["rounds"]["0"]["committed"]) == (3, 2)
    assert told["rounds"]["0"]["accuracy"] == {"node-1": 0.5}
    assert told["rounds"]["0"]["times"]["opened"] == 5
    assert stage.told() == {}


def test_what_all_report_alike_is_logged_once() -> None:
    stage = Stage()
    stage.told()
    for have in (1, 2, 3):
        for name in stage.plan.names():
            stage.happen("round.committed", name, round=0, have=have, of=3)
    for name in stage.plan.names():
        for place in range(3):
            stage.happen("round.paid", name, round=0, account=f"0x{place:040x}", score=1, amount=place + 1)
        stage.happen("round.settled", name, round=0, counted=True, paid=6, refunded=0)
    told = stage.told()
    lines = [(entry["event"], entry["node"]) for entry in told["log"]]
    assert lines.count(("round.committed", "node-0")) == 3
    assert [node for event, node in lines if event == "round.paid"] == ["node-0", "node-1", "node-2"], "each its own"
    assert sum(event == "round.settled" for event, _ in lines) == 1
    assert told["rounds"]["0"]["payments"] == {f"node-{place}": [place + 1, 1] for place in range(3)}
    assert told["nodes"]["node-2"]["paid"] == 3


def test_who_hears_whom_by_the_names_of_nodes() -> None:
    stage = Stage()
    told = {"bytes_sent": 10, "bytes_received": 20, "peers": ["peer-1", "peer-2", "a stranger"]}
    stage.happen("node.network", **told, heard={"peer-1": 4, "a stranger": 1}, weights_bytes=100, label_bytes=5)
    stage.happen("node.network", bytes_sent=30, bytes_received=20, heard={"peer-1": 2}, offences={"peer-2": 1})
    stage.happen("round.absorbed", round=0, accuracy=0.5)
    node = stage.told()["nodes"]["node-0"]
    assert node["links"] == ["node-1", "node-2"]
    assert node["heard"] == {"node-1": 6}
    assert node["offences"] == {"node-2": 1}
    assert (node["sent"], node["labels"], node["fedavg"]) == (30, 5, 100)


def test_who_is_heard_is_one_of_those_who_are_connected() -> None:
    """A partition takes links away: how many are heard is told of the same peers as how many there are."""
    stage = Stage()
    told = {"bytes_sent": 1, "bytes_received": 1}

    def hears() -> tuple[int, int]:
        node = stage.told()["nodes"]["node-0"]
        return node["hears"], len(node["links"])

    stage.happen("node.network", **told, peers=["peer-1", "peer-2"], heard={"peer-1": 4, "peer-2": 1})
    assert hears() == (2, 2)
    stage.happen("node.network", **told, peers=["peer-2"], heard={"peer-1": 3})
    assert hears() == (1, 1), "what came last from one that has gone since"
    stage.happen("node.network", **told, peers=[])
    assert hears() == (0, 0)
    stage.happen("node.network", **told, peers=["peer-1", "peer-2"])
    assert hears() == (0, 2), "they are back, and have said nothing yet"
    stage.happen("node.network", **told, heard={"peer-2": 1, "a stranger": 2})
    assert hears() == (1, 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"peers": 3, "heard": [1], "offences": "x"},
        {"peers": [["peer-1"], None], "heard": {"peer-1": "4"}, "bytes_sent": "x", "weights_bytes": None},
        {"a" * 900: "b" * 900, "deep": {"x": {}}, "list": [["y" * 500]] * 90, "big": 10**400, "none": None},
    ],
    ids=["wrong kinds", "wrong members", "much too much"],
)
def test_strange_events_are_made_fit(fields: dict[str, object]) -> None:
    stage = Stage()
    stage.happen("node.network", "stranger", **fields)
    stage.happen("node.network", **fields)
    stage.happen("what is this", **fields)
    told = stage.told()
    assert told["nodes"]["node-0"]["links"] == []
    assert max(len(json.dumps(entry)) for entry in told["log"]) < 4_000


def test_what_comes_by_pipe_and_by_file_is_logged_once() -> None:
    stage = Stage()
    stage.told()
    stage.happen("failed", t=0, error="e")
    stage.happen("node.failed", error="e")
    stage.happen("exited", t=0, code=1, signal=0)
    stage.happen("ready", t=0)
    assert [entry["event"] for entry in stage.told()["log"]] == ["failed", "exited"]


def test_a_log_is_told_in_parts_of_a_bounded_size() -> None:
    stage = Stage()
    for number in range(2 * LOG_AT_ONCE):
        stage.happen("chain.unreachable", why=str(number))
    assert len(stage.told()["log"]) == LOG_AT_ONCE


def test_old_rounds_are_forgotten() -> None:
    stage = Stage(1)
    for rnd in range(900):
        stage.happen("round.absorbed", round=rnd, accuracy=0.5)
    assert next(iter(stage.told()["rounds"])) == "500"


# -- the chain ---------------------------------------------------------------------------------------------------------


def terms(samples: int = 4):
    return SimpleNamespace(samples=samples, classes=3, pot=100 * UNIT, rate=4 * UNIT, bond=10 * UNIT)


async def test_stakes_blocks_and_reasons() -> None:
    stage = Stage()
    who = [Account(f"0x{place:040x}") for place in range(3)]
    names = dict(zip(who, stage.plan.names(), strict=True))
    chain = ChainView(terms(), names, stage.picture)
    labels = [bytes([0, 1, 2, 0]), bytes([0, 1, 2, 1]), bytes([0, 1, 1, 1])]
    scores = ptsc.scores(labels, 3)
    amounts = ptsc.pay(100 * UNIT, 4 * UNIT, ptsc.means(scores, 4))
    rnd = RoundId(0)
    history = [
        *((3, Enrolled(TASK, each, place + 1)) for place, each in enumerate(who)),
        (4, RoundOpened(TASK, rnd, 9, tuple(who))),
        *((5, LabelsRevealed(TASK, rnd, each, pack(row))) for each, row in zip(who, labels, strict=True)),
        (6, RevealsClosed(TASK, rnd, tuple(who))),
        *((7, WorkerPaid(TASK, rnd, *row)) for row in zip(who, scores, map(Amount, amounts), strict=True)),
        (7, BondForfeited(TASK, rnd, who[2], Amount(UNIT))),
        (7, WorkerSuspended(TASK, rnd, who[2])),
        (7, RoundSettled(TASK, rnd, True, Amount(sum(amounts)), Amount(0))),
        (8, TaskClosed(TASK, 1)),
        (9, SimpleNamespace()),
    ]
    for block, event in history:
        await chain.take(block, event)
    told = stage.told()
    assert told["stakes"]["node-0"] == {"locked": 10 * UNIT, "suspended": False}
    assert told["stakes"]["node-2"] == {"locked": 9 * UNIT, "suspended": True}
    assert told["blocks"]["4"] == ["round 1 opens for 3"]
    assert told["blocks"]["9"] == ["simple namespace"], "what nobody knows is named all the same"
    assert "node-2 did not reveal and loses 1.00" in told["blocks"]["7"]
    assert set(told["whys"]) == {"0 node-0", "0 node-1", "0 node-2"}
    for place, name in enumerate(stage.plan.names()):
        why = told["whys"][f"0 {name}"]
        assert why["same"] is True
        assert why["paid"] == amounts[place]
        brought = sum(agreed * worth / why["peers"] - said for _, said, agreed, worth in why["parts"])
        assert brought == pytest.approx(why["score"], abs=1e-4), "the parts add up to the score"


async def test_a_payment_that_is_not_what_the_labels_earn_is_said() -> None:
    stage = Stage(2)
    who = [Account(f"0x{place:040x}") for place in range(2)]
    chain = ChainView(terms(2), dict(zip(who, stage.plan.names(), strict=True)), stage.picture)
    for event in (
        *(LabelsRevealed(TASK, RoundId(0), each, pack(bytes([0, 1]))) for each in who),
        RevealsClosed(TASK, RoundId(0), tuple(who)),
        WorkerPaid(TASK, RoundId(0), who[0], 5, Amount(99)),
        RoundSettled(TASK, RoundId(0), True, Amount(99), Amount(0)),
    ):
        await chain.take(1, event)
    [why] = stage.told()["whys"].values()
    assert why["same"] is False


async def test_labels_that_are_missing_explain_nothing() -> None:
    stage = Stage(1)
    chain = ChainView(terms(), {}, stage.picture)
    await chain.take(1, RevealsClosed(TASK, RoundId(0), (Account("0x" + "0" * 40),)))
    await chain.take(2, RoundSettled(TASK, RoundId(0), True, Amount(0), Amount(0)))
    assert "whys" not in stage.told()


async def test_the_chain_is_read_only_when_somebody_looks_and_its_silence_is_told(autojump_clock: object) -> None:
    stage = Stage()
    asked = []

    class Away(NoLedger):
        async def follow(self, task, tell) -> None:
            asked.append(task)
            raise ChainError("nobody answers", "wait")

    task = stage.plan.task(DataFacts(b"x" * 32))
    async with onlookers(stage.picture, "127.0.0.1:0") as crowd, trio.open_nursery() as nursery:
        nursery.start_soon(crowd.follow, stage.plan, task, Away())
        await trio.sleep(5)
        assert asked == []
        stage.picture.viewers(1, 0)
        await trio.sleep(5)
        assert len(asked) > 1, "it is asked again"
        assert "nobody answers" in stage.told()["about"]["chain_note"]
        nursery.cancel_scope.cancel()


def test_what_is_done_to_the_mesh_is_told_and_kept_apart_from_what_nodes_say_of_it() -> None:
    stage = Stage()
    stage.happen("chaos.partition", "mesh", 6_000_000, groups="0|rest", by="page")
    stage.happen("chaos.paused", "node-1", 7_000_000, by="command")
    stage.happen("chaos.cut", "node-0", 7_000_000, peers=2)
    _, patch = stage.picture.since(0)
    assert list(patch["acts"].values()) == [
        {"t": 6_000, "node": "mesh", "event": "chaos.partition", "fields": {"groups": "0|rest", "by": "page"}},
        {"t": 7_000, "node": "node-1", "event": "chaos.paused", "fields": {"by": "command"}},
    ]
    told = [entry["event"] for entry in patch["log"]]
    assert told[-3:] == ["chaos.partition", "chaos.paused", "chaos.cut"]
    assert patch["nodes"]["node-1"]["life"] == "paused"
    stage.happen("chaos.resumed", "node-1", 8_000_000, by="command")
    assert stage.picture.since(0)[1]["nodes"]["node-1"]["life"] == "starting"
    assert "acts" not in stage.picture.since(stage.picture.since(0)[0])[1]


def test_a_node_that_joins_late_is_on_the_page() -> None:
    stage = Stage()
    stage.view.nodes["node-3"] = NodeView("node-3")
    stage.picture.join("node-3")
    stage.happen("node.started", "node-3", peer="peer-3", pid=9)
    assert stage.picture.since(0)[1]["nodes"]["node-3"]["peer"] == "peer-3"
