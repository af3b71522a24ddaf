"""A real learner, small enough for a thousand nodes: softmax regression on handwritten digits, labels distilled.

Each node has a shard of its own: how many samples it holds is drawn from a long tail, and of which classes by Pólya's
urn, which is a Dirichlet's draw in whole numbers. All label the same public samples, whose true labels nobody is told,
and learn from the shares of votes that each class got.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from p2pfd.core.effects import Work
from p2pfd.core.events import Outcome
from p2pfd.core.ids import Digest
from p2pfd.core.rng import Rng
from p2pfd.learning.data import load_set
from p2pfd.roles.work import Absorb, Absorbed, Adopt, Adopted, Conclude, Concluded, Studied, Study

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PUBLIC, TEST = 192, 405
SMALLEST_SHARD, DOUBLINGS = 8, 4
"""Half of the nodes hold so many samples, a quarter twice as many, and so on for so many doublings at most."""
URN = 2
"""A class that was drawn from is drawn again with so much more weight: Dirichlet with alpha = 1 / URN."""
_ALONE_STEPS, _STEPS = 60, 20
_RATE = 0.7
_DECAY = 1e-3
_OWN = 0.3
"""How much of the gradient comes from a node's own shard; the rest comes from what all say."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """What all nodes have in common: samples with a column of ones for the intercept, and the test's answers."""

    classes: int
    public: Floats
    test: Floats
    answers: Ints
    pool: Floats
    labels: Ints

    @staticmethod
    def of(name: str, rng: Rng) -> Lesson:
        """A data set, split by a seed into public samples, test samples and a pool for the shards."""
        x, y = load_set(name)
        rows = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
        rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
        order = list(range(len(rows)))
        rng.shuffle(order)
        public, test, pool = order[:PUBLIC], order[PUBLIC : PUBLIC + TEST], order[PUBLIC + TEST :]
        answers = np.asarray(y, dtype=np.int64)
        return Lesson(int(answers.max()) + 1, rows[public], rows[test], answers[test], rows[pool], answers[pool])


class Pupil:
    """One node's shard and its regression."""

    __slots__ = ("_alone", "_lesson", "_own", "_shard", "_trained", "right")

    def __init__(self, lesson: Lesson, rng: Rng) -> None:
        self._lesson = lesson
        picked = _shard(lesson, rng)
        self._shard = lesson.pool[picked]
        self._own = np.eye(lesson.classes)[lesson.labels[picked]]
        self._trained: Floats | None = None
        self._alone = 0.0
        self.right = 0

    @property
    def held(self) -> int:
        """How many samples its shard has."""
        return len(self._shard)

    @property
    def alone(self) -> float:
        """Its accuracy before it has learnt anything from others."""
        self._learnt()
        return self._alone

    def _learnt(self) -> Floats:
        """What it has learnt; of its own shard, the first time that it is asked for."""
        if self._trained is None:
            self._trained = np.zeros((self._lesson.pool.shape[1], self._lesson.classes))
            self._descend(self._shard, self._own, _ALONE_STEPS)
            self.right = self._grade()
            self._alone = self.right / 1_000_000
        return self._trained

    @property
    def believes(self) -> bytes:
        """Its weights."""
        return self._learnt().tobytes()

    def do(self, work: Work) -> Outcome:
        """The outcome of a work, at once."""
        if isinstance(work, Study):
            return Studied(self._label())
        if isinstance(work, Absorb):
            self._absorb([labels for _, labels in work.votes])
            return Absorbed(self._digest(), {"accuracy": self.right})
        if isinstance(work, Adopt):
            return Adopted(work.weights)
        if isinstance(work, Conclude):
            return Concluded(self._digest(), {"accuracy": self.right})
        raise TypeError(f"a pupil cannot do {type(work).__name__}")

    def _label(self) -> bytes:
        said: npt.NDArray[np.uint8] = np.argmax(self._lesson.public @ self._learnt(), axis=1).astype(np.uint8)
        return said.tobytes()

    def _absorb(self, votes: Sequence[bytes]) -> None:
        said = np.frombuffer(b"".join(votes), dtype=np.uint8).reshape(len(votes), PUBLIC)
        shares = np.stack([(said == kind).mean(axis=0) for kind in range(self._lesson.classes)], axis=1)
        rows = np.concatenate([self._lesson.public, self._shard])
        targets = np.concatenate([shares, self._own])
        emphasis = np.concatenate(
            [np.full(PUBLIC, (1 - _OWN) / PUBLIC), np.full(len(self._shard), _OWN / len(self._shard))]
        )
        self._descend(rows, targets, _STEPS, emphasis)
        self.right = self._grade()

    def _descend(self, rows: Floats, targets: Floats, steps: int, emphasis: Floats | None = None) -> None:
        weights = self._learnt()
        scale = (np.full(len(rows), 1 / len(rows)) if emphasis is None else emphasis)[:, None]
        for _ in range(steps):
            logits = rows @ weights
            logits -= logits.max(axis=1, keepdims=True)
            np.exp(logits, out=logits)
            logits /= logits.sum(axis=1, keepdims=True)
            logits -= targets
            logits *= scale
            weights = weights - _RATE * (rows.T @ logits + _DECAY * weights)
        self._trained = weights

    def _grade(self) -> int:
        """The accuracy on the test samples, in millionths."""
        said = np.argmax(self._lesson.test @ self._learnt(), axis=1)
        return int((said == self._lesson.answers).sum()) * 1_000_000 // TEST

    def _digest(self) -> Digest:
        return Digest(hashlib.sha256(self._learnt().tobytes()).digest())


def _shard(lesson: Lesson, rng: Rng) -> list[int]:
    size = SMALLEST_SHARD
    for _ in range(DOUBLINGS):
        if rng.chance(1, 2):
            break
        size *= 2
    weights = [1] * lesson.classes
    by_class = [np.flatnonzero(lesson.labels == kind) for kind in range(lesson.classes)]
    picked = []
    for _ in range(size):
        ball = rng.below(sum(weights))
        kind = 0
        while ball >= weights[kind]:
            ball -= weights[kind]
            kind += 1
        weights[kind] += URN
        members = by_class[kind]
        picked.append(int(members[rng.below(len(members))]))
    return picked
