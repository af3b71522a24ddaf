"""All nodes of a task in one process, round by round: what a network would carry is handed over directly.

For trying an adapter or its settings before anything is networked or paid. Every node does all of its work, so the
time that it takes is what the nodes of a mesh take together. With a codec every payload is encoded and decoded on its
way, and its bytes are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.core.spec import TaskSpec
from p2pfd.learning.adapter import Budget, Contribution, LearningAdapter, Payload, Task, Tensors
from p2pfd.learning.codecs import CodecState, form_of, parse
from p2pfd.learning.data import Deal, deal
from p2pfd.learning.topology import Topology, complete

S = TypeVar("S")
Tamper = Callable[[int, Payload], Payload]
Watch = Callable[[RoundId, Sequence[S]], None]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of frames in all rounds: ``sent`` counts a node's frame once, ``heard`` what its neighbours sent it."""

    sent: tuple[int, ...]
    heard: tuple[int, ...]


@dataclass(frozen=True)
class Rehearsal(Generic[S]):
    """What the nodes hold after the last round, and what they told one another; no traffic without a codec."""

    task: Task
    dealt: Deal
    states: tuple[S, ...]
    traffic: Traffic | None = None


def rehearse(
    adapter: LearningAdapter[S],
    spec: TaskSpec,
    epochs: int,
    rng: Rng,
    tamper: Tamper | None = None,
    *,
    topology: Topology | None = None,
    codec: str | None = None,
    watch: Watch[S] | None = None,
    dealt: Deal | None = None,
) -> Rehearsal[S]:
    """Run every round of a task with all seats taken, each hearing its neighbours and itself; everybody by default.

    ``tamper`` may change what the node at a place says, ``watch`` sees the states after each round. Nodes hear their
    own payload as the others do: through the codec.
    """
    dealt = dealt or deal(spec.data, spec.seats)
    near = complete(len(dealt.shards)) if topology is None else topology
    if len(near) != len(dealt.shards):
        raise ValueError(f"a topology of {len(near)} nodes for {len(dealt.shards)} shards")
    task = Task(spec, dealt.public)
    states = [adapter.init(task, rng.split("init")) for _ in dealt.shards]
    post = (
        None
        if codec is None
        else _Post(codec, spec.data.classes, len(near), adapter.share(states[0], task, RoundId(0)))
    )
    for rnd in map(RoundId, range(spec.rounds)):
        said = []
        for place, shard in enumerate(dealt.shards):
            states[place] = adapter.train(states[place], shard, Budget(epochs), rng.split("train", rnd, place))
            payload = adapter.share(states[place], task, rnd)
            payload = tamper(place, payload) if tamper else payload
            said.append(Contribution(f"{place:04}", post.carry(place, payload) if post else payload))
        for place, others in enumerate(near):
            heard = [said[other] for other in sorted({place, *others})]
            states[place] = adapter.absorb(states[place], heard, rnd, rng.split("absorb", rnd))
        if watch:
            watch(rnd, states)
    traffic = None if post is None else post.traffic(near)
    return Rehearsal(task, dealt, tuple(states), traffic)


class _Post:
    """One stream of frames a sender. All receivers of a sender have heard the same, and so are one here.

    Nodes start from common weights, which is where the streams of tensors begin.
    """

    def __init__(self, codec: str, classes: int, nodes: int, common: Payload) -> None:
        self._codec = parse(codec)
        self._form = form_of(common, classes)
        start = CodecState(memory=common if isinstance(common, Tensors) else None)
        self._here = [start] * nodes
        self._there = [start] * nodes
        self._sent = [0] * nodes

    def carry(self, place: int, payload: Payload) -> Payload:
        raw, self._here[place] = self._codec.encode(payload, self._form, self._here[place])
        self._sent[place] += len(raw)
        heard, self._there[place] = self._codec.decode(raw, self._form, self._there[place])
        return heard

    def traffic(self, near: Topology) -> Traffic:
        return Traffic(tuple(self._sent), tuple(sum(self._sent[other] for other in others) for others in near))
