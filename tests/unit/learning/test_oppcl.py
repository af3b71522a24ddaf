"""Opportunistic collaborative learning: goals, similarity, and what pulls whom."""

from __future__ import annotations

import numpy as np
import pytest
from p2pfd_adapters._records import NetState
from p2pfd_adapters.local import Local
from p2pfd_adapters.oppcl import OppCl, similarity

from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.core.spec import Setting
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Budget, Contribution, Split, Task, Tensors
from p2pfd.learning.data import deal
from tests.unit.learning.tasks import digits_task


def shares(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def of(split: Split, *classes: int) -> Split:
    kept = np.isin(split.y, classes)
    return Split(split.x[kept], split.y[kept])


def beginning(**settings: Setting) -> tuple[OppCl, Task, NetState, Split, Split]:
    spec = digits_task(public=64, **settings)
    dealt = deal(spec.data, 1)
    task = Task(spec, dealt.public)
    return OppCl(), task, OppCl().init(task, Rng(1)), dealt.shards[0], dealt.validation


@pytest.mark.parametrize(
    ("goal", "labels", "wanted"),
    [
        (shares(1, 0), shares(1, 0), 1),
        (shares(1, 0), shares(0, 1), 0),
        (shares(0.5, 0.5), shares(1, 0), 0.6887),
        (shares(2, 2), shares(0.5, 0.5), 1),
        (shares(0, 0), shares(1, 0), 0),
    ],
)
def test_similarity(goal: np.ndarray, labels: np.ndarray, wanted: float) -> None:
    assert similarity(goal, labels) == pytest.approx(wanted, abs=1e-4)
    assert similarity(labels, goal) == pytest.approx(wanted, abs=1e-4)


def test_a_learner_gets_good_at_what_it_lacks() -> None:
    """Two classes at home, two elsewhere, all four wanted: ten points at least over learning alone."""
    adapter, task, start, data, probe = beginning(goal="0,1,2,3", epochs=5)
    own, other = of(data, 0, 1), of(data, 2, 3)
    learner = alone = adapter.train(start, own, Budget(5), Rng(1))
    neighbor = adapter.train(start, other, Budget(5), Rng(2))
    for number in range(4):
        after = adapter.serve(neighbor, adapter.request(learner, task), other, Budget(5), Rng(3).split(number))
        learner = adapter.accept(learner, after)
        learner = adapter.train(learner, own, Budget(2), Rng(4).split(number))
    wanted = of(probe, 0, 1, 2, 3)
    assert adapter.evaluate(learner, wanted)["accuracy"] > adapter.evaluate(alone, wanted)["accuracy"] + 0.1


def test_a_neighbor_trains_only_what_is_wanted() -> None:
    adapter, task, start, data, _ = beginning(goal="0,1")
    request = adapter.request(start, task)
    with_more = adapter.serve(start, request, of(data, 0, 1, 2, 3), Budget(1), Rng(3))
    without = adapter.serve(start, request, of(data, 0, 1), Budget(1), Rng(3))
    assert with_more.arrays["labels"].tolist()[2:] == [0] * 8
    assert all(np.array_equal(with_more.arrays[name], without.arrays[name]) for name in without.arrays)
    nothing = adapter.serve(start, request, of(data, 5), Budget(1), Rng(3))
    assert np.array_equal(nothing.arrays["1.weight"], request.arrays["1.weight"])


def test_validators_look_at_the_goal_alone() -> None:
    adapter, task, start, data, probe = beginning(goal="0,1", epochs=3)
    trained = adapter.train(start, of(data, 0, 1), Budget(3), Rng(1))
    before = adapter.request(start, task)
    after = adapter.share(trained, task, RoundId(0))
    found = adapter.judge(start, before, after, probe, 0.0)
    assert found.good
    assert found.after > 0.9
    assert adapter.judge(start, before, after, of(probe, 5, 6, 7, 8, 9), 0.0).good is None


def test_who_has_what_is_wanted_pulls_most() -> None:
    adapter, _, start, data, _ = beginning(goal="0,1", mix="1", memory=0, sharpness="5")
    start = adapter.train(start, Split(data.x[:0], data.y[:0]), Budget(1), Rng(1))
    model = start.model
    near, far = np.zeros(10, np.float32), np.zeros(10, np.float32)
    near[:2], far[8:] = 0.5, 0.5

    def told(weights: np.ndarray, labels: np.ndarray) -> Tensors:
        return Tensors({**model.named(weights), "labels": labels})

    up, down = start.weights + np.float32(1), start.weights - np.float32(1)
    heard = [Contribution("near", told(up, near)), Contribution("far", told(down, far))]
    moved = (adapter.absorb(start, heard, RoundId(0), Rng(1)).weights - start.weights).mean()
    weight = np.exp(-5.0)
    assert moved == pytest.approx((1 - weight) / (1 + weight), abs=1e-3)


def test_pulls_are_remembered_and_bounded() -> None:
    adapter, task, start, _, _ = beginning(goal="all", memory=2)
    model = start.model
    state = start
    for kind in range(5):
        labels = np.zeros(10, np.float32)
        labels[: kind + 1] = 1 / (kind + 1)
        told = Tensors({**model.named(start.weights + np.float32(kind)), "labels": labels})
        state = adapter.absorb(state, [Contribution("a", told)], RoundId(kind), Rng(1))
        assert len(state.extra) == 2 + min(2, kind + 1)
        assert adapter.dump(adapter.load(adapter.dump(state), task)) == adapter.dump(state)
    again = adapter.absorb(state, [], RoundId(9), Rng(1))
    assert not np.array_equal(again.weights, state.weights)  # momentum: what was met pulls on


def test_who_is_too_different_does_not_pull() -> None:
    adapter, _, start, _, _ = beginning(goal="0,1", least="0.5", memory=0)
    labels = np.zeros(10, np.float32)
    labels[8:] = 0.5
    told = Tensors({**start.model.named(start.weights + np.float32(1)), "labels": labels})
    assert adapter.absorb(start, [Contribution("a", told)], RoundId(0), Rng(1)) is start


def test_goals_are_checked() -> None:
    for goal in ("", "none", "1,", "1;2", "100", 3):
        with pytest.raises(PlanError, match=r"settings\.goal"):
            beginning(goal=goal)
    with pytest.raises(PlanError, match="names class 12"):
        beginning(goal="1,12")
    _, _, state, _, _ = beginning(goal="3,3,1")
    assert state.extra["goal"].tolist() == [0, 0.5, 0, 0.5, 0, 0, 0, 0, 0, 0]


def test_own_goals_follow_the_shard() -> None:
    adapter, _, start, data, _ = beginning()
    assert not start.extra["goal"].any()
    trained = adapter.train(start, of(data, 4), Budget(1), Rng(1))
    assert trained.extra["goal"].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]


def test_a_state_with_other_arrays_is_refused() -> None:
    adapter, task, start, _, _ = beginning(memory=1)
    pull = np.zeros_like(start.weights)
    for extra in (
        {"goal": start.extra["goal"]},
        {**start.extra, "pull.0001": pull, "pull.0002": pull},
        {**start.extra, "pull.000g": pull},
        {**start.extra, "pull.0001": pull[1:]},
        {"goal": pull, "labels": pull},
    ):
        raw = adapter.dump(NetState(10, start.settings, start.weights, 0, extra))
        with pytest.raises(DecodeError):
            adapter.load(raw, task)
    with pytest.raises(DecodeError):
        adapter.load(Local().dump(start), task)
