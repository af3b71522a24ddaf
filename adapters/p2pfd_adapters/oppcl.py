"""`OppCl`: a learner sends its model to a neighbor that has what it wants to learn, which trains it and sends it back.

From Lee, Zheng, Hua, Vikalo, Julien, "Opportunistic federated learning: an exploration of egocentric collaboration for
pervasive computing applications" (PerCom 2021), whose authors later call it opportunistic collaborative learning. Each
node has a goal: the classes that it wants to be good at. Neighbors tell the shares of their classes, and a neighbor
counts by ``exp(−λ · (1 − similarity))``, where similarity is one minus the Jensen–Shannon divergence of the goal and
these shares. The pull of a neighbor is what its training changed; with ``memory`` a node keeps the latest pull for
every set of classes that it met, and lets them all pull again (opportunistic momentum).

What differs: a neighbor trains whole epochs, and only on classes of the goal, with a logit adjustment that leaves alone
what the learner knows of classes the neighbor lacks. Such pulls are long, and old ones mislead: there is no momentum
unless a task asks for it. In rounds, where everybody hears the
neighbors' models instead of sending its own around, a pull is the difference to one's own model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.core.spec import Setting
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Array, Budget, Contribution, Judgement, Payload, Split, Task, Tensors
from p2pfd.learning.knobs import Decimal, Knob, Whole, decimal, defaults, whole
from p2pfd.learning.local import LOCAL
from p2pfd.learning.model import Weights
from p2pfd_adapters._net import NetAdapter, descend, fits, heard_from, judged, shapes_of, weights_of
from p2pfd_adapters._records import NetState

_CLASSES = re.compile(r"[0-9]{1,2}(,[0-9]{1,2}){0,14}\Z")
_PULL = "pull."
_MOST_MASK = 4


@dataclass(frozen=True, slots=True)
class Goal:
    """What a node wants to be good at."""

    default: str

    @property
    def legal(self) -> str:
        """The goals in words."""
        return '"own" (the shares of the node\'s own classes), "all", or classes such as "0,3,7"'

    def read(self, value: Setting) -> str | None:
        """The goal, if it is one."""
        good = isinstance(value, str) and (value in ("own", "all") or _CLASSES.match(value) is not None)
        return str(value) if good else None


KNOBS: Mapping[str, Knob] = MappingProxyType(
    {
        **LOCAL,
        "floor": Decimal("0.0001", "0.0001", "1"),
        "goal": Goal("own"),
        "mix": Decimal("1", "0", "1"),
        "sharpness": Decimal("2", "0", "100"),
        "least": Decimal("0", "0", "1"),
        "memory": Whole(0, 0, 64),
    }
)


class OppCl(NetAdapter):
    """Opportunistic collaborative learning, in encounters and in rounds."""

    name = "oppcl"
    knobs = KNOBS
    defaults = defaults(KNOBS)

    def init(self, task: Task, rng: Rng) -> NetState:
        """The state before the first round; PlanError for a goal with a class that there is not."""
        state = super().init(task, rng)
        nothing = np.zeros(state.classes, dtype=np.float32)
        # The local descent knows nothing of this adapter's own default.
        settings = {"floor": KNOBS["floor"].default, **state.settings}
        return replace(state, settings=settings, extra={"goal": _goal(state, nothing), "labels": nothing})

    def train(self, state: NetState, shard: Split, budget: Budget, rng: Rng) -> NetState:
        """Descend on the shard, and learn from it which classes one has."""
        trained = descend(state, shard, budget, rng)
        labels = _shares(shard, state.classes)
        return replace(trained, extra={**state.extra, "labels": labels, "goal": _goal(state, labels)})

    def share(self, state: NetState, task: Task, rnd: RoundId) -> Tensors:
        """The model, and the shares of the node's classes."""
        return _told(state, "labels")

    def absorb(self, state: NetState, heard: Sequence[Contribution], rnd: RoundId, rng: Rng) -> NetState:
        """Be pulled towards the models of those who have what one wants."""
        met: dict[str, list[Array]] = {}
        for one in heard_from(heard, {**shapes_of(state.model), "labels": (state.classes,)}):
            assert isinstance(one.payload, Tensors)
            pull = weights_of(state.model, one.payload, frozenset({"labels"})) - state.weights
            met.setdefault(_key(one.payload.arrays["labels"].astype(np.float32)), []).append(pull)
        return self._pulled(state, {key: np.mean(pulls, axis=0, dtype=np.float32) for key, pulls in met.items()})

    def checked(self, state: NetState) -> NetState:
        """The state, if it has a goal, labels, and pulls of the net's size, no more of them than the settings allow."""
        pulls = [name for name in state.extra if name.startswith(_PULL)]
        if set(state.extra) - set(pulls) != {"goal", "labels"} or len(pulls) > _memory(state):
            raise DecodeError("a state of oppcl with other arrays than it keeps")
        if any(_mask(name) is None or state.extra[name].shape != state.weights.shape for name in pulls):
            raise DecodeError("a state of oppcl with pulls that are none")
        if any(state.extra[name].shape != (state.classes,) for name in ("goal", "labels")):
            raise DecodeError("a state of oppcl whose goal or labels are not one number a class")
        return state

    # -- encounters ----------------------------------------------------------------------------------------------------

    def request(self, state: NetState, task: Task) -> Tensors:
        """The learner's model, and its goal."""
        return _told(state, "goal")

    def serve(self, state: NetState, request: Payload, shard: Split, budget: Budget, rng: Rng) -> Tensors:
        """The learner's model, trained on those of the neighbor's samples whose class the learner wants."""
        theirs, goal = self._asked(state, request)
        wanted = shard if not goal.any() else _of_classes(shard, goal)
        lent = replace(state, weights=theirs, age=0)
        trained = descend(lent, wanted, budget, rng)
        labels = _shares(wanted, state.classes)
        return _told(replace(trained, extra={"labels": labels}), "labels")

    def judge(self, state: NetState, before: Payload, after: Payload, probe: Split, tolerance: float) -> Judgement:
        """Whether the model that came back is not worse at the learner's goal, beyond the tolerance."""
        model = state.model
        try:
            was, goal = self._asked(state, before)
        except DecodeError:
            return Judgement(None, 0.0, 0.0)
        try:
            now: Weights | None = self._answered(state, after)[0]
        except DecodeError:
            now = None
        return judged(model, was, now, probe if not goal.any() else _of_classes(probe, goal), tolerance)

    def accept(self, state: NetState, after: Payload) -> NetState:
        """Be pulled towards what came back."""
        weights, labels, age = self._answered(state, after)
        return self._pulled(replace(state, age=max(state.age, age)), {_key(labels): weights - state.weights})

    def _asked(self, state: NetState, request: Payload) -> tuple[Weights, Array]:
        if not isinstance(request, Tensors) or not fits(request, {**shapes_of(state.model), "goal": (state.classes,)}):
            raise DecodeError("a request that is not weights and a goal")
        return weights_of(state.model, request, frozenset({"goal"})), request.arrays["goal"].astype(np.float32)

    def _answered(self, state: NetState, after: Payload) -> tuple[Weights, Array, int]:
        if not isinstance(after, Tensors) or not fits(after, {**shapes_of(state.model), "labels": (state.classes,)}):
            raise DecodeError("an answer that is not weights and the shares of classes")
        weights = weights_of(state.model, after, frozenset({"labels"}))
        return weights, after.arrays["labels"].astype(np.float32), after.age

    def _pulled(self, state: NetState, met: Mapping[str, Array]) -> NetState:
        """One step along the mean of all pulls, those met now and those remembered, by how similar they are."""
        remembered = {name: array for name, array in state.extra.items() if name.startswith(_PULL)}
        pulls = {**remembered, **met}
        if not pulls:
            return state
        settings, goal = state.settings, state.extra["goal"]
        near = {name: similarity(goal, _spread(name, state.classes)) for name in sorted(pulls)}
        least, sharpness = decimal(KNOBS, settings, "least"), decimal(KNOBS, settings, "sharpness")
        parts = {name: np.exp(-sharpness * (1 - like)) for name, like in near.items() if like >= least}
        if not parts:
            return state
        total = sum(parts.values())
        step = np.sum([pulls[name].astype(np.float64) * (part / total) for name, part in parts.items()], axis=0)
        weights = (state.weights + decimal(KNOBS, settings, "mix") * step).astype(np.float32)
        # The most similar ones are remembered; of equals, those whose names come first.
        kept = sorted(pulls, key=lambda name: (-near[name], name))[: _memory(state)]
        rest = {name: array for name, array in state.extra.items() if not name.startswith(_PULL)}
        return replace(state, weights=weights, extra={**rest, **{name: pulls[name] for name in kept}})


