"""States of adapters as canonical bytes, and read again as if a stranger had written them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from p2pfd.core.canonical import Plain, decode, encode
from p2pfd.core.labels import MAX_CLASSES
from p2pfd.core.spec import Setting
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Array, Task
from p2pfd.learning.knobs import Knob, check
from p2pfd.learning.local import local_model
from p2pfd.learning.model import Model, Weights

MOST_BYTES = 256 * 2**20
MOST_AGE = 2**53
PUBLIC = "public"
"""The name of the task's public samples among the arrays. They are not dumped: the task has them."""
_KEYS = {"kind", "classes", "settings", "weights", "age", "extra"}
_MOST_EXTRA = 4096
_MOST_DIMENSIONS = 4


@dataclass(frozen=True, eq=False)
class NetState:
    """A node's net: its weights, how many updates went into them, and further arrays that the adapter keeps by name."""

    classes: int
    settings: Mapping[str, Setting]
    weights: Weights
    age: int
    extra: Mapping[str, Array]

    @property
    def model(self) -> Model:
        """The net that the settings name."""
        return local_model(self.settings, self.classes)


def dump(kind: str, state: NetState) -> bytes:
    """The state as canonical bytes."""
    return encode(
        {
            "kind": kind,
            "classes": state.classes,
            "settings": dict(state.settings),
            "weights": state.model.to_bytes(state.weights),
            "age": state.age,
            "extra": {
                name: None if name == PUBLIC else [list(array.shape), _floats(array)]
                for name, array in state.extra.items()
            },
        }
    )


def load(kind: str, knobs: Mapping[str, Knob], raw: bytes, task: Task) -> NetState:
    """The state that `dump` wrote; DecodeError for anything else. What the extra arrays mean is for the adapter."""
    value = decode(raw, limit=MOST_BYTES)
    if not isinstance(value, Mapping) or set(value) != _KEYS or value["kind"] != kind:
        raise DecodeError(f"not a state of the kind {kind}")
    classes = _whole(value["classes"], "number of classes", 2, MAX_CLASSES)
    if classes != task.spec.data.classes:
        raise DecodeError(f"a state of a task with {classes} classes, this one has {task.spec.data.classes}")
    settings = _settings(value["settings"], knobs)
    weights, extra = value["weights"], value["extra"]
    if not isinstance(weights, bytes):
        raise DecodeError("a state without weights")
    if not isinstance(extra, Mapping) or len(extra) > _MOST_EXTRA:
        raise DecodeError("a state whose arrays have no names")
    return NetState(
        classes=classes,
        settings=settings,
        weights=local_model(settings, classes).from_bytes(weights),
        age=_whole(value["age"], "age", 0, MOST_AGE),
        extra={
            name: task.public if name == PUBLIC and stored is None else _array(name, stored)
            for name, stored in extra.items()
        },
    )


def need(state: NetState, shapes: Mapping[str, tuple[int, ...]]) -> NetState:
    """The state, if its further arrays are exactly these; DecodeError otherwise."""
    if {name: array.shape for name, array in state.extra.items()} != dict(shapes):
        raise DecodeError(f"a state whose arrays are not {', '.join(sorted(shapes)) or 'none'}")
    return state


def _settings(value: Plain, knobs: Mapping[str, Knob]) -> Mapping[str, Setting]:
    if not isinstance(value, Mapping):
        raise DecodeError("a state without settings")
    known: dict[str, Setting] = {}
    for key, setting in value.items():
        if not isinstance(setting, (int, str)):
            raise DecodeError(f"a state whose setting {key[:40]!r} is neither number nor text")
        known[key] = setting
    try:
        check(knobs, known)
    except PlanError as error:
        raise DecodeError(f"a state whose settings are not legal: {error.what}") from error
    return known


def _array(name: str, stored: Plain) -> Array:
    if name == PUBLIC:
        raise DecodeError("a state with public samples of its own")
    match stored:
        case [[*shape], bytes(raw)] if len(shape) <= _MOST_DIMENSIONS:
            sides = [_whole(side, f"shape of {name[:40]}", 0, 2**24) for side in shape]
            if len(raw) != 4 * math.prod(sides):
                raise DecodeError(f"a state whose {name[:40]} has another size than its shape")
            array = np.frombuffer(raw, dtype="<f4").astype(np.float32).reshape(sides)
            if not np.isfinite(array).all():
                raise DecodeError(f"a state whose {name[:40]} is not all finite")
            return array
    raise DecodeError(f"a state whose {name[:40]} is no array")


def _whole(value: Plain, what: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise DecodeError(f"a state whose {what} is none")
    return value


def _floats(array: Array) -> bytes:
    return array.astype("<f4").tobytes()
