"""Measurements: what is kept, what is counted, and how tables are written."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from p2pfd_adapters.cfd import Cfd

from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError, StorageError
from p2pfd.learning.adapter import Task
from p2pfd.learning.baseline import accuracy_alone, federated_average
from p2pfd.learning.bench import TABLES, Cache, Cell, Point, Result, measure, only, table_of
from p2pfd.learning.bench.cache import code_digest
from p2pfd.learning.bench.cell import ALONE
from p2pfd.learning.bench.measure import entropy
from p2pfd.learning.bench.plot import Curve, plot
from p2pfd.learning.bench.tables import ELSEWHERE
from p2pfd.learning.data import deal
from p2pfd.learning.local import local_fit, local_model
from p2pfd.learning.recipes import RECIPES, Recipe, recipe_for

QUICK = replace(recipe_for("digits"), rounds=2, public=64, settings={"epochs": 1, "distil_epochs": 2})
LONGER = replace(QUICK, settings={"epochs": 8, "distil_epochs": 12})
RESULT = Result((Point(100, 0.5, 3.2, 3.3, 3.3), Point(150, 0.75, 1.6, 3.3, 1.7)), 2.5)


def measured(cell: Cell) -> Result:
    return measure(cell, Cfd(), lambda: 0.0, lambda *_: None)


def test_a_cell_gives_the_same_result_again() -> None:
    cell = Cell(LONGER, seed=3, nodes=4)
    told: list[tuple[int, int]] = []
    first = measure(cell, Cfd(), lambda: 0.0, lambda rnd, rounds, _: told.append((rnd, rounds)))
    assert first == measured(cell)
    assert told == [(1, 2), (2, 2)]
    assert first.accuracy > 0.4
    last = first.curve[-1]
    assert 0 < last.sent < 4.2
    assert last.changed < last.entropy
    assert min(last.own, first.both) > 0.3
    assert first.curve[0].both == 0
    assert last.bytes == pytest.approx(sum(point.sent for point in first.curve) * 64 / 8)


def test_federated_average_is_the_baselines() -> None:
    cell = Cell(QUICK, seed=3, method="fedavg", nodes=4)
    spec = cell.task()
    dealt = deal(spec.data, 4)
    model = local_model(spec.settings, 10)
    weights = federated_average(model, dealt.shards, 2, local_fit(spec.settings, 1), Rng(3))
    result = measured(cell)
    assert result.accuracy == model.accuracy(weights, dealt.test.x, dealt.test.y)
    assert result.bytes == 2 * 4 * model.parameters
    assert measured(replace(cell, method="fedavg-adjusted")).accuracy != result.accuracy


def test_alone_is_what_each_learns_from_its_own_shard() -> None:
    cell = Cell(LONGER, seed=3, method=ALONE, nodes=4)
    dealt = deal(cell.task().data, 4)
    task = Task(cell.task(), dealt.public)
    shares = [
        accuracy_alone(task, shard, dealt.test, Rng(3).split(ALONE, place)) for place, shard in enumerate(dealt.shards)
    ]
    assert measured(cell) == Result((Point(0.0, sum(shares) / 4),), 0.0)
    assert 0.1 < measured(cell).accuracy < measured(replace(cell, method="cfd")).accuracy


@pytest.mark.parametrize("attack", ["flip", "random", "constant", "copy"])
def test_liars_do_something_else_than_the_honest(attack: str) -> None:
    cell = Cell(QUICK, seed=3, nodes=4)
    assert measured(replace(cell, attack=attack, liars=2)) != measured(cell)
    soft = replace(QUICK, rounds=1, settings={**QUICK.settings, "bits": 4})
    assert measured(replace(cell, recipe=soft, attack=attack, liars=2)).bytes > 0


def test_more_bits_cost_more() -> None:
    cell = Cell(QUICK, seed=3, nodes=4)
    soft = Cell(replace(QUICK, settings={**QUICK.settings, "bits": 4}), seed=3, nodes=4)
    assert measured(soft).bytes > 2 * measured(cell).bytes


def test_labels_cost_their_entropy() -> None:
    assert entropy(bytes([0, 1, 2, 3] * 8)) == 2
    assert entropy(bytes(32)) == 0
    assert entropy(bytes([7] * 32), bytes([7] * 32)) == 0
    assert entropy(bytes([1, 7] * 16), bytes([7] * 32)) == 1


def test_results_outlive_the_process_and_a_torn_line(tmp_path: Path) -> None:
    path, cell = tmp_path / "deep" / "cache.jsonl", Cell(QUICK, seed=1)
    Cache(path, "code").put(cell, RESULT)
    path.write_text(path.read_text() + '{"code": "code", "key": "torn', encoding="utf-8")
    cache = Cache(path, "code")
    assert cache.get(cell) == RESULT
    assert cache.get(replace(cell, seed=2)) is None
    cache.put(replace(cell, seed=2), RESULT)
    assert len(Cache(path, "code")) == 2
    assert len(Cache(path, "other code")) == 0


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written.*--cache"):
        Cache(tmp_path / "file" / "cache", "code").put(Cell(QUICK, seed=1), RESULT)
    with pytest.raises(StorageError, match=r"cannot be read.*--cache"):
        Cache(tmp_path, "code")


def test_settings_and_code_decide_what_counts_as_measured() -> None:
    cell = Cell(QUICK, seed=1)
    other = replace(QUICK, settings={**QUICK.settings, "epochs": 2})
    keys = {cell.key, replace(cell, nodes=5).key, replace(cell, recipe=other).key, Cell(QUICK, 1, liars=1).key}
    assert len(keys) == 4
    assert code_digest() != code_digest([Cfd])


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_markdown_and_figures(name: str) -> None:
    table = table_of(name, QUICK)
    found = {row: [RESULT, RESULT] for row, _ in table.rows}
    lines = table.markdown(found).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) > 2
    figures = table.figures(found)
    assert json.loads(json.dumps(figures)) == figures
    assert len({cell.key for _, cell in table.cells((1, 2))}) == 2 * len(table.rows)


def test_the_headline_has_the_keys_that_others_read() -> None:
    table = table_of("headline", QUICK)
    figures = table.figures({row: [RESULT] for row, _ in table.rows})
    assert figures["cfd_accuracy"] == figures["fedavg_accuracy"] == figures["fedavg_adjusted_accuracy"] == 0.75
    assert figures["cfd_sd"] == 0
    assert figures["cfd_kb"] == 0.15


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(PlanError, match="headline, skew"):
        table_of("tables", QUICK)
    with pytest.raises(PlanError, match="cifar10-jpeg, digits, fashion"):
        recipe_for("svhn")


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_recipes_are_legal(recipe: Recipe) -> None:
    assert Cell(recipe, seed=1).task().settings == recipe.settings


def test_rows_are_picked_by_their_names() -> None:
    table = only(table_of("skew", QUICK), ": cfd")
    assert [row for row, _ in table.rows] == ["iid: cfd", "α = 1: cfd", "α = 0.1: cfd", "α = 0.1, 20 nodes: cfd"]
    assert table.markdown({row: [RESULT] for row, _ in table.rows}).count("\n") == 5
    with pytest.raises(PlanError, match="the rows are cfd, FedAvg"):
        only(table_of("headline", QUICK), "gossip")


def test_where_classes_are_spread_evenly_rounds_are_longer_and_fewer() -> None:
    recipe = replace(QUICK, rounds=3, even=(1, 7))
    rounds = {
        name: (cell.recipe.rounds, cell.recipe.settings["epochs"])
        for name, cell in table_of("skew", recipe).cells([1])
        if ", 20" not in name
    }
    assert {rounds[f"{where}: cfd"] for where in ("iid", "α = 1")} == {(1, 7)}
    assert {rounds[f"{where}: FedAvg"] for where in ("iid", "α = 1")} == {(7, 1)}
    assert rounds["α = 0.1: cfd"] == (3, 1)
    assert rounds["α = 0.1: FedAvg, adjusted"] == (3, 1)
    assert recipe.on("labels:2") is recipe
    plain = recipe.alike(4)
    assert plain.on("iid") is plain
    assert plain.settings == {"epochs": 4, "distil_epochs": 2}
    assert plain.averaged("iid") == plain
    assert QUICK.on("iid") is QUICK
    assert QUICK.averaged("iid") == QUICK


def test_public_samples_from_elsewhere_have_settings_of_their_own() -> None:
    recipe = replace(QUICK, settings={"target": "squared", "noise": "0.1"}, foreign={"target": "votes"})
    cells = dict(table_of("public", recipe).cells([1]))
    assert cells["held out"].recipe.settings == recipe.settings
    assert cells["alone"].recipe.settings == recipe.settings
    for name in ELSEWHERE:
        once, more = cells[name], cells[f"{name}, 4 bits"]
        assert (once.public_from, more.public_from) == (name, name)
        assert once.recipe.settings == {"target": "votes", "noise": "0.1"}
        assert more.recipe.settings == {**once.recipe.settings, "bits": 4}
    given = recipe.having({"target": "squared", "noise": "0"})
    wanted = {"target": "squared", "noise": "0"}
    assert (given.settings, given.elsewhere().settings) == (wanted, wanted)
    assert Cell(recipe, 1).key != Cell(replace(recipe, foreign={}), 1).key


def test_a_plot_is_well_formed_and_says_what_it_shows() -> None:
    curves = [Curve("a < b", ((120, 0.5), (400, 0.8))), Curve("c", ((90_000, 0.1), (2_000_000, 0.8)))]
    root = ElementTree.fromstring(plot(curves, "accuracy"))
    words = [element.text for element in root.iter() if element.text]
    assert {"accuracy", "a < b", "c", "100 B", "10 MB"} <= set(words)
    assert len([element for element in root.iter() if element.tag.endswith("polyline")]) == 2
