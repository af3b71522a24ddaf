"""Figures, tables, CSV, plots and the page, of results that were really simulated and of some that were not."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from p2pfd.experiment.figures import PARTS, Spread, line_of
from p2pfd.experiment.grid import Experiment
from p2pfd.experiment.page import curves, page, payments
from p2pfd.experiment.picture import HEIGHT, Series, plot
from p2pfd.experiment.plan import UNIT, Plan
from p2pfd.experiment.report import accuracies, figures, lines, pays, to_csv, to_markdown
from p2pfd.experiment.result import Member, Result, Turn

Found = Mapping[str, list[Result]]


def made_up(pays: list[list[int]], kinds: list[str], samples: list[int] | None = None) -> Result:
    """A result whose figures can be told by heart: each node's pay in its rounds, in units of the rate."""
    rate = Plan().money.rate
    members = tuple(
        Member(kind, size, tuple(Turn(paid * rate, 0, 0.5, 1) for paid in paid_each), sum(paid_each) * rate)
        for kind, size, paid_each in zip(kinds, samples or [10] * len(kinds), pays, strict=True)
    )
    return Result((0.1, 0.5, 0.9), members, 2, 0, 0, 1.0, 10, 5, 2.0)


def test_means_are_over_nodes_and_spreads_over_seeds():
    kinds = ["honest", "honest", "flip"]
    first, second = made_up([[1, 3], [3, 5], [0, 0]], kinds), made_up([[5, 7], [7, 9], [0, 2]], kinds)
    line = line_of("row", Plan(nodes=3, rounds=2), [first, second])
    honest, flip = line.groups
    assert honest.pay == Spread(5.0, pytest.approx(32**0.5 / 2))
    assert honest.by_round == (4.0, 6.0)
    assert honest.gain == Spread(10 * Plan().money.rate / UNIT, pytest.approx(2 * 4 * 32**0.5 / 2))
    assert flip.pay == Spread(0.5, pytest.approx(0.5**0.5))
    assert (honest.nodes, flip.nodes, honest.own, honest.passed) == (2, 1, Spread(0.5, 0.0), Spread(1.0, 0.0))
    assert line.curve == (0.1, 0.5, 0.9)
    assert line.accuracy == Spread(0.9, 0.0)


def test_one_seed_has_no_spread_and_no_chain_no_pay():
    result = made_up([[1, 3], [3, 5]], ["honest", "honest"])
    [honest] = line_of("", Plan(nodes=2, rounds=2), [result]).groups
    assert honest.pay == Spread(3.0, None)
    assert f"{honest.pay:.2f}" == "3.00"
    assert f"{Spread(3.0, 0.5):.1f}" == "3.0 ± 0.5"
    [gossip] = line_of("", Plan(nodes=2, rounds=2, chain="none"), [result]).groups
    assert (gossip.pay, gossip.gain) == (None, None)


def test_honest_nodes_are_divided_by_their_data_where_it_differs_much():
    kinds = ["honest"] * 7 + ["copy"]
    paid = [[n, n] for n in range(8)]
    apart = line_of("", Plan(nodes=8, rounds=2), [made_up(paid, kinds, [70, 10, 60, 20, 50, 30, 40, 99])])
    assert [group.kind for group in apart.groups] == ["honest", *PARTS, "copy"]
    assert [group.samples for group in apart.groups] == [40, 65, 40, 15, 99]
    assert [group.nodes for group in apart.groups] == [7, 2, 3, 2, 1]
    alike = line_of("", Plan(nodes=8, rounds=2), [made_up(paid, kinds, [10, 11, 12, 13, 14, 15, 16, 99])])
    assert [group.kind for group in alike.groups] == ["honest", "copy"]


def test_the_csv_has_a_line_for_each_node_and_round_and_sums_up_to_the_tables(tiny: Experiment, found: Found):
    rows = list(csv.DictReader(io.StringIO(to_csv(tiny, dict(found)))))
    assert len(rows) == sum(row.plan.nodes * row.plan.rounds * len(tiny.seeds) for row in tiny.rows)
    for row, line in zip(tiny.rows, lines(tiny, dict(found)), strict=True):
        honest = [entry for entry in rows if entry["case"] == row.title and entry["kind"] == "honest"]
        mean = sum(int(entry["paid"]) for entry in honest) / len(honest) / row.plan.money.rate
        assert mean == pytest.approx(line.groups[0].pay.mean)
        ends = {(entry["seed"], entry["accuracy"]) for entry in honest if int(entry["round"]) == row.plan.rounds}
        assert sum(float(value) for _, value in ends) / len(ends) == pytest.approx(line.accuracy.mean)
    silent = [entry for entry in rows if entry["kind"] == "withhold"]
    assert {(entry["vote"], entry["forfeited"]) for entry in silent} == {("", str(tiny.rows[0].plan.money.forfeit))}


