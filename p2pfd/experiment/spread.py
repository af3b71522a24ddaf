"""A mean over seeds, and how far they are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p2pfd.learning.bench.tables import mean_sd


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean over the seeds, and the standard deviation from one to the next; None of one seed."""

    mean: float
    sd: float | None

    def __format__(self, spec: str) -> str:
        told = format(self.mean, spec or ".3f")
        return told if self.sd is None else f"{told} ± {format(self.sd, spec or '.3f')}"


def spread(values: Sequence[float]) -> Spread:
    """Of one value for each seed."""
    mean, sd = mean_sd(values)
    return Spread(mean, sd if len(values) > 1 else None)
