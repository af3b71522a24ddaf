"""All nodes of a task in one process, round by round: what a network would carry is handed over directly.

For trying an adapter or its settings before anything is networked or paid. Every node does all of its work, so the
time that it takes is what the nodes of a mesh take together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.core.spec import TaskSpec
from p2pfd.learning.adapter import Budget, Contribution, LearningAdapter, Payload, Task
from p2pfd.learning.data import Deal, deal

S = TypeVar("S")
Tamper = Callable[[int, Payload], Payload]


@dataclass(frozen=True)
class Rehearsal(Generic[S]):
    """What the nodes hold after the last round."""

    task: Task
    dealt: Deal
    states: tuple[S, ...]


def rehearse(
    adapter: LearningAdapter[S], spec: TaskSpec, epochs: int, rng: Rng, tamper: Tamper | None = None
) -> Rehearsal[S]:
    """Run every round of a task with all seats taken; ``tamper`` may change what the node at a place says."""
    dealt = deal(spec.data, spec.seats)
    task = Task(spec, dealt.public)
    states = [adapter.init(task, rng.split("init")) for _ in dealt.shards]
    for rnd in map(RoundId, range(spec.rounds)):
        heard = []
        for place, shard in enumerate(dealt.shards):
            states[place] = adapter.train(states[place], shard, Budget(epochs), rng.split("train", rnd, place))
            payload = adapter.share(states[place], task, rnd)
            heard.append(Contribution(f"{place:04}", tamper(place, payload) if tamper else payload))
        states = [adapter.absorb(state, heard, rnd, rng.split("absorb", rnd)) for state in states]
    return Rehearsal(task, dealt, tuple(states))