def test_the_grid_stands_in_the_csv(tiny: Experiment, found: Found):
    row = replace(tiny.rows[0], axes=(("settings.gate", False), ("loss", 0.5)))
    grid = replace(tiny, rows=(row,))
    [head, first, *_] = csv.reader(io.StringIO(to_csv(grid, {row.title: found["all honest"]})))
    assert head[:4] == ["case", "settings.gate", "loss", "seed"]
    assert first[:5] == ["all honest", "False", "0.5", "1", "1"]


def test_tables_have_a_line_for_each_mesh_and_each_kind(tiny: Experiment, found: Found):
    made = lines(tiny, dict(found))
    assert [row[0] for row in accuracies(tiny, made).rows] == ["all honest", "some lie & some sleep"]
    sheet = pays(made[1], tiny.rows[1].plan)
    kinds = [row[0] for row in sheet.rows]
    assert kinds[0] == "honest"
    assert kinds[-2:] == ["constant", "withhold"]
    assert dict(zip(sheet.head, sheet.rows[-1], strict=True))["own accuracy"] != "–"
    text = to_markdown(tiny, made)
    assert "| mesh | accuracy before |" in text
    assert "8 nodes, 2 rounds, chain reference, cfd (distil_epochs 5, epochs 3)" in text


def test_figures_are_plain(tiny: Experiment, found: Found):
    plain = figures(tiny, lines(tiny, dict(found)))
    assert plain["experiment"] == "tiny"
    rows = plain["rows"]
    assert isinstance(rows, list)
    assert [len(row["curve"]) for row in rows] == [3, 3]
    assert {group["kind"] for group in rows[1]["groups"]} >= {"honest", "constant", "withhold"}


class Tags(HTMLParser):
    """What is opened and not closed, and every address that a page names."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_one_file_in_order_and_shows_every_mesh(tiny: Experiment, found: Found):
    text = page(tiny, lines(tiny, dict(found)), "p2pfd experiment <tiny>.toml", "a machine")
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.addresses == []
    assert "<script" not in text
    assert "url(" not in text
    assert text.count("<svg") == 3
    assert "prefers-color-scheme:dark" in text
    assert "some lie &amp; some sleep" in text
    assert "small &lt;enough&gt;" in text
    assert "p2pfd experiment &lt;tiny&gt;.toml" in text


def test_plots_are_well_formed_and_bring_their_colours_where_they_stand_alone(tiny: Experiment, found: Found):
    made = lines(tiny, dict(found))
    for text in (curves(made, alone=True), payments(made[1], alone=True)):
        ElementTree.fromstring(text)
        assert "prefers-color-scheme:dark" in text
    assert "<style>" not in curves(made)


@pytest.mark.parametrize(
    "series",
    [
        [],
        [Series("nothing", ())],
        [Series("one point", ((1.0, 5.0),))],
        [Series("level", ((0.0, 0.0), (1.0, 0.0)))],
        [Series("below", ((0.0, -2.0), (1.0, 3.0)))],
        [Series(f"line {n} & more", ((0.0, 1.0), (1.0, 1.0))) for n in range(12)],
        [Series("large", ((0.0, 12345678.0), (300.0, 2.0)))],
    ],
    ids=["none", "empty", "point", "level", "below", "many", "large"],
)
def test_any_points_can_be_plotted_within_the_picture(series: list[Series]):
    text = plot(series, "title <", "rounds", alone=True)
    root = ElementTree.fromstring(text)
    for element in root.iter():
        for key in ("y", "cy", "y1"):
            if element.get(key):
                assert -1 <= float(element.get(key) or 0) <= HEIGHT + 1
    marks = [float(mark) for mark in re.findall(r'text-anchor="end">(-?[\d.e+]+)<', text)]
    assert marks == sorted(marks)
    assert 2 <= len(marks) <= 14
