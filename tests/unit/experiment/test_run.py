"""Running cells: what is kept when it is stopped, what is missing afterwards, and how long it is said to take."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from p2pfd.core.tables import Text
from p2pfd.errors import PlanError
from p2pfd.experiment.grid import Experiment, read
from p2pfd.experiment.plan import Plan
from p2pfd.experiment.run import Progress, check_cells, effort, estimate, kept_in, missing, results, run, trainers
from tests.unit.experiment.small import SMALL

QUICK = f"""
seeds = [1, 2]
nodes = 4
rounds = 2
{SMALL}[grid]
"behaviours.constant" = [0, 1]
"""


@pytest.fixture
def quick() -> Experiment:
    return read(Text("quick.toml", QUICK), "quick")


def test_whoever_stops_it_loses_one_mesh_and_goes_on_with_the_others(quick: Experiment, tmp_path: Path):
    path = tmp_path / "cells.jsonl"
    ticking = count().__next__
    told: list[Progress] = []

    def stop_in_the_third(progress: Progress) -> None:
        told.append(progress)
        if progress.done == 2:
            raise KeyboardInterrupt

    cells = missing(quick, kept_in(path))
    assert [cell.title for cell in cells] == [cell.title for cell in quick.cells()]
    with pytest.raises(KeyboardInterrupt):
        run(cells, kept_in(path), ticking, stop_in_the_third)
    assert [(one.done, one.round, one.of) for one in told] == [(0, 1, 2), (0, 2, 2), (1, 1, 2), (1, 2, 2), (2, 1, 2)]
    assert all(one.left >= 0 for one in told)
    assert len(path.read_text().splitlines()) == 2
    rest = missing(quick, kept_in(path))
    assert [cell.title for cell in rest] == [cell.title for cell in cells[2:]]
    kept = kept_in(path)
    run(rest, kept, ticking, lambda progress: None)
    assert missing(quick, kept_in(path)) == []
    found = results(quick, kept_in(path))
    assert {title: len(each) for title, each in found.items()} == {row.title: 2 for row in quick.rows}


def test_cells_that_are_the_same_mesh_are_simulated_once(quick: Experiment, tmp_path: Path):
    twin = replace(quick.rows[0], case="the same by another name")
    both = replace(quick, rows=(quick.rows[0], twin), seeds=(1,))
    assert len(missing(both, kept_in(tmp_path / "cells.jsonl"))) == 1


def test_results_that_are_not_there_are_not_made_up(quick: Experiment, tmp_path: Path):
    with pytest.raises(KeyError):
        results(quick, kept_in(tmp_path / "cells.jsonl"))


def test_a_line_that_is_no_result_is_as_if_it_were_not_there(quick: Experiment, tmp_path: Path):
    path = tmp_path / "cells.jsonl"
    path.write_text('{"code": "1", "key": "x", "members": [[1]]}\nnot JSON\n[]\n{"code": "1"}\n')
    assert len(kept_in(path)) == 0


def test_an_estimate_is_a_training_and_a_distillation_for_each_round(quick: Experiment):
    [cell] = [cell for cell in quick.cells() if cell.seed == 1 and cell.row.plan.counts() == {"constant": 1}]
    clock = iter([0.0, 2.0, 2.5]).__next__  # a training takes two seconds, a distillation half a second
    assert estimate([cell], clock) == 2 * (3 * 2.0 + 0.5)
    assert estimate([], clock) == 0


def test_who_makes_labels_up_trains_nothing():
    plan = Plan(nodes=10, behaviours={"constant": 1, "copy": 2, "flip": 1, "sybil": 3})
    assert trainers(plan) == 3 + 1 + 1
    assert effort(replace(plan, chain="none")) > effort(plan)


def test_what_cannot_be_run_is_said_with_its_row(quick: Experiment):
    row = quick.rows[1]
    short = replace(row, plan=replace(row.plan, data=replace(row.plan.data, private=5000)))
    with pytest.raises(PlanError, match=r"constant 1: data\.private is 5000"):
        check_cells(replace(quick, rows=(quick.rows[0], short)).cells())
