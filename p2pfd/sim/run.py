"""A whole simulated mesh: many distillation rounds, a toy learner, faults from a seed, one report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

from p2pfd.core.claims import MarketTerms
from p2pfd.core.effects import Compute, Effect, Emit, Work
from p2pfd.core.events import Event, Outcome, Started
from p2pfd.core.ids import Account, Amount, PeerId, TaskId, peer_id_of
from p2pfd.core.labels import opened
from p2pfd.core.machine import Machine
from p2pfd.core.rng import Rng
from p2pfd.core.spec import MAX_SEATS
from p2pfd.core.ticks import MILLISECOND, SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.roles.distill import DistillRound, GossipDistill, Seat, SettledDistill
from p2pfd.sim.chain import LedgerChain
from p2pfd.sim.faults import ChainAway, spans
from p2pfd.sim.heap import HeapDriver
from p2pfd.sim.mortal import Killed, Mortal, Returned
from p2pfd.sim.toy import CLASSES, SAMPLES, ToyLearner
from p2pfd.sim.trace import Trace, digest_of
from p2pfd.sim.world import World, WorldPlan

_STUDY_TICKS = (50 * MILLISECOND, 150 * MILLISECOND)
_OPENED = 1 << 13
"""Of so many labels it is remembered what is in them: at any time, fewer are on their way."""
_POT, _RATE, _BOND = Amount(1_000_000), Amount(500_000), Amount(4_000_000)


TOY = "toy"
LEARN = (TOY, "digits")


class Learner(Protocol):
    """What does a node's work at once."""

    @property
    def alone(self) -> float:
        """How often it is right before it has learnt anything from others."""
        ...

    @property
    def held(self) -> int:
        """How much it has to teach."""
        ...

    @property
    def believes(self) -> bytes:
        """What it has learnt."""
        ...

    def do(self, work: Work) -> Outcome:
        """The outcome of a work."""
        ...


@dataclass(frozen=True, slots=True)
class SimPlan:
    """What to simulate. The same plan gives the same report, to the bit."""

    world: WorldPlan
    rounds: int = 10
    seed: int = 0
    trace: bool = False
    settled: bool = False
    """Settle on the reference ledger: one market for all, so at most as many nodes as it has seats."""
    phase_seconds: int = 10
    """How long commitments, and how long labels, are waited for."""
    learn: str = TOY
    """What nodes learn: a toy, or a data set."""

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= 100_000:
            raise PlanError(f"{self.rounds} rounds", "between 1 and 100,000 can be simulated")
        if self.learn not in LEARN:
            raise PlanError(f"nobody learns {self.learn[:40]!r}", f"the choice is {', '.join(LEARN)}")
        if not 1 <= self.phase_seconds <= 3600:
            raise PlanError(f"phases of {self.phase_seconds} seconds", "between 1 and 3,600")
        if self.settled and self.world.nodes > MAX_SEATS:
            raise PlanError(f"{self.world.nodes} nodes on one label market", f"it has {MAX_SEATS} seats at most")


@dataclass(frozen=True, slots=True)
class SimReport:
    """What came of it. Accuracies are fractions, the last one of those nodes that finished; ``digest`` is over every
    node's last beliefs."""

    nodes: int
    rounds: int
    virtual_seconds: float
    events: int
    deliveries: int
    finished: int
    short_rounds: int
    accuracy_alone: float
    accuracy_together: float
    digest: str
    trace: str | None = None
    paid: int | None = None
    """What the ledger paid to all nodes together, where the plan settles."""
    refused: int = 0
    """Claims that the ledger refused: nodes that came second, or too late."""


class _Elsewhere:
    """Stands where another process runs the node."""

    def handle(self, now: Tick, event: Event) -> tuple[Effect, ...]:
        raise RuntimeError(f"a {type(event).__name__} for a node of another process")

    def snapshot(self) -> bytes:
        raise RuntimeError("a snapshot of a node of another process")

    def restore(self, raw: bytes) -> None:
        raise RuntimeError("a snapshot for a node of another process")


