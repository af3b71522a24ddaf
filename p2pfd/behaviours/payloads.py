"""Behaviours of what is sent: models that do harm, and counts that are made larger.

Machines see no payload, only its hash: whoever does the works of a node with such a behaviour gives it a `Tampered`
adapter instead of the adapter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from p2pfd.behaviours.api import Behaviour, Scene
from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Budget, Labels, Payload, Prototypes, SoftLabels, Split, Task, Tensors
from p2pfd.learning.codecs.api import MOST_AGE


class Tampered:
    """An adapter whose payloads go through a behaviour before anybody gets them; all else is the adapter's."""

    def __init__(self, adapter: Any, behaviour: Behaviour) -> None:
        self._adapter = adapter
        self._behaviour = behaviour
        self.altered = False
        """Whether the latest answer is another one than the adapter alone would have made."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def share(self, state: Any, task: Task, rnd: RoundId) -> Payload:
        """What others are told in a round."""
        return self._behaviour.sends(self._adapter.share(state, task, rnd))

    def serve(self, state: Any, request: Payload, shard: Split, budget: Budget, rng: Rng) -> Payload:
        """What a learner gets for its prepayment."""
        taught = self._behaviour.teaches(shard)
        served = self._adapter.serve(state, request, taught, budget, rng)
        sent = self._behaviour.sends(served)
        self.altered = taught is not shard or sent is not served
        return sent


class Poison(Behaviour):
    """Sends what does harm to whoever takes it."""

    name = "poison"
    part = "payloads"
    about = "sends a model that does harm: its own turned round, or noise"
    argument = "turned (every number negated, every class the next one) or noise; turned where nothing is said"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        if scene.argument not in ("", "turned", "noise"):
            raise PlanError(f"poison:{scene.argument[:40]} does no harm", "write poison:turned or poison:noise")
        self._noise = scene.argument == "noise"
        self._sent = 0

    def sends(self, payload: Payload) -> Payload:
        """A payload of the same form, which says something else."""
        self._sent += 1
        dice = self.scene.private.split("noise", self._sent)
        match payload:
            case Labels(classes):
                if self._noise:
                    return Labels(bytes(dice.below(self.scene.classes) for _ in classes))
                return Labels(bytes((label + 1) % self.scene.classes for label in classes))
            case SoftLabels():
                return SoftLabels(payload.bits, np.ascontiguousarray(np.roll(payload.units, 1, axis=1)))
            case Prototypes():
                return Prototypes(payload.counts, self._array(payload.means, dice))
            case Tensors():
                arrays = {name: self._array(array, dice.split(name)) for name, array in payload.arrays.items()}
                return Tensors(arrays, payload.age)

    def _array(self, array: Any, dice: Rng) -> Any:
        if not np.issubdtype(array.dtype, np.floating):
            return array  # counters, such as those of batch norm
        if not self._noise:
            return -array
        draws = np.frombuffer(dice.bytes(4 * array.size), dtype=">u4").astype(np.float64) / 2**31 - 1
        return draws.reshape(array.shape).astype(array.dtype)


class Inflate(Behaviour):
    """Claims more work than was done: a merge that weighs by age or by counts then listens to it more."""

    name = "inflate"
    part = "payloads"
    about = "claims a thousand times the updates, or the samples, that went into what it sends"

    def sends(self, payload: Payload) -> Payload:
        """The same, with larger counts where it has any; labels have none."""
        match payload:
            case Tensors():
                return Tensors(payload.arrays, min(MOST_AGE, 1000 * max(1, payload.age)))
            case Prototypes():
                return Prototypes(np.minimum(MOST_AGE, 1000 * payload.counts), payload.means)
            case _:
                return payload
