"""Small nets by name. Strided convolutions instead of pooling: several times faster on a CPU at equal accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from p2pfd.errors import PlanError
from p2pfd.learning._torch import nn, torch
from p2pfd.learning.model import Model


def mlp8(classes: int) -> nn.Module:
    """For 8 × 8 grey images: one hidden layer of 96."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, classes))


def conv8(classes: int) -> nn.Module:
    """For 8 × 8 grey images: two convolutions, the second with stride 2."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, classes),
    )


NETS: Mapping[str, Callable[[int], nn.Module]] = MappingProxyType({"mlp8": mlp8, "conv8": conv8})


def model_of(name: str, classes: int) -> Model:
    """The net of this name; PlanError lists the names that exist."""
    if name not in NETS:
        raise PlanError(f"there is no net {name!r}", f"choose one of {', '.join(sorted(NETS))}")
    with torch.random.fork_rng(devices=[]):  # torch gives a new layer random weights, which are never used here
        return Model(NETS[name](classes))
