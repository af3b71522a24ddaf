"""One mesh of devices that meet in encounters: an adapter really learns, validators judge, and some misbehave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p2pfd import plugins
from p2pfd.behaviours import Behaviour, Misbehaving, Scene, behaviour_class
from p2pfd.behaviours.payloads import Tampered
from p2pfd.core.effects import Emit
from p2pfd.core.encounter_claims import RULES, EncounterTerms
from p2pfd.core.encounter_events import Defaulted, Settled
from p2pfd.core.events import ChainSaw
from p2pfd.core.ids import Account
from p2pfd.core.machine import Machine
from p2pfd.core.rng import Rng
from p2pfd.core.spec import TaskSpec
from p2pfd.core.ticks import MILLISECOND, SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.experiment.plan import ADAPTERS, Plan
from p2pfd.experiment.result import HONEST, Member, Result, Turn
from p2pfd.experiment.roles import Roles, roles_of
from p2pfd.learning.adapter import Task
from p2pfd.learning.data import Deal, deal
from p2pfd.node.workbench import budget_of
from p2pfd.roles.encounter.tutor import Tutor
from p2pfd.roles.encounter.work import Recalled
from p2pfd.sim.chain import Claimed, News
from p2pfd.sim.encounter_bench import AdapterBench
from p2pfd.sim.encounter_chain import EncounterChain
from p2pfd.sim.encounter_world import Blobs
from p2pfd.sim.encounters import HABITS, EncounterCast, EncounterPlan, simulate_encounters, with_habits
from p2pfd.sim.world import WorldPlan

PREPAYMENT = HABITS.prepayment
_MILLION = 1_000_000
_LEAST, _PER_ENCOUNTER = 300 * SECOND, 60 * SECOND
"""How long devices take part, at least, and for each encounter."""
Tell = Callable[[int, int], None]
Make = Callable[[int, Behaviour | None, Rng, Blobs], AdapterBench]


class _Witness:
    """The chain of a simulation, and what it did, in its order."""

    def __init__(self, chain: EncounterChain) -> None:
        self._chain = chain
        self.told: list[object] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    def take(self, now: Tick, claimed: Claimed) -> News:
        """Carry out a claim, and remember what came of it."""
        news = self._chain.take(now, claimed)
        self.told += [event.event for to, event in news if to is None and isinstance(event, ChainSaw)]
        return news


class _Cast(EncounterCast):
    """Devices, of which some misbehave, and which learn with an adapter."""

    def __init__(self, plan: EncounterPlan, roles: Roles, task: TaskSpec, make: Make) -> None:
        self.roles = roles
        self.spec = task
        self.behaviours: dict[int, Behaviour] = {}
        super().__init__(plan, lambda node, rng, blobs: make(node, self.behaviour(node), rng, blobs))
        self.witness = _Witness(self.chain)
        self.chain = self.witness  # type: ignore[assignment]  # a chain in all that is asked of it

    def device(self, node: int) -> Machine:
        """A node's machine; one that misbehaves has its behaviour before it."""
        honest = super().device(node)
        behaviour = self.behaviour(node)
        return honest if behaviour is None else Misbehaving(honest, behaviour)

    def behaviour(self, node: int) -> Behaviour | None:
        """What a node does differently: the same one before its machine and before its adapter."""
        name = self.roles.kinds[node]
        if name == HONEST:
            return None
        if node not in self.behaviours:
            kind, argument = behaviour_class(name)
            root = Rng(self.plan.seed)
            dice, plot = root.split("behaviour", node), root.split("plot")
            data = self.spec.data
            scene = Scene(self.task, self.accounts[node], data.public, data.classes, dice, plot, argument)
            self.behaviours[node] = kind(scene)
        return self.behaviours[node]


