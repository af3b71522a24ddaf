"""Ways to make one model of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from p2pfd.core.rng import Rng
from p2pfd.learning.adapter import Contribution, Tensors
from p2pfd.learning.aggregators import parse
from p2pfd.learning.model import Model, Weights
from p2pfd_adapters._net import mean_of

RULES = ("age", "krum", "limited", "mean", "median", "trimmed")
"""``limited`` is ``age`` without those that are younger than the oldest by more than a limit."""
_TIMES = 10


def believed(ages: Sequence[int]) -> list[int]:
    """Ages as far as they are believed: up to ten times the median and ten more, for nobody can check them."""
    most = _TIMES * (sorted(ages)[(len(ages) - 1) // 2] + 1)
    return [min(age, most) for age in ages]


def merge(rule: str, rows: Sequence[Weights], ages: Sequence[int], limit: int) -> Weights:
    """Rows of weights, each so many updates old, as one."""
    if rule in ("age", "limited"):
        least = max(ages) - limit if rule == "limited" else 0
        # One is added, so that models that never learned can be merged as well.
        return mean_of(rows, [age + 1.0 if age >= least else 0.0 for age in ages])
    aged = enumerate(zip(rows, ages, strict=True))
    heard = [Contribution(f"{place:06}", Tensors({"w": row}, age)) for place, (row, age) in aged]
    merged = parse(rule, 2).combine(heard[0].payload, heard, Rng(0))
    assert isinstance(merged, Tensors)
    weights: Weights = merged.arrays["w"].astype(np.float32)
    return weights


def same_variance(model: Model, merged: Weights, rows: Sequence[Weights]) -> Weights:
    """A mean of models that point different ways is shorter than each: stretch its matrices and kernels to their
    variance, around their mean. Biases and scales stay."""
    arrays = model.named(merged)
    named = [model.named(row) for row in rows]
    for name, array in arrays.items():
        spread = float(array.astype(np.float64).var())
        if array.ndim < 2 or spread <= 0:
            continue
        wanted = float(np.mean([one[name].astype(np.float64).var() for one in named]))
        middle = array.astype(np.float64).mean()
        arrays[name] = ((array - middle) * np.sqrt(wanted / spread) + middle).astype(np.float32)
    return model.flat(arrays)
