"""Unequal learners: nets, forests and regressions say classes of the same samples, and learn from one another's."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.data import deal
from p2pfd.learning.forest import Forest, Forests
from p2pfd.learning.learner import AnyLearner, Fit, Learner, Replay
from p2pfd.learning.learners import learner_of
from p2pfd.learning.logistic import Logistic, Plane
from p2pfd.learning.model import Model, Weights
from p2pfd.learning.models import model_of
from p2pfd.learning.sklearn_data import rows_of
from p2pfd.learning.votes import targets
from tests.unit.learning.tasks import digits_data

FIT = Fit(epochs=5, batch=16, rate=0.05)
NAMES = ["forest", "logistic", "mlp8"]
DEALT = deal(digits_data(), 4)


def small(name: str) -> AnyLearner:
    return Forests(10, trees=12, depth=8) if name == "forest" else learner_of(name, 10)


def fitted(name: str, **more: object) -> tuple[AnyLearner, object]:
    learner, shard = small(name), DEALT.shards[0]
    return learner, learner.fit(learner.init(Rng(1)), shard.x, shard.y, FIT, Rng(2), **more)  # type: ignore[arg-type]


def test_each_is_a_learner() -> None:
    forests: Learner[Forest] = Forests(10)
    regression: Learner[Plane] = Logistic(10)
    net: Learner[Weights] = model_of("mlp8", 10)
    assert isinstance(net, Model)
    for learner in (forests, regression):
        assert learner.accuracy(learner.init(Rng(1)), DEALT.test.x[:0], DEALT.test.y[:0]) == 0.0
        assert set(learner.classes(learner.init(Rng(1)), DEALT.test.x).tolist()) == {0}


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_its_shard_and_survives_its_bytes(name: str) -> None:
    learner, weights = fitted(name)
    shard = DEALT.shards[0]
    assert learner.accuracy(weights, shard.x, shard.y) > 0.95
    raw = learner.to_bytes(weights)
    again = learner.from_bytes(raw)
    assert learner.to_bytes(again) == raw
    assert np.array_equal(learner.classes(again, DEALT.test.x), learner.classes(weights, DEALT.test.x))
    assert np.array_equal(learner.classes(learner.from_bytes(learner.to_bytes(learner.init(Rng(1)))), DEALT.test.x),
                          learner.classes(learner.init(Rng(1)), DEALT.test.x))  # fmt: skip


def digest(name: str) -> str:
    soft = np.full((len(DEALT.public), 10), 0.1, dtype=np.float32)
    bias = np.linspace(-1, 0, 10, dtype=np.float32)
    learner, weights = fitted(name, bias=bias, replay=Replay(DEALT.public, soft, 0.5))
    return hashlib.sha256(learner.to_bytes(weights)).hexdigest()


@pytest.mark.long
def test_fitting_is_the_same_in_another_process() -> None:
    code = (
        "import random, numpy; random.seed(9); numpy.random.seed(9)\n"
        "from tests.unit.learning.test_learners import digest; print(digest('forest'), digest('logistic'))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "123"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.split() == [digest("forest"), digest("logistic")]


def test_a_forest_says_what_scikit_learns_says() -> None:
    from sklearn.ensemble import RandomForestClassifier

    shard = DEALT.shards[1]
    learner, rng = Forests(10, trees=20, depth=6), Rng(5)
    ours = learner.classes(learner.fit(learner.init(rng), shard.x, shard.y, FIT, rng), DEALT.test.x)
    seed = rng.split("forest").bits(31)
    theirs = RandomForestClassifier(20, max_depth=6, random_state=seed)
    theirs.fit(shard.x.reshape(len(shard), -1), shard.y, sample_weight=np.ones(len(shard)))
    assert (ours == theirs.predict(DEALT.test.x.reshape(len(DEALT.test), -1))).mean() > 0.99


@pytest.mark.parametrize("name", ["forest", "logistic"])
def test_soft_targets_are_learned_by_their_weight(name: str) -> None:
    learner, public = small(name), DEALT.public
    truth = model_of("mlp8", 10)
    teacher = truth.fit(truth.init(Rng(1)), DEALT.test.x, DEALT.test.y, Fit(20, 16, 0.05), Rng(2))
    labels = truth.classes(teacher, public)
    soft = np.full((len(public), 10), 0.04, dtype=np.float32)
    soft[np.arange(len(public)), labels] = 0.64
    weights = learner.fit(learner.init(Rng(1)), public, soft, FIT, Rng(3))
    assert np.mean(learner.classes(weights, public) == labels) > 0.9


def test_rows_weigh_what_they_should() -> None:
    x, y = np.zeros((4, 1, 2, 2), dtype=np.float32), np.array([0, 0, 0, 1])
    shares = np.log(np.array([0.75, 0.25], dtype=np.float32))
    rows = rows_of(x, y, shares, None)
    assert rows.x.shape == (4, 4)
    assert rows.weight[:3].sum() == pytest.approx(rows.weight[3])
    soft = np.array([[1, 0], [0.25, 0.75]], dtype=np.float32)
    rows = rows_of(x, y, None, Replay(x[:2] + 1, soft, 0.5))
    assert rows.y.tolist() == [0, 0, 0, 1, 0, 0, 1]
    assert rows.weight[4:].sum() == pytest.approx(0.5 * rows.weight[:4].sum())
    assert rows.weight[6] == pytest.approx(3 * rows.weight[5])
    assert rows.weight.mean() == pytest.approx(1)


@pytest.mark.parametrize("name", ["forest", "logistic"])
@pytest.mark.parametrize("kinds", [1, 2])
def test_few_classes_and_no_samples(name: str, kinds: int) -> None:
    learner, shard = small(name), DEALT.shards[0]
    chosen = np.isin(shard.y, np.unique(shard.y)[-kinds:])
    weights = learner.fit(learner.init(Rng(1)), shard.x[chosen], shard.y[chosen], FIT, Rng(2))
    assert learner.accuracy(weights, shard.x[chosen], shard.y[chosen]) > 0.95
    assert set(learner.classes(weights, DEALT.test.x)) <= set(np.unique(shard.y)[-kinds:])
    assert learner.fit(weights, shard.x[:0], shard.y[:0], FIT, Rng(2)) is weights
    with pytest.raises(DecodeError, match="samples of 63 numbers"):
        learner.classes(weights, np.zeros((3, 63), dtype=np.float32))


def test_unequal_learners_teach_one_another() -> None:
    """Three rounds of votes on public samples, among four nodes with three kinds of learners."""
    nodes = [small(name) for name in [*NAMES, "forest"]]
    first, wanted, own = [], None, []
    for rnd in range(3):
        own = []
        for place, (learner, shard) in enumerate(zip(nodes, DEALT.shards, strict=True)):
            replay = None if wanted is None else Replay(DEALT.public, wanted, 2.0)
            rng = Rng(7).split(rnd, place)
            own.append(learner.fit(learner.init(rng), shard.x, shard.y, FIT, rng, replay=replay))
        votes = [learner.classes(weights, DEALT.public) for learner, weights in zip(nodes, own, strict=True)]
        wanted = targets(np.array(votes), 10, weigh=True, gated=False, squared=False)
        first = first or [node.accuracy(w, DEALT.test.x, DEALT.test.y) for node, w in zip(nodes, own, strict=True)]
    last = [node.accuracy(w, DEALT.test.x, DEALT.test.y) for node, w in zip(nodes, own, strict=True)]
    assert all(after >= before for before, after in zip(first, last, strict=True))
    assert np.mean(last) > np.mean(first) + 0.1


def spoiled(**changes: object) -> bytes:
    """A forest of two trees with arrays changed."""
    arrays = {
        "begin": np.array([0, 3], dtype=np.int32),
        "column": np.array([1, 0, 0, 0], dtype=np.int32),
        "line": np.zeros(4),
        "below": np.array([[1, 2], [-1, -1], [-1, -1], [-1, -1]], dtype=np.int32),
        "shares": np.full((4, 10), 0.1, dtype=np.float32),
        "inputs": np.array([64], dtype=np.int32),
    }
    return bytes(safetensors.numpy.save({**arrays, **changes}))  # type: ignore[dict-item]


def below(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(pairs, dtype=np.int32)


LEAF = (-1, -1)


def test_a_forest_made_by_hand_is_taken() -> None:
    raw = spoiled()
    learner = Forests(10)
    forest = learner.from_bytes(raw)
    assert learner.to_bytes(forest) == raw
    assert learner.classes(forest, DEALT.test.x).tolist() == [0] * len(DEALT.test)


FOREST: dict[str, bytes] = {
    "leads nowhere": spoiled(below=below((0, 2), LEAF, LEAF, LEAF)),
    "leads nowhere: back": spoiled(below=below((1, 2), (0, 2), LEAF, LEAF)),
    "leads nowhere: another tree": spoiled(below=below((1, 3), LEAF, LEAF, LEAF)),
    "leads nowhere: beyond": spoiled(below=below((1, 2), LEAF, LEAF, (4, 5))),
    "leads nowhere: half a leaf": spoiled(below=below((1, -1), LEAF, LEAF, LEAF)),
    "a column that there is not": spoiled(column=np.array([64, 0, 0, 0], dtype=np.int32)),
    "a column that there is not: -1": spoiled(column=np.array([-1, 0, 0, 0], dtype=np.int32)),
    "a column that there is not: odd leaf": spoiled(below=below((1, 2), (-2, -1), LEAF, LEAF)),
    "trees do not follow": spoiled(begin=np.array([0, 4], dtype=np.int32)),
    "trees do not follow: back": spoiled(begin=np.array([3, 0], dtype=np.int32)),
    "trees do not follow: late": spoiled(begin=np.array([1, 3], dtype=np.int32)),
    "trees do not follow: twice": spoiled(begin=np.array([0, 0], dtype=np.int32)),
    "trees do not follow: none": spoiled(begin=np.zeros(0, dtype=np.int32)),
    "trees do not follow: inputs": spoiled(inputs=np.array([-5], dtype=np.int32)),
    "unequal length": spoiled(line=np.zeros(5)),
    "unequal length: inputs": spoiled(inputs=np.zeros(0, dtype=np.int32)),
    "unequal length: classes": spoiled(shares=np.full((4, 9), 0.1, dtype=np.float32)),
    "unequal length: children": spoiled(below=np.full((4, 3), -1, dtype=np.int32)),
    "shares are none": spoiled(shares=np.full((4, 10), -0.1, dtype=np.float32)),
    "not all finite": spoiled(line=np.array([np.nan, 0, 0, 0])),
    "not those of this learner": spoiled(line=np.zeros(4, dtype=np.float32)),
    "not those of this learner: more": spoiled(more=np.zeros(4)),
    "not safetensors": b"\xff" * 100,
    "not safetensors: empty": b"",
    "not safetensors: pickle": b"\x80\4K\1.",
}


@pytest.mark.parametrize("complaint", FOREST)
def test_a_forest_that_is_none_is_refused(complaint: str) -> None:
    with pytest.raises(DecodeError, match=complaint.partition(":")[0]):
        Forests(10).from_bytes(FOREST[complaint])


def test_a_forest_of_too_many_bytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, weights = fitted("forest")
    raw = learner.to_bytes(weights)
    monkeypatch.setattr("p2pfd.learning.forest.MOST_BYTES", len(raw) - 1)
    with pytest.raises(PlanError, match="grow fewer trees"):
        learner.to_bytes(weights)
    with pytest.raises(DecodeError, match="at most"):
        learner.from_bytes(raw)


def test_a_regression_for_other_classes_is_refused() -> None:
    learner, weights = fitted("logistic")
    with pytest.raises(DecodeError, match="another number of classes than 9"):
        Logistic(9).from_bytes(learner.to_bytes(weights))


def test_names() -> None:
    assert isinstance(learner_of("forest", 3), Forests)
    assert isinstance(learner_of("logistic", 3), Logistic)
    assert isinstance(learner_of("mlp:30", 3), Model)
    with pytest.raises(PlanError, match="conv8, edges28, fast28, fast32, forest"):
        learner_of("oak", 3)


def test_without_torch_and_scikit_learn_a_forest_can_still_be_asked(tmp_path: Path) -> None:
    learner, weights = fitted("forest")
    (tmp_path / "forest").write_bytes(learner.to_bytes(weights))
    code = (
        "import sys; sys.modules['torch'] = sys.modules['sklearn'] = None\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from p2pfd.core.rng import Rng\n"
        "from p2pfd.errors import EnvironmentProblem\n"
        "from p2pfd.learning.learners import learner_of\n"
        "for name in ('forest', 'logistic'):\n"
        "    learner = learner_of(name, 10)\n"
        "    try: learner.fit(learner.init(Rng(1)), np.eye(3, 64, dtype='f4'), np.arange(3), None, Rng(1))\n"
        "    except EnvironmentProblem as error: print(error)\n"
        "learner = learner_of('forest', 10)\n"
        f"forest = learner.from_bytes(Path({str(tmp_path / 'forest')!r}).read_bytes())\n"
        "print(learner.classes(forest, np.zeros((1, 64), dtype=np.float32))[0])\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert out[0] == out[1] == "scikit-learn is not installed: pip install 'scikit-learn>=1.5,<2'"
    assert int(out[2]) == learner.classes(weights, np.zeros((1, 64), dtype=np.float32))[0]
