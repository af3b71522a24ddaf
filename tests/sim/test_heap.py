"""The simulator's loop alone: every event once, also those that come up while the present one is handled."""

from __future__ import annotations

from p2pfd.core.effects import Compute, SetTimer, Work
from p2pfd.core.events import Computed, Outcome, Started, TimerFired
from p2pfd.core.ids import PeerId
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import Tick
from p2pfd.sim.heap import HeapDriver
from p2pfd.sim.world import World, WorldPlan


class Nothing(Outcome):
    """What the work yields."""


class Recorder:
    """Keeps what it lives through; its timer asks for a work, which takes as long as the world says."""

    def __init__(self) -> None:
        self.lived: list[str] = []

    def handle(self, now: Tick, event: object):
        match event:
            case Started():
                self.lived.append("started")
                return (SetTimer("soon", Tick(now + 3)), SetTimer("later", Tick(now + 4)))
            case TimerFired("soon"):
                self.lived.append("soon")
                return (Compute("job", Work()), SetTimer("at once", now))
            case TimerFired(name):
                self.lived.append(name)
            case Computed(job):
                self.lived.append(job)
        return ()

    def snapshot(self) -> bytes:
        return b""

    def restore(self, raw: bytes) -> None:
        pass


def lived(ticks: int) -> list[str]:
    machine = Recorder()
    world = World(WorldPlan(nodes=1), Rng(1))
    driver = HeapDriver([machine], [PeerId("a")], world, lambda node, work: (ticks, Nothing()))
    driver.post(Tick(0), 0, Started())
    driver.run()
    return machine.lived


def test_what_takes_no_time_comes_next_and_once():
    assert sorted(lived(0)) == ["at once", "job", "later", "soon", "started"]
    assert lived(0)[:2] == ["started", "soon"]
    assert lived(0)[-1] == "later"


def test_what_takes_time_comes_later():
    assert lived(2) == ["started", "soon", "at once", "later", "job"]
