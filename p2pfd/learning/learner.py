"""`Learner`: what an adapter needs of a model, be it a net, a forest or anything else that can name a class.

A learner has no weights of its own: every method takes them and none keeps them. What they are is its own affair, so
that nodes with unequal models can take part in one task: all that they tell one another is classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from p2pfd.core.rng import Rng
from p2pfd.learning.adapter import Array

W = TypeVar("W")


@dataclass(frozen=True, slots=True)
class Fit:
    """How to descend: SGD with momentum and weight decay, at a rate that falls linearly to nothing.

    ``noise`` is the half-width of uniform noise that is added to every pixel, anew each time it is seen. A learner that
    does not descend takes none of it.
    """

    epochs: int
    batch: int
    rate: float
    momentum: float = 0.9
    decay: float = 5e-4
    noise: float = 0.0


@dataclass(frozen=True)
class Replay:
    """Further samples with soft targets, of which each step sees a batch; ``weight`` is their part in the loss."""

    x: Array
    targets: Array
    weight: float


class Learner(Protocol[W]):
    """A way to learn classes; `p2pfd.learning.model.Model` is one, and `p2pfd.learning.forest.Forests` another."""

    def init(self, rng: Rng) -> W:
        """What it knows before it has seen anything."""
        ...

    def fit(
        self,
        weights: W,
        x: Array,
        y: npt.NDArray[np.int64] | Array,
        plan: Fit,
        rng: Rng,
        *,
        bias: Array | None = None,
        replay: Replay | None = None,
    ) -> W:
        """What it knows after learning hard labels (int64) or soft targets (float32 rows), and what is replayed.

        ``bias`` is what the logits of a net are given in training: the logarithm of how common each class is here.
        """
        ...

    def classes(self, weights: W, x: Array) -> npt.NDArray[np.int64]:
        """The class of each sample; DecodeError when weights from elsewhere are for samples of another shape."""
        ...

    def accuracy(self, weights: W, x: Array, y: npt.NDArray[np.int64]) -> float:
        """The share of samples that it gets right; nothing right of no samples."""
        ...

    def to_bytes(self, weights: W) -> bytes:
        """Weights as bytes, never pickled; equal weights give equal bytes."""
        ...

    def from_bytes(self, raw: bytes) -> W:
        """The inverse of `to_bytes`; DecodeError for anything else."""
        ...


AnyLearner = Learner[Any]
