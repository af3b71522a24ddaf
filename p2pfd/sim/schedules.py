"""Random schedules of faults: whatever may go wrong in a small mesh, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from p2pfd.core.rng import Rng
from p2pfd.core.ticks import MILLISECOND, SECOND, Tick
from p2pfd.sim import script
from p2pfd.sim.faults import (
    ANYONE,
    HOLDERS,
    RELAYS,
    WHOLE,
    Absence,
    ChainAway,
    Churn,
    Delay,
    Disaster,
    Duplicates,
    Fault,
    Loss,
    Partition,
)
from p2pfd.sim.graphs import CIRCLE, GRAPHS
from p2pfd.sim.run import SimPlan
from p2pfd.sim.world import WorldPlan

NODES = 20
PHASE_SECONDS = 30
"""Longer than the longest pause between a node's tries to reach its chain, so that an outage excuses little."""
_MOST_FAULTS = 8
_LAST_BEGIN = 40 * SECOND
_SHORTEST, _LONGEST = 200 * MILLISECOND, 60 * SECOND
_CHAIN_ABOVE = WHOLE // 4


@dataclass(frozen=True, slots=True)
class Schedule:
    """A small mesh and what goes wrong in it."""

    seed: int
    settled: bool
    graph: str
    rounds: int
    faults: tuple[Fault, ...]
    nodes: int = NODES

    def plan(self, trace: bool = False) -> SimPlan:
        """The simulation of it."""
        world = WorldPlan(nodes=self.nodes, degree=4, graph=self.graph, faults=self.faults)
        return SimPlan(
            world, rounds=self.rounds, seed=self.seed, trace=trace, settled=self.settled, phase_seconds=PHASE_SECONDS
        )

    def command(self, file: str) -> str:
        """What runs it, with its faults in a file."""
        settled = " --settled" if self.settled else ""
        return (
            f"p2pfd sim -n {self.nodes} --rounds {self.rounds} --seed {self.seed} --graph {self.graph} --degree 4 "
            f"--phase {PHASE_SECONDS}{settled} --faults {file}"
        )

    def text(self) -> str:
        """The faults as a script, with the command that runs it on top."""
        return f"# {self.command('THIS.toml')}\n\n{script.write(self.faults)}"

    def with_faults(self, faults: tuple[Fault, ...]) -> Schedule:
        """The same mesh, and something else goes wrong in it."""
        return replace(self, faults=faults)


def draw(seed: int, nodes: int = NODES) -> Schedule:
    """The schedule of this seed: three in four settle on a ledger, the others end their phases themselves."""
    rng = Rng(seed).split("schedule")
    settled = rng.below(WHOLE) >= _CHAIN_ABOVE
    graph = rng.choice(tuple(GRAPHS)) if rng.chance(1, 2) else CIRCLE
    rounds = rng.between(2, 5)
    count = rng.between(1, _MOST_FAULTS)
    return Schedule(
        seed, settled, graph, rounds, tuple(_fault(rng.split(number), nodes, settled) for number in range(count)), nodes
    )


def _fault(rng: Rng, nodes: int, settled: bool) -> Fault:
    begin, length = _begin(rng), _length(rng)
    end = Tick(begin + length)
    match rng.below(13 if settled else 11):
        case 0 | 1 | 2:
            return Absence(rng.below(nodes), begin, None if rng.chance(1, 8) else end)
        case 3:
            least = _length(rng)
            return Churn(begin, end, rng.between(WHOLE // 20, WHOLE), least, least + _length(rng))
        case 4 | 5:
            return Partition(begin, end, rng.between(1, nodes - 1))
        case 6 | 7:
            return Loss(begin, end, rng.between(WHOLE // 100, WHOLE))
        case 8:
            least = rng.between(1, SECOND)
            return Delay(begin, end, least, least + rng.between(0, 20 * SECOND))
        case 9:
            return Duplicates(begin, end, rng.between(WHOLE // 20, WHOLE))
        case 10:
            return Disaster(begin, rng.between(WHOLE // 20, WHOLE // 2), rng.choice((RELAYS, HOLDERS, ANYONE)))
        case _:
            return ChainAway(begin, end)


def _begin(rng: Rng) -> Tick:
    """Early rather than late: an undisturbed round is over within a second."""
    part = rng.below(1 << 20)
    return Tick(1 + (part * part * part * _LAST_BEGIN >> 60))


def _length(rng: Rng) -> int:
    """As often between one and two seconds as between ten and twenty."""
    doublings = (_LONGEST // _SHORTEST).bit_length() - 1
    least = _SHORTEST << rng.below(doublings + 1)
    return min(_LONGEST, rng.between(least, 2 * least))
