"""Every learner keeps the promises of `p2pfd.learning.learner`, and the kit notices one that does not."""

from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import pytest

from p2pfd.core.rng import Rng
from p2pfd.learning.forest import Forests
from p2pfd.learning.learner import AnyLearner, Fit
from p2pfd.learning.learners import learner_of
from p2pfd.learning.logistic import Logistic
from p2pfd.testing.learner import check_learner, easy_samples

LEARNERS: dict[str, tuple[AnyLearner, tuple[int, ...], int]] = {
    "conv8": (learner_of("conv8", 4), (1, 8, 8), 4),
    "mlp:13": (learner_of("mlp:13", 3), (13,), 3),
    "forest": (Forests(4, trees=8, depth=6), (1, 8, 8), 4),
    "logistic": (Logistic(3), (13,), 3),
    "logistic, two classes": (Logistic(2), (13,), 2),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_conform(name: str) -> None:
    check_learner(*LEARNERS[name])


class Global(Logistic):
    """Draws from the wrong generator."""

    def fit(self, *args: Any, **more: Any) -> Any:
        random.random()
        return super().fit(*args, **more)


class Greedy(Logistic):
    """Writes to what it was given."""

    def fit(self, weights: Any, x: Any, y: Any, plan: Fit, rng: Rng, **more: Any) -> Any:
        out = super().fit(weights, x, y, plan, rng, **more)
        x[0] += 1
        return out


class Moody(Logistic):
    """Fits twice in two ways."""

    def fit(self, *args: Any, **more: Any) -> Any:
        self.fits = getattr(self, "fits", 0) + 1
        out = super().fit(*args, **more)
        return type(out)(out.slope * self.fits, out.height)


class Pickled(Logistic):
    """Takes whatever it is sent."""

    def to_bytes(self, weights: Any) -> bytes:
        return pickle.dumps((weights.slope.tolist(), weights.height.tolist()))

    def from_bytes(self, raw: bytes) -> Any:
        slope, height = pickle.loads(raw)
        return type(self.init(Rng(1)))(np.array(slope).reshape(-1, 3), np.array(height))


class Trusting(Logistic):
    """Takes bytes in more forms than one."""

    def from_bytes(self, raw: bytes) -> Any:
        return super().from_bytes(raw.rstrip(b"\0") + b"\0" * (self.size - len(raw.rstrip(b"\0"))))

    def to_bytes(self, weights: Any) -> bytes:
        raw = super().to_bytes(weights)
        self.size = len(raw)
        return raw


class Lost(Logistic):
    """Names classes that there are not."""

    def classes(self, weights: Any, x: Any) -> Any:
        out = super().classes(weights, x)
        out[:1] = 3
        return out


class Dull(Logistic):
    """Learns nothing."""

    def fit(self, weights: Any, *args: Any, **more: Any) -> Any:
        return weights


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (Global, "global generator"),
        (Greedy, "changes the samples|differ"),
        (Moody, "differ"),
        (Trusting, "one form"),
        (Lost, "class that there is not"),
        (Dull, "are not learned"),
    ],
)
def test_the_kit_notices(kind: type[Logistic], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_learner(kind(3), (13,), 3)


def test_the_kit_notices_a_pickle() -> None:
    with pytest.raises((pickle.UnpicklingError, EOFError)):  # what is no DecodeError is not caught
        check_learner(Pickled(3), (13,), 3)


def test_easy_samples_are_easy() -> None:
    split = easy_samples((4, 4), 5, Rng(1))
    assert split.x.shape == (150, 4, 4)
    assert np.bincount(split.y).tolist() == [30] * 5
