import os
from pathlib import Path

import pytest
from p2pfd_localnet import checks, plan
from p2pfd_localnet.checks import check
from p2pfd_localnet.plan import Plan, change
from p2pfd_localnet.planfile import blaming, from_file
from p2pfd_localnet.presets import PRESETS, find

from p2pfd.core.encounter_spec import NO_ENCOUNTERS
from p2pfd.core.ids import Account
from p2pfd.core.spec import MOST_NODES, ChainSpec
from p2pfd.core.terms import terms_of
from p2pfd.errors import EnvironmentProblem, PlanError

FACTS = plan.DataFacts(bytes(32))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_presets_can_be_carried_out(preset):
    check(preset)
    if preset.data.name != "digits" and not os.environ.get("P2PFD_DATA"):
        pytest.skip("P2PFD_DATA names no folder with real data")
    if preset.data.name == "cifar10" and not Path(os.environ["P2PFD_DATA"], "cifar10").is_dir():
        pytest.skip("which is large, and rarely there")
    sha = checks.check_data(preset)
    task = preset.task(sha)
    assert task.seats == preset.nodes
    assert task.quorum * 2 > preset.nodes
    bound = terms_of(task)
    assert (bound.task, bound.samples, bound.pot) == (task.id, task.data.public, task.money.pot)
    assert preset.summary


def test_how_often_nodes_meet_is_the_number_of_rounds(tmp_path):
    chain = ChainSpec("embedded", 31337, Account("0x" + "1" * 40), Account("0x" + "2" * 40))
    path = tmp_path / "mine.toml"
    path.write_text('preset = "encounters"\nrounds = 5\n[encounters]\nsize = 1\n')
    for found, own, size in (
        (find("encounters"), 3, 3),
        (change(find("encounters"), rounds=2), 2, 3),
        (find(str(path)), 5, 1),
    ):
        check(found)
        task = found.task(FACTS, chain)
        assert (task.encounters.own, task.encounters.size, found.encounters.own) == (own, size, own)
        assert found.budget() == 0
        assert found.stake() >= task.encounters.stake + task.encounters.bond
    assert find("digits-1bit").task(FACTS, chain).encounters == NO_ENCOUNTERS


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"chain": "none"}, "encounters are settled, and chain is 'none'"),
        ({"nodes": 4}, "nodes is 4, and an encounter takes a learner, a neighbor and 3 others"),
        ({"adapter": "cfd"}, "the adapter cfd does not learn in encounters"),
        ({"partners": 2}, "partners is 2"),
    ],
    ids=str,
)
def test_what_encounters_need_is_asked_for(changes, what):
    def checked():
        found = change(find("encounters"), **changes)
        check(found)
        checks.check_data(found)

    with pytest.raises(PlanError, match=what):
        checked()


