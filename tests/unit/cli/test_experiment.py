"""`p2pfd experiment`: run, stopped, run again; and what it says when it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from p2pfd.cli.program import PROGRAM
from tests.unit.experiment.small import SMALL

QUICK = f"""
about = "quick"
seeds = [1, 2]
nodes = 4
rounds = 1
{SMALL}[grid]
"behaviours.constant" = [0, 1]
"""


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "quick.toml"
    path.write_text(QUICK)
    return path


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert PROGRAM.main(["experiment", *words, "--json"]) == code
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def test_what_is_there_is_not_simulated_again(quick: Path, capsys: pytest.CaptureFixture[str]):
    first = told(capsys, str(quick), "--seeds", "1")
    assert first["simulated"] == 2
    assert [row["mesh"] for row in first["rows"]] == ["behaviours.constant 0", "behaviours.constant 1"]
    folder = Path(".experiments/quick")
    assert {path.name for path in folder.iterdir()} == {
        *("cells.jsonl", "results.csv", "report.html", "tables.md", "accuracy.svg", "pay-1.svg", "pay-2.svg")
    }
    assert told(capsys, str(quick), "--seeds", "1")["simulated"] == 0
    # As if it had been killed in the middle of a line: that mesh is simulated once more, and no other.
    cells = folder / "cells.jsonl"
    whole = cells.read_text()
    cells.write_text(whole[: len(whole) - 200])
    again = told(capsys, str(quick))
    assert again["simulated"] == 3
    assert again["rows"][0]["accuracy"]["sd"] is not None
    same = told(capsys, str(quick), "--seeds", "1")
    assert (same["simulated"], same["rows"]) == (0, first["rows"])


def test_a_dry_run_lists_what_is_to_do_and_does_nothing(quick: Path, capsys: pytest.CaptureFixture[str]):
    plan = told(capsys, str(quick), "--dry-run")
    assert [mesh["done"] for mesh in plan["meshes"]] == [False] * 4
    assert len({mesh["key"] for mesh in plan["meshes"]}) == 4
    assert plan["estimated_seconds"] > 0
    assert not Path(".experiments").exists()
    assert PROGRAM.main(["experiment", str(quick), "--dry-run"]) == 0
    words = capsys.readouterr().out
    assert "behaviours.constant 1 · seed 2  to do" in words
    assert "for 4 meshes on this machine" in words


def test_options_change_the_plan_and_the_folder(quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "elsewhere"
    made = told(capsys, str(quick), "--seeds", "5", "--set", "rounds=2", "--out", str(out))
    assert [len(row["curve"]) for row in made["rows"]] == [3, 3]
    assert made["seeds"] == [5]
    assert made["files"]["csv"] == str(out / "results.csv")
    assert "p2pfd experiment" in (out / "report.html").read_text()
    assert "--seeds 5 --set rounds=2" in (out / "report.html").read_text()


def test_presets_and_behaviours_are_listed(capsys: pytest.CaptureFixture[str]):
    listed = told(capsys, "--list")
    assert {"market", "first-look", "behaviours"} <= {preset["name"] for preset in listed["presets"]}
    assert {"copy", "sybil", "withhold"} <= {behaviour["name"] for behaviour in listed["behaviours"]}
    assert PROGRAM.main(["experiment", "--list"]) == 0
    assert "does not train" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        ([], 2, "--preset market"),
        (["quick.toml", "--preset", "market"], 2, "one of them"),
        (["quick.toml", "--seeds", "x"], 2, "whole number"),
        (["quick.toml", "--dry"], 2, "--dry-run"),
        (["nowhere.toml"], 3, "there is no file nowhere.toml"),
        (["."], 3, "is a directory"),
        (["--preset", "markt"], 3, "did you mean market?"),
        (["quick.toml", "--set", "nods=3"], 3, "did you mean nodes?"),
        (["wrong.toml"], 3, "wrong.toml, line 1: there is no key 'nods'"),
        (["quick.toml", "--set", "data.private=5000"], 3, "data.private is 5000"),
        (["quick.toml", "--set", "settings.bits=2"], 3, "constant 0: nodes with the adapter cfd tell no labels"),
        (["quick.toml", "--set", "settings.nett=2"], 3, "nett"),
        (["quick.toml", "--out", "quick.toml"], 9, "--out"),
    ],
    ids=[
        *("nothing", "both", "seeds", "option", "missing", "folder", "preset"),
        *("set", "key", "data", "bits", "setting", "out"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_simulated(
    quick: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, hint: str
):
    Path("wrong.toml").write_text("nods = 3\n")
    assert PROGRAM.main(["experiment", *words, "--plain"]) == code
    captured = capsys.readouterr()
    assert hint in captured.err
    assert "Traceback" not in captured.err
    assert not Path(".experiments").exists()
