"""Where a node learns: its adapter, its data and its model's state. Synchronous; the runtime calls it in a thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from p2pfd import plugins
from p2pfd.core.effects import Work
from p2pfd.core.events import Outcome
from p2pfd.core.ids import Digest, RoundId
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Budget, ConsensusAdapter, Contribution, Labels, Metrics, Split, Task
from p2pfd.learning.baseline import accuracy_alone
from p2pfd.network.api import Cid, Transport
from p2pfd.network.manifest import cid_of
from p2pfd.roles.work import Absorb, Absorbed, Adopt, Adopted, Conclude, Concluded, Studied, Study

MILLION = 1_000_000
ADAPTERS = "p2pfd.adapters"
Aside = Callable[..., Awaitable[Any]]
"""Calls a function somewhere else than on the event loop."""


@dataclass(frozen=True)
class Materials:
    """What a node learns from: the task, its own shard, and two sets that it never trains on."""

    task: Task
    shard: Split
    validation: Split
    test: Split


def adapter_of(name: str, learner: str = "") -> Any:
    """The adapter of this name, for a node that learns with this learner; PlanError where it cannot choose one."""
    adapter: Any = plugins.load(ADAPTERS, name)()
    if not learner:
        return adapter
    if not hasattr(adapter, "with_learner"):
        raise PlanError(f"with the adapter {name} no node has a learner of its own", "take the adapter mixed")
    return adapter.with_learner(learner)


def votes(adapter: Any, task: Task) -> bool:
    """Whether nodes with this adapter vote with labels and have a common student; else they exchange contributions."""
    if not hasattr(adapter, "student"):
        return False
    first = adapter.init(task, Rng(0))
    return isinstance(adapter.share(first, task, RoundId(0)), Labels)


def budget_of(adapter: Any, task: Task) -> Budget:
    """How much a node may train in a round: the task's setting ``epochs``, or the adapter's own."""
    epochs = {**getattr(adapter, "defaults", {}), **task.spec.settings}.get("epochs", 1)
    if not isinstance(epochs, int) or isinstance(epochs, bool):
        raise PlanError(f"settings.epochs is {epochs!r}", "it must be a whole number")
    return Budget(epochs)


class Bench(Protocol):
    """Where works are done: what a role asks to have computed, and what of it others may fetch."""

    @property
    def saved(self) -> bytes:
        """The state after the last work, for the store."""
        ...

    def restore(self, saved: bytes) -> None:
        """Go on from a saved state; nothing saved means the state before the first round."""
        ...

    @property
    def weights_bytes(self) -> int:
        """What the weights that federated averaging would send each round take; 0 as long as nobody knows."""
        ...

    async def begin(self, transport: Transport) -> None:
        """Hold what others may ask for before anything is computed."""
        ...

    async def perform(self, work: Work, transport: Transport, aside: Aside) -> Outcome:
        """What comes of a work; a `P2pfdError` where it cannot be done."""
        ...


class Workbench:
    """Turns works into outcomes. ``private`` is this node's own randomness, ``shared`` is the same on every node."""

    def __init__(self, adapter: ConsensusAdapter[Any], materials: Materials, private: Rng, shared: Rng) -> None:
        self._adapter = adapter
        self._materials = materials
        self._private = private
        self._shared = shared
        self._budget = budget_of(adapter, materials.task)
        self._state = adapter.init(materials.task, shared.split("init"))
        self.saved = b""
        """The state after the last work, for the store."""
        self.student = adapter.student(self._state)
        """The consensus student's weights, for peers that ask."""

    def restore(self, saved: bytes) -> None:
        """Go on from a saved state; nothing saved means the state before the first round."""
        if saved:
            self._state = self._adapter.load(saved, self._materials.task)
            self.saved = saved
            self.student = self._adapter.student(self._state)

    @property
    def weights_bytes(self) -> int:
        """What the weights of the node's own model take, as numbers of four bytes."""
        return 4 * self._adapter.parameters(self._state)

    async def begin(self, transport: Transport) -> None:
        """The student before the first round, or the one that was saved."""
        await transport.put(self.student)

    async def perform(self, work: Work, transport: Transport, aside: Aside) -> Outcome:
        """Do a work aside; an adopted student is fetched first, and the student after it is held for others."""
        if isinstance(work, Adopt):
            student = await transport.get(Cid(work.weights), len(self.student))  # the same net
            outcome: Outcome = await aside(self.adopt, work, student)
        else:
            outcome = await aside(self.do, work)
        if isinstance(work, (Absorb, Adopt)):
            await transport.put(self.student)
        return outcome

    def do(self, work: Work) -> Outcome:
        """What comes of a work."""
        match work:
            case Study():
                return self._study(work)
            case Absorb():
                return self._absorb(work)
            case Conclude():
                return self._conclude()
            case _:
                raise TypeError(f"a workbench cannot do {type(work).__name__}")

    def adopt(self, work: Adopt, student: bytes) -> Outcome:
        """Take over the student that was fetched."""
        if Digest(cid_of(student)) != work.weights:
            raise DecodeError("a student with other weights than were asked for")
        self._keep(self._adapter.adopt(self._state, student))
        return Adopted(work.weights)

    def _study(self, work: Study) -> Outcome:
        task = self._materials.task
        rng = self._private.split("train", work.round)
        state = self._adapter.train(self._state, self._materials.shard, self._budget, rng)
        payload = self._adapter.share(state, task, work.round)
        if not isinstance(payload, Labels):
            raise PlanError(
                f"the adapter {self._adapter.name} shares {type(payload).__name__}", "a label market takes labels"
            )
        self._keep(state)  # the machine persists it with its commitment, and has to go on from it after a restart
        return Studied(payload.classes)

    def _absorb(self, work: Absorb) -> Outcome:
        heard = [Contribution(account, Labels(labels)) for account, labels in work.votes]
        self._keep(self._adapter.absorb(self._state, heard, work.round, self._shared.split("absorb", work.round)))
        accuracy = self._adapter.evaluate(self._state, self._materials.validation)["accuracy"]
        return Absorbed(self._weights(), {"accuracy": round(accuracy * MILLION), "votes": len(heard)})

    def _conclude(self) -> Outcome:
        spec = self._materials.task.spec
        together: Metrics = self._adapter.evaluate(self._state, self._materials.test)
        # An adapter whose nodes have models of their own knows what such a one would reach by itself.
        lonely = getattr(self._adapter, "alone", accuracy_alone)
        alone = lonely(self._materials.task, self._materials.shard, self._materials.test, self._shared)
        figures = {
            "accuracy_together": round(together["accuracy"] * MILLION),
            "accuracy_alone": round(alone * MILLION),
            "fedavg_bytes": self.weights_bytes * spec.rounds,
        }
        return Concluded(self._weights(), figures)

    def _keep(self, state: Any) -> None:
        self._state = state
        self.saved = self._adapter.dump(state)
        self.student = self._adapter.student(state)

    def _weights(self) -> Digest:
        return Digest(cid_of(self.student))  # under which others fetch them
