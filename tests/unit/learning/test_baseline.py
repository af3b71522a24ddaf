"""What learning together is compared with gets the same chances."""

from __future__ import annotations

import numpy as np
from p2pfd_adapters.cfd import Cfd

from p2pfd.core.rng import Rng
from p2pfd.learning.adapter import Task
from p2pfd.learning.baseline import accuracy_alone, federated_average, train_alone
from p2pfd.learning.data import deal
from p2pfd.learning.local import local_fit, local_model, log_shares
from tests.unit.learning.tasks import digits_task


def test_alone_and_together_start_from_the_same_weights() -> None:
    spec = digits_task()
    dealt = deal(spec.data, 3)
    rng = Rng(4)
    state = Cfd().init(Task(spec, dealt.public), rng.split("init"))
    model = local_model(spec.settings, 10)
    untouched = train_alone(model, dealt.shards[0], local_fit(spec.settings, 0), rng)
    assert np.array_equal(state.student, Cfd().init(Task(spec, dealt.public), rng.split("init")).student)
    assert np.array_equal(untouched, state.student)


def test_alone_spends_the_epochs_of_all_rounds() -> None:
    spec = digits_task(rounds=3, epochs=2)
    dealt = deal(spec.data, 3)
    model = local_model(spec.settings, 10)
    prior = log_shares(spec.settings, dealt.shards[1], 10)
    weights = train_alone(model, dealt.shards[1], local_fit(spec.settings, 6), Rng(4), prior)
    expected = model.accuracy(weights, dealt.test.x, dealt.test.y)
    assert accuracy_alone(Task(spec, dealt.public), dealt.shards[1], dealt.test, Rng(4)) == expected


def test_one_node_alone_with_everything_does_well() -> None:
    spec = digits_task(rounds=5)
    dealt = deal(spec.data, 1)
    assert accuracy_alone(Task(spec, dealt.public), dealt.shards[0], dealt.test, Rng(4)) > 0.93


def test_averaging_one_shard_is_training_it() -> None:
    spec = digits_task()
    dealt = deal(spec.data, 1)
    model, rng = local_model(spec.settings, 10), Rng(4)
    averaged = federated_average(model, dealt.shards, 1, local_fit(spec.settings, 2), rng)
    shard = dealt.shards[0]
    alone = model.fit(
        model.init(rng.split("init")), shard.x, shard.y, local_fit(spec.settings, 2), rng.split("fedavg", 0, 0)
    )
    assert np.array_equal(averaged, alone)
