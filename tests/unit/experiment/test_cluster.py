"""Cells that are simulated elsewhere: what is sent gives the same result, and other code or a bad plan is told."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest

from p2pfd.cli.program import PROGRAM
from p2pfd.core.tables import Text
from p2pfd.experiment.cluster import sent, simulate
from p2pfd.experiment.grid import Cell, read
from p2pfd.experiment.run import stage_of
from tests.unit.experiment.small import SMALL

QUICK = (
    """
seeds = [3]
nodes = 4
rounds = 2
"""
    + SMALL
    + """[[cases]]
name = "market"
behaviours = {{ constant = "25%" }}
faults = "{faults}"
[[cases]]
name = "meet"
kind = "encounters"
adapter = "gossip"
meetings = {{ each = 1, validators = 1 }}
"""
)
FAULTS = '[[loss]]\nfrom = 0\nto = 20\nshare = "20%"\n'


@pytest.fixture
def cells(tmp_path: Path) -> list[Cell]:
    (tmp_path / "faults.toml").write_text(FAULTS)
    return read(Text("quick.toml", QUICK.format(faults=tmp_path / "faults.toml")), "quick").cells()


def test_what_another_machine_makes_of_a_cell_is_what_this_one_makes(cells: list[Cell], tmp_path: Path) -> None:
    for cell in cells:
        raw = json.loads(json.dumps(sent(cell)))
        (tmp_path / "faults.toml").unlink(missing_ok=True)  # it is not on the other machine
        told = simulate(*raw, count().__next__)
        (tmp_path / "faults.toml").write_text(FAULTS)
        mine = stage_of(cell.row.plan, cell.seed).run(count().__next__, lambda _round, _of: None).to_plain()
        assert {**told["result"], "seconds": 0} == {**mine, "seconds": 0}


def test_other_code_is_told(cells: list[Cell]) -> None:
    plain, faults, seed, key = sent(cells[1])
    told = simulate(plain, faults, seed, key[::-1], count().__next__)
    assert told["kind"] == "EnvironmentProblem"
    assert "install the same" in told["fix"]


def test_a_plan_that_makes_no_sense_there_is_told(cells: list[Cell]) -> None:
    plain, faults, seed, key = sent(cells[0])
    assert simulate({**plain, "nodse": 3}, faults, seed, key, count().__next__)["kind"] == "PlanError"


@pytest.mark.parametrize("words", [["--engine", "rai"], ["--address", "10.0.0.1:1"]], ids=["engine", "address"])
def test_words_that_make_no_sense_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAM.main(["experiment", "--preset", "market", *words]) == 2
    assert capsys.readouterr().err
