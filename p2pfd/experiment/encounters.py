"""One mesh of devices that meet in encounters: an adapter really learns, validators judge, and some misbehave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from p2pfd import plugins
from p2pfd.behaviours import Behaviour, Misbehaving, Scene, behaviour_class
from p2pfd.behaviours.payloads import Tampered
from p2pfd.core.effects import Compute, Emit
from p2pfd.core.encounter_claims import RULES, EncounterTerms
from p2pfd.core.encounter_events import Defaulted, Opened, Settled, Voided
from p2pfd.core.events import ChainSaw, Outcome
from p2pfd.core.ids import Account
from p2pfd.core.machine import Machine
from p2pfd.core.rng import Rng
from p2pfd.core.spec import TaskSpec
from p2pfd.core.ticks import MILLISECOND, SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.experiment.course import Recorder
from p2pfd.experiment.plan import ADAPTERS, COMMON, Plan
from p2pfd.experiment.result import HONEST, Member, Result, Turn
from p2pfd.experiment.roles import Roles, roles_of
from p2pfd.learning.adapter import Task
from p2pfd.learning.data import Deal, deal
from p2pfd.node.workbench import budget_of
from p2pfd.roles.encounter.office import Habits
from p2pfd.roles.encounter.tutor import Tutor
from p2pfd.roles.encounter.work import Recalled, Serve
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
        self.follow: Callable[[int, list[object]], None] = lambda second, events: None
        """Told after every claim in which second it was, and what came of it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    def take(self, now: Tick, claimed: Claimed) -> News:
        """Carry out a claim, and remember what came of it."""
        news = self._chain.take(now, claimed)
        found: list[object] = [event.event for to, event in news if to is None and isinstance(event, ChainSaw)]
        self.told += found
        self.follow(now // SECOND, found)
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
        self.altered: set[int] = set()
        """The encounters in which a behaviour made of the answer another one than the adapter alone would."""
        self.tampered: dict[int, Tampered] = {}

    def work(self, node: int, effect: Compute) -> tuple[int, Outcome | str]:
        """What comes of a work; it is noted where a behaviour had its hand in an answer."""
        done = super().work(node, effect)
        if isinstance(effect.work, Serve) and node in self.tampered and self.tampered[node].altered:
            self.altered.add(effect.work.key)
        return done

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


def _paced(habits: Habits, seconds: int, rng: Rng) -> Habits:
    """With a pause of the node's own, from half of this to one and a half: so that not all ask at the same time."""
    return replace(
        habits, pause=rng.between(seconds * SECOND // 2, seconds * SECOND * 3 // 2) if seconds > 1 else SECOND
    )


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
        world = WorldPlan(
            plan.nodes, plan.degree, low, high, round(plan.loss * _MILLION), graph=plan.graph, faults=plan.script()
        )
        meetings = plan.meetings
        habits = with_habits(
            encounters=meetings.each,
            rule=RULES.index(meetings.rule),
            size=meetings.validators,
            tolerance=round(meetings.tolerance * _MILLION),
            until=Tick(max(_LEAST, (_PER_ENCOUNTER + meetings.pause * SECOND) * meetings.each)),
        )
        wallet = meetings.wallet * PREPAYMENT
        self._served: dict[int, list[Turn]] = {node: [] for node in range(plan.nodes)}
        self._parts: dict[tuple[int, str], int] = {}
        self._made: dict[int, Tampered] = {}
        pace = Rng(seed).split("pace")
        unlike = {node: _paced(habits, meetings.pause, pace.split(node)) for node in range(plan.nodes)}
        self.cast = _Cast(
            EncounterPlan(world, habits, seed, unlike=unlike, wallet=wallet), self._roles, spec, self._bench
        )
        self.cast.tampered = self._made
        self._nodes: dict[Account, int] = {who: node for node, who in enumerate(self.cast.accounts)}
        honest = [kind == HONEST for kind in self._roles.kinds]
        free = self.cast.chain.book.purse.free
        until = habits.until // SECOND
        self.recorder = Recorder(self.cast.accounts, honest, free, habits.threshold, PREPAYMENT, until)
        self.recorder.altered = self.cast.altered

    def _bench(self, node: int, behaviour: Behaviour | None, rng: Rng, blobs: Blobs) -> AdapterBench:
        return AdapterBench(node, self._tutor(node, behaviour, rng), self._dealt.test, blobs)

    def _tutor(self, node: int, behaviour: Behaviour | None, rng: Rng) -> Tutor:
        """A node learns from its shard; it judges by that too, or by the validation samples that all have."""
        shard = self._dealt.shards[self._roles.owners[node]]
        probe = self._dealt.validation if self.plan.meetings.probe == COMMON else shard
        adapter = self._adapter
        if behaviour is not None:
            adapter = self._made[node] = Tampered(adapter, behaviour)
        return Tutor(adapter, self._task, shard, probe, self._budget, rng, Rng(self.seed).split("shared"))

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
        for node in range(plan.nodes):
            self._grade(node)
        cast.witness.follow = self._follow
        first = sum(cast.benches[node].figures()["accuracy"] for node in honest) / len(honest) / _MILLION
        settled = [0]

        def watch(now: Tick, node: int, told: Emit) -> None:
            if told.name == "learner.settled":
                settled[0] += 1
                neighbor = self._nodes[Account(str(told.fields["neighbor"]))]
                self._served[neighbor].append(Turn(vote=int(bool(told.fields["accepted"]))))
                tell(min(settled[0], plan.nodes * plan.meetings.each), plan.nodes * plan.meetings.each)
                if not told.fields["accepted"]:
                    self._grade(node)
            elif told.name == "learner.learnt":
                self._grade(node)
            elif told.name == "validator.judged" and "after" in told.fields:
                change = int(str(told.fields["after"])) - int(str(told.fields["before"]))
                self.recorder.judged(int(str(told.fields["part"]).rpartition("-")[2], 16), change / _MILLION)
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
            course=self.recorder.points(),
            fates=self.recorder.fates(),
            changes=self.recorder.changes(),
        )

    def _grade(self, node: int) -> None:
        self.recorder.graded(node, self.cast.benches[node].figures()["accuracy"] / _MILLION)

    def _follow(self, second: int, events: list[object]) -> None:
        for event in events:
            if isinstance(event, Opened):
                terms = self._terms(event.key)
                self.recorder.opened(second, event, (terms.learner, terms.neighbor))
            elif isinstance(event, Settled | Defaulted | Voided):
                self.recorder.ended(second, event)
        self.recorder.weighed(second)

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
