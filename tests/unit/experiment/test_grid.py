"""Experiments as they are written: what they come to, and what is said of those that make no sense."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from p2pfd.core.tables import Text
from p2pfd.errors import PlanError
from p2pfd.experiment.grid import Experiment, from_file, preset, presets, read, with_options
from p2pfd.experiment.plan import DataPart, Plan, check


def experiment(text: str) -> Experiment:
    return read(Text("my.toml", text), "my")


def test_a_file_that_says_nothing_is_one_mesh_with_three_seeds():
    made = experiment("")
    assert (made.name, made.seeds) == ("my", (1, 2, 3))
    assert [cell.title for cell in made.cells()] == [" · seed 1", " · seed 2", " · seed 3"]
    assert made.rows[0].plan == Plan()


def test_cases_and_grid_are_combined_and_seeds_come_one_after_the_other():
    made = experiment(
        """
        seeds = [5, 6, 5]
        rounds = 2
        [settings]
        trust = "surplus"
        [grid]
        "settings.gate" = [true, false]
        behaviours.collude = [0, "40%"]
        [[cases]]
        name = "few"
        [[cases]]
        name = "many"
        nodes = 20
        data.partition = "dirichlet:1"
        """
    )
    assert made.seeds == (5, 6)
    titles = [row.title for row in made.rows]
    assert titles[:2] == [
        "few · settings.gate true · behaviours.collude 0",
        "few · settings.gate true · behaviours.collude 40%",
    ]
    assert len(titles) == 8
    last = made.rows[-1].plan
    assert (last.nodes, last.rounds, last.data.partition) == (20, 2, "dirichlet:1")
    assert dict(last.settings) == {"trust": "surplus", "gate": False}
    assert last.counts() == {"collude": 8}
    assert [cell.seed for cell in made.cells()] == [5] * 8 + [6] * 8


def test_a_preset_can_be_taken_over_and_changed():
    made = experiment('preset = "market"\nrounds = 2\n[settings]\ngate = false\n[[cases]]\nname = "mine"\n')
    whole = preset("market")
    assert [row.title for row in made.rows] == ["mine"]
    plan = made.rows[0].plan
    assert (plan.rounds, plan.nodes) == (2, whole.rows[0].plan.nodes)
    assert dict(plan.settings) == {"trust": "surplus", "gate": False}


@pytest.mark.parametrize("name", presets())
def test_every_preset_can_be_carried_out(name: str):
    made = preset(name)
    assert made.about
    assert made.name == name
    for row in made.rows:
        check(row.plan)


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("nodse = 3", "my.toml, line 1: there is no key 'nodse'", "did you mean nodes?"),
        ("\n[data]\nnam = 'digits'", "my.toml, line 3: there is no key 'data.nam'", "did you mean name?"),
        ("nodes = 'three'", "line 1: nodes is 'three'", "whole number"),
        ("nodes = 1", "nodes is 1", "between 2 and 64"),
        ("nodes = 65", "nodes is 65", "between 2 and 64"),
        ("rounds = 0", "rounds is 0", "between 1"),
        ("loss = 2.0", "loss is 2", "between 0 and 1"),
        ("loss = nan", "loss is nan", "between 0 and 1"),
        ("latency_low = 90", "latency_high is 80", "between 90"),
        ("graph = 'star'", "graph is 'star'", "circle"),
        ("chain = 'embedded'", "chain is 'embedded'", "reference"),
        ("adapter = 'cfdd'", "adapter is 'cfdd'", "did you mean cfd?"),
        ("quorum = 11", "quorum is 11", "between 0 and 10"),
        ("[behaviours]\nlie = 3", "there is no behaviour 'lie'", "flip"),
        ("[behaviours]\nflip = -1", "behaviours.flip is -1", "a number of nodes"),
        ("[behaviours]\nflip = '120%'", "behaviours.flip is '120%'", "a share"),
        ("[behaviours]\nflip = 'nan%'", "behaviours.flip is 'nan%'", "a share"),
        ("[behaviours]\nflip = true", "behaviours.flip is True", "a number of nodes"),
        ("[behaviours]\nflip = 6\ncopy = '40%'", "behaviours for all of them (copy 4, flip 6)", "leave one honest"),
        ("[behaviours]\n'constant:77' = 1", "constant:77 names no class", "0 to 9"),
        ("[behaviours]\nvote-no = 1", "behaviours.vote-no is about encounters", "--list"),
        ("[settings]\nrate = 0.1", "settings.rate is 0.1", 'rate = "0.1"'),
        ("[data]\nname = 'nothing'", "nothing", ""),
        ("[data]\npartition = 'skewed'", "data.partition is 'skewed'", "dirichlet"),
        ("[data]\npublic = 2000", "data.public is 2000", "1,024"),
        ("seeds = []", "line 1: seeds is []", "[1, 2, 3]"),
        ("seeds = [1, true]", "seeds is [1, True]", "whole numbers"),
        ("seeds = 3", "seeds is 3", "list"),
        ("name = 'a/b'", "name is 'a/b'", "no slash"),
        ("name = ''", "name is ''", "names a folder"),
        ("about = 3", "about is 3", "text"),
        ("grid = 3", "grid is not a table", "[grid]"),
        ("[grid]\nnodes = 3", "line 2: grid.nodes is not a list", "[1, 2]"),
        ("[grid]\nnodes = []", "line 2: grid.nodes is not a list", "[1, 2]"),
        ("[grid]\nnodse = [3]", "line 2: there is no key 'nodse'", "did you mean nodes?"),
        ("[grid]\n\n'data.publik' = [3]", "line 3: there is no key 'data.publik'", "did you mean public?"),
        ("[grid]\ndata.publik = [3]", "line 2: there is no key 'data.publik'", "did you mean public?"),
        ("[grid]\nnodes = [3, 'x']", "line 2: nodes is 'x'", "whole number"),
        ("[grid]\nnodes = [3, 3]", "two cases 'nodes 3'", "name of its own"),
        ("cases = 3", "cases is not a list of tables", "[[cases]]"),
        ("cases = []", "cases is not a list of tables", "[[cases]]"),
        ("[[cases]]\nname = 3", "line 2: the name of a case is 3", "text"),
        ("[[cases]]\nname='a'\n[[cases]]\nname='b'\nnodse = 3", "line 5: there is no key 'cases.nodse'", "nodes"),
        ("[[cases]]\nname = 'a'\n[[cases]]\nname = 'a'", "two cases 'a'", "name of its own"),
        ("preset = 'markt'", "line 1: there is no preset 'markt'", "did you mean market?"),
        ("[grid]\nrounds = [" + ",".join(map(str, range(1, 4000))) + "]", "my.toml: 11,997 meshes", "10,000"),
        ("nodes = ", "my.toml is not TOML", "experiments.md"),
        ("a = " + "[" * 5000, "is not TOML", "experiments.md"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_what_is_wrong_is_named_with_its_line_and_what_would_be_right(text: str, what: str, fix: str):
    with pytest.raises(PlanError) as caught:
        experiment(text)
    assert what in caught.value.what
    assert fix in caught.value.fix


@pytest.mark.parametrize("make", ["missing", "folder", "binary"])
def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path, make: str):
    path = tmp_path / "my.toml"
    if make == "folder":
        path.mkdir()
    elif make == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match=r"my\.toml"):
        from_file(path)


def test_options_change_every_mesh():
    made = with_options(preset("first-look"), [9], ["rounds=2", "data.partition=dirichlet:1", "settings.gate = false"])
    assert made.seeds == (9,)
    for row in made.rows:
        assert (row.plan.rounds, row.plan.data.partition) == (2, "dirichlet:1")
        assert dict(row.plan.settings) == {"gate": False}


def test_an_axis_that_is_set_has_one_value_left():
    made = with_options(preset("gate"), None, ["behaviours.collude=40%"])
    titles = [row.title for row in made.rows]
    assert titles == ["behaviours.collude 40% · settings.gate true", "behaviours.collude 40% · settings.gate false"]
    assert [row.plan.counts() for row in made.rows] == [{"collude": 4}] * 2


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("rounds", "--set rounds"),
        ("=3", "--set =3"),
        ("round=3", "--set round=3: there is no key 'round'"),
        ("rounds=x", "--set rounds=x: rounds is 'x'"),
        ("rounds=0", "rounds is 0"),
    ],
)
def test_an_option_that_makes_no_sense_is_told(setting: str, what: str):
    with pytest.raises(PlanError) as caught:
        with_options(preset("first-look"), None, [setting])
    assert what in caught.value.what


def test_a_cell_is_named_by_what_decides_it_and_by_nothing_else():
    [first, *_] = experiment("[behaviours]\nflip = 4").cells()
    [share, *_] = experiment("name = 'another'\n[behaviours]\nflip = '40%'\ncopy = 0").cells()
    assert first.key == share.key
    others = ["nodes = 11", "rounds = 3", "loss = 0.1", "data.partition = 'dirichlet:1'", "settings.gate = false"]
    keys = {experiment(text + "\nbehaviours.flip = 4").cells()[0].key for text in others}
    keys |= {first.key, replace(first, seed=2).key, experiment("").cells()[0].key}
    assert len(keys) == len(others) + 3


def test_a_plan_holds_its_tables_for_good():
    plan = Plan(settings={"gate": True}, data=DataPart(public=64))
    with pytest.raises(TypeError):
        plan.settings["gate"] = False  # type: ignore[index]
    assert plan.to_plain()["settings"] == {"gate": True}
