"""Validators that do not judge, in simulated encounters: the honest majority of a committee decides all the same."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from p2pfd.behaviours import Misbehaving, Scene, behaviour_class
from p2pfd.core.machine import Machine
from p2pfd.core.rng import Rng
from p2pfd.sim.encounters import WALLET, EncounterCast, EncounterPlan, EncounterReport, simulate_encounters
from p2pfd.sim.world import WorldPlan

NODES = 10


class Cast(EncounterCast):
    """Devices, of which some misbehave."""

    def __init__(self, plan: EncounterPlan, behaviours: Mapping[int, str]) -> None:
        self.behaviours = behaviours
        super().__init__(plan)

    def device(self, node: int) -> Machine:
        honest = super().device(node)
        if node not in self.behaviours:
            return honest
        kind, argument = behaviour_class(self.behaviours[node])
        dice = Rng(self.plan.seed).split("behaviour", node)
        return Misbehaving(honest, kind(Scene(self.task, self.accounts[node], 0, 2, dice, dice, argument)))


def met(behaviours: Mapping[int, str], liars: frozenset[int] = frozenset()) -> EncounterReport:
    plan = EncounterPlan(WorldPlan(nodes=NODES), liars=liars)
    report = simulate_encounters(plan, cast=Cast(plan, behaviours))
    assert report.in_wallets + report.held == NODES * WALLET
    assert report.left == NODES, "everybody got its tokens out"
    return report


@pytest.mark.parametrize("name", ["vote-yes", "vote-no", "vote-against"])
def test_one_of_ten_decides_nothing(name: str):
    """Its vote may make a majority smaller, and never another."""
    honest, one = met({}), met({4: name})
    assert honest.ends["learner accepted"] == one.ends["learner accepted"] == 20
    lying = frozenset({2})
    assert met({}, lying).ends.get("learner refused") == met({4: name}, lying).ends.get("learner refused")


def test_most_of_the_validators_decide_everything():
    no = met(dict.fromkeys(range(8), "vote-no"))
    assert no.ends.get("learner refused", 0) > no.ends.get("learner accepted", 0)
    lying = frozenset({2, 6})
    honest = met({}, lying)
    yes = met(dict.fromkeys(range(8), "vote-yes"), lying)
    assert honest.ends["learner refused"] > yes.ends.get("learner refused", 0)


def test_whoever_votes_without_judging_fetches_nothing():
    plan = EncounterPlan(WorldPlan(nodes=NODES))
    cast = Cast(plan, dict.fromkeys(range(NODES), "vote-yes"))
    works: list[str] = []
    real = cast.work

    def work(node: int, effect: object) -> object:
        works.append(type(effect.work).__name__)  # type: ignore[attr-defined]
        return real(node, effect)  # type: ignore[arg-type]

    cast.work = work  # type: ignore[assignment,method-assign]
    report = simulate_encounters(plan, cast=cast)
    assert report.ends["learner accepted"] == 20
    assert "Judge" not in works
    assert "Serve" in works
