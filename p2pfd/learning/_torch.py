"""The one place that imports torch, so that its absence is a sentence and not a traceback."""

from __future__ import annotations

from p2pfd.errors import EnvironmentProblem

try:
    import torch as torch
    from torch import nn as nn
except ImportError as error:
    raise EnvironmentProblem("torch is not installed", "pip install 'torch>=2.6,<3'") from error

__all__ = ["nn", "torch", "warm"]


def warm() -> None:
    """Have the first gradient of a process: it starts torch's threads, and holds up everything else meanwhile.

    Never before a fork: these threads stay behind, and torch then refuses to work.
    """
    torch.ones(1, requires_grad=True).sum().backward()  # type: ignore[no-untyped-call]
