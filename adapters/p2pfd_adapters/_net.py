"""`NetAdapter`: what adapters share whose state is one net, trained on the shard, and whose payload is its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from p2pfd.core.rng import Rng
from p2pfd.core.spec import Setting
from p2pfd.errors import DecodeError
from p2pfd.learning.adapter import Array, Budget, Contribution, Judgement, Metrics, Payload, Split, Task, Tensors
from p2pfd.learning.knobs import Decimal, Knob, Whole, check, decimal, whole
from p2pfd.learning.local import local_fit, local_model, log_shares
from p2pfd.learning.model import Fit, Model, Replay, Weights
from p2pfd_adapters._records import MOST_AGE, NetState, dump, load, need

LEAST_PROBE = 20
"""With fewer labelled samples a validator does not judge: one sample would be more than five points."""


class NetAdapter:
    """One net a node. Adapters add what they tell others, and what they make of what others tell."""

    name: ClassVar[str]
    knobs: ClassVar[Mapping[str, Knob]]
    defaults: ClassVar[Mapping[str, Setting]]

    def init(self, task: Task, rng: Rng) -> NetState:
        """The state before the first round; PlanError when a setting is unknown or out of its range."""
        spec = task.spec
        check(self.knobs, spec.settings)
        weights = local_model(spec.settings, spec.data.classes, like=task.public).init(rng)
        return NetState(spec.data.classes, dict(spec.settings), weights, 0, {})

    def train(self, state: NetState, shard: Split, budget: Budget, rng: Rng) -> NetState:
        """Descend on the shard from the weights that there are."""
        return descend(state, shard, budget, rng)

    def evaluate(self, state: NetState, split: Split) -> Metrics:
        """``accuracy`` of the node's net."""
        return {"accuracy": state.model.accuracy(state.weights, split.x, split.y)}

    def dump(self, state: NetState) -> bytes:
        """The state as canonical bytes."""
        return dump(f"{self.name}-2", state)

    def load(self, raw: bytes, task: Task) -> NetState:
        """The state that `dump` wrote; DecodeError for anything else."""
        return self.checked(load(f"{self.name}-2", self.knobs, raw, task))

    def checked(self, state: NetState) -> NetState:
        """The state, if its further arrays are such as this adapter keeps; DecodeError otherwise."""
        return need(state, {})


def descend(
    state: NetState, shard: Split, budget: Budget, rng: Rng, *, replay: Replay | None = None, prior: bool = True
) -> NetState:
    """The state after a descent on the shard, and older by its steps; as it was where there is nothing to learn."""
    if not len(shard):
        return state
    plan = local_fit(state.settings, budget.epochs)
    bias = log_shares(state.settings, shard, state.classes) if prior else None
    weights = state.model.fit(state.weights, shard.x, shard.y, plan, rng, bias=bias, replay=replay)
    return replace(state, weights=weights, age=min(MOST_AGE, state.age + steps(plan, len(shard))))


def distilling(epochs: int) -> Mapping[str, Knob]:
    """The settings of learning from public samples: how sharp, and right after hearing for so many epochs."""
    return MappingProxyType(
        {
            "sharpness": Decimal("1", "0.1", "10"),
            "distil_epochs": Whole(epochs, 0, 1000),
            "distil_batch": Whole(32, 1, 4096),
            "distil_rate": Decimal("0.05", "0.00001", "10"),
        }
    )


def distilled(
    state: NetState, knobs: Mapping[str, Knob], model: Model, weights: Weights, shares: Array, rng: Rng
) -> Weights:
    """The weights after learning these shares of the state's public samples, as long as its settings say."""
    epochs = whole(knobs, state.settings, "distil_epochs")
    if not epochs:
        return weights
    plan = Fit(
        epochs=epochs,
        batch=whole(knobs, state.settings, "distil_batch"),
        rate=decimal(knobs, state.settings, "distil_rate"),
        momentum=decimal(knobs, state.settings, "momentum"),
        decay=decimal(knobs, state.settings, "decay"),
        noise=decimal(knobs, state.settings, "noise"),
    )
    return model.fit(weights, state.extra["public"], shares, plan, rng.split("distil"))


