"""Aggregators of tensors: the mean, and three that a minority of liars cannot pull away."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Contribution, Payload, SoftLabels, Tensors
from p2pfd.learning.aggregators.api import Need, usable
from p2pfd.learning.codecs.api import Form, SoftForm, TensorForm, form_of
from p2pfd.learning.codecs.quantise import quantise
from p2pfd.learning.codecs.stages import fraction

Rows = npt.NDArray[np.float64]
Merge = Callable[[Rows], Rows]


class Mean:
    """The mean; ``mean:age`` weighs each by one more than the updates that went into it. One liar moves it anywhere."""

    needs: frozenset[Need] = frozenset()

    def __init__(self, argument: str = "", classes: int = 0) -> None:
        if argument not in ("", "age"):
            raise PlanError(f"mean:{argument[:40]} is no aggregator", 'write "mean" or "mean:age"')
        self._by_age = argument == "age"
        self.name = "mean:age" if argument else "mean"

    def takes(self, form: Form) -> bool:
        """Tensors; and soft labels, which have no age."""
        return isinstance(form, TensorForm) or (isinstance(form, SoftForm) and not self._by_age)

    def combine(self, own: Payload, heard: Sequence[Contribution], rng: Rng) -> Payload:
        """The mean of what is of the form, of the age of the oldest."""
        if isinstance(own, SoftLabels):
            said = usable(form_of(own, own.units.shape[1]), heard)
            units = [one.units.astype(np.int64) for one in said if isinstance(one, SoftLabels)]
            return quantise(np.sum(units, axis=0), own.bits) if units else own
        assert isinstance(own, Tensors)
        named = _usable(own, heard)
        weights = np.array([one.age + 1.0 if self._by_age else 1.0 for one in named])
        return _each(own, named, lambda rows: (weights / weights.sum()) @ rows)

    def tolerates(self, n: int) -> int:
        """None."""
        return 0


class Median:
    """The median of each number by itself: with an even count, the mean of the two in the middle."""

    name = "median"
    needs: frozenset[Need] = frozenset()

    def __init__(self, argument: str = "", classes: int = 0) -> None:
        if argument:
            raise PlanError(f"median:{argument[:40]} is no aggregator", 'write "median"')

    def takes(self, form: Form) -> bool:
        """Tensors only."""
        return isinstance(form, TensorForm)

    def combine(self, own: Payload, heard: Sequence[Contribution], rng: Rng) -> Tensors:
        """The median of what is of the form."""
        assert isinstance(own, Tensors)
        return _each(own, _usable(own, heard), lambda rows: np.median(rows, axis=0))

    def tolerates(self, n: int) -> int:
        """Less than half."""
        return _less_than_half(n)


class Trimmed:
    """The mean of each number without its largest and its smallest: ``trimmed:0.2`` leaves out a fifth at each end."""

    needs = frozenset({Need.BOUND})

    def __init__(self, argument: str = "0.2", classes: int = 0) -> None:
        self._share = fraction(argument, "trimmed", 0, 1)
        if self._share >= fraction("0.5", "trimmed", 0, 1):
            raise PlanError(f"trimmed:{argument[:40]} leaves nothing", "leave out less than a half at each end")
        self.name = f"trimmed:{argument}"

    def takes(self, form: Form) -> bool:
        """Tensors only."""
        return isinstance(form, TensorForm)

    def combine(self, own: Payload, heard: Sequence[Contribution], rng: Rng) -> Tensors:
        """The mean of what is left."""
        assert isinstance(own, Tensors)
        named = _usable(own, heard)
        out = self.tolerates(len(named))
        return _each(own, named, lambda rows: np.sort(rows, axis=0)[out : len(rows) - out].mean(axis=0))

    def tolerates(self, n: int) -> int:
        """As many as it leaves out at each end, which is its share of `n`, rounded down."""
        return min(int(self._share * n), _less_than_half(n))


class Krum:
    """One of the contributions: the one whose nearest others are the nearest (Blanchard et al., 2017).

    ``krum:0.2`` expects a fifth to be bad: of `n` with `f` bad ones the `n − f − 2` nearest count. A distance
    is over all numbers. With fewer than `2f + 3` it expects as many as it can stand.
    """

    needs = frozenset({Need.BOUND})

    def __init__(self, argument: str = "0.2", classes: int = 0) -> None:
        self._share = fraction(argument, "krum", 0, 1)
        self.name = f"krum:{argument}"

    def takes(self, form: Form) -> bool:
        """Tensors only."""
        return isinstance(form, TensorForm)

    def combine(self, own: Payload, heard: Sequence[Contribution], rng: Rng) -> Tensors:
        """The chosen one; among equals the one whose sender's name comes first."""
        assert isinstance(own, Tensors)
        named = _usable(own, heard)
        if len(named) < 3:  # nobody's neighbours say anything
            return own
        near = len(named) - self.tolerates(len(named)) - 2
        flat = np.stack([np.concatenate([one.arrays[name].ravel() for name in sorted(one.arrays)]) for one in named])
        gaps = np.stack([((flat - row).astype(np.float64) ** 2).sum(axis=1) for row in flat.astype(np.float64)])
        sums = np.sort(gaps, axis=1)[:, 1 : 1 + max(near, 1)].sum(axis=1)  # the first is the distance to itself
        return named[int(np.argmin(sums))]

    def tolerates(self, n: int) -> int:
        """Its share of `n`, but no more than `(n − 3) / 2`."""
        return max(0, min(int(self._share * n), (n - 3) // 2))


def _less_than_half(n: int) -> int:
    return max(0, (n - 1) // 2)


def _usable(own: Tensors, heard: Sequence[Contribution]) -> list[Tensors]:
    said = usable(form_of(own, 0), heard)
    return [one for one in said if isinstance(one, Tensors)] or [own]


def _each(own: Tensors, said: Sequence[Tensors], merge: Merge) -> Tensors:
    """Every array by itself, in double precision."""
    arrays = {}
    for name in sorted(own.arrays):
        rows = np.stack([one.arrays[name].astype(np.float64).ravel() for one in said])
        arrays[name] = merge(rows).astype(np.float32).reshape(own.arrays[name].shape)
    return Tensors(arrays, max(one.age for one in said))
