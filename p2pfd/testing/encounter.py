"""What `check_adapter` asks of an `EncounterAdapter`: a learner asks, a neighbor serves, a validator judges.

Everything that crosses the network here may be anything: each of the three is given what a stranger could send.

PYTEST_DONT_REWRITE: what was not kept is said in words; a diff of two states would take minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError
from p2pfd.learning.adapter import (
    Budget,
    EncounterAdapter,
    Labels,
    Payload,
    Prototypes,
    SoftLabels,
    Split,
    Task,
    Tensors,
)
from p2pfd.testing.codec import same

_BUDGET = Budget(epochs=1)
_LEAST = 20


def check_encounters(adapter: EncounterAdapter[Any], task: Task, shards: Sequence[Split]) -> None:
    """Hold an adapter to the laws of an encounter."""
    start = adapter.init(task, Rng(1))
    learner, neighbor = (adapter.train(start, shards[place], _BUDGET, Rng(2).split(place)) for place in range(2))
    kept = adapter.dump(learner), adapter.dump(neighbor)
    before = adapter.request(learner, task)
    after = adapter.serve(neighbor, before, shards[1], _BUDGET, Rng(3))
    assert same(after, adapter.serve(neighbor, before, shards[1], _BUDGET, Rng(3))), "serve twice gives two answers"
    taught = adapter.accept(learner, after)
    assert (adapter.dump(learner), adapter.dump(neighbor)) == kept, "an encounter changed a state that it was given"
    assert adapter.dump(adapter.accept(learner, after)) == adapter.dump(taught), "accept twice gives two states"
    assert adapter.dump(taught) != kept[0], "an encounter leaves the learner as it was"
    assert adapter.dump(adapter.load(adapter.dump(taught), task)) == adapter.dump(taught), "a state does not come back"
    none = Split(shards[1].x[:0], shards[1].y[:0])
    adapter.accept(learner, adapter.serve(neighbor, before, none, _BUDGET, Rng(3)))
    _check_judgement(adapter, start, (before, after), shards)
    _check_strangers(adapter, (learner, neighbor), (before, after), shards[1])


def broken_payloads(payload: Payload) -> list[Payload]:
    """What resembles a payload and is none: another kind, other shapes or types, numbers that are not finite."""
    out: list[Payload] = [
        Prototypes(np.zeros(2, dtype=np.int64), np.zeros((2, 2), dtype=np.float32)),
        SoftLabels(3, np.zeros((2, 2), dtype=np.uint32)),
        Tensors({"no such name": np.zeros(3, dtype=np.float32)}),
    ]
    if isinstance(payload, Labels):
        return [*out, Labels(payload.classes[1:]), Labels(bytes([255]) * len(payload.classes)), Tensors({})]
    out += [Labels(b""), Labels(bytes(40))]
    if not isinstance(payload, Tensors) or not payload.arrays:
        return out
    first = min(payload.arrays)

    def with_first(array: np.ndarray, age: int = 0) -> Tensors:
        return Tensors({**payload.arrays, first: array}, age)

    array = payload.arrays[first].astype(np.float32)
    return [
        *out,
        Tensors({}),
        Tensors({name: payload.arrays[name] for name in payload.arrays if name != first}),
        Tensors({**payload.arrays, "one more": array}),
        with_first(np.full_like(array, np.nan)),
        with_first(np.full_like(array, np.inf)),
        with_first(np.zeros((*array.shape, 2), dtype=np.float32)),
        with_first(array.astype(np.float64)),
        with_first(array, age=-1),
        with_first(array, age=2**80),
    ]


def _check_judgement(
    adapter: EncounterAdapter[Any], state: Any, sent: tuple[Payload, Payload], shards: Sequence[Split]
) -> None:
    """Accuracies are such, a tolerance only helps, and what is too little or unusable is not judged good."""
    before, after = sent
    probe = Split(*(np.concatenate(parts) for parts in zip(*((shard.x, shard.y) for shard in shards), strict=True)))
    strict, lax = (adapter.judge(state, before, after, probe, tolerance) for tolerance in (0.0, 1.0))
    assert lax.good, "an encounter is not good though anything is tolerated"
    assert strict.good is not None, "a probe of all samples is too small to judge"
    assert strict.good == (strict.after >= strict.before), "without tolerance good is what is not worse"
    assert all(0 <= number <= 1 for number in (strict.before, strict.after)), "judge gives no accuracies"
    few = Split(probe.x[: _LEAST // 10], probe.y[: _LEAST // 10])
    assert adapter.judge(state, before, after, few, 0.0).good is None, "two samples are enough to judge"
    for broken in broken_payloads(after):
        assert not adapter.judge(state, before, broken, probe, 1.0).good, "something broken is judged good"
    for broken in broken_payloads(before):
        assert adapter.judge(state, broken, after, probe, 1.0).good is None, "a broken request is judged"


def _check_strangers(
    adapter: EncounterAdapter[Any], states: tuple[Any, Any], sent: tuple[Payload, Payload], shard: Split
) -> None:
    learner, neighbor = states
    for broken in broken_payloads(sent[0]):
        _must_refuse("serve", lambda one=broken: adapter.serve(neighbor, one, shard, _BUDGET, Rng(3)))  # type: ignore[misc]
    for broken in broken_payloads(sent[1]):
        _must_refuse("accept", lambda one=broken: adapter.accept(learner, one))  # type: ignore[misc]


def _must_refuse(what: str, act: Callable[[], object]) -> None:
    try:
        act()
    except DecodeError:
        return
    except Exception as error:
        raise AssertionError(f"{what} answers a stranger with {type(error).__name__}, not DecodeError") from error
    raise AssertionError(f"{what} takes what is no payload of the task")
