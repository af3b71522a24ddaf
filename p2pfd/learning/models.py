"""Small nets by name. Strided convolutions instead of pooling: several times faster on a CPU at equal accuracy.

A name ends in the side of the images that the net takes; ``linear:N`` and ``mlp:N`` take samples of N numbers. Other
packages offer nets in the entry-point group `GROUP`: a function from the number of classes to an `nn.Module`, which
has no running statistics.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np

from p2pfd import plugins
from p2pfd.core.spec import Setting
from p2pfd.errors import PlanError
from p2pfd.learning._torch import nn, torch
from p2pfd.learning.adapter import Array
from p2pfd.learning.edges import CHANNELS, Edges
from p2pfd.learning.learners import net_for
from p2pfd.learning.model import Model

Builder = Callable[[int], nn.Module]


def linear(inputs: int, classes: int) -> nn.Module:
    """Logistic regression."""
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, classes))


def mlp(inputs: int, hidden: int, classes: int) -> nn.Module:
    """One hidden layer."""
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))


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


def fast(side: int, channels: int, widths: tuple[int, int], hidden: int, classes: int) -> nn.Module:
    """Two convolutions that halve the image each, normalised over groups of channels, and a hidden layer."""
    first, second = widths
    return nn.Sequential(
        nn.Conv2d(channels, first, 5, stride=2, padding=2),
        nn.GroupNorm(4, first),
        nn.ReLU(),
        nn.Conv2d(first, second, 3, stride=2, padding=1),
        nn.GroupNorm(4, second),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(second * (side // 4) ** 2, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )


def edges(side: int, width: int, hidden: int, classes: int) -> nn.Module:
    """The edges of a grey image, one convolution that halves what they leave, and a hidden layer."""
    return nn.Sequential(
        Edges(),
        nn.Conv2d(CHANNELS, width, 5, stride=2, padding=2),
        nn.GroupNorm(4, width),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(width * (side // 4) ** 2, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )


NETS: Mapping[str, Builder] = MappingProxyType(
    {
        "linear8": partial(linear, 64),
        "mlp8": partial(mlp, 64, 96),
        "tiny8": partial(mlp, 64, 8),
        "conv8": conv8,
        "linear28": partial(linear, 784),
        "mlp28": partial(mlp, 784, 128),
        "fast28": partial(fast, 28, 1, (16, 32), 32),
        "edges28": partial(edges, 28, 32, 64),
        "midedges28": partial(edges, 28, 24, 48),
        "smalledges28": partial(edges, 28, 16, 32),
        "tiny28": partial(fast, 28, 1, (4, 8), 12),
        "small28": partial(fast, 28, 1, (8, 16), 16),
        "linear32": partial(linear, 3072),
        "mlp32": partial(mlp, 3072, 128),
        "fast32": partial(fast, 32, 3, (24, 48), 64),
    }
)


GROUP = "p2pfd.nets"
_SIZED: Mapping[str, Callable[[int, int], nn.Module]] = MappingProxyType(
    {"linear": linear, "mlp": lambda inputs, classes: mlp(inputs, _HIDDEN, classes)}
)
_HIDDEN = 64
_WIDTH = re.compile(r"[1-9][0-9]{0,5}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class NetName:
    """The setting that names a net: a `Knob`."""

    default: str

    @property
    def legal(self) -> str:
        """The nets that are here, in words."""
        return (
            "one of " + ", ".join(f'"{name}"' for name in sorted(NETS)) + f', "linear:N", "mlp:N" or a net of {GROUP}'
        )

    def read(self, value: Setting) -> str | None:
        """The name, if there is such a net."""
        return value if isinstance(value, str) and _builder(value) is not None else None


def model_of(name: str, classes: int, also: tuple[str, ...] = ()) -> Model:
    """The net of this name; PlanError lists the names that exist, and those of ``also``."""
    builder = _builder(name)
    if builder is None:
        known = ", ".join(sorted([*NETS, *also, *plugins.names(GROUP)]))
        raise PlanError(f"there is no net {name!r}", f"choose one of {known}, linear:N or mlp:N")
    with torch.random.fork_rng(devices=[]):  # torch gives a new layer random weights, which are never used here
        net = builder(classes)
    if not isinstance(net, nn.Module):
        raise PlanError(f"the plug-in {name!r} gives a {type(net).__name__}", "it must give a torch.nn.Module")
    return Model(net)


def require(model: Model, like: Array, classes: int) -> None:
    """PlanError unless the net takes samples like these, and answers with so many logits."""
    shape = like.shape[1:]
    sides = " × ".join(str(side) for side in shape)
    fix = f'set settings.net to "{net_for(shape)}", or to another net for such samples'
    weights = np.zeros(model.parameters, dtype=np.float32)
    try:
        answer = model.logits(weights, np.zeros((1, *shape), dtype=np.float32))
    except (RuntimeError, ValueError, IndexError) as error:  # torch has no type of its own for this
        raise PlanError(f"the net does not take samples of {sides}", fix) from error
    if answer.shape != (1, classes):
        raise PlanError(f"the net answers a sample of {sides} with {answer.shape}, not {classes} numbers", fix)


def _builder(name: str) -> Callable[[int], object] | None:
    if name in NETS:
        return NETS[name]
    kind, colon, width = name.partition(":")
    if colon and kind in _SIZED and _WIDTH.match(width):
        return partial(_SIZED[kind], int(width))
    if name in plugins.names(GROUP):
        found: Callable[[int], object] = plugins.load(GROUP, name)
        return found
    return None
