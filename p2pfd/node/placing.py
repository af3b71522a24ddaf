"""An adapter whose own training runs on a device of choice; what nodes must come to alike stays on the processor."""

from __future__ import annotations

from typing import Any

from p2pfd.core.rng import Rng
from p2pfd.learning.adapter import Budget, Split
from p2pfd.learning.device import CPU, training_on


class Placed:
    """The adapter, but for where it trains."""

    def __init__(self, adapter: Any, device: str) -> None:
        self._adapter = adapter
        self._device = device

    def train(self, state: Any, shard: Split, budget: Budget, rng: Rng) -> Any:
        """As the adapter trains, on the device."""
        with training_on(self._device):
            return self._adapter.train(state, shard, budget, rng)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)


def placed(adapter: Any, device: str) -> Any:
    """The adapter, training there."""
    return adapter if device == CPU else Placed(adapter, device)
