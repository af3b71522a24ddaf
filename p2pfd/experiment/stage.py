"""One mesh on the simulator: its machines, of which some misbehave, their world, their chain, and their classroom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p2pfd import plugins
from p2pfd.behaviours import Misbehaving, Scene, behaviour_class
from p2pfd.core.claims import BondForfeited, ChainEvent, MarketTerms, WorkerPaid
from p2pfd.core.effects import Compute, Emit
from p2pfd.core.events import ChainSaw, Outcome, Started
from p2pfd.core.ids import Account, Amount, PeerId, RoundId, peer_id_of
from p2pfd.core.machine import Machine
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import MILLISECOND, SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.experiment.classroom import Classroom
from p2pfd.experiment.plan import ADAPTERS, Plan
from p2pfd.experiment.result import HONEST, Member, Result, Turn
from p2pfd.experiment.roles import Roles, roles_of
from p2pfd.learning.adapter import Task
from p2pfd.learning.data import deal
from p2pfd.node.workbench import budget_of, votes
from p2pfd.roles.distill import GossipDistill, Seat, SettledDistill
from p2pfd.sim.chain import Claimed, LedgerChain, News
from p2pfd.sim.faults import ChainAway, spans
from p2pfd.sim.heap import HeapDriver
from p2pfd.sim.mortal import Killed, Mortal, Returned
from p2pfd.sim.world import World, WorldPlan

STUDY_TICKS = (50 * MILLISECOND, 150 * MILLISECOND)
"""How long a computation takes in virtual time."""
_MILLION = 1_000_000
Tell = Callable[[int, int], None]
"""Told, now and then, how many rounds of how many are learnt."""


class WitnessedChain(LedgerChain):
    """The simulation's chain, and what it did in its order: what each node hears of it may come late or never."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.told: list[ChainEvent] = []

    def take(self, now: Tick, claimed: Claimed) -> News:
        """Carry out a claim, and remember what came of it."""
        news = super().take(now, claimed)
        self.told += [event.event for to, event in news if to is None and isinstance(event, ChainSaw)]
        return news


def classroom_of(plan: Plan, seed: int, roles: Roles, adapter: Any | None = None) -> tuple[Classroom, Task, list[int]]:
    """The learners of a mesh, its task, and how many private samples each node works with."""
    spec = plan.task(seed)
    dealt = deal(spec.data, plan.nodes)
    task = Task(spec, dealt.public)
    adapter = plugins.load(ADAPTERS, plan.adapter)() if adapter is None else adapter
    if not votes(adapter, task):
        raise PlanError(
            f"nodes with the adapter {plan.adapter} tell no labels of a common student, with these settings",
            "an experiment takes cfd with one bit, or an adapter of your own that does",
        )
    budget = budget_of(adapter, task)
    room = Classroom(adapter, task, dealt.shards, dealt.test, budget, roles.owners, Rng(seed).split("classroom"))
    return room, task, [len(dealt.shards[owner]) for owner in roles.owners]


