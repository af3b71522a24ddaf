"""`LearningAdapter`: the interface that a decentralised-learning algorithm implements, and the values it handles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.core.spec import Setting, TaskSpec

S = TypeVar("S")
Array = npt.NDArray[np.float32]
Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Split:
    """Samples with their labels: ``x`` of shape (n, …) as float32, ``y`` of shape (n,) as int64."""

    x: Array
    y: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Task:
    """What an adapter sees of a task: the spec and the public samples, which have no labels."""

    spec: TaskSpec
    public: Array


@dataclass(frozen=True, slots=True)
class Budget:
    """How much training a round may take."""

    epochs: int


@dataclass(frozen=True, slots=True)
class Labels:
    """One class index (a byte) per public sample."""

    classes: bytes


@dataclass(frozen=True)
class SoftLabels:
    """A share of each class for each public sample, in units of one over (2 ** bits - 1): each row sums to that many.

    With one bit a row has a single one, and `Labels` says the same in less.
    """

    bits: int
    units: npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Tensors:
    """Named arrays, in the order of their names; ``age`` counts the updates that went into them."""

    arrays: Mapping[str, npt.NDArray[np.generic]]
    age: int = 0


@dataclass(frozen=True)
class Prototypes:
    """For each class how many samples went into its mean feature, and the mean: shapes (classes,), (classes, width)."""

    counts: npt.NDArray[np.int64]
    means: Array


Payload = Labels | SoftLabels | Tensors | Prototypes


@dataclass(frozen=True, slots=True)
class Judgement:
    """A validator's finding about an encounter: None where its probe is too small to tell.

    ``before`` and ``after`` are the accuracies that it rests on.
    """

    good: bool | None
    before: float
    after: float


@dataclass(frozen=True)
class Contribution:
    """What one participant sent in a round. Participants are named by their account, and stand in that order."""

    sender: str
    payload: Payload


class LearningAdapter(Protocol[S]):
    """A decentralised-learning algorithm. Synchronous, pure given its rng; it sees no peer, clock or chain."""

    name: str

    def init(self, task: Task, rng: Rng) -> S:
        """The state before the first round; nodes with equal ``rng`` start equal."""
        ...

    def train(self, state: S, shard: Split, budget: Budget, rng: Rng) -> S:
        """Learn from private data."""
        ...

    def share(self, state: S, task: Task, rnd: RoundId) -> Payload:
        """What this node tells the others in this round."""
        ...

    def absorb(self, state: S, heard: Sequence[Contribution], rnd: RoundId, rng: Rng) -> S:
        """Learn from what was heard (one's own contribution among it): distil, merge, average."""
        ...

    def evaluate(self, state: S, split: Split) -> Metrics:
        """At least ``accuracy``, between 0 and 1."""
        ...

    def dump(self, state: S) -> bytes:
        """The state as bytes, never pickled; equal states give equal bytes.

        It is written several times a round: what the task gives anyway, such as the public samples, stays out of it.
        """
        ...

    def load(self, raw: bytes, task: Task) -> S:
        """The inverse of `dump`, for the same task; DecodeError for anything else."""
        ...


class ConsensusAdapter(LearningAdapter[S], Protocol[S]):
    """An adapter whose nodes all derive one student from what they heard, and can take it over from one another."""

    @property
    def defaults(self) -> Mapping[str, Setting]:
        """Its settings, as they are where a task says nothing."""
        ...

    def student(self, state: S) -> bytes:
        """The student's weights; nodes that agree have equal bytes, and their SHA-256 is the student's name."""
        ...

    def adopt(self, state: S, student: bytes) -> S:
        """Go on from another node's student; DecodeError for bytes that are none of this task's net."""
        ...

    def parameters(self, state: S) -> int:
        """How many numbers the student has: what sending it would cost."""
        ...


class EncounterAdapter(LearningAdapter[S], Protocol[S]):
    """What an encounter of two needs on top: a learner asks, a neighbor serves, validators judge."""

    def request(self, state: S, task: Task) -> Payload:
        """What the learner sends to its neighbor."""
        ...

    def serve(self, state: S, request: Payload, shard: Split, budget: Budget, rng: Rng) -> Payload:
        """What the neighbor makes of it; DecodeError when the request is none of this task's."""
        ...

    def judge(self, state: S, before: Payload, after: Payload, probe: Split, tolerance: float) -> Judgement:
        """Whether the learner is served: not worse on the probe than before, by more than the tolerance."""
        ...

    def accept(self, state: S, after: Payload) -> S:
        """What the learner becomes, once the encounter is settled; DecodeError when ``after`` is not usable."""
        ...