def similarity(goal: Array, labels: Array) -> float:
    """One minus the Jensen–Shannon divergence in bits: 1 for equal shares, 0 for shares without a common class."""
    if not goal.sum() or not labels.sum():
        return 0.0
    one, two = goal.astype(np.float64) / goal.sum(), labels.astype(np.float64) / labels.sum()
    middle = (one + two) / 2
    return float(np.clip(1 - (_gain(one, middle) + _gain(two, middle)) / 2, 0, 1))


def _gain(shares: npt.NDArray[np.float64], middle: npt.NDArray[np.float64]) -> float:
    some = shares > 0
    return float((shares[some] * np.log2(shares[some] / middle[some])).sum())


def _goal(state: NetState, labels: Array) -> Array:
    text = str(KNOBS["goal"].read(state.settings.get("goal", KNOBS["goal"].default)))
    if text == "own":
        return labels
    goal = np.zeros(state.classes, dtype=np.float32)
    wanted = range(state.classes) if text == "all" else sorted({int(part) for part in text.split(",")})
    if max(wanted) >= state.classes:
        raise PlanError(f"settings.goal names class {max(wanted)}", f"the classes are 0 to {state.classes - 1}")
    goal[list(wanted)] = 1 / len(wanted)
    return goal


def _shares(shard: Split, classes: int) -> Array:
    counts = np.bincount(shard.y, minlength=classes) / max(1, len(shard))
    return counts.astype(np.float32)


def _of_classes(split: Split, goal: Array) -> Split:
    wanted = goal[split.y] > 0
    return Split(split.x[wanted], split.y[wanted])


def _told(state: NetState, what: str) -> Tensors:
    arrays = {**state.model.named(state.weights), what: state.extra[what]}
    return Tensors({name: arrays[name] for name in sorted(arrays)}, state.age)


def _key(labels: Array) -> str:
    """The name of a set of classes: those of which there are at least half as many as if all were equally common."""
    mask = sum(1 << kind for kind, share in enumerate(labels.tolist()) if share > 0.5 / len(labels))
    return f"{_PULL}{mask:0{_MOST_MASK}x}"


def _mask(name: str) -> int | None:
    digits = name.removeprefix(_PULL)
    good = len(digits) == _MOST_MASK and all(digit in "0123456789abcdef" for digit in digits)
    return int(digits, 16) if good else None


def _spread(name: str, classes: int) -> Array:
    mask = _mask(name) or 0
    return np.array([float(mask >> kind & 1) for kind in range(classes)], dtype=np.float32)


def _memory(state: NetState) -> int:
    return whole(KNOBS, state.settings, "memory")