class Stage:
    """Everything that a cell needs, ready to be run once."""

    def __init__(self, plan: Plan, seed: int, adapter: Any | None = None) -> None:
        root = Rng(seed)
        nodes = plan.nodes
        self.plan = plan
        self.roles = roles_of(plan, root.split("roles"))
        self.room, self.task, self.samples = classroom_of(plan, seed, self.roles, adapter)
        low, high = plan.latency_low * MILLISECOND, plan.latency_high * MILLISECOND
        loss = round(plan.loss * _MILLION)
        script = plan.script()
        wide = WorldPlan(nodes, plan.degree, low, high, loss, graph=plan.graph, faults=script)
        self.world = World(wide, root.split("world"))
        degrees = [len(near) for near in self.world.neighbours]
        self.away = spans(script, root.split("faults"), degrees, self.samples)
        self.outages = [fault for fault in script if isinstance(fault, ChainAway)]
        self.peers: list[PeerId] = [peer_id_of(root.split("peer", node).bytes(32)) for node in range(nodes)]
        self.accounts = [Account("0x" + root.split("account", node).bytes(20).hex()) for node in range(nodes)]
        self.settled = plan.chain != "none"
        self.machines: list[Machine] = [
            Mortal(lambda node=node: self._machine(node, root)) if node in self.away else self._machine(node, root)  # type: ignore[misc]
            for node in range(nodes)
        ]
        self.chain = self._ledger() if self.settled else None
        self._pace = [root.split("pace", node) for node in range(nodes)]
        self._scores: dict[int, dict[int, float]] = {}

    def _machine(self, node: int, root: Rng) -> Machine:
        spec, phase = self.task.spec, self.plan.phase_seconds * SECOND
        near = self.world.neighbours[node]
        seat = Seat(
            task=spec.id,
            peer=self.peers[node],
            account=self.accounts[node],
            secret=root.split("secret", node).bytes(32),
            samples=spec.data.public,
            classes=spec.data.classes,
            rounds=spec.rounds,
            quorum=spec.quorum if self.settled else min(2, spec.quorum),
            seats=1 + len(near),
            commit_ticks=phase,
            reveal_ticks=phase,
            enrol_ticks=phase,
            bond=spec.money.bond if self.settled else 0,
            chatty=False,
            announce=self.settled,
            members={self.peers[other]: self.accounts[other] for other in near},
        )
        honest = SettledDistill(seat) if self.settled else GossipDistill(seat)
        if self.roles.kinds[node] == HONEST:
            return honest
        kind, argument = behaviour_class(self.roles.kinds[node])
        dice = root.split("behaviour", node)
        scene = Scene(spec.id, seat.account, seat.samples, seat.classes, dice, root.split("plot"), argument)
        return Misbehaving(honest, kind(scene))

    def _ledger(self) -> WitnessedChain:
        spec, money, phase = self.task.spec, self.task.spec.money, self.plan.phase_seconds
        requester = Account("0x" + "ee" * 20)
        terms = MarketTerms(
            task=spec.id,
            samples=spec.data.public,
            classes=spec.data.classes,
            rounds=spec.rounds,
            pot=money.pot,
            rate=money.rate,
            bond=money.bond,
            forfeit=money.forfeit,
            quorum=spec.quorum,
            seats=self.plan.nodes,
            enrol_seconds=phase,
            commit_seconds=phase,
            reveal_seconds=phase,
        )
        wallets = {who: self._means() for who in self.accounts}
        whole = {**wallets, requester: Amount(money.pot * spec.rounds)}
        return WitnessedChain(whole, requester, terms, self.outages, self.away)

    def _means(self) -> int:
        """Enough to deposit the bond anew after every suspension."""
        return self.task.spec.money.bond * (1 + self.task.spec.rounds)

    def work(self, node: int, effect: Compute) -> tuple[int, Outcome]:
        """What a node's learner makes of a work, and how long that takes in virtual time."""
        low, high = STUDY_TICKS
        return self._pace[node].between(low, high), self.room.do(node, effect.work)

    def run(self, clock: Callable[[], float], tell: Tell) -> Result:
        """Let everything happen."""
        began = clock()
        plan, nodes = self.plan, range(self.plan.nodes)
        first = [self.room.accuracy(node) for node in nodes if self.roles.kinds[node] == HONEST]
        finished, short, furthest = set[int](), [0], [0]

        def watch(now: Tick, node: int, told: Emit) -> None:
            if self.roles.kinds[node] != HONEST:
                return
            rnd = told.fields.get("round")
            if told.name == "round.absorbed" and isinstance(rnd, int):
                self._scores.setdefault(rnd, {})[node] = int(str(told.fields["accuracy"])) / _MILLION
                if rnd >= furthest[0]:
                    furthest[0] = rnd + 1
                    tell(furthest[0], plan.rounds)
            elif told.name == "task.finished":
                finished.add(node)  # who was killed in the end says it once more
            elif told.name == "round.short":
                short[0] += 1

        driver = HeapDriver(self.machines, self.peers, self.world, self.work, watch, None, self.chain, self.accounts)
        for node in nodes:
            driver.post(Tick(0), node, Started())
            for begin, end in self.away.get(node, ()):
                driver.post(begin, node, Killed())
                if end is not None:
                    driver.post(end, node, Returned())
        driver.run()
        return Result(
            accuracy=self._curve(sum(first) / len(first)),
            members=self._members(),
            finished=len(finished),
            short=short[0],
            refused=0 if self.chain is None else len(self.chain.refused),
            virtual=driver.now / SECOND,
            events=driver.events,
            deliveries=driver.deliveries,
            seconds=round(clock() - began, 2),
        )

    def _curve(self, first: float) -> tuple[float, ...]:
        """The mean over honest nodes after each round; whoever missed a round is as good as before."""
        honest = [node for node in range(self.plan.nodes) if self.roles.kinds[node] == HONEST]
        last, curve = dict.fromkeys(honest, first), [first]
        for rnd in range(self.plan.rounds):
            last |= self._scores.get(rnd, {})
            curve.append(sum(last.values()) / len(last))
        return tuple(round(value, 6) for value in curve)

    def _members(self) -> tuple[Member, ...]:
        paid: dict[tuple[Account, int], int] = {}
        lost: dict[tuple[Account, int], int] = {}
        for event in () if self.chain is None else self.chain.told:
            if isinstance(event, WorkerPaid):
                paid[event.worker, event.round] = event.amount
            elif isinstance(event, BondForfeited):
                lost[event.worker, event.round] = event.amount
        return tuple(self._member(node, paid, lost) for node in range(self.plan.nodes))

    def _member(self, node: int, paid: dict[tuple[Account, int], int], lost: dict[tuple[Account, int], int]) -> Member:
        who, room = self.accounts[node], self.room
        turns = []
        for rnd in range(self.plan.rounds):
            heard = room.heard.get((RoundId(rnd), who))
            own = room.own.get((node, rnd))
            turns.append(
                Turn(
                    paid.get((who, rnd), 0),
                    lost.get((who, rnd), 0),
                    None if own is None else round(own, 6),
                    None if heard is None else int(heard),
                )
            )
        gain = 0 if self.chain is None else self.chain.market.balances(who).total - self._means()
        return Member(self.roles.kinds[node], self.samples[node], tuple(turns), gain)
