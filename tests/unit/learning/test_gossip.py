"""Gossip and federated averaging: what a merge is, and what an encounter leaves behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from p2pfd_adapters._merge import believed, merge, same_variance
from p2pfd_adapters._records import NetState
from p2pfd_adapters.fedavg import FedAvg
from p2pfd_adapters.gossip import Gossip
from p2pfd_adapters.local import Local

from p2pfd.core.canonical import decode, encode
from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.core.spec import Setting
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Budget, Contribution, Split, Task, Tensors
from p2pfd.learning.data import deal
from p2pfd.learning.models import model_of
from p2pfd.learning.rehearsal import rehearse
from p2pfd.learning.topology import topology_of
from tests.unit.learning.tasks import digits_task

ROWS = [np.array(row, dtype=np.float32) for row in ([0, 0], [2, 4], [4, 20])]


def beginning(adapter: Gossip | FedAvg, **settings: Setting) -> tuple[Task, NetState, tuple[Split, ...], Split]:
    spec = digits_task(public=64, **{"epochs": 2, **settings})
    dealt = deal(spec.data, 3)
    task = Task(spec, dealt.public)
    return task, adapter.init(task, Rng(1)), dealt.shards, dealt.validation


@pytest.mark.parametrize(
    ("rule", "ages", "limit", "wanted"),
    [
        ("mean", [9, 0, 0], 0, [2, 8]),
        ("age", [0, 0, 1], 0, [2.5, 11]),
        ("age", [0, 0, 0], 0, [2, 8]),
        ("limited", [10, 9, 0], 5, [20 / 21, 40 / 21]),
        ("limited", [10, 0, 0], 5, [0, 0]),
        ("median", [0, 0, 0], 0, [2, 4]),
    ],
)
def test_merges(rule: str, ages: list[int], limit: int, wanted: list[float]) -> None:
    assert merge(rule, ROWS, ages, limit).tolist() == pytest.approx(wanted)


def test_ages_are_believed_up_to_ten_times_the_median() -> None:
    assert believed([5, 6, 7]) == [5, 6, 7]
    assert believed([5, 6, 2**53]) == [5, 6, 70]
    assert believed([0, 2**53]) == [0, 10]
    assert believed([900, 0, 1000, 800]) == [900, 0, 1000, 800]


def test_a_mean_gets_its_variance_back() -> None:
    model = model_of("mlp8", 10)
    rows = [model.init(Rng(seed)) for seed in range(10)]
    mean = merge("mean", rows, [0] * 10, 0)
    before, after = model.named(mean)["1.weight"].var(), model.named(same_variance(model, mean, rows))["1.weight"].var()
    wanted = np.mean([model.named(row)["1.weight"].var() for row in rows])
    assert before < 0.2 * wanted
    assert after == pytest.approx(wanted, rel=1e-3)
    assert np.array_equal(same_variance(model, 0 * mean, rows), 0 * mean)


def test_fedavg_is_the_mean_by_samples_and_the_same_everywhere() -> None:
    adapter = FedAvg()
    task, start, shards, _ = beginning(adapter)
    sizes = [30, 60, 10]
    states = [
        adapter.train(start, Split(shard.x[:size], shard.y[:size]), Budget(1), Rng(place))
        for place, (shard, size) in enumerate(zip(shards, sizes, strict=True))
    ]
    heard = [Contribution(f"{place}", adapter.share(state, task, RoundId(0))) for place, state in enumerate(states)]
    after = [adapter.absorb(state, heard, RoundId(0), Rng(9)) for state in states]
    wanted = np.average([state.weights.astype(np.float64) for state in states], axis=0, weights=sizes)
    assert np.allclose(after[0].weights, wanted, atol=1e-7)
    assert len({adapter.student(state) for state in after}) == 1
    late = adapter.adopt(start, adapter.student(after[0]))
    assert np.array_equal(late.weights, after[0].weights)


def test_who_claims_many_samples_counts_for_ten_at_most() -> None:
    adapter = FedAvg()
    _, start, _, _ = beginning(adapter)
    model = start.model
    one = Tensors(model.named(np.zeros_like(start.weights)), 100)
    boaster = Tensors(model.named(np.ones_like(start.weights)), 10**9)
    heard = [Contribution(f"{place}", one) for place in range(10)] + [Contribution("boaster", boaster)]
    got = adapter.absorb(start, heard, RoundId(0), Rng(1))
    assert got.weights == pytest.approx(0.5)
    nobody = [Contribution(f"{place}", replace(one.payload, age=0)) for place, one in enumerate(heard[-2:])]
    assert adapter.absorb(start, nobody, RoundId(0), Rng(1)).weights == pytest.approx(0.5)
    assert adapter.parameters(start) == len(start.weights)


def test_local_learns_and_tells_nothing() -> None:
    spec = digits_task(rounds=2, seats=3, epochs=3)
    mesh = rehearse(Local(), spec, 3, Rng(1), codec="raw")
    assert mesh.traffic is not None
    assert max(mesh.traffic.sent) < 60
    assert all(Local().evaluate(state, mesh.dealt.test)["accuracy"] > 0.4 for state in mesh.states)


@pytest.mark.long
def test_gossip_over_a_ring_beats_learning_alone() -> None:
    spec = digits_task(rounds=6, seats=6, epochs=3, public=128)
    graph = topology_of("ring", 6, Rng(1))
    meshes = [rehearse(adapter, spec, 3, Rng(1), topology=graph) for adapter in (Gossip(), Local())]
    gossip, alone = (
        np.mean([adapter.evaluate(state, mesh.dealt.test)["accuracy"] for state in mesh.states])
        for adapter, mesh in zip((Gossip(), Local()), meshes, strict=True)
    )
    assert gossip > alone + 0.05


def test_an_encounter_makes_the_learner_better() -> None:
    adapter = Gossip()
    task, start, shards, probe = beginning(adapter)
    learner = adapter.train(start, shards[0], Budget(1), Rng(1))
    neighbor = adapter.train(start, shards[1], Budget(4), Rng(2))
    before = adapter.request(learner, task)
    after = adapter.serve(neighbor, before, shards[1], Budget(4), Rng(3))
    found = adapter.judge(start, before, after, probe, 0.0)
    assert found.good
    assert found.after > found.before
    taught = adapter.accept(learner, after)
    assert adapter.evaluate(taught, probe)["accuracy"] == found.after
    assert taught.age == after.age > learner.age
    assert not adapter.judge(start, after, before, probe, 0.0).good
    assert adapter.judge(start, after, before, probe, found.after - found.before + 1e-9).good


def test_shares_of_public_samples_are_kept_only_where_they_are_replayed() -> None:
    for settings, names in (
        ({}, {"public", "shares"}),
        ({"replay": "0"}, set()),
        ({"replay": "0", "distil_epochs": 1}, {"public", "shares"}),
    ):
        adapter = Gossip()
        task, start, _, _ = beginning(adapter, **settings)
        heard = [Contribution("a", adapter.share(start, task, RoundId(0)))]
        state = adapter.absorb(start, heard, RoundId(0), Rng(1))
        assert set(state.extra) == names
        assert set(adapter.load(adapter.dump(state), task).extra) == names


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kind": "gossip-0"}, "not a state"),
        ({"classes": 1}, "number of classes"),
        ({"classes": 9}, "a task with 9 classes"),
        ({"age": -1}, "age is none"),
        ({"settings": 3}, "without settings"),
        ({"settings": {"epochs": None}}, "neither number nor text"),
        ({"settings": {"merge": "best"}}, "not legal"),
        ({"weights": b"123"}, "bytes of weights"),
        ({"weights": 3}, "without weights"),
        ({"extra": {}}, "other arrays"),
        ({"extra": {"more": [[1], bytes(4)]}}, "other arrays"),
        ({"extra": []}, "no names"),
        ({"extra": {"public": [[2], b"12345678"]}}, "public samples of its own"),
        ({"extra": {"public": None, "shares": [[2, 1], b"1234"]}}, "another size"),
        ({"extra": {"public": None, "shares": [[1, 1], b"\xff\xff\xff\xff"]}}, "not all finite"),
        ({"extra": {"public": None, "shares": None}}, "is no array"),
        ({"extra": {"public": None, "shares": [[1, 9], bytes(36)]}}, "not of its public samples"),
    ],
)
def test_damaged_states_are_refused(change: dict[str, object], complaint: str) -> None:
    adapter = Gossip()
    task, start, _, _ = beginning(adapter)
    value = decode(adapter.dump(start), limit=2**24)
    assert isinstance(value, dict)
    with pytest.raises(DecodeError, match=complaint):
        adapter.load(encode({**value, **change}), task)  # type: ignore[dict-item]


def test_settings_are_checked_by_name() -> None:
    for settings, complaint in (({"merge": "best"}, "settings.merge"), ({"gate": True}, "no 'gate'")):
        with pytest.raises(PlanError, match=complaint):
            beginning(Gossip(), **settings)
