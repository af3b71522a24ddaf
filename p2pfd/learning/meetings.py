"""Encounters of two in one process: who meets whom, what is judged good, and what the nodes hold afterwards.

The counterpart of `p2pfd.learning.rehearsal` for adapters that learn in encounters. Nothing is paid; a validator is a
labelled probe, and the learner accepts what is judged good, or what nobody could judge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from p2pfd.core.rng import Rng
from p2pfd.core.spec import TaskSpec
from p2pfd.learning.adapter import Budget, EncounterAdapter, Payload, Split, Task
from p2pfd.learning.codecs import CodecState, form_of, parse
from p2pfd.learning.data import Deal, deal
from p2pfd.learning.topology import Topology, complete

S = TypeVar("S")
Tamper = Callable[[int, Payload], Payload]


@dataclass(frozen=True)
class Meetings(Generic[S]):
    """What the nodes hold after the last encounter, how many there were, how many were good, and their bytes."""

    dealt: Deal
    states: tuple[S, ...]
    met: int
    good: int
    sent: int


def meet(
    adapter: EncounterAdapter[S],
    spec: TaskSpec,
    epochs: int,
    rng: Rng,
    tamper: Tamper | None = None,
    *,
    tolerance: float = 0.0,
    topology: Topology | None = None,
    codec: str = "raw",
    dealt: Deal | None = None,
) -> Meetings[S]:
    """Every round each node trains, and then is the learner of one encounter with a neighbour that is drawn.

    ``tamper`` may change what the neighbor at a place answers. Probes are the validation samples.
    """
    dealt = dealt or deal(spec.data, spec.seats)
    near = complete(len(dealt.shards)) if topology is None else topology
    if len(near) != len(dealt.shards):
        raise ValueError(f"a topology of {len(near)} nodes for {len(dealt.shards)} shards")
    task = Task(spec, dealt.public)
    budget = Budget(epochs)
    states = [adapter.init(task, rng.split("init")) for _ in dealt.shards]
    met = good = sent = 0
    for rnd in range(spec.rounds):
        for place, shard in enumerate(dealt.shards):
            states[place] = adapter.train(states[place], shard, budget, rng.split("train", rnd, place))
        for learner in _order(rng.split("order", rnd), near):
            neighbor = rng.split("meet", rnd, learner).choice(near[learner])
            draws = rng.split("serve", rnd, learner)
            before, asked = _carried(codec, spec, adapter.request(states[learner], task))
            answer = adapter.serve(states[neighbor], before, dealt.shards[neighbor], budget, draws)
            after, answered = _carried(codec, spec, tamper(neighbor, answer) if tamper else answer)
            met, sent = met + 1, sent + asked + answered
            verdict = adapter.judge(states[learner], before, after, dealt.validation, tolerance)
            good += verdict.good is True
            if verdict.good is not False:
                states[learner] = adapter.accept(states[learner], after)
    return Meetings(dealt, tuple(states), met, good, sent)


def of_classes(split: Split, classes: Sequence[int]) -> Split:
    """The samples of some classes: shards and probes for goals."""
    kept = [place for place, label in enumerate(split.y.tolist()) if label in set(classes)]
    return Split(split.x[kept], split.y[kept])


def _order(rng: Rng, near: Topology) -> list[int]:
    """Everybody who has a neighbour, in random order."""
    places = [place for place, others in enumerate(near) if others]
    rng.shuffle(places)
    return places


def _carried(codec: str, spec: TaskSpec, payload: Payload) -> tuple[Payload, int]:
    """What arrives, and its bytes. Two strangers have no frame in common: every frame is a first one."""
    carrier, form = parse(codec), form_of(payload, spec.data.classes)
    raw, _ = carrier.encode(payload, form, CodecState())
    heard, _ = carrier.decode(raw, form, CodecState())
    return heard, len(raw)
