"""Unequal models in one mesh: each node's own learner, and the student that all have."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from p2pfd_adapters.cfd import Cfd
from p2pfd_adapters.mixed import Mixed

from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Budget, Contribution, Split, Task
from p2pfd.learning.data import deal
from p2pfd.learning.learners import FORMS
from p2pfd.testing.adapter import laws
from tests.unit.learning.tasks import digits_task

EVER_NEW = ("keeps to its budget", "does not grow from round to round")
"""Laws that a learner cannot keep which is made anew each time: to the end whatever the epochs, and of any size."""
KINDS = ("linear8", "conv8", "mlp8", "forest", "logistic")


def materials(**settings):
    spec = digits_task(public=40, **{"distil_epochs": 2, "batch": 32, **settings})
    dealt = deal(spec.data, len(KINDS))
    return Task(spec, dealt.public), tuple(Split(shard.x[:120], shard.y[:120]) for shard in dealt.shards), dealt.test


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.long) for kind in KINDS[1:]])
def test_a_node_with_any_learner_conforms(kind):
    task, shards, _ = materials()
    for law in laws(lambda: Mixed().with_learner(kind), task, shards[:2]):
        if kind not in FORMS or law.name not in EVER_NEW:
            law.check()


def test_unequal_learners_have_one_student_and_each_its_own_model():
    task, shards, test = materials()
    nodes = [Mixed(kind) for kind in KINDS]
    states = [node.init(task, Rng(1)) for node in nodes]
    assert len({node.student(state) for node, state in zip(nodes, states, strict=True)}) == 1
    for rnd in range(2):
        states = [
            node.train(state, shard, Budget(3), Rng(place).split(rnd))
            for place, (node, state, shard) in enumerate(zip(nodes, states, shards, strict=True))
        ]
        heard = [
            Contribution(f"0x{place}", node.share(state, task, RoundId(rnd)))
            for place, (node, state) in enumerate(zip(nodes, states, strict=True))
        ]
        assert len({said.payload.classes for said in heard}) == len(KINDS)
        states = [node.absorb(state, heard, RoundId(rnd), Rng(9)) for node, state in zip(nodes, states, strict=True)]
    assert len({node.student(state) for node, state in zip(nodes, states, strict=True)}) == 1
    found = [node.evaluate(state, test) for node, state in zip(nodes, states, strict=True)]
    assert len({metrics["student_accuracy"] for metrics in found}) == 1
    assert all(metrics["accuracy"] == metrics["own_accuracy"] > 0.3 for metrics in found)
    for node, state in zip(nodes, states, strict=True):
        again = node.load(node.dump(state), task)
        assert again.learner == state.learner
        assert node.dump(again) == node.dump(state)


def test_alone_is_told_of_the_nodes_own_learner():
    task, shards, test = materials()
    reached = {kind: Mixed(kind).alone(task, shards[0], test, Rng(1)) for kind in ("linear8", "forest")}
    assert reached["linear8"] != reached["forest"]
    assert all(0.2 < accuracy < 1 for accuracy in reached.values())


@pytest.mark.parametrize(
    ("kind", "settings", "what"),
    [
        ("forrest", {}, "there is no net 'forrest'"),
        ("conv28", {}, "there is no net"),
        ("fast28", {}, "does not take samples"),
        ("forest", {"bits": 2}, "bits"),
    ],
)
def test_a_learner_that_cannot_be_is_told(kind, settings, what):
    task, _, _ = materials(**settings)
    with pytest.raises(PlanError, match=what):
        Mixed(kind).init(task, Rng(0))


def test_a_state_of_another_adapter_or_learner_is_refused():
    task, shards, _ = materials()
    adapter = Mixed("linear8")
    state = adapter.train(adapter.init(task, Rng(0)), shards[0], Budget(1), Rng(1))
    with pytest.raises(DecodeError, match="not a state of the adapter mixed"):
        adapter.load(Cfd().dump(Cfd().init(task, Rng(0))), task)
    strange = dataclasses.replace(state, learner="mlp8", grown=np.zeros(7210, dtype=np.float32))
    raw = adapter.dump(strange)
    assert adapter.load(raw, task).learner == "mlp8"
    with pytest.raises(DecodeError):
        adapter.load(raw.replace(b"mlp8", b"nope"), task)
