"""One mesh: the reference chain pays, the honest learn, and the same seed gives the same mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from p2pfd import plugins
from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError
from p2pfd.experiment.grid import Experiment
from p2pfd.experiment.plan import UNIT, Plan
from p2pfd.experiment.result import HONEST, Result, Turn, result_of
from p2pfd.experiment.roles import roles_of
from p2pfd.experiment.stage import Stage
from p2pfd.learning.adapter import Budget, Split, Task


def ran(plan: Plan, seed: int = 1, **more: Any) -> Result:
    return Stage(plan, seed, **more).run(lambda: 0.0, lambda rnd, of: None)


def test_all_honest_nodes_finish_learn_and_are_paid(tiny: Experiment, found: Mapping[str, list[Result]]):
    for result in found["all honest"]:
        assert (result.finished, result.short, result.refused) == (8, 0, 0)
        assert len(result.accuracy) == 3
        assert result.accuracy[-1] > result.accuracy[0] + 0.2
        assert all(one.paid > 0 for one in result.members)
        assert all(one.gain == one.paid for one in result.members)
        assert sum(one.samples for one in result.members) == 300
        assert all(turn.own is not None and turn.vote is not None for one in result.members for turn in one.turns)


def test_who_withholds_forfeits_and_the_others_divide_it(tiny: Experiment, found: Mapping[str, list[Result]]):
    money = tiny.rows[1].plan.money
    for result in found["some lie & some sleep"]:
        [silent] = [one for one in result.members if one.kind == "withhold"]
        assert silent.paid == 0
        assert [turn.forfeited for turn in silent.turns] == [money.forfeit, money.forfeit]
        assert silent.gain == -2 * money.forfeit
        assert [turn.vote for turn in silent.turns] == [None, None]
        others = [one for one in result.members if one is not silent]
        assert sum(one.gain - one.paid for one in others) == pytest.approx(2 * money.forfeit, abs=2 * 7)
        assert result.finished == 6


def test_who_says_one_thing_earns_next_to_nothing_and_is_not_counted(found: Mapping[str, list[Result]]):
    for result in found["some lie & some sleep"]:
        [lazy] = [one for one in result.members if one.kind == "constant"]
        honest = [one.paid for one in result.members if one.honest]
        assert lazy.paid < min(honest) / 5
        assert [turn.vote for turn in lazy.turns] == [0, 0]
        assert [turn.own for turn in lazy.turns] == [None, None]


def test_the_same_seed_is_the_same_mesh_and_another_seed_another(tiny: Experiment, found: Mapping[str, list[Result]]):
    row = tiny.rows[1]
    first, second = found[row.title]
    assert ran(row.plan, tiny.seeds[1]) == second
    assert second != first


def test_a_result_is_the_same_after_it_was_written_down(found: Mapping[str, list[Result]]):
    for result in (one for results in found.values() for one in results):
        assert result_of(result.to_plain()) == result


@pytest.mark.parametrize("spoil", ["members", "accuracy", "virtual"])
def test_what_is_no_result_is_not_read(found: Mapping[str, list[Result]], spoil: str):
    plain = found["all honest"][0].to_plain()
    for wrong in ({key: value for key, value in plain.items() if key != spoil}, plain | {spoil: None}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            result_of(wrong)
    with pytest.raises(ValueError, match="without nodes"):
        result_of(plain | {"members": []})


def test_without_a_chain_nobody_is_paid_and_all_learn(tiny: Experiment):
    result = ran(replace(tiny.rows[0].plan, chain="none", graph="regular", degree=4, loss=0.05))
    assert result.finished == 8
    assert all(one.turns[0] == replace(one.turns[0], paid=0, forfeited=0) and one.gain == 0 for one in result.members)
    assert result.accuracy[-1] > result.accuracy[0] + 0.2
    assert result.deliveries > 0


def test_accounts_of_one_owner_share_a_shard_and_a_judgement(tiny: Experiment):
    plan = replace(tiny.rows[0].plan, behaviours={"sybil": 3})
    stage = Stage(plan, 1)
    sybils = [node for node, kind in enumerate(stage.roles.kinds) if kind == "sybil"]
    assert {stage.roles.owners[node] for node in sybils} == {stage.roles.owners[sybils[0]]}
    assert stage.roles.owners[sybils[0]] in sybils
    result = stage.run(lambda: 0.0, lambda rnd, of: None)
    members = [result.members[node] for node in sybils]
    assert len({(one.samples, tuple(turn.own for turn in one.turns)) for one in members}) == 1
    assert len({one.paid for one in members}) == 1
    assert members[0].paid > 0


def test_roles_are_drawn_and_everybody_else_is_honest():
    plan = Plan(nodes=10, behaviours={"copy": 2, "flip": "30%"})
    kinds = [roles_of(plan, Rng(seed)).kinds for seed in range(20)]
    assert all((each.count("copy"), each.count("flip"), each.count(HONEST)) == (2, 3, 5) for each in kinds)
    assert len(set(kinds)) > 15


def test_nobody_keeps_the_honest_from_finishing(tiny: Experiment):
    behaviours = {"absent": 1, "equivocate": 1, "sleep": 1, "copy:peer": 1}
    result = ran(replace(tiny.rows[0].plan, behaviours=behaviours, quorum=3))
    assert (result.finished, result.short) == (4, 0)
    assert all(one.paid > 0 for one in result.members if one.honest)
    [absent] = [one for one in result.members if one.kind == "absent"]
    assert (absent.paid, absent.gain) == (0, 0)


def test_an_adapter_that_tells_no_labels_is_refused_before_anything_runs(tiny: Experiment):
    for plan in (
        replace(tiny.rows[0].plan, adapter="gossip", settings={}),
        replace(tiny.rows[0].plan, settings={"bits": 2}),
    ):
        with pytest.raises(PlanError, match="tell no labels of a common student"):
            Stage(plan, 1)


class Counting:
    """The adapter cfd, counting what it is asked for."""

    def __init__(self) -> None:
        self._real = plugins.load("p2pfd.adapters", "cfd")()
        self.calls: dict[str, int] = {"train": 0, "absorb": 0}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def train(self, state: Any, shard: Split, budget: Budget, rng: Rng) -> Any:
        self.calls["train"] += 1
        return self._real.train(state, shard, budget, rng)

    def absorb(self, *args: Any) -> Any:
        self.calls["absorb"] += 1
        return self._real.absorb(*args)


def test_what_all_derive_alike_is_derived_once_and_what_is_made_up_is_not_trained(tiny: Experiment):
    adapter = Counting()
    plan = replace(tiny.rows[0].plan, behaviours={"sybil": 3, "constant": 1, "collude": 1})
    ran(plan, adapter=adapter)
    assert adapter.calls == {"train": 2 * (3 + 1), "absorb": 2}


def test_a_pot_that_is_too_small_is_divided(tiny: Experiment):
    plan = tiny.rows[0].plan
    small = ran(replace(plan, money=replace(plan.money, pot=8 * UNIT)))
    assert 7.9 * UNIT < sum(one.turns[0].paid for one in small.members) <= 8 * UNIT


def test_a_turn_is_nothing_until_something_happens():
    assert Turn() == Turn(0, 0, None, None)


def test_classrooms_derive_what_workbenches_do(tiny: Experiment):
    """A real node's workbench, given the same shard, dice and votes, ends with the same student."""
    from p2pfd.core.ids import Account, RoundId
    from p2pfd.learning.data import deal
    from p2pfd.node.workbench import Materials, Workbench
    from p2pfd.roles.work import Absorb, Studied, Study

    plan = tiny.rows[0].plan
    stage = Stage(plan, 1)
    spec = plan.task(1)
    dealt = deal(spec.data, plan.nodes)

    root = Rng(1).split("classroom")
    materials = Materials(Task(spec, dealt.public), dealt.shards[0], dealt.validation, dealt.test)
    bench = Workbench(plugins.load("p2pfd.adapters", "cfd")(), materials, root.split("node", 0), root)
    for rnd in map(RoundId, range(plan.rounds)):
        said = [stage.room.do(node, Study(rnd)) for node in range(plan.nodes)]
        own = bench.do(Study(rnd))
        assert own == said[0]
        votes = tuple(
            (Account(f"0x{node:040x}"), one.labels) for node, one in enumerate(said) if isinstance(one, Studied)
        )
        reached = [stage.room.do(node, Absorb(rnd, votes)).weights for node in range(plan.nodes)]
        assert {bench.do(Absorb(rnd, votes)).weights} == set(reached)