class EncounterStage:
    """Everything that a cell of encounters needs, ready to be run once."""

    def __init__(self, plan: Plan, seed: int, adapter: Any | None = None) -> None:
        self.plan, self.seed = plan, seed
        self._roles = roles_of(plan, Rng(seed).split("roles"))
        self._adapter = plugins.load(ADAPTERS, plan.adapter)() if adapter is None else adapter
        if not hasattr(self._adapter, "serve"):
            raise PlanError(f"nodes with the adapter {plan.adapter} serve nobody", "in encounters, use gossip or oppcl")
        spec = plan.task(seed)
        self._dealt: Deal = deal(spec.data, plan.nodes)
        self._task = Task(spec, self._dealt.public)
        self._budget = budget_of(self._adapter, self._task)
        low, high = plan.latency_low * MILLISECOND, plan.latency_high * MILLISECOND
        world = WorldPlan(plan.nodes, plan.degree, low, high, round(plan.loss * _MILLION), graph=plan.graph)
        meetings = plan.meetings
        habits = with_habits(
            encounters=meetings.each,
            rule=RULES.index(meetings.rule),
            size=meetings.validators,
            tolerance=round(meetings.tolerance * _MILLION),
            until=Tick(max(_LEAST, _PER_ENCOUNTER * meetings.each)),
        )
        self._served: dict[int, list[Turn]] = {node: [] for node in range(plan.nodes)}
        self._parts: dict[tuple[int, str], int] = {}
        self.cast = _Cast(EncounterPlan(world, habits, seed), self._roles, spec, self._bench)
        self._nodes: dict[Account, int] = {who: node for node, who in enumerate(self.cast.accounts)}

    def _bench(self, node: int, behaviour: Behaviour | None, rng: Rng, blobs: Blobs) -> AdapterBench:
        return AdapterBench(node, self._tutor(node, behaviour, rng), self._dealt.test, blobs)

    def _tutor(self, node: int, behaviour: Behaviour | None, rng: Rng) -> Tutor:
        """A node learns from its shard, and judges by it: what it judges was trained on others'."""
        shard = self._dealt.shards[self._roles.owners[node]]
        adapter = self._adapter if behaviour is None else Tampered(self._adapter, behaviour)
        return Tutor(adapter, self._task, shard, shard, self._budget, rng, Rng(self.seed).split("shared"))

    def timed(self, clock: Callable[[], float]) -> float:
        """How long one encounter takes: to ask, to serve, and to be judged by each validator."""
        learner, neighbor = (self._tutor(node, None, Rng(node)) for node in range(2))
        neighbor.serve(0, learner.ask(0))  # the first call of all loads what later ones find loaded
        began = clock()
        asked = learner.ask(1)
        answered = neighbor.serve(1, asked)
        for _ in range(self.plan.meetings.validators):
            learner.judge(asked, answered, 0)
        return clock() - began

    def run(self, clock: Callable[[], float], tell: Tell) -> Result:
        """Let everything happen."""
        began = clock()
        plan, cast = self.plan, self.cast
        honest = [node for node in range(plan.nodes) if self._roles.kinds[node] == HONEST]
        first = sum(cast.benches[node].figures()["accuracy"] for node in honest) / len(honest) / _MILLION
        settled = [0]

        def watch(now: Tick, node: int, told: Emit) -> None:
            if told.name == "learner.settled":
                settled[0] += 1
                neighbor = self._nodes[Account(str(told.fields["neighbor"]))]
                self._served[neighbor].append(Turn(vote=int(bool(told.fields["accepted"]))))
                tell(min(settled[0], plan.nodes * plan.meetings.each), plan.nodes * plan.meetings.each)
            elif told.name == "validator.over":
                self._parts[node, "judged"] = self._parts.get((node, "judged"), 0) + 1

        report = simulate_encounters(cast.plan, cast=cast, watch=watch)
        last = sum(report.figures[node]["accuracy"] for node in honest) / len(honest) / _MILLION
        self._account()
        members = tuple(self._member(node, report.earned[node]) for node in range(plan.nodes))
        return Result(
            accuracy=(round(first, 6), round(last, 6)),
            members=members,
            finished=report.left,
            short=report.ends.get("learner refused", 0),
            refused=sum(report.refused.values()),
            virtual=report.virtual_seconds,
            events=report.events,
            deliveries=report.deliveries,
            seconds=round(clock() - began, 2),
        )

    def _account(self) -> None:
        """Who gained what as learner and as neighbor: what the end credited, less what it had paid in."""
        for event in self.cast.witness.told:
            if isinstance(event, Settled):
                terms = self._terms(event.key)
                self._gain(terms.learner, "learner", event.learner - terms.prepayment)
                self._gain(terms.neighbor, "neighbor", event.neighbor - terms.prepayment)
            elif isinstance(event, Defaulted):
                terms = self._terms(event.key)
                self._gain(terms.learner, "learner", event.damages)
                self._gain(terms.neighbor, "neighbor", -event.damages)

    def _terms(self, key: int) -> EncounterTerms:
        found = self.cast.chain.recall(key)
        assert isinstance(found, Recalled)
        return found.terms

    def _gain(self, who: Account, role: str, amount: int) -> None:
        part = (self._nodes[who], role)
        self._parts[part] = self._parts.get(part, 0) + amount

    def _member(self, node: int, gain: int) -> Member:
        learner, neighbor = (self._parts.get((node, role), 0) for role in ("learner", "neighbor"))
        return Member(
            kind=self._roles.kinds[node],
            samples=len(self._dealt.shards[self._roles.owners[node]]),
            turns=tuple(self._served[node]),
            gain=gain,
            parts=(learner, neighbor, gain - learner - neighbor, self._parts.get((node, "judged"), 0)),
        )
