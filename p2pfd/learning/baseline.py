"""What learning together is measured against: the same net, the same start and the same budget, without the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from p2pfd.core.rng import Rng
from p2pfd.learning.adapter import Array, Split, Task
from p2pfd.learning.knobs import whole
from p2pfd.learning.local import LOCAL, local_fit, local_model, log_shares
from p2pfd.learning.model import Fit, Model, Weights


def train_alone(model: Model, shard: Split, plan: Fit, rng: Rng, prior: Array | None = None) -> Weights:
    """One node's whole budget spent on its own shard in one descent, which serves it better than many short ones."""
    return model.fit(model.init(rng.split("init")), shard.x, shard.y, plan, rng.split("alone"), bias=prior)


def accuracy_alone(task: Task, shard: Split, split: Split, rng: Rng) -> float:
    """What this shard's owner would reach on `split` alone, with all the epochs that the task's rounds give it."""
    settings = task.spec.settings
    epochs = whole(LOCAL, settings, "epochs") * task.spec.rounds
    model = local_model(settings, task.spec.data.classes)
    prior = log_shares(settings, shard, task.spec.data.classes)
    weights = train_alone(model, shard, local_fit(settings, epochs), rng, prior)
    return model.accuracy(weights, split.x, split.y)


def averages(
    model: Model, shards: Sequence[Split], rounds: int, plan: Fit, rng: Rng, priors: Sequence[Array] | None = None
) -> Iterator[Weights]:
    """FedAvg, the common weights after each round: all descend from them, and are averaged by the size of the shards.

    ``priors`` are added to each shard's logits in training: FedAvg with logit adjustment.
    """
    weights = model.init(rng.split("init"))
    total = sum(len(shard) for shard in shards)
    for rnd in range(rounds):
        mean = np.zeros(model.parameters, dtype=np.float64)
        for place, shard in enumerate(shards):
            draws = rng.split("fedavg", rnd, place)
            own = model.fit(weights, shard.x, shard.y, plan, draws, bias=priors[place] if priors else None)
            mean += own.astype(np.float64) * (len(shard) / total)
        weights = mean.astype(np.float32)
        yield weights


def federated_average(
    model: Model, shards: Sequence[Split], rounds: int, plan: Fit, rng: Rng, priors: Sequence[Array] | None = None
) -> Weights:
    """The last of the `averages`; the first weights where there is no round."""
    weights = model.init(rng.split("init"))
    for later in averages(model, shards, rounds, plan, rng, priors):
        weights = later
    return weights
