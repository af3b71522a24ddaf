"""restore(snapshot()) is the identity for devices too: one that is reborn before every event lives the same life."""

from __future__ import annotations

import pytest

from p2pfd.core.canonical import decode, encode
from p2pfd.core.effects import Effect
from p2pfd.core.events import Event, Started
from p2pfd.core.ticks import Tick
from p2pfd.errors import DecodeError
from p2pfd.roles.encounter import Device
from p2pfd.sim.encounters import EncounterCast, EncounterPlan, simulate_encounters, with_habits
from p2pfd.sim.world import WorldPlan
from tests.sim.reborn import Reborn


@pytest.mark.parametrize(
    "plan",
    [
        EncounterPlan(WorldPlan(nodes=5, loss=20_000), with_habits(encounters=1), seed=5, trace=True),
        pytest.param(
            EncounterPlan(
                WorldPlan(nodes=7, loss=100_000),
                with_habits(encounters=1),
                seed=6,
                trace=True,
                liars=frozenset({1}),
                misers=frozenset({2}),
            ),
            marks=pytest.mark.long,
        ),
    ],
    ids=["the fast path", "all paths"],
)
def test_a_reborn_device_lives_the_same_life(plan: EncounterPlan):
    expected = simulate_encounters(plan)
    cast = EncounterCast(plan)
    cast.machines = [Reborn(cast.device, node) for node in range(plan.world.nodes)]
    assert simulate_encounters(plan, cast=cast) == expected
    assert expected.learnt > 0


def snapshots() -> list[bytes]:
    """What one device keeps, at moments of all its roles."""
    kept: dict[frozenset[str], bytes] = {}
    plan = EncounterPlan(WorldPlan(nodes=5, loss=20_000), with_habits(encounters=1), seed=5)
    cast = EncounterCast(plan)

    class Watched(Reborn):
        def handle(self, now: Tick, event: Event) -> tuple[Effect, ...]:
            effects = super().handle(now, event)
            assert isinstance(self.machine, Device)
            stages = frozenset(f"{side.role} {side.stage}" for side in self.machine.sides.values())
            kept.setdefault(stages, self.machine.snapshot())
            return effects

    cast.machines[0] = Watched(cast.device, 0)
    simulate_encounters(plan, cast=cast)
    assert len(kept) > 10
    return list(kept.values())


def test_damaged_snapshots_are_refused_and_never_break_the_machine():
    plan = EncounterPlan(WorldPlan(nodes=2))
    cast = EncounterCast(plan)
    device = cast.device(0)
    device.handle(Tick(0), Started())
    whole = device.snapshot()
    held = snapshots()[5]
    value = decode(held, limit=len(held))
    assert isinstance(value, dict)
    broken: list[bytes] = [b"", b"\xc0", b"\x80", held[:-1], b"\xff" * 40]
    broken += [encode({**value, "kind": "exchange"}), encode({**value, "version": 2}), encode({**value, "task": b""})]
    for name in value:
        if name not in ("kind", "version", "task", "done"):
            broken += [encode({**value, name: wrong}) for wrong in (7, "x", None, [[1]], [None])]
    for raw in broken:
        fresh = cast.device(1)
        with pytest.raises(DecodeError):
            fresh.restore(raw)
    device.restore(whole)
    assert device.snapshot() == whole
