"""A node whose arithmetic differs once is back with the others' student one round later, and nobody else moves."""

from __future__ import annotations

from dataclasses import replace

from p2pfd.core.effects import Emit, Work
from p2pfd.core.events import Outcome
from p2pfd.core.ids import Digest
from p2pfd.core.ticks import Tick
from p2pfd.roles.work import Absorb, Absorbed, Adopt
from p2pfd.sim.run import Cast, Learner, SimPlan, Tally, simulate
from p2pfd.sim.world import WorldPlan

NODES, WRONG = 5, 3


class Miscounts:
    """A learner that comes to another student in round 1, and keeps what it was told to adopt."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self.alone, self.held = learner.alone, learner.held
        self.adopted: list[Digest] = []

    @property
    def believes(self) -> bytes:
        return self._learner.believes

    def do(self, work: Work) -> Outcome:
        outcome = self._learner.do(work)
        if isinstance(work, Adopt):
            self.adopted.append(work.weights)
        if isinstance(work, Absorb) and work.round == 1 and isinstance(outcome, Absorbed):
            return replace(outcome, weights=Digest(b"x" * 32))
        return outcome


class Told(Tally):
    """Who told what, and with which weights."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, int, int]] = []
        self.weights: dict[int, set[object]] = {}

    def watch(self, now: Tick, node: int, told: Emit) -> None:
        super().watch(now, node, told)
        if told.name.startswith("student."):
            self.heard.append((told.name, node, int(str(told.fields["round"]))))
        if told.name == "round.absorbed":
            self.weights.setdefault(int(str(told.fields["round"])), set()).add(told.fields["weights"])


def test_a_node_that_miscounted_takes_over_the_student_of_the_others():
    cast = Cast(SimPlan(WorldPlan(nodes=NODES, degree=4), rounds=4, settled=True))
    wrong = Miscounts(cast.learners[WRONG])
    cast.learners = [*cast.learners[:WRONG], wrong, *cast.learners[WRONG + 1 :]]
    told = Told()
    report = simulate(cast.plan, cast=cast, tally=told)
    assert report.finished == NODES
    assert told.heard == [("student.astray", WRONG, 2), ("student.adopted", WRONG, 2)]
    assert [len(told.weights[rnd]) for rnd in range(4)] == [1, 2, 1, 1]
    assert wrong.adopted == [next(iter(told.weights[1] - {b"x" * 32}))]