def test_data_that_is_not_here_is_told_before_anything_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("P2PFD_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for preset, fix in (("cifar", "p2pfd data fetch cifar10 gets it"), ("fashion", "p2pfd data fetch fashion gets it")):
        with pytest.raises(EnvironmentProblem, match="is not here") as caught:
            checks.check_data(find(preset))
        assert fix in caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_presets_keep_their_old_names():
    assert find("digits-1bit") == find("digits")


@pytest.mark.parametrize(
    ("preset", "attack", "words"),
    [
        ("digits", {"colude": 2}, ["attack", "did you mean collude?"]),
        ("digits", {"collude": 10}, ["attack", "10 nodes, and behaviours for all of them"]),
        ("digits", {"collude": 11}, ["attack.collude is 11", "from 0 to 10"]),
        ("digits", {"collude": "40"}, ["attack.collude is '40'", '"40%"']),
        ("digits", {"collude": True}, ["attack.collude is True"]),
        ("digits", {"constant:11": 1}, ["attack", "constant:11", "from 0 to 9"]),
        ("digits", {"vote-no": 1}, ["attack.vote-no is about encounters", "the choice is absent, collude"]),
        ("gossip", {"copy": 1}, ["attack.copy is about labels", "poison"]),
        ("encounters", {"copy": 1}, ["attack.copy is about labels", "vote-yes"]),
    ],
    ids=str,
)
def test_an_attack_that_cannot_be_is_told(preset, attack, words):
    with pytest.raises(PlanError) as caught:
        checks.check_data(change(find(preset), attack=attack))
    for word in words:
        assert word in str(caught.value)


def test_who_is_bad_is_drawn_from_the_seed():
    plan = change(find("digits"), attack={"collude": "40%", "sybil": 2})
    checks.check_data(plan)
    kinds, owners = plan.cast().kinds, plan.cast().owners
    assert sorted(kinds) == [""] * 4 + ["collude"] * 4 + ["sybil"] * 2
    assert plan.cast() == plan.cast() != change(plan, seed=8).cast()
    first, second = (place for place, kind in enumerate(kinds) if kind == "sybil")
    assert owners[first] == owners[second] in (first, second)
    assert all(owners[place] == place for place in range(10) if kinds[place] != "sybil")
    assert plan.dishonest() == {f"node-{place}": kind for place, kind in enumerate(kinds) if kind}
    assert "--attack collude:40% --attack sybil:2" in plan.command()


def test_an_unknown_preset_gets_a_guess():
    with pytest.raises(PlanError) as caught:
        find("digitz")
    assert "did you mean digits?" in caught.value.fix


def test_a_file_changes_a_preset(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('preset = "small"\nrounds = 5\n[data]\npartition = "iid"\n[phases]\ncommit_seconds = 9\n')
    found = find(str(path))
    assert (found.name, found.nodes, found.rounds) == ("mine", find("small").nodes, 5)
    assert found.data.partition == "iid"
    assert found.data.public == find("small").data.public
    assert (found.phases.commit_seconds, found.phases.reveal_seconds) == (9, find("small").phases.reveal_seconds)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("round = 3", "did you mean rounds?"),
        ("rounds = '3'", "whole number"),
        ("rounds = true", "whole number"),
        ("chain = 3", "must be text"),
        ("data = 3", "not a table"),
        ("settings = 3", "not a table"),
        ("codecs = 'raw'", "not a list"),
        ("[data]\npubic = 3", "did you mean public?"),
        ("preset = 'smal'", "did you mean small?"),
        ("rounds = ", "not TOML"),
        ("rounds = " + 5000 * "1", "not TOML"),
        ("rounds = " + 5000 * "[", "not TOML"),
        ("name = 3", "must be text"),
    ],
)
def test_a_file_that_is_wrong_is_told_where(tmp_path, text, hint):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(PlanError) as caught:
        from_file(path)
    assert hint in str(caught.value)
    assert "mine.toml" in caught.value.what


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(PlanError, match="there is no file"):
        find(str(tmp_path / "no.toml"))
    with pytest.raises(PlanError, match="is a directory"):
        find(str(tmp_path))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("nodes", 0),
        ("nodes", MOST_NODES + 1),
        ("rounds", 0),
        ("seed", -1),
        ("quorum", 11),
        ("chain", "embeded"),
        ("aggregator", "sirum"),
        ("name", ""),
        ("validation", plan.DataPlan(validation=0)),
        ("test", plan.DataPlan(test=0)),
    ],
)
def test_numbers_out_of_range_are_named(key, value):
    fields = {"codec": "codecs", "validation": "data", "test": "data"}
    changed = change(PRESETS[0], **{fields.get(key, key): value})
    with pytest.raises(PlanError, match=key):
        check(changed)


def test_a_chain_takes_fewer_public_samples_than_none():
    data = plan.DataPlan(public=1025)
    with pytest.raises(PlanError, match=r"data\.public is 1025"):
        check(change(PRESETS[0], data=data))
    check(change(PRESETS[0], data=data, chain="none"))
    check(change(PRESETS[0], data=plan.DataPlan(public=1024)))


@pytest.mark.parametrize(("settings", "hint"), [({"epoch": 3}, "no 'epoch'"), ({"epochs": -1}, "epochs is -1")])
def test_settings_are_checked_with_the_plan(settings, hint):
    with pytest.raises(PlanError, match=hint):
        checks.check_data(change(PRESETS[0], settings=settings))


def test_what_is_wrong_with_a_file_is_said_with_its_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("quorum = 11")
    found = from_file(path)
    with pytest.raises(PlanError, match=r"mine\.toml, line 1: quorum is 11"), blaming(found):
        check(found)


def test_the_command_for_the_same_run_can_be_typed(tmp_path):
    assert find("digits-1bit").command() == "localnet up"
    assert change(find("small"), nodes=3, seed=7).command() == "localnet up small -n 3"
    path = tmp_path / "my plan.toml"
    path.write_text("nodes = 3")
    found = find(str(path))
    path.unlink()
    assert (
        found.command() == f"localnet up '{path}' -n 3 --rounds 10 --seed 7 --adapter cfd --partners 0 --chain embedded"
        " --data digits"
    )


def test_more_shards_than_samples_is_found_before_anything_starts():
    greedy = Plan(name="x", nodes=64, data=plan.DataPlan(public=1000, validation=400, test=380))
    with pytest.raises(PlanError):
        checks.check_data(greedy)


def test_the_seed_is_the_datas_seed_and_the_task_differs_by_it():
    one, other = change(PRESETS[0], seed=1).task(FACTS), change(PRESETS[0], seed=2).task(FACTS)
    assert one.data.seed == 1
    assert one.id != other.id


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"adapter": "gossip"}, "cannot be settled"),
        ({"adapter": "gosip"}, "there is no adapter 'gosip'"),
        ({"partners": 2}, "partners is 2"),
        ({"codecs": ("fp16",)}, "codecs is 'fp16'"),
        ({"adapter": "gossip", "chain": "none", "codecs": ("fp17",)}, "fp17"),
    ],
)
def test_an_adapter_and_what_it_needs_fit_together(changes, what):
    with pytest.raises(PlanError, match=what):
        checks.check_data(change(PRESETS[0], **changes))
