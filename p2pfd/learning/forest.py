"""Random forests as a `Learner`: grown by scikit-learn, kept and asked as plain arrays.

A forest is its trees' nodes, one tree after another: where each begins, which column a node looks at and where it
draws the line, the nodes below, and the classes' shares in each leaf. Nothing is pickled, and asking a forest needs no
scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, EnvironmentProblem, PlanError
from p2pfd.learning.adapter import Array
from p2pfd.learning.learner import Fit, Replay
from p2pfd.learning.records import pack, unpack
from p2pfd.learning.sklearn_data import flat, rows_of

MOST_BYTES = 64 * 2**20
_KINDS: dict[str, tuple[type[np.generic], int]] = {
    "begin": (np.int32, 1),
    "column": (np.int32, 1),
    "line": (np.float64, 1),
    "below": (np.int32, 2),
    "shares": (np.float32, 2),
    "inputs": (np.int32, 1),
}
Whole = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Forest:
    """``below`` has a node's left and right child, or −1 twice for a leaf; ``shares`` are nothing but in leaves."""

    begin: Whole
    column: Whole
    line: npt.NDArray[np.float64]
    below: Whole
    shares: npt.NDArray[np.float32]
    inputs: int


class Forests:
    """Forests of at most so many trees, so deep. Each fit grows a new one: what was learned before comes by replay."""

    def __init__(self, classes: int, trees: int = 50, depth: int = 12) -> None:
        self._classes, self._trees, self._depth = classes, trees, depth

    def init(self, rng: Rng) -> Forest:
        """No trees: all samples are of the first class."""
        none = np.zeros(0, dtype=np.int32)
        return Forest(none, none, np.zeros(0), none.reshape(0, 2), np.zeros((0, self._classes), dtype=np.float32), 0)

    def fit(
        self,
        weights: Forest,
        x: Array,
        y: npt.NDArray[np.int64] | Array,
        plan: Fit,
        rng: Rng,
        *,
        bias: Array | None = None,
        replay: Replay | None = None,
    ) -> Forest:
        """A forest grown on these samples; the same for the same samples, rng and release of scikit-learn."""
        rows = rows_of(x, y, bias, replay)
        if not len(rows.x):
            return weights
        grown = _sklearn().RandomForestClassifier(
            n_estimators=self._trees,
            max_depth=self._depth,
            n_jobs=1,
            random_state=rng.split("forest").bits(31),
        )
        grown.fit(rows.x, rows.y, sample_weight=rows.weight)
        return self._kept(grown, rows.x.shape[1])

    def classes(self, weights: Forest, x: Array) -> npt.NDArray[np.int64]:
        """The class with the largest share, summed over the trees, the lowest among equals.

        DecodeError where the forest, which may be a stranger's, is one for samples of another width.
        """
        chosen: npt.NDArray[np.int64] = np.argmax(self._shares(weights, x), axis=1).astype(np.int64)
        return chosen

    def accuracy(self, weights: Forest, x: Array, y: npt.NDArray[np.int64]) -> float:
        """The share of samples that the forest gets right; nothing right of no samples."""
        return float(np.mean(self.classes(weights, x) == y)) if len(x) else 0.0

    def to_bytes(self, weights: Forest) -> bytes:
        """The arrays as safetensors; PlanError for a forest that nobody would take."""
        raw = pack(
            {
                "begin": weights.begin,
                "column": weights.column,
                "line": weights.line,
                "below": weights.below,
                "shares": weights.shares,
                "inputs": np.array([weights.inputs], dtype=np.int32),
            }
        )
        if len(raw) > MOST_BYTES:
            raise PlanError(f"a forest of {len(raw) >> 20} MiB", "grow fewer trees, or lower ones")
        return raw

    def from_bytes(self, raw: bytes) -> Forest:
        """The forest that `to_bytes` wrote; DecodeError unless every walk through it ends in a leaf."""
        found: Any = unpack(raw, _KINDS, MOST_BYTES)
        begin, column, line, below, shares = (found[name] for name in ("begin", "column", "line", "below", "shares"))
        nodes = len(column)
        sizes = {len(line), len(below), len(shares), nodes}
        if len(sizes) > 1 or below.shape[1] != 2 or shares.shape[1] != self._classes or len(found["inputs"]) != 1:
            raise DecodeError("a forest whose arrays are of unequal length")
        inputs = int(found["inputs"][0])
        ends = [*begin[1:].tolist(), nodes]
        if any(not 0 <= first < end for first, end in zip(begin.tolist(), ends, strict=bool(len(begin)))) or (
            (begin[:1].any() if len(begin) else nodes) or inputs < 0
        ):
            raise DecodeError("a forest whose trees do not follow one another")
        leaf = (below < 0).all(axis=1)
        inner = np.flatnonzero(~leaf)
        limit = np.repeat(np.array(ends), np.diff([*begin.tolist(), nodes])) if len(begin) else np.zeros(0)
        if (below[inner] <= inner[:, None]).any() or (below[inner] >= limit[inner, None]).any():
            raise DecodeError("a forest with a node that leads nowhere")
        if (below[leaf] != -1).any() or (column[inner] < 0).any() or (column[inner] >= inputs).any():
            raise DecodeError("a forest that looks at a column that there is not")
        if (shares < 0).any() or (shares > 1).any():
            raise DecodeError("a forest whose shares are none")
        return Forest(begin, column, line, below, shares, inputs)

    def _shares(self, weights: Forest, x: Array) -> npt.NDArray[np.float64]:
        rows = flat(x)
        if len(weights.begin) and rows.shape[1] != weights.inputs:
            raise DecodeError(f"samples of {rows.shape[1]} numbers, the forest takes {weights.inputs}")
        everyone = np.arange(len(rows))
        out = np.zeros((len(rows), self._classes))
        for first in weights.begin:
            at = np.full(len(rows), first)
            while (inner := weights.below[at, 0] >= 0).any():
                right = rows[everyone, np.where(inner, weights.column[at], 0)] > weights.line[at]
                at = np.where(inner, weights.below[at, right.astype(np.int64)], at)
            out += weights.shares[at]
        return out

    def _kept(self, grown: Any, inputs: int) -> Forest:
        begin, column, line, below, shares = [], [], [], [], []
        start = 0
        for estimator in grown.estimators_:
            tree = estimator.tree_
            leaf = tree.children_left < 0
            begin.append(start)
            column.append(np.where(leaf, 0, tree.feature))
            line.append(np.where(leaf, 0.0, tree.threshold))
            below.append(
                np.stack([tree.children_left, tree.children_right], axis=1) + np.where(leaf, 0, start)[:, None]
            )
            counts = np.zeros((tree.node_count, self._classes))
            counts[:, grown.classes_] = tree.value[:, 0, :]
            counts[~leaf] = 0
            shares.append(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300))
            start += tree.node_count
        return Forest(
            np.array(begin, dtype=np.int32),
            np.concatenate(column).astype(np.int32),
            np.concatenate(line).astype(np.float64),
            np.concatenate(below).astype(np.int32),
            np.concatenate(shares).astype(np.float32),
            inputs,
        )


def _sklearn() -> Any:
    try:
        from sklearn import ensemble
    except ImportError as error:
        raise EnvironmentProblem("scikit-learn is not installed", "pip install 'scikit-learn>=1.5,<2'") from error
    return ensemble
