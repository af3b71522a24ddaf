"""A simulated mesh of devices that meet in encounters: any bench for learning, faults from a seed, one report."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from p2pfd.core.effects import Compute, Emit
from p2pfd.core.events import Outcome, Started
from p2pfd.core.ids import Account, PeerId, TaskId, peer_id_of
from p2pfd.core.machine import Machine
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import MILLISECOND, SECOND, Tick
from p2pfd.roles.encounter import Desk, Device, Habits
from p2pfd.roles.encounter.work import Audit, Confirm, Recall, Sign, Signed
from p2pfd.sim.encounter_chain import EncounterChain, Signatures, Signer
from p2pfd.sim.encounter_toy import ToyBench
from p2pfd.sim.encounter_world import Bench, Blobs, Links
from p2pfd.sim.faults import ChainAway, spans
from p2pfd.sim.heap import HeapDriver
from p2pfd.sim.mortal import Killed, Mortal, Returned
from p2pfd.sim.trace import Trace
from p2pfd.sim.world import World, WorldPlan

BOND, THRESHOLD, PREPAYMENT = 10_000, 2_000, 1_000
WALLET = 40_000
READ_TICKS = 20 * MILLISECOND
"""How long a look at the chain takes."""
SIGN_TICKS = 1
"""How long a signature takes: the driver puts what is computed in no time before what has just happened."""
HABITS = Habits(
    encounters=2,
    serves=4,
    validates=True,
    prepayment=PREPAYMENT,
    bond=BOND,
    threshold=THRESHOLD,
    stake=8_000,
    longest=200,
    unbond_seconds=240,
    open_seconds=10,
    learn_seconds=60,
    vote_seconds=20,
    margin_seconds=20,
    slack_seconds=2,
    patience=5 * SECOND,
    nudge=1 * SECOND,
    look=10 * SECOND,
    until=Tick(300 * SECOND),
)
"""As short as a quick simulation wants them."""
BenchOf = Callable[[int, Rng, Blobs], Bench]


@dataclass(frozen=True, slots=True)
class EncounterPlan:
    """What to simulate. The same plan gives the same report, to the bit."""

    world: WorldPlan
    habits: Habits = HABITS
    seed: int = 0
    liars: frozenset[int] = frozenset()
    """Neighbors that serve what harms."""
    misers: frozenset[int] = frozenset()
    """Nodes that give no blob away."""
    unlike: Mapping[int, Habits] = field(default_factory=dict)
    """Nodes with habits of their own."""
    wallet: int = WALLET
    """What each has at the start."""
    trace: bool = False


@dataclass(frozen=True, slots=True)
class EncounterReport:
    """What came of it."""

    events: int
    deliveries: int
    virtual_seconds: float
    ends: Mapping[str, int]
    """How the sides of encounters ended, by role and end."""
    claims: Mapping[str, int]
    """How many claims of each kind the ledger carried out."""
    refused: Mapping[str, int]
    """Why it refused others, and how often."""
    earned: tuple[int, ...]
    """What each node has more than at the start."""
    held: int
    """What the contract still holds."""
    in_wallets: int
    learnt: int
    figures: tuple[Mapping[str, int], ...]
    left: int
    """How many nodes have withdrawn all they had."""
    trace: str | None = None


class EncounterCast:
    """The devices of a simulation, their benches, and the chain that they share."""

    def __init__(self, plan: EncounterPlan, bench_of: BenchOf | None = None) -> None:
        root = Rng(plan.seed)
        nodes = range(plan.world.nodes)
        self.plan = plan
        self.clock: Callable[[], Tick] = lambda: Tick(0)
        self.world = World(plan.world, root.split("world"))
        self.links = Links(plan.world, root.split("links"))
        degrees = [len(near) for near in self.world.neighbours]
        self.away = spans(plan.world.all_faults, root.split("faults"), degrees, [1] * plan.world.nodes)
        """When which nodes are away."""
        self.blobs = Blobs(plan.world, root.split("blobs"), lambda: self.clock(), self.away)
        self.blobs.withheld |= plan.misers
        self.task = TaskId(hashlib.sha256(b"p2pfd-sim-encounters").digest())
        self.peers: list[PeerId] = [peer_id_of(root.split("peer", node).bytes(32)) for node in nodes]
        self.accounts, self.signatures, self.chain = self.settling(root)
        make: BenchOf = bench_of or (lambda node, rng, blobs: ToyBench(node, rng, blobs, lies=node in plan.liars))
        self.benches = [make(node, root.split("bench", node), self.blobs) for node in nodes]
        self.chain.outages = [fault for fault in plan.world.faults if isinstance(fault, ChainAway)]
        self.chain.absences = self.away
        self.machines: list[Machine] = [
            Mortal(lambda node=node: self.device(node)) if node in self.away else self.device(node)  # type: ignore[misc]
            for node in nodes
        ]

    def settling(self, root: Rng) -> tuple[list[Account], Signer, EncounterChain]:
        """Everyone's account, what signs for them, and the chain on which they all have tokens."""
        nodes, habits = range(self.plan.world.nodes), self.plan.habits
        accounts = [Account("0x" + root.split("account", node).bytes(20).hex()) for node in nodes]
        signatures = Signatures(root.split("signatures"))
        chain = EncounterChain(
            dict.fromkeys(accounts, self.plan.wallet),
            signatures,
            habits.unbond_seconds,
            habits.longest,
            habits.bond,
            habits.threshold,
        )
        return accounts, signatures, chain

    def device(self, node: int) -> Machine:
        """A node's machine, as it is before it starts."""
        others = {peer: who for peer, who in zip(self.peers, self.accounts, strict=True) if peer != self.peers[node]}
        return Device(
            Desk(
                task=self.task,
                peer=self.peers[node],
                account=self.accounts[node],
                secret=self.accounts[node].encode(),
                papers=self.signatures.papers,
                signer=self.signatures.signer,
                habits=self.plan.unlike.get(node, self.plan.habits),
                members=others,
            )
        )

    def work(self, node: int, effect: Compute) -> tuple[int, Outcome | str]:
        """What comes of a work, and how long it takes in virtual time."""
        if isinstance(effect.work, (Recall, Confirm, Audit)) and self.chain.is_away(self.clock()):
            return READ_TICKS, "the chain could not be reached"
        match effect.work:
            case Sign(paper):
                return SIGN_TICKS, Signed(self.signatures.sign(self.accounts[node], paper))
            case Recall(key):
                return READ_TICKS, self.chain.recall(key)
            case Confirm(key):
                return READ_TICKS, self.chain.confirm(key)
            case Audit():
                return READ_TICKS, self.chain.audit(self.accounts[node])
        return self.benches[node].do(effect.work)

    def lives(self) -> list[tuple[Tick, int, Started]]:
        """When each node starts, is killed and returns."""
        events: list[tuple[Tick, int, Started]] = [(Tick(0), node, Started()) for node in range(self.plan.world.nodes)]
        for node, found in self.away.items():
            for begin, end in found:
                events.append((begin, node, Killed()))
                if end is not None:
                    events.append((end, node, Returned()))
        return events


