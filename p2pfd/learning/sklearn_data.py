"""Samples as scikit-learn takes them: rows with one class and a weight each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from p2pfd.learning.adapter import Array
from p2pfd.learning.learner import Replay

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Flat samples, their classes and weights. A sample with soft targets is there once for each class it may be."""

    x: Array
    y: Labels
    weight: npt.NDArray[np.float64]


def rows_of(x: Array, y: Labels | Array, bias: Array | None, replay: Replay | None) -> Rows:
    """Private samples and replayed ones, which together weigh ``replay.weight`` times as much.

    Where a net's logits are given a bias, rows of class c weigh exp(−bias[c]): both take out how common a class is.
    """
    parts = [_rows(x, y)]
    if bias is not None:
        parts[0] = Rows(parts[0].x, parts[0].y, parts[0].weight * np.exp(-bias.astype(np.float64))[parts[0].y])
    if replay is not None and len(replay.x) and replay.weight:
        again = _rows(replay.x, replay.targets)
        share = replay.weight * parts[0].weight.sum() / again.weight.sum() if len(x) else 1.0
        parts.append(Rows(again.x, again.y, again.weight * share))
    weight = np.concatenate([part.weight for part in parts])
    mean = weight.mean() if len(weight) else 1.0
    return Rows(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]), weight / mean)


def flat(x: Array) -> Array:
    """One row a sample."""
    return np.ascontiguousarray(x.reshape(len(x), math.prod(x.shape[1:])), dtype=np.float32)


def _rows(x: Array, y: Labels | Array) -> Rows:
    if y.ndim == 1:
        return Rows(flat(x), y.astype(np.int64), np.ones(len(x)))
    place, kind = np.nonzero(y > 0)
    return Rows(flat(x)[place], kind.astype(np.int64), y[place, kind].astype(np.float64))
