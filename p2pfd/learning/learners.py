"""Every learner by name: forests and regressions of scikit-learn, and all nets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from p2pfd.learning.learner import AnyLearner

FORMS = ("forest", "logistic")


_GOOD: Mapping[tuple[int, ...], str] = MappingProxyType(
    {(1, 8, 8): "mlp8", (1, 28, 28): "fast28", (3, 32, 32): "fast32"}
)


def net_for(shape: tuple[int, ...]) -> str:
    """The name of a net that takes samples of this shape, and is a good first choice."""
    return _GOOD.get(shape, f"mlp:{math.prod(shape)}")


def learner_of(name: str, classes: int) -> AnyLearner:
    """The learner of this name; PlanError lists the names that exist. Only what is asked for is imported."""
    if name == "forest":
        from p2pfd.learning.forest import Forests

        return Forests(classes)
    if name == "logistic":
        from p2pfd.learning.logistic import Logistic

        return Logistic(classes)
    from p2pfd.learning.models import model_of

    return model_of(name, classes, also=FORMS)
