"""A node's config and task files: written whole, read with care."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from p2pfd.core.spec import DataSpec, MoneySpec, PhaseSpec, TaskSpec
from p2pfd.errors import PlanError
from p2pfd.node.config import NodeConfig, load, load_task, save_task

CONFIG = NodeConfig(
    name="node-0",
    home="/tmp/home",
    shard=0,
    shards=3,
    seed=7,
    listen="/ip4/127.0.0.1/tcp/0",
    bootstrap=("/ip4/127.0.0.1/tcp/1/p2p/x",),
    task="../task.json",
    chain_url="http://127.0.0.1:1",
    data_dir="",
)
SPEC = TaskSpec(
    name="digits",
    data=DataSpec("digits", b"\3" * 32, 10, "iid", 1, 320, 100, 100),
    adapter="cfd",
    settings={"epochs": 3, "rate": "0.05"},
    aggregator="vote",
    codecs=(),
    rounds=3,
    seats=3,
    quorum=2,
    phases=PhaseSpec(10, 10, 10),
    money=MoneySpec(pot=100, rate=50, bond=100, forfeit=10),
)


def test_a_config_is_read_as_it_was_written(tmp_path: Path):
    CONFIG.save(tmp_path / "node.json")
    assert load(tmp_path / "node.json") == CONFIG
    assert list(tmp_path.iterdir()) == [tmp_path / "node.json"]


def test_a_task_is_read_as_it_was_written(tmp_path: Path):
    save_task(SPEC, tmp_path / "task.json")
    assert load_task(tmp_path / "task.json") == SPEC
    assert load_task(tmp_path / "task.json").id == SPEC.id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shard": 3}, "shard 3 of 3"),
        ({"shard": True}, "shard is True"),
        ({"seed": "7"}, "seed is '7'"),
        ({"bootstrap": [1]}, "bootstrap"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_what_is_wrong_with_a_config_is_named(tmp_path: Path, change: dict[str, object], message: str):
    path = tmp_path / "node.json"
    path.write_text(json.dumps({**dataclasses.asdict(CONFIG), **change}))
    with pytest.raises(PlanError, match=message):
        load(path)


def test_a_missing_key_a_missing_file_and_no_json_are_named(tmp_path: Path):
    path = tmp_path / "node.json"
    with pytest.raises(PlanError, match="does not exist"):
        load(path)
    path.write_text("{")
    with pytest.raises(PlanError, match="not JSON"):
        load(path)
    path.write_text("[]")
    with pytest.raises(PlanError, match="table"):
        load(path)
    value = dataclasses.asdict(CONFIG)
    del value["task"]
    path.write_text(json.dumps(value))
    with pytest.raises(PlanError, match="'task' is missing"):
        load(path)
