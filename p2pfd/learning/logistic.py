"""Logistic regression as a `Learner`: fitted by scikit-learn, kept and asked as a matrix."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, EnvironmentProblem
from p2pfd.learning.adapter import Array
from p2pfd.learning.learner import Fit, Replay
from p2pfd.learning.records import pack, unpack
from p2pfd.learning.sklearn_data import flat, rows_of

MOST_BYTES = 64 * 2**20
_STEPS = 200
_NEVER = -1e6
"""The logit of a class that no sample had."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Logits are x · slope + height; a slope without rows takes samples of any width."""

    slope: npt.NDArray[np.float64]
    height: npt.NDArray[np.float64]


class Logistic:
    """Multinomial logistic regression, fitted to the end each time: what was learned before comes by replay."""

    def __init__(self, classes: int) -> None:
        self._classes = classes

    def init(self, rng: Rng) -> Plane:
        """All logits alike: all samples are of the first class."""
        return Plane(np.zeros((0, self._classes)), np.zeros(self._classes))

    def fit(
        self,
        weights: Plane,
        x: Array,
        y: npt.NDArray[np.int64] | Array,
        plan: Fit,
        rng: Rng,
        *,
        bias: Array | None = None,
        replay: Replay | None = None,
    ) -> Plane:
        """The fit to these samples; there is nothing random in it."""
        rows = rows_of(x, y, bias, replay)
        if not len(rows.x):
            return weights
        seen = np.unique(rows.y)
        height = np.full(self._classes, _NEVER)
        slope = np.zeros((rows.x.shape[1], self._classes))
        if len(seen) == 1:
            height[seen] = 0
            return Plane(slope, height)
        fitted = self._fitted(rows.x, rows.y, rows.weight)
        coefficients, intercepts = fitted.coef_.astype(np.float64), fitted.intercept_.astype(np.float64)
        if len(seen) == 2:  # scikit-learn has one row then, for the second class
            coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
            intercepts = np.concatenate([[0.0], intercepts])
        slope[:, seen], height[seen] = coefficients.T, intercepts
        return Plane(slope, height)

    def classes(self, weights: Plane, x: Array) -> npt.NDArray[np.int64]:
        """The class of the highest logit, the lowest among equals; DecodeError where samples have another width."""
        rows = flat(x).astype(np.float64)
        if not len(weights.slope):
            rows = rows[:, :0]
        elif rows.shape[1] != len(weights.slope):
            raise DecodeError(f"samples of {rows.shape[1]} numbers, the regression takes {len(weights.slope)}")
        chosen: npt.NDArray[np.int64] = np.argmax(rows @ weights.slope + weights.height, axis=1).astype(np.int64)
        return chosen

    def accuracy(self, weights: Plane, x: Array, y: npt.NDArray[np.int64]) -> float:
        """The share of samples that it gets right; nothing right of no samples."""
        return float(np.mean(self.classes(weights, x) == y)) if len(x) else 0.0

    def to_bytes(self, weights: Plane) -> bytes:
        """The matrix as safetensors."""
        return pack({"slope": weights.slope, "height": weights.height})

    def from_bytes(self, raw: bytes) -> Plane:
        """The matrix that `to_bytes` wrote; DecodeError for anything else."""
        found: Any = unpack(raw, {"slope": (np.float64, 2), "height": (np.float64, 1)}, MOST_BYTES)
        if found["slope"].shape[1] != self._classes or len(found["height"]) != self._classes:
            raise DecodeError(f"a regression for another number of classes than {self._classes}")
        return Plane(found["slope"], found["height"])

    @staticmethod
    def _fitted(x: Array, y: npt.NDArray[np.int64], weight: npt.NDArray[np.float64]) -> Any:
        try:
            from sklearn.exceptions import ConvergenceWarning
            from sklearn.linear_model import LogisticRegression
        except ImportError as error:
            raise EnvironmentProblem("scikit-learn is not installed", "pip install 'scikit-learn>=1.5,<2'") from error
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is as good then as so many steps make it
            return LogisticRegression(max_iter=_STEPS).fit(x.astype(np.float64), y, sample_weight=weight)
