"""A line through points, and where what it tells is too much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """y = a + b x, and the largest share by which it misses one of the points."""

    a: float
    b: float
    off: float

    def at(self, x: float) -> float:
        """Its height there."""
        return self.a + self.b * x


def fitted(points: Sequence[tuple[float, float]]) -> Line | None:
    """The line of least squares; None where the points do not make one."""
    if len({x for x, _ in points}) < 2:
        return None
    mean_x, mean_y = (sum(point[side] for point in points) / len(points) for side in (0, 1))
    b = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    a = mean_y - b * mean_x
    return Line(a, b, max(abs(a + b * x - y) / y if y else 0.0 for x, y in points))


def full_round(line: Line, cores: int, seconds: float = 60.0) -> float | None:
    """How many nodes keep so many cores busy for so long with a round, if each costs what the line says."""
    b, a, c = line.b, line.a, -seconds * cores
    if abs(b) < 1e-12:
        return -c / a if a > 0 else None
    inside = a * a - 4 * b * c
    if inside < 0:
        return None
    found = [root for root in ((-a + math.sqrt(inside)) / (2 * b), (-a - math.sqrt(inside)) / (2 * b)) if root > 0]
    return min(found, default=None)


def reached(line: Line, limit: float) -> float | None:
    """Where a line that rises comes to this height."""
    return (limit - line.a) / line.b if line.b > 0 else None
