"""The settings of local training that adapters share: the baseline reads them too, and so trains on equal terms."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from p2pfd.core.spec import Setting
from p2pfd.learning.adapter import Array, Split
from p2pfd.learning.knobs import Decimal, Flag, Knob, Whole, choice, decimal, flag, whole
from p2pfd.learning.model import Fit, Model
from p2pfd.learning.models import NetName, model_of, require

LOCAL: Mapping[str, Knob] = MappingProxyType(
    {
        "net": NetName("mlp8"),
        "epochs": Whole(10, 1, 1000),
        "batch": Whole(16, 1, 4096),
        "rate": Decimal("0.05", "0.00001", "10"),
        "momentum": Decimal("0.9", "0", "0.999"),
        "decay": Decimal("0.0005", "0", "1"),
        "noise": Decimal("0.9", "0", "4"),
        "adjust": Flag(True),
        "floor": Decimal("0.1", "0.0001", "1"),
    }
)


def local_fit(settings: Mapping[str, Setting], epochs: int) -> Fit:
    """The descent on private data that a task's settings describe, for so many epochs."""
    return Fit(
        epochs=epochs,
        batch=whole(LOCAL, settings, "batch"),
        rate=decimal(LOCAL, settings, "rate"),
        momentum=decimal(LOCAL, settings, "momentum"),
        decay=decimal(LOCAL, settings, "decay"),
        noise=decimal(LOCAL, settings, "noise"),
    )


def local_model(settings: Mapping[str, Setting], classes: int, like: Array | None = None) -> Model:
    """The net that a task's settings name; PlanError if it does not take samples like these."""
    model = model_of(choice(LOCAL, settings, "net"), classes)
    if like is not None:
        require(model, like, classes)
    return model


def log_shares(settings: Mapping[str, Setting], shard: Split, classes: int) -> Array | None:
    """Logarithms of the shard's class shares, unless the settings want none of it (or there is nothing to share).

    Added to the logits in training, they leave the net to learn what is not merely how common a class is here. The
    setting ``floor`` is added to the shares, so that a class that the shard lacks is discouraged and not ruled out.
    """
    if not flag(LOCAL, settings, "adjust") or not len(shard):
        return None
    shares = np.bincount(shard.y, minlength=classes) / len(shard)
    prior: Array = np.log(shares + decimal(LOCAL, settings, "floor")).astype(np.float32)
    return prior