def views(model: Model, rows: Sequence[Weights], public: Array, sharpness: float) -> Array:
    """How several nets see the public samples: the mean of their shares, to a power that makes them sharper.

    Means of nets that know different classes are all but even, and even shares teach next to nothing.
    """
    seen = [softened(model.logits(row, public)) for row in rows]
    mean = np.mean(seen, axis=0, dtype=np.float64) ** sharpness
    return np.asarray(mean / mean.sum(axis=1, keepdims=True), dtype=np.float32)


def keeps_public(state: NetState, knobs: Mapping[str, Knob]) -> bool:
    """Whether a state has public samples: to go over them beside the shard, or to learn them right after hearing."""
    return decimal(knobs, state.settings, "replay") > 0 or whole(knobs, state.settings, "distil_epochs") > 0


def replay_of(state: NetState, knobs: Mapping[str, Knob]) -> Replay | None:
    """What a descent on the shard goes over beside it: public samples, as those saw them who were heard last."""
    shares, weight = state.extra.get("shares"), decimal(knobs, state.settings, "replay")
    return Replay(state.extra["public"], shares, weight) if shares is not None and weight else None


def check_views(state: NetState, replays: bool) -> None:
    """DecodeError unless a state has public samples exactly where it replays them, and shares of those at most."""
    public, shares = state.extra.get("public"), state.extra.get("shares")
    if (public is not None) != replays or (shares is not None and public is None):
        raise DecodeError("a state with other arrays than its settings say")
    if public is not None and shares is not None and shares.shape != (len(public), state.classes):
        raise DecodeError("a state whose shares are not of its public samples")


def steps(plan: Fit, samples: int) -> int:
    """How many updates a descent makes."""
    return plan.epochs * -(-samples // plan.batch)


def said(state: NetState) -> Tensors:
    """The node's net as it is told to others."""
    return Tensors(state.model.named(state.weights), state.age)


def weights_of(model: Model, payload: Payload, extra: frozenset[str] = frozenset()) -> Weights:
    """The weights in a payload that may have further arrays of these names; DecodeError when there are none."""
    if not isinstance(payload, Tensors):
        raise DecodeError(f"{type(payload).__name__} instead of weights")
    if not 0 <= payload.age <= MOST_AGE:
        raise DecodeError("weights of an age beyond counting")
    return model.flat({name: array for name, array in payload.arrays.items() if name not in extra})


def heard_from(heard: Sequence[Contribution], names: Mapping[str, tuple[int, ...]]) -> list[Contribution]:
    """The first contribution of each sender that has exactly these finite float32 arrays, in the senders' order."""
    kept: dict[str, Contribution] = {}
    for one in heard:
        if one.sender not in kept and isinstance(one.payload, Tensors) and fits(one.payload, names):
            kept[one.sender] = one
    return [kept[sender] for sender in sorted(kept)]


def fits(payload: Tensors, names: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a payload has exactly these arrays, of float32, all finite, and an age that can be."""
    arrays = payload.arrays
    if {name: array.shape for name, array in arrays.items()} != dict(names) or not 0 <= payload.age <= MOST_AGE:
        return False
    return all(array.dtype == np.float32 and bool(np.isfinite(array).all()) for array in arrays.values())


def shapes_of(model: Model) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a net's weights."""
    return {name: array.shape for name, array in model.named(np.zeros(model.parameters, dtype=np.float32)).items()}


def judged(model: Model, before: Weights, after: Weights | None, probe: Split, tolerance: float) -> Judgement:
    """Whether ``after`` is worse on the probe by no more than the tolerance; nothing usable is worse than anything."""
    if len(probe) < LEAST_PROBE:
        return Judgement(None, 0.0, 0.0)
    was = model.accuracy(before, probe.x, probe.y)
    if after is None:
        return Judgement(False, was, 0.0)
    now = model.accuracy(after, probe.x, probe.y)
    return Judgement(now >= was - tolerance, was, now)


def mean_of(rows: Sequence[Weights], weights: Sequence[float]) -> Weights:
    """The weighted mean, in double precision."""
    parts = np.asarray(weights, dtype=np.float64)
    mean: Weights = ((parts / parts.sum()) @ np.stack(rows).astype(np.float64)).astype(np.float32)
    return mean


def right(shares: Array, y: npt.NDArray[np.int64]) -> float:
    """How many rows have their highest share where the sample is, the lowest class among equals; nothing of none."""
    return float(np.mean(np.argmax(shares, axis=1) == y)) if len(y) else 0.0


def softened(logits: Array) -> Array:
    """Rows of logits as shares."""
    high = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares: Array = (high / high.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares
