"""What a node is told to suffer: read strictly, done to its own network and database, and by nobody but who agreed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from p2pfd.core.ids import TaskId
from p2pfd.core.rng import Rng
from p2pfd.network.libp2p import open_transport
from p2pfd.node.config import NodeConfig, load
from p2pfd.node.faults import Cut, Late, Lose, SlowDisk, Suffering, suffer, trouble_of
from p2pfd.node.fittings import PLAIN, fittings_of
from p2pfd.node.keys import throwaway
from p2pfd.node.process import command_of, trouble_in
from p2pfd.node.runtime import Command
from p2pfd.node.store import Saved, Store
from p2pfd.settlement.api import GENESIS

TASK = TaskId(b"\1" * 32)


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        ({"cut": []}, Cut(())),
        ({"cut": ["a", "b"]}, Cut(("a", "b"))),
        ({"cut-also": ["a"]}, Cut(("a",), also=True)),
        ({"cut-also": [1]}, None),
        ({"lose": 200_000}, Lose(200_000)),
        ({"late": [0, 0.5]}, Late(0.0, 0.5)),
        ({"slow-disk": 0.1}, SlowDisk(0.1)),
        ({"cut": [1]}, None),
        ({"cut": "a"}, None),
        ({"cut": ["a"] * 5000}, None),
        ({"lose": True}, None),
        ({"lose": -1}, None),
        ({"lose": 1_000_001}, None),
        ({"lose": 1, "late": [0, 0]}, None),
        ({"late": [1, 0.5]}, None),
        ({"late": [0]}, None),
        ({"late": [0, float("nan")]}, None),
        ({"slow-disk": -1}, None),
        ({"slow-disk": "1"}, None),
        ({}, None),
        ({"burn": 1}, None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_line_is_a_trouble_or_it_is_none(line: dict[str, object], trouble: object) -> None:
    assert trouble_of(line) == trouble


def test_lines_of_control() -> None:
    assert trouble_in(b'{"chaos": {"lose": 5}}') == {"lose": 5}
    for line in (b'{"chaos": 5}', b'{"dial": []}', b"[]", b"not json", b'{"chaos": {"lose": "%s"}}' % (b"x" * 5000)):
        assert trouble_in(line) is None
    assert command_of(b'{"dial": ["a"]}') == Command(dial=("a",))
    assert command_of(b'{"stop": true}') == Command(stop=True)
    assert command_of(b"[" * 4000) is None


def config(tmp_path: Path, **changes: Any) -> NodeConfig:
    given = {"name": "n", "home": str(tmp_path), "shard": 0, "shards": 1, "seed": 7, "listen": "/ip4/127.0.0.1/tcp/0"}
    return NodeConfig(**given, bootstrap=(), task="task.json", chain_url="", data_dir="", **changes)


def test_only_a_node_whose_config_agrees_is_fitted_with_trouble(tmp_path: Path) -> None:
    _send, receive = trio.open_memory_channel[dict[str, object]](1)
    keys = throwaway(7, "n")
    assert fittings_of(config(tmp_path), keys, receive) is PLAIN
    assert fittings_of(config(tmp_path, chaos=True), keys).beside is None
    assert fittings_of(config(tmp_path, chaos=True), keys, receive).beside is not None
    config(tmp_path, chaos=True).save(tmp_path / "node.json")
    assert load(tmp_path / "node.json").chaos is True


async def test_a_slow_disk_holds_up_each_write_and_no_read(tmp_path: Path, nursery: trio.Nursery) -> None:
    waited: list[float] = []
    told: list[tuple[str, dict[str, object]]] = []
    with Store(tmp_path / "node.db") as store:
        async with open_transport(b"\1" * 32) as transport:
            sick = Suffering(
                transport, store, nursery, Rng(1), lambda name, fields: told.append((name, dict(fields))), waited.append
            )
            sick.take({"slow-disk": 0.25})
            store.save(TASK, Saved(b"one", b"", GENESIS))
            assert waited == [0.25]
            assert store.load(TASK) == Saved(b"one", b"", GENESIS)
            assert waited == [0.25]
            sick.take({"slow-disk": 0})
            store.save(TASK, Saved(b"two", b"", GENESIS))
            assert waited == [0.25]
            sick.take({"late": [0.1, 0.2]})
            sick.take({"lose": 500_000})
            sick.take({"cut": ["somebody"]})
            sick.take({"cut-also": ["somebody else"]})
            sick.take({"cut": 5})
            assert told == [
                ("chaos.disk", {"seconds": 0.25}),
                ("chaos.disk", {"seconds": 0}),
                ("chaos.delay", {"least": 0.1, "most": 0.2}),
                ("chaos.loss", {"share": 0.5}),
                ("chaos.cut", {"peers": 1}),
                ("chaos.cut", {"peers": 2}),
                ("control.garbled", {"line": "{'cut': 5}"}),
            ]


async def test_a_network_is_untouched_until_something_is_to_go_wrong(tmp_path: Path, nursery: trio.Nursery) -> None:
    send, receive = trio.open_memory_channel[dict[str, object]](1)
    said = trio.Event()
    with Store(tmp_path / "node.db") as store:
        async with open_transport(b"\1" * 32) as transport:
            before = transport._links.is_refused
            nursery.start_soon(suffer, receive, Rng(1), transport, store, lambda _name, _fields: said.set())
            await trio.testing.wait_all_tasks_blocked()
            assert transport._links.is_refused == before
            await send.send({"lose": 1})
            await said.wait()
            assert transport._links.is_refused != before
            nursery.cancel_scope.cancel()
