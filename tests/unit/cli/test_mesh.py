"""The options about a node's network: kept in its config, refused by name when they make no sense."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from p2pfd.cli import mesh
from p2pfd.cli.parse import Parser
from p2pfd.cli.program import PROGRAM
from p2pfd.errors import P2pfdError, PlanError
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.swarmkey import read_key
from p2pfd.node import config
from tests.unit.node.test_config import CONFIG, SPEC


def told(*words: str) -> dict[str, object]:
    parser = Parser("p2pfd join", "", "p2pfd join")
    mesh.options(parser)
    return mesh.settings_of(parser.read(words))


def test_nothing_said_is_nothing_kept() -> None:
    assert told() == {}


def test_what_was_said_is_what_the_node_runs_with(tmp_path: Path) -> None:
    key = tmp_path / "mesh.key"
    assert PROGRAM.main(["keys", "swarm", str(key)]) == 0
    words = ["--swarm-key", str(key), "--mdns", "--announce", "/ip4/192.0.2.1/tcp/1"]
    more = [f"--network={setting}" for setting in ("connections=64", "keepalive_seconds=1.5", "debug=true")]
    found = told(*words, *more)
    node = CONFIG.__class__(**{**_plain(), "home": str(tmp_path), "network": found})
    node.save(tmp_path / "node.json")
    assert config.load(tmp_path / "node.json") == node
    assert node.network_settings() == NetworkSettings(
        network_key=str(key),
        mdns=True,
        announce=("/ip4/192.0.2.1/tcp/1",),
        connections=64,
        keepalive_seconds=1.5,
        debug=True,
        discover=True,
        state_directory=str(tmp_path / "peers"),
    )


def _plain() -> dict[str, object]:
    return {name: getattr(CONFIG, name) for name in CONFIG.__dataclass_fields__}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--network", "connections"], "has no value"),
        (["--network", "conections=1"], "did you mean connections"),
        (["--network", "state_directory=x"], "no setting"),
        (["--network", "connections=many"], "a whole number"),
        (["--network", "keepalive_seconds=x"], "a number"),
        (["--network", "debug=yes"], "true or false"),
        (["--swarm-key", "/nowhere/at/all"], "cannot read"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(words: list[str], message: str) -> None:
    with pytest.raises(P2pfdError, match=message):
        told(*words)


def test_a_setting_out_of_its_range_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.save_task(SPEC, tmp_path / "task.json")
    words = ["join", "--task", str(tmp_path / "task.json"), "--home", str(tmp_path / "node")]
    assert PROGRAM.main([*words, "--network", "connections=5000"]) == 3
    assert "network.connections is 5000" in capsys.readouterr().err
    assert not (tmp_path / "node").exists()


@pytest.mark.parametrize(
    ("network", "message"),
    [({"conections": 1}, "no setting"), ({"state_directory": "x"}, "no setting"), ({"connections": "7"}, "from 1 to")],
)
def test_a_config_with_such_a_table_is_refused(network: dict[str, object], message: str, tmp_path: Path) -> None:
    CONFIG.save(tmp_path / "node.json")
    value = json.loads((tmp_path / "node.json").read_text())
    (tmp_path / "node.json").write_text(json.dumps({**value, "network": network}))
    with pytest.raises(PlanError, match=message):
        config.load(tmp_path / "node.json")
    (tmp_path / "node.json").write_text(json.dumps({**value, "network": [1]}))
    with pytest.raises(PlanError, match="network is"):
        config.load(tmp_path / "node.json")


def test_a_swarm_key_is_new_private_and_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = tmp_path / "one.key", tmp_path / "two.key"
    assert PROGRAM.main(["keys", "swarm", str(one), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(one)
    assert PROGRAM.main(["keys", "swarm", str(two)]) == 0
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    assert read_key(one) != read_key(two)
    before = one.read_bytes()
    assert PROGRAM.main(["keys", "swarm", str(one)]) == 9
    assert "is there already" in capsys.readouterr().err
    assert one.read_bytes() == before
    assert PROGRAM.main(["keys", "swarm"]) == 2
