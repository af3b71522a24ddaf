"""The schema of what commands write with --json: every command is in it, and what they write is what it says."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from p2pfd_localnet.events import NodeEvent
from p2pfd_localnet.past import mark
from p2pfd_localnet.plan import change
from p2pfd_localnet.presets import find
from p2pfd_localnet.program import PROGRAM as LOCALNET
from p2pfd_localnet.state import State
from p2pfd_localnet.summary import summarise
from p2pfd_localnet.view import MeshView

from p2pfd.cli.program import PROGRAM as P2PFD
from p2pfd.cli.screen import SCHEMA

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/reference/json.md"
TEXT = (files("p2pfd.cli") / "output.schema.json").read_text(encoding="utf-8")
WHOLE = json.loads(TEXT)
PROGRAMS = {program.name: program for program in (P2PFD, LOCALNET)}
COMMON = ("schema", "error")


def problems(name: str, value: Any) -> list[str]:
    """What is wrong with what a command wrote."""
    rule = {"$ref": f"#/$defs/{name.replace(' ', '%20')}", "$defs": WHOLE["$defs"]}
    return [error.message for error in Draft202012Validator(rule).iter_errors(value)]


def known(rule: Any) -> set[str]:
    """The keys that a definition names."""
    return set(rule.get("properties", ())) | {key for part in rule.get("anyOf", ()) for key in known(part)}


@pytest.fixture
def mesh(tmp_path: Path) -> list[str]:
    """A mesh of two nodes that ended, as its files tell; the option that names it."""
    plan = change(find("small"), nodes=2, chain="none")
    state = State(tmp_path / "mesh")
    for place, name in enumerate(plan.names()):
        state.node(name).mkdir(parents=True)
        lines = [
            {"t": 1_000, "node": name, "event": "node.started", "pid": 1, "peer": f"peer-{place}", "account": ""},
            {"t": 2_000, "node": name, "event": "round.absorbed", "round": 0, "accuracy": 0.5, "weights": "ab"},
            {"t": 3_000, "node": name, "event": "node.finished", "accuracy_together": 0.9, "accuracy_alone": 0.5},
        ]
        (state.node(name) / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    mark(state, "done", plan)
    return ["--state", str(tmp_path / "mesh")]


CHEAP = [
    ["localnet", "presets"],
    ["localnet", "up", "small", "--dry-run"],
    ["localnet", "completion", "bash"],
    ["p2pfd", "completion", "zsh"],
    ["p2pfd", "version"],
    ["p2pfd", "keys", "swarm", "mesh.key"],
    ["p2pfd", "sim", "-n", "4", "--rounds", "1"],
    ["p2pfd", "sim", "--schedules", "1"],
    ["p2pfd", "experiment", "--list"],
    ["p2pfd", "incentives", "table", "--rule", "paper", "--rounds", "5"],
    ["p2pfd", "data", "list"],
]
OF_A_MESH = [
    ["localnet", "status"],
    ["localnet", "inspect", "node-0"],
    ["localnet", "wait", "round>=0"],
    ["localnet", "dump", "dumped"],
    ["localnet", "snapshot", "kept"],
    ["localnet", "snapshots"],
    ["localnet", "down"],
]
WRONG = [
    ["p2pfd", "nonsense"],
    ["p2pfd", "balance", "--home", "nowhere"],
    ["p2pfd", "task", "check", "nowhere.json"],
    ["p2pfd", "run", "nowhere"],
    ["localnet", "up", "nowhere.toml"],
    ["localnet", "status", "--state", "nowhere"],
    ["localnet", "kill", "node-0", "--state", "nowhere"],
    ["localnet", "stop", "--state", "nowhere"],
]


def written(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[Any]]:
    code = PROGRAMS[words[0]].main([*words[1:], "--json"])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def check(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, [value] = written(words, capsys)
    name = " ".join(words[:2])
    assert code == 0, value
    assert problems(name, value) == []
    assert not list(Draft202012Validator(WHOLE).iter_errors(value))
    assert set(value) - known(WHOLE["$defs"][name]) == set(), "what is written is described"


@pytest.mark.parametrize("words", CHEAP, ids=" ".join)
def test_what_commands_write_is_what_the_schema_says(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    check(words, capsys)


def test_what_commands_say_of_a_mesh_is_what_the_schema_says(
    mesh: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _, lines = written(["localnet", "logs", *mesh], capsys)
    assert len(lines) == 6
    assert [problem for line in lines for problem in problems("localnet logs", line)] == []
    for words in OF_A_MESH:
        check([*words, *mesh], capsys)


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_errors_are_what_the_schema_says(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, [value] = written(words, capsys)
    assert problems("error", value) == []
    assert value["error"]["code"] == code != 0


@pytest.mark.parametrize("preset", ["digits", "encounters"])
def test_the_end_of_a_run_is_what_the_schema_says(preset: str) -> None:
    plan = find(preset)
    view = MeshView(plan.names(), plan.rounds)
    for name in plan.names():
        view.take(NodeEvent(1, name, "node.finished", {"accuracy_together": 0.9, "accuracy_alone": 0.6}))
    value = {"schema": SCHEMA, **summarise(plan, view, 1.0, {}, None, "r").to_plain()}
    assert problems("localnet up", value) == []
    assert set(value) <= known(WHOLE["$defs"]["localnet up"])


def test_what_is_no_output_is_told() -> None:
    assert problems("localnet status", {"schema": 1, "state": "x"})
    assert problems("error", {"schema": 2, "error": {"code": 1, "name": "", "what": "", "fix": ""}})
    assert problems("localnet wait", {"schema": 1, "condition": 7, "seconds": 1, "status": ""})
    assert list(Draft202012Validator(WHOLE).iter_errors({"schema": "1"}))


def test_every_command_is_in_the_schema_and_on_its_page() -> None:
    Draft202012Validator.check_schema(WHOLE)
    commands = [f"{program.name} {command.name}" for program in (LOCALNET, P2PFD) for command in program.commands]
    assert set(WHOLE["$defs"]) == {*COMMON, *commands}
    rows = re.findall(r"^\| `([a-z0-9-]+ [a-z-]+)` \| ([^|]*) \| ([^|]*) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [
        (name, rule["description"], keys(rule)) for name, rule in sorted(WHOLE["$defs"].items()) if " " in name
    ]


def keys(rule: Any) -> str:
    """The keys that are always there, as the page has them."""
    parts = rule.get("anyOf", [rule])
    return "; or ".join(", ".join(f"`{key}`" for key in part["required"] if key != "schema") or "–" for part in parts)