class Cast:
    """The nodes of a simulation: machines that know their neighbours, and their learners. Any driver can run them."""

    def __init__(self, plan: SimPlan, here: range | None = None) -> None:
        """All nodes of the plan; only those in `here` can be run, if another process runs the others."""
        root = Rng(plan.seed)
        nodes = plan.world.nodes
        self.plan = plan
        self.world = World(plan.world, root.split("world"))
        self.samples, self.classes = SAMPLES, CLASSES
        self.task = TaskId(hashlib.sha256(b"p2pfd-sim").digest())
        self.peers: list[PeerId] = [peer_id_of(root.split("peer", node).bytes(32)) for node in range(nodes)]
        self.accounts = [Account("0x" + root.split("account", node).bytes(20).hex()) for node in range(nodes)]
        self.learners: Sequence[Learner] = self._learners(root)
        self._pace = [root.split("pace", node) for node in range(nodes)]
        degrees = [len(heard) for heard in self.world.neighbours]
        self.away = spans(plan.world.all_faults, root.split("faults"), degrees, self.data)
        """When which nodes are away."""
        self.opener = lru_cache(maxsize=_OPENED)(opened)  # what is said is checked once, not by each who hears it
        self.here = range(nodes) if here is None else here
        elsewhere = _Elsewhere()
        self.machines: list[Machine] = [self._mortal(node) if node in self.here else elsewhere for node in range(nodes)]

    def _learners(self, root: Rng) -> Sequence[Learner]:
        places = range(self.plan.world.nodes)
        if self.plan.learn == TOY:
            truth = ToyLearner.truth(root.split("truth"))
            return [ToyLearner(root.split("toy", node), truth) for node in places]
        from p2pfd.sim.pupil import PUBLIC, Lesson, Pupil  # numpy and a data set, which a toy does without

        lesson = Lesson.of(self.plan.learn, root.split("lesson"))
        self.samples, self.classes = PUBLIC, lesson.classes
        return [Pupil(lesson, root.split("pupil", node)) for node in places]

    @property
    def data(self) -> list[int]:
        """How much each node has to teach, for a disaster that hits those who have most."""
        return [learner.held for learner in self.learners]

    @property
    def quorum(self) -> int:
        """How many labels make a round."""
        return min(2, self.plan.world.nodes)

    def ledger(self) -> LedgerChain:
        """A chain on which every node can pay its bond."""
        phase = self.plan.phase_seconds
        requester = Account("0x" + "ee" * 20)
        terms = MarketTerms(
            task=self.task,
            samples=self.samples,
            classes=self.classes,
            rounds=self.plan.rounds,
            pot=_POT,
            rate=_RATE,
            bond=_BOND,
            forfeit=Amount(_BOND // 4),
            quorum=self.quorum,
            seats=self.plan.world.nodes,
            enrol_seconds=phase,
            commit_seconds=phase,
            reveal_seconds=phase,
        )
        wallets = dict.fromkeys(self.accounts, 2 * _BOND)
        outages = [fault for fault in self.plan.world.faults if isinstance(fault, ChainAway)]
        return LedgerChain({**wallets, requester: _POT * self.plan.rounds}, requester, terms, outages, self.away)

    def role(self, node: int) -> type[DistillRound]:
        """Which machine a node runs."""
        return SettledDistill if self.plan.settled else GossipDistill

    def _mortal(self, node: int) -> Machine:
        return Mortal(lambda: self._machine(node)) if node in self.away else self._machine(node)

    def _machine(self, node: int) -> Machine:
        heard = self.world.neighbours[node]
        return self.role(node)(
            Seat(
                task=self.task,
                peer=self.peers[node],
                account=self.accounts[node],
                secret=self.accounts[node].encode(),
                samples=self.samples,
                classes=self.classes,
                rounds=self.plan.rounds,
                quorum=self.quorum,
                seats=1 + len(heard),
                commit_ticks=self.plan.phase_seconds * SECOND,
                reveal_ticks=self.plan.phase_seconds * SECOND,
                bond=_BOND if self.plan.settled else 0,
                chatty=False,
                announce=self.plan.settled,
                members={self.peers[other]: self.accounts[other] for other in heard},
                opener=self.opener,
            )
        )

    def lives(self) -> list[tuple[Tick, int, Started]]:
        """When each node starts, is killed and returns."""
        events: list[tuple[Tick, int, Started]] = [(Tick(0), node, Started()) for node in self.here]
        for node in self.here:
            for begin, end in self.away.get(node, ()):
                events.append((begin, node, Killed()))
                if end is not None:
                    events.append((end, node, Returned()))
        return events

    def work(self, node: int, effect: Compute) -> tuple[int, Outcome]:
        """What a node's learner makes of a work, and how long that takes in virtual time."""
        low, high = _STUDY_TICKS
        ticks = low + (self._pace[node].bits(32) * (high - low) >> 32)
        return ticks, self.learners[node].do(effect.work)


@dataclass(frozen=True, slots=True)
class Part:
    """What came of some of the nodes, in their order: one process may run all of them, or several a part each."""

    ended: Tick
    events: int
    deliveries: int
    last: dict[int, int]
    """The last accuracy of each node that finished, in millionths."""
    short: int
    alone: tuple[float, ...]
    believes: tuple[bytes, ...]
    chains: tuple[bytes, ...]
    """The nodes' traces, if they are wanted."""


class Tally:
    """Counts what nodes tell of their rounds."""

    def __init__(self) -> None:
        self.last: dict[int, int] = {}
        self.short = self.absorbed = 0

    def watch(self, now: Tick, node: int, told: Emit) -> None:
        """One thing that a node tells."""
        if told.name == "round.absorbed":
            self.absorbed += 1
        elif told.name == "task.finished":
            self.last[node] = int(str(told.fields["accuracy"]))
        elif told.name == "round.short":
            self.short += 1

    def part(self, cast: Cast, driver: HeapDriver, trace: Trace | None) -> Part:
        """All of it, and what else is to be known of the nodes that ran here."""
        return Part(
            driver.now,
            driver.events,
            driver.deliveries,
            self.last,
            self.short,
            tuple(cast.learners[node].alone for node in cast.here),
            tuple(cast.learners[node].believes for node in cast.here),
            () if trace is None else trace.chains(cast.here),
        )


def simulate(
    plan: SimPlan,
    progress: Callable[[float, int, int], None] | None = None,
    trace: Trace | None = None,
    cast: Cast | None = None,
    tally: Tally | None = None,
) -> SimReport:
    """Run the plan. `progress` is told virtual seconds, events so far and rounds absorbed, now and then."""
    cast, tally = cast or Cast(plan), tally or Tally()
    if trace is None and plan.trace:
        trace = Trace(plan.world.nodes)
    chain = cast.ledger() if plan.settled else None
    driver = HeapDriver(cast.machines, cast.peers, cast.world, cast.work, tally.watch, trace, chain, cast.accounts)
    for at, node, event in cast.lives():
        driver.post(at, node, event)
    driver.run(None if progress is None else lambda at, events: progress(at / SECOND, events, tally.absorbed))
    report = report_of(plan, [tally.part(cast, driver, trace)])
    if chain is None:
        return report
    paid = sum(chain.market.balances(who).total - 2 * _BOND for who in cast.accounts)
    return replace(report, paid=paid, refused=len(chain.refused))


def report_of(plan: SimPlan, parts: Sequence[Part]) -> SimReport:
    """The report on a simulation from what came of its parts, in the order of the nodes."""
    nodes = plan.world.nodes
    last = {node: accuracy for part in parts for node, accuracy in part.last.items()}
    traces = [chain for part in parts for chain in part.chains]
    return SimReport(
        nodes=nodes,
        rounds=plan.rounds,
        virtual_seconds=max(part.ended for part in parts) / SECOND,
        events=sum(part.events for part in parts),
        deliveries=sum(part.deliveries for part in parts),
        finished=len(last),
        short_rounds=sum(part.short for part in parts),
        accuracy_alone=sum(alone for part in parts for alone in part.alone) / nodes,
        accuracy_together=sum(last.values()) / (1_000_000 * max(1, len(last))),
        digest=hashlib.sha256(b"".join(one for part in parts for one in part.believes)).hexdigest(),
        trace=digest_of(traces).hex() if traces else None,
    )
