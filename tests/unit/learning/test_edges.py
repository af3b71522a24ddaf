"""The fixed first layer: what it sees in a picture, and that nothing in it can be learnt."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from p2pfd.core.rng import Rng
from p2pfd.learning.edges import CHANNELS, DIRECTIONS, Edges
from p2pfd.learning.model import Fit
from p2pfd.learning.models import model_of


def picture(bright: torch.Tensor) -> torch.Tensor:
    """Black, but where this mask says."""
    return torch.where(bright, 1.0, -1.0)[None, None]


def seen(x: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = Edges()(x)
    return out


@pytest.mark.parametrize(("direction", "row", "column"), [(0, 1, 0), (2, 0, 1), (4, -1, 0), (6, 0, -1)])
def test_an_edge_counts_for_the_direction_in_which_it_gets_brighter(direction: int, row: int, column: int) -> None:
    places = torch.arange(28)
    along = (places - 14) * row if row else (places[:, None] - 14) * column
    edges = seen(picture((along >= 0).expand(28, 28)))[0, :DIRECTIONS, 6, 6]
    assert int(edges.argmax()) == direction
    assert float(edges[(direction + 4) % DIRECTIONS]) == 0.0


def test_outputs_are_half_as_wide_and_have_the_brightness_last() -> None:
    x = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (3, 1, 28, 28)).astype(np.float32))
    out = seen(x)
    assert out.shape == (3, CHANNELS, 14, 14)
    assert torch.allclose(out[:, -1:], torch.nn.functional.avg_pool2d(x, 2), atol=1e-6)


def test_each_part_is_a_mean_over_four_by_four_pixels() -> None:
    """Without the division by the strength around: the pools of torch say the same in more time."""
    layer, x = Edges(), torch.from_numpy(np.random.default_rng(2).uniform(-1, 1, (2, 1, 28, 28)).astype(np.float32))
    slopes = torch.relu(
        torch.nn.functional.conv2d(torch.nn.functional.pad(x, (1, 1, 1, 1), value=-1.0), layer._filters)
    )
    plain = torch.nn.functional.avg_pool2d(slopes, 4, 2, 1)
    strength = torch.nn.functional.avg_pool2d((plain * plain).sum(1, keepdim=True), 3, 1, 1).sqrt()
    assert torch.allclose(layer(x)[:, :DIRECTIONS], 2 * plain / (strength + 0.05), atol=1e-5)


def test_contrast_hardly_matters_where_there_are_edges() -> None:
    x = picture(torch.from_numpy(np.random.default_rng(3).random((28, 28)) < 0.5))
    strong, faint = (seen(x * part - (1 - part))[:, :DIRECTIONS] for part in (1.0, 0.7))
    assert float((strong - faint).abs().mean() / strong.abs().mean()) < 0.1


def test_it_has_nothing_to_learn_and_a_copy_sees_the_same() -> None:
    layer, x = Edges(), picture(torch.eye(28).bool())
    assert not list(layer.parameters())
    assert not list(layer.buffers())
    assert torch.equal(copy.deepcopy(layer)(x), layer(x))


def test_the_net_behind_it_learns() -> None:
    """Two classes that differ in the direction of their stripes alone."""
    draws = np.random.default_rng(4)
    waves = np.sin(np.arange(28) + draws.uniform(0, 6, (96, 1)))
    y = np.arange(96) % 2
    lying, standing = (np.broadcast_to(wave, (96, 28, 28)) for wave in (waves[:, :, None], waves[:, None, :]))
    x = np.where((y == 0)[:, None, None], lying, standing)[:, None].astype(np.float32)
    model = model_of("edges28", 2)
    weights = model.fit(model.init(Rng(1)), x[:64], y[:64], Fit(epochs=2, batch=16, rate=0.05), Rng(2))
    assert model.accuracy(weights, x[64:], y[64:]) > 0.9
