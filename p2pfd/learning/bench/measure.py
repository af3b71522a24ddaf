"""Run a cell: all nodes in one process, and what they send is written as a mesh would write it.

The nodes of one consensus all derive the same state from the same votes, so it is derived once. That is what makes a
table of many meshes affordable; that nodes do agree is tested elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np

from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.core.spec import TaskSpec
from p2pfd.learning.adapter import (
    Array,
    Budget,
    ConsensusAdapter,
    Contribution,
    Labels,
    Payload,
    SoftLabels,
    Split,
    Task,
)
from p2pfd.learning.baseline import accuracy_alone, averages
from p2pfd.learning.bench.cell import ALONE, Cell, Point, Result
from p2pfd.learning.codecs import CodecState, form_of, harden, parse, quantise
from p2pfd.learning.data import deal
from p2pfd.learning.knobs import whole
from p2pfd.learning.local import LOCAL, local_fit, local_model, log_shares

Tell = Callable[[int, int, Point], None]
"""Called after each round with its number, how many there are, and what came of it."""


@dataclass
class _Sender:
    """One node's stream of labels, and what it said last."""

    state: CodecState
    last: bytes = b""
    total: int = 0


def measure(cell: Cell, adapter: ConsensusAdapter[Any], clock: Callable[[], float], tell: Tell) -> Result:
    """Everything that a cell describes; the same numbers on every run."""
    began = clock()
    spec = cell.task()
    dealt = deal(spec.data, spec.seats)
    shards = [_poisoned(shard) if _flips(cell, place) else shard for place, shard in enumerate(dealt.shards)]
    if cell.method == "cfd":
        curve = _distil(cell, adapter, Task(spec, dealt.public), shards, dealt.test, tell)
    elif cell.method == ALONE:
        curve = _alone(cell, Task(spec, dealt.public), shards, dealt.test, tell)
    else:
        curve = _average(cell, shards, dealt.test, tell)
    return Result(tuple(curve), round(clock() - began, 1))


def _flips(cell: Cell, place: int) -> bool:
    return cell.attack == "flip" and place < cell.liars


def _poisoned(shard: Split) -> Split:
    return Split(shard.x, (shard.y + 1) % 10)


def _distil(
    cell: Cell, adapter: ConsensusAdapter[Any], task: Task, shards: list[Split], test: Split, tell: Tell
) -> list[Point]:
    spec, rng = task.spec, Rng(cell.seed)
    codec = parse("delta+labels" if spec.settings.get("bits", 1) == 1 else "delta+soft")
    state = adapter.init(task, rng.split("init"))
    senders = [_Sender(CodecState()) for _ in shards]
    budget = Budget(whole(LOCAL, spec.settings, "epochs"))
    curve: list[Point] = []
    last: list[Any] = []
    for rnd in map(RoundId, range(spec.rounds)):
        heard, sent, entropies, changes = [], 0, [], []
        for place, (shard, sender) in enumerate(zip(shards, senders, strict=True)):
            draws = rng.split("train", rnd, place)
            said = _lie(cell, place, adapter, state, task, rnd, draws)
            if said is None:
                trained = adapter.train(state, shard, budget, draws)
                payload = adapter.share(trained, task, rnd)
                if rnd == spec.rounds - 1 and place >= cell.liars:
                    last.append(trained)
            else:
                payload = said
            frame, sender.state = codec.encode(payload, form_of(payload, spec.data.classes), sender.state)
            hard = _labels(payload)
            entropies.append(entropy(hard))
            changes.append(entropy(hard, sender.last))
            sender.last = hard
            sender.total += len(frame)
            sent += len(frame)
            heard.append(Contribution(f"{place:04}", payload))
        state = adapter.absorb(state, heard, rnd, rng.split("absorb", rnd))
        labels = len(task.public) * len(shards)
        apart = [adapter.evaluate(replace(state, own=node.own), test) for node in last]
        point = Point(
            bytes=sum(sender.total for sender in senders) / len(senders),
            accuracy=adapter.evaluate(state, test)["accuracy"],
            sent=8 * sent / labels,
            entropy=sum(entropies) / len(entropies),
            changed=sum(changes) / len(changes),
            own=fmean(found["own_accuracy"] for found in apart) if apart else 0.0,
            both=fmean(found["both_accuracy"] for found in apart) if apart else 0.0,
        )
        curve.append(point)
        tell(rnd + 1, spec.rounds, point)
    return curve


def _lie(
    cell: Cell, place: int, adapter: ConsensusAdapter[Any], state: Any, task: Task, rnd: RoundId, rng: Rng
) -> Payload | None:
    """What a liar says without having learnt; None for all who train."""
    if place >= cell.liars:
        return None
    size = len(task.public)
    if cell.attack == "random":
        return _sure(bytes(byte % task.spec.data.classes for byte in rng.bytes(size)), task.spec)
    if cell.attack == "constant":
        return _sure(bytes(size), task.spec)
    if cell.attack == "copy":
        nothing = Split(task.public[:0], np.zeros(0, dtype=np.int64))  # without samples a node is its student
        return adapter.share(adapter.train(state, nothing, Budget(1), rng), task, rnd)
    return None


def _sure(classes: bytes, spec: TaskSpec) -> Payload:
    """These classes and no others, with as many bits as the task's nodes tell."""
    bits = spec.settings.get("bits", 1)
    assert isinstance(bits, int)
    return Labels(classes) if bits == 1 else quantise(np.eye(spec.data.classes)[list(classes)], bits)


def _labels(payload: Payload) -> bytes:
    """The classes that are told, or that have the most units."""
    if isinstance(payload, SoftLabels):
        return harden(payload).classes
    assert isinstance(payload, Labels)
    return payload.classes


def _average(cell: Cell, shards: list[Split], test: Split, tell: Tell) -> list[Point]:
    spec = cell.task()
    model = local_model(spec.settings, spec.data.classes)
    plan = local_fit(spec.settings, whole(LOCAL, spec.settings, "epochs"))
    priors: list[Array] | None = None
    if cell.method == "fedavg-adjusted":
        wanted = {**spec.settings, "adjust": True}
        priors = [p for shard in shards if (p := log_shares(wanted, shard, spec.data.classes)) is not None]
    curve = []
    for rnd, weights in enumerate(averages(model, shards, spec.rounds, plan, Rng(cell.seed), priors), start=1):
        curve.append(Point(4.0 * model.parameters * rnd, model.accuracy(weights, test.x, test.y)))
        tell(rnd, spec.rounds, curve[-1])
    return curve


def _alone(cell: Cell, task: Task, shards: list[Split], test: Split, tell: Tell) -> list[Point]:
    rng = Rng(cell.seed)
    found = [accuracy_alone(task, shard, test, rng.split(ALONE, place)) for place, shard in enumerate(shards)]
    point = Point(0.0, fmean(found))
    tell(1, 1, point)
    return [point]


def entropy(labels: bytes, before: bytes = b"") -> float:
    """Bits per label that the shares of the classes take; with earlier labels, those of what changed since."""
    symbols = np.frombuffer(labels, dtype=np.uint8)
    if before:
        symbols = np.where(symbols == np.frombuffer(before, dtype=np.uint8), np.uint8(255), symbols)
    counts: list[int] = np.unique(symbols, return_counts=True)[1].tolist()
    return sum(count * math.log2(len(labels) / count) for count in counts) / len(labels)
