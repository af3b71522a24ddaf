"""How fast the nets are: samples a second in training and in answering, on one thread, as a table."""

from __future__ import annotations

import argparse
import time

import numpy as np

from p2pfd.core.rng import Rng
from p2pfd.learning.model import Fit
from p2pfd.learning.models import NETS, model_of

SHAPES = {"8": (1, 8, 8), "28": (1, 28, 28), "32": (3, 32, 32)}


def shape_of(name: str) -> tuple[int, ...]:
    """The samples that a net takes, by the number that its name ends in."""
    return SHAPES[name.lstrip("abcdefghijklmnopqrstuvwxyz")]


def speed(name: str, samples: int, noise: float) -> tuple[int, float, float]:
    """Parameters, and samples a second trained and answered: the best of three runs each."""
    draws = np.random.default_rng(1)
    x = draws.standard_normal((samples, *shape_of(name))).astype(np.float32)
    y = draws.integers(0, 10, samples)
    model = model_of(name, 10)
    weights = model.init(Rng(1))
    model.fit(weights, x[:256], y[:256], Fit(epochs=1, batch=64, rate=0.05), Rng(1))
    trained, answered = [], []
    for run in range(3):
        began = time.process_time()
        model.fit(weights, x, y, Fit(epochs=1, batch=64, rate=0.05, noise=noise), Rng(run))
        between = time.process_time()
        model.classes(weights, x)
        trained.append(samples / (between - began))
        answered.append(samples / (time.process_time() - between))
    return model.parameters, max(trained), max(answered)


def main() -> None:
    """Measure every net, or those named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("nets", nargs="*", default=list(NETS))
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--noise", type=float, default=0.0)
    args = parser.parse_args()
    print("| net | parameters | trained a second | answered a second |")
    print("|---|--:|--:|--:|")
    for name in args.nets:
        parameters, trained, answered = speed(name, args.samples, args.noise)
        print(f"| `{name}` | {parameters:,} | {trained:,.0f} | {answered:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
