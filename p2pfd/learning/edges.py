"""`Edges`: a first layer that is not learnt. It says how strongly each part of a picture has edges of each direction.

A small net with few samples spends many of them on finding out that edges matter. What is fixed is also never
forgotten: where shards lack classes, all nodes go on seeing in the same way.
"""

from __future__ import annotations

import math

from p2pfd.learning._torch import nn, torch

DIRECTIONS = 8
CHANNELS = DIRECTIONS + 1
"""What the layer gives for each part: its edges by direction, and its brightness."""
_HALF = math.sqrt(0.5)
_QUARTER = ((1.0, 0.0), (_HALF, _HALF))
_HALF_TURN = (*_QUARTER, *((-y, x) for x, y in _QUARTER))
_TURNS = (*_HALF_TURN, *((-x, -y) for x, y in _HALF_TURN))
_SLOPE = ((-0.125, 0.0, 0.125), (-0.25, 0.0, 0.25), (-0.125, 0.0, 0.125))
_SCALE = 2.0
_FAINT = 0.05
"""Edges well below this are not made equal to strong ones."""


class Edges(nn.Module):
    """From grey pictures (n, 1, side, side) to (n, `CHANNELS`, side / 2, side / 2); it has no weights.

    A pixel's slope counts for the directions that it points to. Each output sees the mean over 4 × 4 pixels, over the
    strength of all edges around, so that a faint pattern counts as much as one of strong contrast.
    """

    def __init__(self) -> None:
        super().__init__()
        across = torch.tensor(_SLOPE)
        self._filters = torch.stack([x * across + y * across.t() for x, y in _TURNS])[:, None].contiguous()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The edges and the brightness, without a gradient."""
        with torch.no_grad():
            slopes = torch.relu(torch.nn.functional.conv2d(_framed(x, -1.0), self._filters.to(x.device)))
            twos = _halved(_framed(slopes, 0.0))
            fours = twos[:, :, 1:] + twos[:, :, :-1]
            edges = (fours[:, :, :, 1:] + fours[:, :, :, :-1]) * 0.0625
            squares = torch.nn.functional.avg_pool2d((edges * edges).sum(1, keepdim=True), 3, 1, 1)
            return torch.cat([edges * (_SCALE / (squares.sqrt() + _FAINT)), _halved(x) * 0.25], 1)


def _framed(x: torch.Tensor, value: float) -> torch.Tensor:
    return torch.nn.functional.pad(x, (1, 1, 1, 1), value=value)


def _halved(x: torch.Tensor) -> torch.Tensor:
    """The sums over 2 × 2 pixels: sums of slices are several times faster than pooling."""
    rows = x[:, :, 0::2] + x[:, :, 1::2]
    return rows[:, :, :, 0::2] + rows[:, :, :, 1::2]
