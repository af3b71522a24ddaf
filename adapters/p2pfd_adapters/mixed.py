"""`Mixed`: each node learns with a model of its own kind, be it a line, a net or a forest, and all have one student.

As `cfd`, which see: nodes tell one another one class per public sample, and distil them into a common student. What a
node trains on its shard is no copy of the student but its own learner, which it chose itself and nobody else knows of;
it hears of the others by replaying the public samples with the last targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from p2pfd.core.canonical import decode, encode
from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Budget, Labels, Metrics, Split, Task
from p2pfd.learning.knobs import choice, whole
from p2pfd.learning.learner import AnyLearner
from p2pfd.learning.learners import FORMS, learner_of
from p2pfd.learning.local import LOCAL, local_fit, log_shares
from p2pfd.learning.models import model_of, require
from p2pfd_adapters.cfd import KNOBS, Cfd, CfdState, replayed

_KIND = "mixed-1"
_KEYS = {"kind", "common", "learner", "grown"}
_MOST_BYTES = 512 * 2**20


@dataclass(frozen=True, eq=False)
class MixedState(CfdState):
    """What a node of `cfd` holds, and its own learner: its name, and what it has learnt (nothing before training)."""

    learner: str
    grown: Any


class Mixed(Cfd):
    """Federated distillation among unequal models."""

    name = "mixed"

    def __init__(self, learner: str = "") -> None:
        self._learner = learner

    def with_learner(self, learner: str) -> Mixed:
        """The same for a node that learns with this learner; without a name it is the task's net."""
        return Mixed(learner)

    def init(self, task: Task, rng: Rng) -> MixedState:
        """The state before the first round; PlanError when the learner, or a setting, cannot be."""
        state = super().init(task, rng)
        _one_bit(state)
        name = self._learner or choice(LOCAL, state.settings, "net")
        if name in FORMS:
            learner_of(name, state.classes)
        else:
            require(model_of(name, state.classes, also=FORMS), task.public, state.classes)
        return MixedState(**_common(state), learner=name, grown=None)

    def train(self, state: CfdState, shard: Split, budget: Budget, rng: Rng) -> MixedState:
        """Let the node's learner learn its shard, and the public samples with the last targets."""
        state = _mixed(state)
        learner = _learner(state)
        known = state.grown if state.grown is not None else learner.init(rng.split("init"))
        if len(shard):
            bias = None if state.learner in FORMS else log_shares(state.settings, shard, state.classes)
            plan = local_fit(state.settings, budget.epochs)
            known = learner.fit(known, shard.x, shard.y, plan, rng, bias=bias, replay=replayed(state, rng))
        return MixedState(**_common(state), learner=state.learner, grown=known)

    def share(self, state: CfdState, task: Task, rnd: RoundId) -> Labels:
        """The class that the node's learner gives each public sample."""
        state = _mixed(state)
        return Labels(bytes(_learner(state).classes(_grown(state), task.public).astype(np.uint8)))

    def evaluate(self, state: CfdState, split: Split) -> Metrics:
        """``accuracy`` of the node's learner, ``student_accuracy`` of what all have; untrained, it is the student."""
        state = _mixed(state)
        student = super().evaluate(state, split)["accuracy"]
        own = student if state.grown is None else _learner(state).accuracy(state.grown, split.x, split.y)
        return {"accuracy": own, "own_accuracy": own, "student_accuracy": student}

    def alone(self, task: Task, shard: Split, split: Split, rng: Rng) -> float:
        """What the node's learner would reach with its own shard only, and the epochs of all rounds in one descent."""
        state = self.init(task, rng.split("init"))
        epochs = whole(LOCAL, state.settings, "epochs") * task.spec.rounds
        return self.evaluate(self.train(state, shard, Budget(epochs), rng.split("alone")), split)["accuracy"]

    def dump(self, state: CfdState) -> bytes:
        """The state as canonical bytes."""
        state = _mixed(state)
        grown = None if state.grown is None else _learner(state).to_bytes(state.grown)
        return encode({"kind": _KIND, "common": super().dump(state), "learner": state.learner, "grown": grown})

    def load(self, raw: bytes, task: Task) -> MixedState:
        """The state that `dump` wrote; DecodeError for anything else."""
        value = decode(raw, limit=_MOST_BYTES)
        if not isinstance(value, Mapping) or set(value) != _KEYS or value["kind"] != _KIND:
            raise DecodeError("not a state of the adapter mixed")
        name, grown, common = value["learner"], value["grown"], value["common"]
        if not isinstance(name, str) or not isinstance(common, bytes) or not isinstance(grown, (bytes, type(None))):
            raise DecodeError("a state of the adapter mixed whose parts are of other kinds")
        state = super().load(common, task)
        try:
            learner = learner_of(name, state.classes)
        except PlanError as error:
            raise DecodeError(f"a state with an unknown learner: {error.what}") from error
        known = None if grown is None else learner.from_bytes(grown)
        return MixedState(**_common(state), learner=name, grown=known)


def _common(state: CfdState) -> dict[str, Any]:
    return {entry.name: getattr(state, entry.name) for entry in fields(CfdState)}


def _mixed(state: CfdState) -> MixedState:
    if not isinstance(state, MixedState):
        raise TypeError(f"a {type(state).__name__}, which has no learner of its own")
    return state


def _learner(state: MixedState) -> AnyLearner:
    return learner_of(state.learner, state.classes)


def _grown(state: MixedState) -> Any:
    return _learner(state).init(Rng(state.seed).split("init")) if state.grown is None else state.grown


def _one_bit(state: CfdState) -> None:
    if whole(KNOBS, state.settings, "bits") != 1:
        raise PlanError("settings.bits is more than 1", "unequal learners tell one class a sample: leave it out")
