"""The same cast of machines as in a simulation, but each run by the node's own trio driver, under trio's mock clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import trio
import trio.testing

from p2pfd.core.agenda import Kind
from p2pfd.core.claims import Claim
from p2pfd.core.effects import Compute, Field, Work
from p2pfd.core.events import Computed, Heard, Message
from p2pfd.core.ids import PeerId
from p2pfd.core.ticks import Tick
from p2pfd.core.verdict import Verdict
from p2pfd.node.clock import TrioClock
from p2pfd.node.driver import Driver
from p2pfd.sim.run import Cast, SimPlan
from p2pfd.sim.trace import Trace
from p2pfd.sim.world import SIGNED


@dataclass
class VirtualPorts:
    """Carries a node's effects through the simulated world."""

    cast: Cast
    node: int
    drivers: list[Driver]
    clock: TrioClock = field(default_factory=TrioClock)
    sent: int = 0
    computed: int = 0

    def answer(self, delivery: int, verdict: Verdict) -> None:
        pass

    def publish(self, message: Message) -> None:
        self.sent += 1
        heard = Heard(self.sent, self.cast.peers[self.node], message, SIGNED)
        for neighbour, at in self.cast.world.carry(self.node, self.clock.now()):
            self.drivers[neighbour].post(Kind.HEARD, heard, at, self.node, self.sent)

    def send(self, peer: PeerId, message: Message) -> None:
        raise AssertionError("nobody sends")

    def compute(self, job: str, work: Work) -> None:
        ticks, outcome = self.cast.work(self.node, Compute(job, work))
        self.drivers[self.node].post(Kind.COMPUTED, Computed(job, outcome), Tick(self.clock.now() + ticks))

    def submit(self, intent: str, claim: Claim) -> None:
        raise AssertionError("there is no chain")

    def persist(self, snapshot: bytes) -> None:
        pass

    def emit(self, name: str, fields: Mapping[str, Field]) -> None:
        pass


def trace_under_trio(plan: SimPlan, until: float) -> Trace:
    """The trace of a plan, run by trio under a mock clock up to a virtual time by which everything is over."""
    cast = Cast(plan)
    trace = Trace(plan.world.nodes)
    drivers: list[Driver] = []

    async def main() -> None:
        for node, machine in enumerate(cast.machines):
            ports = VirtualPorts(cast, node, drivers)
            drivers.append(
                Driver(
                    machine, ports, ports.clock, lambda at, event, effects, n=node: trace.record(n, at, event, effects)
                )
            )
        for at, node, event in cast.lives():
            drivers[node].post(Kind.LIFE, event, at)
        with trio.move_on_at(until):
            async with trio.open_nursery() as nursery:
                for driver in drivers:
                    nursery.start_soon(driver.run)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return trace
