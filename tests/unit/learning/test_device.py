"""Which device a word means, and that training on the processor is what it was, whoever names it."""

from __future__ import annotations

import dataclasses
import json
import os

import numpy as np
import pytest

from p2pfd.cli.program import PROGRAM
from p2pfd.core.rng import Rng
from p2pfd.core.spec import NO_CHAIN
from p2pfd.errors import EnvironmentProblem, PlanError
from p2pfd.learning.adapter import Budget, Split
from p2pfd.learning.device import CPU, Seen, choose, chosen_apart, current, seen, training_on
from p2pfd.learning.model import Fit, Model
from p2pfd.learning.models import linear
from p2pfd.node import config
from p2pfd.node.placing import Placed, placed
from tests.unit.node.test_config import SPEC

NONE, ONE = Seen("2.13.0+cpu"), Seen("2.13.0", ("H100",))
TWO, APPLE = Seen("2.13.0", ("H100", "A4")), Seen("2.13.0", mps=True)


@pytest.mark.parametrize(
    ("asked", "there", "found"),
    [
        ("cpu", TWO, "cpu"),
        ("auto", NONE, "cpu"),
        ("auto", ONE, "cuda:0"),
        ("auto", APPLE, "mps"),
        ("cuda", ONE, "cuda:0"),
        ("cuda:1", TWO, "cuda:1"),
        ("mps", APPLE, "mps"),
    ],
)
def test_a_word_means_what_torch_has(monkeypatch, asked, there, found):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    assert choose(asked, lambda: there) == found
    assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) == found.startswith("cuda")


@pytest.mark.parametrize(
    ("asked", "there", "why"),
    [
        ("cuda", NONE, r"torch 2.13.0\+cpu has no GPU number 0 here: it sees none"),
        ("cuda:2", TWO, "no GPU number 2 here: it sees 2"),
        ("cuda", APPLE, "it sees none"),
        ("mps", ONE, "no GPU of Apple's"),
    ],
)
def test_what_is_not_there_is_said(asked, there, why):
    with pytest.raises(EnvironmentProblem, match=why) as caught:
        choose(asked, lambda: there)
    assert "--device cpu" in caught.value.fix


@pytest.mark.parametrize("asked", ["", "gpu", "cuda:", "cuda:-1", "cuda:1000", "CUDA", "meta", "cpu "])
def test_other_words_are_none(asked):
    with pytest.raises(PlanError, match="is no device"):
        choose(asked, lambda: TWO)


def test_the_processor_needs_no_torch():
    def never():
        raise AssertionError("torch was asked")

    assert choose("cpu", never) == CPU


def test_torch_is_asked_for_real():
    there = seen()
    assert choose("auto") == ("cuda:0" if there.cuda else "mps" if there.mps else CPU)
    with pytest.raises(EnvironmentProblem):
        choose(f"cuda:{len(there.cuda) + 7}")
    assert there.name_of("cpu") == "cpu"
    assert TWO.name_of("cuda:1") == "cuda:1 (A4)"


def test_a_mesh_asks_in_a_process_of_its_own():
    assert chosen_apart("cpu") == CPU
    with pytest.raises(PlanError):
        chosen_apart("gpu")
    with pytest.raises(EnvironmentProblem, match="no GPU number 99 here"):
        chosen_apart("cuda:99")


class Noting:
    """Notes where it trains, and where it does anything else."""

    def __init__(self):
        self.noted = []

    def train(self, state, shard, budget, rng):
        self.noted.append(("train", current()))
        return state

    def absorb(self):
        self.noted.append(("absorb", current()))


def test_only_its_own_training_goes_to_the_device():
    inner = Noting()
    adapter = placed(inner, "cuda:0")
    assert isinstance(adapter, Placed)
    empty = Split(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    adapter.train(1, empty, Budget(1), Rng(1))
    adapter.absorb()
    assert inner.noted == [("train", "cuda:0"), ("absorb", CPU)]
    assert not hasattr(adapter, "serve")
    assert placed(inner, CPU) is inner


def test_training_on_the_processor_gives_the_same_bits():
    model = Model(linear(4, 3))
    x = np.frombuffer(Rng(3).bytes(64 * 4), dtype=np.uint8).reshape(64, 4).astype(np.float32) / 255
    y = np.arange(64) % 3
    start, plan = model.init(Rng(1)), Fit(epochs=2, batch=16, rate=0.1)
    plain = model.fit(start, x, y, plan, Rng(2))
    with training_on(CPU):
        assert current() == CPU
        assert model.fit(start, x, y, plan, Rng(2)).tobytes() == plain.tobytes()


def test_a_node_that_asks_for_a_gpu_that_is_not_there_is_not_made(tmp_path, capsys, monkeypatch):
    if seen().cuda:
        pytest.skip("there is a GPU here")
    monkeypatch.chdir(tmp_path)
    config.save_task(dataclasses.replace(SPEC, chain=NO_CHAIN), tmp_path / "task.json")
    assert PROGRAM.main(["join", "--task", "task.json", "--home", "node", "--device", "cuda", "--json"]) == 9
    assert "has no GPU number 0 here" in json.loads(capsys.readouterr().out)["error"]["what"]
    assert not (tmp_path / "node/node.json").exists()
