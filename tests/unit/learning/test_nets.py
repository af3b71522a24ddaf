"""Nets by name: this package's, those whose name says their width, and other packages'."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from p2pfd import plugins
from p2pfd.core.rng import Rng
from p2pfd.errors import EnvironmentProblem, PlanError
from p2pfd.learning.adapter import Task
from p2pfd.learning.data import deal
from p2pfd.learning.local import LOCAL, local_model
from p2pfd.learning.models import NETS, NetName, model_of, require
from tests.unit.learning.tasks import digits_task


@pytest.mark.parametrize("name", sorted(NETS))
def test_each_net_fits_the_side_that_its_name_ends_in(name: str) -> None:
    side = int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
    x = np.zeros((3, 3 if side == 32 else 1, side, side), dtype=np.float32)
    model = model_of(name, 7)
    assert model.logits(model.init(Rng(1)), x).shape == (3, 7)


def test_the_fast_nets_have_the_size_that_is_said() -> None:
    assert model_of("fast28", 10).parameters == 55_690
    assert model_of("fast32", 10).parameters == 209_706


def test_a_name_may_say_the_width() -> None:
    assert model_of("linear:30", 2).parameters == 31 * 2
    assert model_of("mlp:30", 2).parameters == 31 * 64 + 65 * 2


@pytest.mark.parametrize(
    "name", ["linear:", "linear:0", "mlp:-1", "mlp:x", "mlp:1000000", "conv8:3", "mlp:²", "resnet"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(PlanError, match="there is no net") as caught:
        model_of(name, 10)
    assert "fast28" in caught.value.fix
    assert NetName("mlp8").read(name) is None
    with pytest.raises(PlanError, match=r"settings\.net is"):
        local_model({"net": name}, 10)


def test_many_samples_are_answered_as_few_are() -> None:
    model = model_of("conv8", 10)
    weights = model.init(Rng(1))
    x = np.random.default_rng(1).standard_normal((5000, 1, 8, 8)).astype(np.float32)
    parts = np.concatenate([model.logits(weights, x[start : start + 1250]) for start in range(0, 5000, 1250)])
    assert np.allclose(model.logits(weights, x), parts, atol=1e-4)
    assert model.logits(weights, x[:0]).shape == (0, 10)


@pytest.mark.parametrize(
    ("net", "shape", "better"),
    [
        ("mlp8", (1, 28, 28), "fast28"),
        ("conv8", (3, 32, 32), "fast32"),
        ("fast28", (30,), "mlp:30"),
        ("conv8", (1, 28, 28), "fast28"),
        ("mlp:30", (1, 8, 8), "mlp8"),
        ("linear:30", (3, 9, 9), "mlp:243"),
    ],
)
def test_a_net_for_other_samples_is_refused_with_a_better_one(net: str, shape: tuple[int, ...], better: str) -> None:
    like = np.ones((5, *shape), dtype=np.float32)
    with pytest.raises(PlanError, match="the net does not take samples of") as caught:
        local_model({"net": net}, 10, like)
    assert f'"{better}"' in caught.value.fix
    assert local_model({"net": better}, 10, like).parameters


def test_a_task_whose_net_does_not_fit_is_refused_before_it_begins() -> None:
    spec = replace(digits_task(), settings={"net": "fast28"})
    for adapter in ("cfd", "fedavg", "fedkd"):
        with pytest.raises(PlanError, match="samples of 1 × 8 × 8"):
            plugins.load("p2pfd.adapters", adapter)().init(Task(spec, deal(spec.data, 3).public), Rng(1))
    mentee = replace(digits_task(), settings={"mentee": "tiny28"})
    with pytest.raises(PlanError, match="samples of 1 × 8 × 8"):
        plugins.load("p2pfd.adapters", "fedkd")().init(Task(mentee, deal(mentee.data, 3).public), Rng(1))


def test_a_net_that_answers_otherwise_is_refused() -> None:
    model = model_of("mlp8", 9)
    with pytest.raises(PlanError, match=r"with \(1, 9\), not 10 numbers"):
        require(model, np.ones((2, 1, 8, 8), dtype=np.float32), 10)


def test_a_net_of_another_package_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = tmp_path / "strangers-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text(
        "[p2pfd.nets]\nthin8 = stranger_nets:thin8\nlost = no_such_module:net\nodd = stranger_nets:odd\n"
        "running = stranger_nets:running\n"
    )
    (tmp_path / "stranger_nets.py").write_text(
        "from torch import nn\n"
        "def thin8(classes): return nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, classes))\n"
        "def odd(classes): return 5\n"
        "def running(classes): return nn.BatchNorm1d(classes)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert LOCAL["net"].read("thin8") == "thin8"
    assert local_model({"net": "thin8"}, 10).parameters == 65 * 4 + 5 * 10
    with pytest.raises(EnvironmentProblem, match="does not load"):
        model_of("lost", 10)
    with pytest.raises(PlanError, match="the plug-in 'odd' gives a int"):
        model_of("odd", 10)
    with pytest.raises(PlanError, match="running statistics"):
        model_of("running", 10)
    with pytest.raises(PlanError, match=r"running, .*thin8, tiny28"):
        model_of("none", 10)
    sys.modules.pop("stranger_nets")
