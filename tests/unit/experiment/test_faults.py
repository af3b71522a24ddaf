"""What goes wrong in an experiment, by a script: markets and encounters live with it, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pfd.core.tables import Text
from p2pfd.errors import PlanError
from p2pfd.experiment.encounters import EncounterStage
from p2pfd.experiment.grid import Experiment, read
from p2pfd.experiment.result import HONEST
from p2pfd.experiment.stage import Stage

SCRIPT = """
[[loss]]
from = 0
to = 30
share = "5%"
[[delay]]
from = 0
to = 30
least = 0.1
most = 0.4
[[absence]]
node = 1
from = 0.6
to = 5
[[chain-away]]
from = 1
to = 2
"""
MARKET = """
seeds = [1]
nodes = 6
rounds = 3
phase_seconds = 20
[data]
public = 48
validation = 10
test = 60
private = 200
[settings]
epochs = 1
distil_epochs = 2
[grid]
faults = ["", "FILE"]
"""
ENCOUNTERS = """
kind = "encounters"
seeds = [1]
nodes = 6
adapter = "oppcl"
[data]
partition = "iid"
public = 20
validation = 20
test = 60
private = 240
[settings]
goal = "all"
epochs = 2
[grid]
faults = ["", "FILE"]
"""


def with_script(tmp_path: Path, text: str, script: str = SCRIPT) -> Experiment:
    path = tmp_path / "faults.toml"
    path.write_text(script)
    return read(Text("mine.toml", text.replace("FILE", str(path))), "mine")


def test_a_market_goes_on_in_spite_of_it(tmp_path: Path):
    quiet, troubled = (
        Stage(row.plan, 1).run(lambda: 0.0, lambda rnd, of: None) for row in with_script(tmp_path, MARKET).rows
    )
    assert quiet.finished == troubled.finished == 6
    assert len(troubled.accuracy) == 4
    assert troubled.virtual > quiet.virtual, "whoever was away was waited for"
    assert troubled.deliveries != quiet.deliveries
    assert abs(troubled.accuracy[-1] - quiet.accuracy[-1]) < 0.3
    assert all(one.kind == HONEST and one.gain > 0 for one in troubled.members)


def test_encounters_go_on_in_spite_of_it(tmp_path: Path):
    quiet, troubled = (
        EncounterStage(row.plan, 1).run(lambda: 0.0, lambda rnd, of: None)
        for row in with_script(tmp_path, ENCOUNTERS).rows
    )
    for result in (quiet, troubled):
        assert result.finished == 6, "everybody got its tokens out"
        assert sum(one.gain for one in result.members) == 0
    assert troubled.refused != quiet.refused or troubled.events != quiet.events
    assert sum(len(one.turns) for one in troubled.members) >= 6


def test_what_a_script_says_is_part_of_what_decides_a_mesh(tmp_path: Path):
    one = with_script(tmp_path, MARKET)
    keys = [cell.key for cell in one.cells()]
    assert len(set(keys)) == 2
    other = with_script(tmp_path, MARKET, SCRIPT.replace("5%", "6%"))
    assert other.rows[1].plan == one.rows[1].plan
    assert [cell.key == key for cell, key in zip(other.cells(), keys, strict=True)] == [True, False]


@pytest.mark.parametrize(
    ("script", "what"),
    [("[[loss]]\nfrom = 1\nto = 0\nshare = 0.1", "line 1"), ("[[flood]]", "there is no fault 'flood'")],
    ids=["backwards", "unknown"],
)
def test_what_is_wrong_with_a_script_is_said(tmp_path: Path, script: str, what: str):
    with pytest.raises(PlanError) as caught:
        with_script(tmp_path, MARKET, script)
    assert what in caught.value.what


def test_a_script_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(PlanError, match=r"nowhere\.toml"):
        read(Text("mine.toml", MARKET.replace("FILE", str(tmp_path / "nowhere.toml"))), "mine")
