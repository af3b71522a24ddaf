"""A model is a function of its weights, its data and its rng, in any process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.data import deal
from p2pfd.learning.model import Fit, Model, Replay
from p2pfd.learning.models import NETS, model_of
from tests.unit.learning.tasks import digits_data

FIT = Fit(epochs=3, batch=16, rate=0.05, noise=0.5)


def trained_hash(net: str) -> str:
    """What three epochs with everything switched on make of a net."""
    dealt = deal(digits_data(), 10)
    model, shard = model_of(net, 10), dealt.shards[0]
    soft = np.full((len(dealt.public), 10), 0.1, dtype=np.float32)
    weights = model.fit(
        model.init(Rng(1)),
        shard.x,
        shard.y,
        FIT,
        Rng(2),
        bias=np.linspace(-1, 0, 10, dtype=np.float32),
        replay=Replay(dealt.public, soft, 0.5),
    )
    return hashlib.sha256(model.to_bytes(weights)).hexdigest()


@pytest.mark.parametrize("net", ["conv8", "mlp8"])
def test_training_is_the_same_in_another_process(net: str) -> None:
    code = (
        "import torch, numpy; torch.manual_seed(9); numpy.random.seed(9)\n"
        f"from tests.unit.learning.test_model import trained_hash; print(trained_hash({net!r}))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "123", "OMP_NUM_THREADS": "4"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == trained_hash(net)


def test_nothing_draws_from_torchs_global_generator() -> None:
    before = torch.random.get_rng_state()
    trained_hash("mlp8")
    assert torch.equal(before, torch.random.get_rng_state())


def test_initial_weights_are_the_known_ones() -> None:
    model = model_of("mlp8", 10)
    weights = model.init(Rng(1))
    assert model.parameters == 7210
    assert (
        hashlib.sha256(weights.tobytes()).hexdigest()
        == "6404846dc659430d81a5fc5a9f0fd49007e3b932318e47adcccbbeabb860978c"
    )
    assert not np.array_equal(weights, model.init(Rng(2)))


def test_a_step_is_that_of_torchs_own_sgd() -> None:
    dealt = deal(digits_data(), 10)
    x, y = dealt.shards[0].x[:48], dealt.shards[0].y[:48]
    model = model_of("mlp8", 10)
    start = model.init(Rng(1))
    ours = model.fit(start, x, y, Fit(epochs=2, batch=48, rate=0.1), Rng(2))

    net = NETS["mlp8"](10)
    parameters = dict(net.named_parameters())
    place = 0
    for name in sorted(parameters):
        count = parameters[name].numel()
        parameters[name].data = torch.from_numpy(start[place : place + count].copy()).view(parameters[name].shape)
        place += count
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for rate in (0.1, 0.05):  # the rate falls linearly over the two steps
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        optimiser.step()
    theirs = torch.cat([parameters[name].detach().flatten() for name in sorted(parameters)]).numpy()
    assert np.allclose(ours, theirs, atol=1e-5)
    assert not np.allclose(ours, start, atol=1e-3)


def test_weights_survive_their_bytes() -> None:
    model = model_of("conv8", 10)
    weights = model.init(Rng(3))
    raw = model.to_bytes(weights)
    assert np.array_equal(model.from_bytes(raw), weights)
    assert model.to_bytes(model.from_bytes(raw)) == raw


def test_foreign_weights_are_refused() -> None:
    model = model_of("mlp8", 10)
    weights = model.init(Rng(3))
    raw = model.to_bytes(weights)
    infinite = weights.copy()
    infinite[5] = np.inf
    refused = {
        "bytes of weights": [
            b"",
            raw[:-1],
            raw + b"\0",
            model_of("conv8", 10).to_bytes(model_of("conv8", 10).init(Rng(1))),
        ],
        "not safetensors": [b"\xff" * len(raw), b"\0" * len(raw)],
        "not all finite": [model.to_bytes(infinite)],
        "not those of this task": [raw.replace(b'"1.bias"', b'"9.bias"', 1)],
    }
    for complaint, cases in refused.items():
        for case in cases:
            with pytest.raises(DecodeError, match=complaint):
                model.from_bytes(case)


def test_running_statistics_are_refused() -> None:
    with pytest.raises(PlanError, match="running statistics"):
        Model(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)))


def test_an_unknown_net_lists_the_known() -> None:
    with pytest.raises(PlanError, match="conv8, edges28, fast28, fast32"):
        model_of("resnet", 10)


def test_without_torch_there_is_a_sentence_and_the_interface() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import p2pfd.learning.adapter, p2pfd.learning.data\n"
        "from p2pfd.errors import EnvironmentProblem\n"
        "from p2pfd import plugins\n"
        "assert 'cfd' in plugins.names('p2pfd.adapters')\n"
        "try: plugins.load('p2pfd.adapters', 'cfd')\n"
        "except EnvironmentProblem as error: print(error)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.startswith("torch is not installed: pip install")
