"""Meshes of encounters: what is learnt, who gains what in which part, and that every token is accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from p2pfd.core.tables import Text
from p2pfd.errors import PlanError
from p2pfd.experiment.encounters import PREPAYMENT, EncounterStage
from p2pfd.experiment.figures import Group, line_of
from p2pfd.experiment.grid import Experiment, preset, read
from p2pfd.experiment.page import page
from p2pfd.experiment.report import lines, pays, to_csv, to_markdown
from p2pfd.experiment.result import Result, result_of
from p2pfd.experiment.run import effort, stage_of
from p2pfd.experiment.stage import Stage

SMALL = """
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
epochs = 3
[meetings]
each = 2
[[cases]]
name = "some harm"
behaviours = { poison = 1, vote-yes = 1 }
"""


@pytest.fixture(scope="session")
def small() -> Experiment:
    return read(Text("small.toml", SMALL), "small")


@pytest.fixture(scope="session")
def met(small: Experiment) -> Result:
    return EncounterStage(small.rows[0].plan, 1).run(lambda: 0.0, lambda rnd, of: None)


def groups(small: Experiment, met: Result) -> Mapping[str, Group]:
    return {group.kind: group for group in line_of("", small.rows[0].plan, [met]).groups}


def test_every_token_is_accounted_for(met: Result):
    assert sum(one.gain for one in met.members) == 0
    assert met.finished == 6, "everybody got its tokens out"
    for one in met.members:
        assert sum(one.parts[:3]) == one.gain


def test_poison_is_voted_down_and_what_is_honest_is_not(small: Experiment, met: Result):
    found = groups(small, met)
    assert found["honest"].passed is not None
    assert found["honest"].passed.mean == 1
    served = [turn.vote for one in met.members if one.kind == "poison" for turn in one.turns]
    assert served
    assert not any(served)
    assert met.short == len(served)
    [poisoner] = [one for one in met.members if one.kind == "poison"]
    assert poisoner.parts[1] == -PREPAYMENT * len(served), "it loses its own prepayment each time"


def test_honest_devices_learn(met: Result):
    before, after = met.accuracy
    assert after > before + 0.3


def test_a_result_is_the_same_after_it_was_written_down(met: Result):
    assert result_of(met.to_plain()) == met


@pytest.mark.long
def test_the_same_seed_is_the_same_mesh(small: Experiment, met: Result):
    assert EncounterStage(small.rows[0].plan, 1).run(lambda: 0.0, lambda rnd, of: None) == met


@pytest.mark.long
def test_to_vote_no_without_judging_pays_under_the_papers_rule_alone():
    """What the page on experiments says, with one seed."""
    paid: dict[str, tuple[float, float]] = {}
    for row in preset("encounters").rows:
        if row.case == "2 poison, 3 vote no":
            [result] = [EncounterStage(row.plan, 1).run(lambda: 0.0, lambda rnd, of: None)]
            found = {group.kind: group for group in line_of("", row.plan, [result]).groups}
            votes = found["honest"].vote, found["vote-no"].vote
            assert votes[0] is not None
            assert votes[1] is not None
            paid[row.plan.meetings.rule] = votes[0].mean, votes[1].mean
            assert found["poison"].passed is not None
            assert found["poison"].passed.mean == 0
    judging, lazy = paid["paper"]
    assert lazy > 1.5 * judging
    for rule in ("serum", "symmetric"):
        judging, lazy = paid[rule]
        assert judging > lazy


def test_tables_say_what_is_asked_of_encounters(small: Experiment, met: Result):
    [row] = small.rows
    [line] = made = lines(small, {row.title: [met]})
    sheet = pays(line, row.plan)
    assert sheet.head[3:] == ("answers accepted", "gain an answer", "gain a vote", "gain, prepayments")
    assert [cells[0] for cells in sheet.rows] == ["honest", "poison", "vote-yes"]
    served = sum(len(one.turns) for one in met.members)
    assert len(to_csv(small, {row.title: [met]}).splitlines()) == 1 + served
    assert "2 encounters each, 3 validators, rule serum" in to_markdown(small, made)
    assert page(small, made, "p2pfd experiment", "a machine").count("<svg") == 2, (
        "accuracy and votes over time; there is no pay by round"
    )


def test_a_plan_of_encounters_is_checked_before_it_is_run(small: Experiment):
    plan = small.rows[0].plan
    assert isinstance(stage_of(plan, 1), EncounterStage)
    assert isinstance(stage_of(replace(plan, kind="market", adapter="cfd", settings={}, behaviours={}), 1), Stage)
    assert effort(plan) == 12
    assert EncounterStage(plan, 1).timed(iter([1.0, 3.5]).__next__) == 2.5
    with pytest.raises(PlanError, match="serve nobody"):
        EncounterStage(replace(plan, adapter="cfd", settings={}, behaviours={}), 1)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[meetings]\nrule = 'lottery'", "meetings.rule is 'lottery'"),
        ("[meetings]\neach = 0", "meetings.each is 0"),
        ("[meetings]\nvalidators = 8", "meetings.validators is 8"),
        ("nodes = 4\n[meetings]\nvalidators = 3", "meetings.validators is 3"),
        ("[meetings]\ntolerance = -0.1", "meetings.tolerance is -0.1"),
        ("[behaviours]\ncopy = 2", "behaviours.copy is about labels"),
    ],
)
def test_what_cannot_be_is_named(text: str, what: str):
    with pytest.raises(PlanError) as caught:
        read(Text("my.toml", 'kind = "encounters"\nadapter = "oppcl"\n' + text), "my")
    assert what in caught.value.what


def test_the_course_says_what_the_members_say(met: Result):
    served = [turn.vote for one in met.members if one.kind == "poison" for turn in one.turns]
    assert sum(point.altered for point in met.course) == len(served)
    assert sum(point.passed for point in met.course) == 0
    assert met.course[0].accuracy == met.accuracy[0]
    assert met.course[-1].accuracy == met.accuracy[1]
    votes = sum(point.votes + point.bad_votes for point in met.course)
    assert votes == 3 * sum(len(one.turns) for one in met.members)
    unaltered, altered = met.changes
    assert max(altered) < min(0.0, *unaltered)


def test_who_teaches_wrong_labels_is_out_once_its_stake_is_gone_and_may_earn_it_back_by_judging():
    text = SMALL.replace("poison = 1, vote-yes = 1", "flip-labels = 2").replace("each = 2", "each = 4\nwallet = 14")
    plan = read(Text("flip.toml", text.replace("goal", 'net = "linear8"\ngoal')), "flip").rows[0].plan
    result = EncounterStage(plan, 1).run(lambda: 0.0, lambda rnd, of: None)
    fates = [fate for fate, one in zip(result.fates, result.members, strict=True) if one.kind == "flip-labels"]
    assert all(fate.fell > 0 for fate in fates)
    assert [(fate.begun, fate.back) for fate in fates] == [(1, 1), (0, 0)]
    assert result.course[-1].out == 2
    altered = sum(point.altered for point in result.course)
    assert altered >= 4
    assert sum(point.passed for point in result.course) <= altered // 4, "nets that know nothing cannot be harmed"


def test_devices_may_judge_by_samples_that_all_have(small: Experiment):
    plan = small.rows[0].plan
    common = EncounterStage(replace(plan, meetings=replace(plan.meetings, probe="common")), 1)
    own = EncounterStage(plan, 1)
    probes = [len(stage.cast.benches[0]._tutor._probe) for stage in (own, common)]  # type: ignore[attr-defined]
    assert probes == [40, 20]