def simulate_encounters(
    plan: EncounterPlan,
    bench_of: BenchOf | None = None,
    cast: EncounterCast | None = None,
    watch: Callable[[Tick, int, Emit], None] | None = None,
) -> EncounterReport:
    """Run the plan to its end: all devices stand down at their habits' time, and have withdrawn what they had."""
    cast = cast or EncounterCast(plan, bench_of)
    trace = Trace(plan.world.nodes) if plan.trace else None
    ends: Counter[str] = Counter()
    counts: Counter[str] = Counter()

    def observe(now: Tick, node: int, told: Emit) -> None:
        role, _, name = told.name.partition(".")
        counts[told.name] += 1
        if name in ("over", "settled"):
            end = told.fields.get("end", "accepted" if told.fields.get("accepted") else "refused")
            ends[f"{role} {end!s}"] += 1
        if watch is not None:
            watch(now, node, told)

    driver = HeapDriver(
        cast.machines, cast.peers, cast.world, cast.work, observe, trace, cast.chain, cast.accounts, cast.links
    )
    cast.clock = lambda: driver.now
    for at, node, event in cast.lives():
        driver.post(at, node, event)
    driver.run()
    chain = cast.chain
    return EncounterReport(
        events=driver.events,
        deliveries=driver.deliveries,
        virtual_seconds=driver.now / SECOND,
        ends=dict(sorted(ends.items())),
        claims=dict(sorted(chain.claims.items())),
        refused=dict(sorted(Counter(reason for _, reason in chain.refused).items())),
        earned=tuple(chain.total(who) - plan.wallet for who in cast.accounts),
        held=chain.book.purse.held,
        in_wallets=sum(chain.book.balances(who).wallet for who in cast.accounts),
        learnt=counts["learner.learnt"],
        figures=tuple(bench.figures() for bench in cast.benches),
        left=counts["member.left"],
        trace=None if trace is None else trace.digest().hex(),
    )


def with_habits(**changes: object) -> Habits:
    """The habits of a quick simulation, with some of them changed."""
    return dataclasses.replace(HABITS, **changes)  # type: ignore[arg-type]
