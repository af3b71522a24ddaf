"""The task as the rivals see it: the same data, net and descent as p2pfd's, from a file that `material` wrote.

Needs numpy and torch and nothing else, since each rival has an environment of its own.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

torch.set_num_threads(1)


@dataclass(frozen=True)
class Terms:
    """What is learnt, and how: the words of the file `terms.json` beside the data."""

    nodes: int
    rounds: int
    epochs: int
    batch: int
    rate: float
    momentum: float
    decay: float
    noise: float
    hidden: int
    inputs: int
    classes: int
    seed: int
    aggregator: str
    attackers: list[int]
    dying: list[int]
    dies_at: int
    patience: float


def terms(folder: Path) -> Terms:
    """Read them."""
    return Terms(**json.loads((folder / "terms.json").read_text()))


class Material:
    """What a rival may see of the data: shards, the samples for the accuracy after rounds, and first weights."""

    def __init__(self, folder: Path) -> None:
        with np.load(folder / "material.npz") as kept:
            self._kept = {name: kept[name] for name in kept.files}

    def shard(self, node: int) -> tuple[np.ndarray, np.ndarray]:
        """A node's own samples; an attacker's have the labels that it trains on."""
        return self._kept[f"x{node}"], self._kept[f"y{node}"]

    def validation(self) -> tuple[np.ndarray, np.ndarray]:
        """The samples that accuracies after rounds are measured on."""
        return self._kept["validation_x"], self._kept["validation_y"]

    def first(self) -> list[np.ndarray]:
        """The weights to begin with, in the order of the net's parameters."""
        return [self._kept[f"first{place}"] for place in range(4)]


def net(told: Terms) -> nn.Sequential:
    """p2pfd's mlp8: one hidden layer."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(told.inputs, told.hidden), nn.ReLU(), nn.Linear(told.hidden, told.classes)
    )


def put(model: nn.Module, arrays: list[np.ndarray]) -> None:
    """Give a net these weights."""
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(np.array(array)))


def taken(model: nn.Module) -> list[np.ndarray]:
    """A net's weights."""
    return [parameter.detach().cpu().numpy().copy() for parameter in model.parameters()]


def optimiser(model: nn.Module, told: Terms, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    """Momentum, and a rate that falls linearly to nothing over a round, as p2pfd's local descent has it."""
    descent = torch.optim.SGD(model.parameters(), lr=told.rate, momentum=told.momentum, weight_decay=told.decay)
    return descent, torch.optim.lr_scheduler.LambdaLR(descent, lambda step: max(0.0, 1 - step / max(1, steps)))


def steps_of(told: Terms, samples: int) -> int:
    """How many updates a round makes on so many samples."""
    return told.epochs * -(-samples // told.batch)


def noisy(x: torch.Tensor, width: float) -> torch.Tensor:
    """Uniform noise of this half-width on every pixel: p2pfd's augmentation."""
    return x + (2 * torch.rand_like(x) - 1) * width if width else x


def fit(model: nn.Module, told: Terms, x: np.ndarray, y: np.ndarray, proximal: float = 0.0) -> None:
    """One round's descent on a shard, where the rival leaves the loop to its user; ``proximal`` is FedProx's term."""
    began = [parameter.detach().clone() for parameter in model.parameters()]
    inputs, goals = torch.from_numpy(x), torch.from_numpy(y)
    descent, schedule = optimiser(model, told, steps_of(told, len(x)))
    model.train()
    for _ in range(told.epochs):
        order = torch.randperm(len(x))
        for start in range(0, len(x), told.batch):
            picked = order[start : start + told.batch]
            loss = nn.functional.cross_entropy(model(noisy(inputs[picked], told.noise)), goals[picked])
            if proximal:
                pairs = zip(model.parameters(), began, strict=True)
                loss = loss + proximal / 2 * sum(((now - then) ** 2).sum() for now, then in pairs)
            descent.zero_grad()
            loss.backward()
            descent.step()
            schedule.step()


def accuracy(model: nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    """The share that a net gets right."""
    model.eval()
    with torch.no_grad():
        return float((model(torch.from_numpy(x)).argmax(1).numpy() == y).mean())


def say(folder: Path, **what: Any) -> None:
    """A line of the run's diary; one write, so that lines of several processes do not mix."""
    line = json.dumps({"t": time.time(), **what}) + "\n"
    handle = os.open(folder / "diary.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def heard(folder: Path) -> list[dict[str, Any]]:
    """The diary so far."""
    path = folder / "diary.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def keep(folder: Path, node: int, arrays: list[np.ndarray]) -> None:
    """A node's weights in the end; the bench asks them about the test samples when nothing is measured any more."""
    path = folder / f"weights{node}.npz"
    np.savez(path.with_suffix(".part.npz"), *arrays)
    path.with_suffix(".part.npz").rename(path)
