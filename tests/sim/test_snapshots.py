"""restore(snapshot()) is the identity: a machine that is reborn before every event lives the same life."""

from __future__ import annotations

import pytest

from p2pfd.errors import DecodeError
from p2pfd.roles.distill import GossipDistill, SettledDistill
from p2pfd.sim import run
from p2pfd.sim.run import Cast, SimPlan, simulate
from p2pfd.sim.world import WorldPlan
from tests.sim.reborn import Reborn


class RebornCast(Cast):
    def __init__(self, plan: SimPlan) -> None:
        super().__init__(plan)
        self.machines = [Reborn(self._machine, node) for node in range(plan.world.nodes)]


@pytest.mark.parametrize("settled", [False, True])
def test_a_reborn_machine_lives_the_same_life(settled: bool, monkeypatch: pytest.MonkeyPatch):
    plan = SimPlan(WorldPlan(nodes=8, loss=20_000), rounds=5, seed=11, settled=settled, trace=True)
    expected = simulate(plan)
    monkeypatch.setattr(run, "Cast", RebornCast)
    assert simulate(plan) == expected


def test_a_snapshot_of_another_role_task_or_of_nothing_is_refused():
    gossip = Cast(SimPlan(WorldPlan(nodes=2))).machines[0]
    settled = Cast(SimPlan(WorldPlan(nodes=2), settled=True)).machines[0]
    assert isinstance(gossip, GossipDistill)
    assert isinstance(settled, SettledDistill)
    for raw in (settled.snapshot(), b"", b"\xc0", b"\x80", gossip.snapshot()[:-1], b"\xff" * 40):
        with pytest.raises(DecodeError):
            gossip.restore(raw)
