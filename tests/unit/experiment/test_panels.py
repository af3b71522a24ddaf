"""Plots over time: a panel for each case, a line for each row, and none for what does not happen."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from p2pfd.core.tables import Text
from p2pfd.experiment.course import Fate, Point
from p2pfd.experiment.faring import faring_of
from p2pfd.experiment.grid import read
from p2pfd.experiment.page import page
from p2pfd.experiment.panels import MEASURES, panels, stacked
from p2pfd.experiment.picture import HEIGHT
from p2pfd.experiment.report import course_csv, fares, lines, to_markdown
from p2pfd.experiment.result import HONEST, Member, Result

GRID = """
kind = "encounters"
seeds = [1, 2]
nodes = 6
adapter = "oppcl"
[grid]
"data.partition" = ["iid", "dirichlet:1"]
"behaviours.flip-labels:20" = [0, 2]
[[cases]]
name = "one <set>"
[[cases]]
name = "another"
"""


def result(bad: int, out: int = 0, right: int = 8) -> Result:
    kinds = [HONEST] * (6 - bad) + ["flip-labels:20"] * bad
    course = (
        Point(0, 0.1),
        Point(10, 0.5, votes=10, right=right),
        Point(20, 0.6, votes=10, right=right, bad_votes=3 * bad, bad_right=2 * bad, altered=bad, passed=0, out=out),
    )
    fates = [Fate()] * 6 if not out else [*[Fate()] * (6 - out), *[Fate(20, 1, 0)] * out]
    return Result(
        accuracy=(0.1, 0.6),
        members=tuple(Member(kind, 10, ()) for kind in kinds),
        finished=6,
        short=0,
        refused=0,
        virtual=30.0,
        events=1,
        deliveries=1,
        seconds=1.0,
        course=course,
        fates=tuple(fates),
        changes=((0.1,) * 6, (-0.5,) * 6 if bad else ()),
    )


def test_shares_are_of_the_votes_and_means_over_the_seeds():
    one = faring_of([result(2, out=1, right=8), result(2, out=2, right=10)])
    assert one is not None
    assert (one.valid and one.valid.mean, one.caught and one.caught.mean) == (0.9, 2 / 3)
    assert one.right is not None
    assert abs(one.right.mean - (20 / 26 + 24 / 26) / 2) < 1e-12
    assert one.passed is not None
    assert one.passed.mean == 0
    assert one.out is not None
    assert (one.out.mean, one.fell, one.begun, one.others, one.altered) == (1.5, 20, 1.5, 2, 2)
    assert one.votes == ((10.0, 0.9), (20.0, (12 / 16 + 14 / 16) / 2))
    assert one.accuracy[-1] == (20.0, 0.6)
    assert faring_of([replace(result(0), course=())]) is None


def test_a_panel_for_each_case_and_a_line_for_each_of_its_rows():
    grid = read(Text("grid.toml", GRID), "grid")
    found = {row.title: [result(2 if row.axes[1][1] else 0, out=1 if row.axes[1][1] else 0)] * 2 for row in grid.rows}
    made = lines(grid, found)
    accuracy, votes, stakes = (panels(grid, made, measure) for measure in MEASURES)
    assert [len(drawn) for drawn in (accuracy, votes, stakes)] == [2, 2, 2]
    assert "accuracy of honest nodes: one &lt;set&gt;" in accuracy[0]
    assert accuracy[0].count("<polyline") == 4
    assert stakes[0].count("<polyline") == 2, "where nobody misbehaves there is nothing to see"
    whole = stacked(accuracy)
    assert whole.count("<svg ") == 3
    assert f'y="{HEIGHT}"' in whole
    assert whole.count("xmlns=") == 1
    sheet = fares(grid, made)
    assert sheet is not None
    assert len(sheet.rows) == 8
    assert sheet.rows[0][1:] == ("0.800 ± 0.000", "0.800 ± 0.000", "–", "0", "–", "0", "–", "–", "0", "0.0 ± 0.0")
    assert "below the threshold" in to_markdown(grid, made)
    assert page(grid, made, "p2pfd experiment", "a machine").count("<polyline") == 20
    rows = list(csv.reader(io.StringIO(course_csv(grid, found))))
    assert len(rows) == 1 + 8 * 2 * 3
    assert rows[0][:5] == ["case", "data.partition", "behaviours.flip-labels:20", "seed", "second"]


def test_without_a_grid_all_cases_are_in_one_panel():
    text = GRID.replace("[grid]", "").replace('"data.partition" = ["iid", "dirichlet:1"]', "")
    plain = read(Text("plain.toml", text.replace('"behaviours.flip-labels:20" = [0, 2]', "")), "plain")
    made = lines(plain, {row.title: [result(0)] * 2 for row in plain.rows})
    [drawn] = panels(plain, made, MEASURES[0])
    assert "accuracy of honest nodes</title>" in drawn
    assert "one &lt;set&gt;" in drawn
    assert panels(plain, made, MEASURES[2]) == []
