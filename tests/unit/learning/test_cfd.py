"""Federated distillation: one student for all, better than anyone alone, and hard to mislead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from p2pfd_adapters.cfd import Cfd, CfdState, replayed

from p2pfd.core.canonical import decode, encode
from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.core.spec import TaskSpec
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Budget, Contribution, Labels, Payload, SoftLabels, Split, Task, Tensors
from p2pfd.learning.baseline import accuracy_alone
from p2pfd.learning.codecs import harden, shares_of
from p2pfd.learning.data import deal
from p2pfd.learning.rehearsal import Rehearsal, rehearse
from tests.unit.learning.tasks import digits_task

LIMIT = 2**24


def run_mesh(spec: TaskSpec, *, liars: int = 0) -> Rehearsal[CfdState]:
    """Liars name the class after the one that they think right."""

    def tamper(place: int, payload: Payload) -> Payload:
        assert isinstance(payload, Labels)
        return Labels(bytes((label + 1) % 10 for label in payload.classes)) if place < liars else payload

    epochs = {**Cfd.defaults, **spec.settings}["epochs"]
    assert isinstance(epochs, int)
    return rehearse(Cfd(), spec, epochs, Rng(spec.data.seed), tamper)


def beginning(**settings: int | str | bool) -> tuple[Cfd, Task, CfdState, Split]:
    spec = digits_task(public=64, distil_epochs=1, **settings)
    dealt = deal(spec.data, 3)
    task = Task(spec, dealt.public)
    return Cfd(), task, Cfd().init(task, Rng(1)), dealt.shards[0]


def test_together_beats_alone_by_eight_points() -> None:
    spec = digits_task(rounds=3, seats=10)
    mesh = run_mesh(spec)
    test = mesh.dealt.test
    together = [Cfd().evaluate(state, test)["accuracy"] for state in mesh.states]
    alone = [accuracy_alone(mesh.task, shard, test, Rng(5)) for shard in mesh.dealt.shards]
    assert np.mean(together) > np.mean(alone) + 0.08
    assert len({Cfd().student(state) for state in mesh.states}) == 1


def test_two_liars_of_ten_change_little() -> None:
    spec = digits_task(rounds=3, seats=10)
    mesh = run_mesh(spec, liars=2)
    assert Cfd().evaluate(mesh.states[0], mesh.dealt.test)["accuracy"] > 0.8


@pytest.mark.parametrize("seats", [1, 2, 3, 5, 20])
def test_any_number_of_nodes(seats: int) -> None:
    mesh = run_mesh(digits_task(rounds=2, seats=seats, seed=seats + 50, epochs=2, distil_epochs=4))
    assert Cfd().evaluate(mesh.states[0], mesh.dealt.test)["accuracy"] > 0.4


def test_the_student_hangs_on_the_votes_and_not_on_who_counts_or_in_what_order() -> None:
    adapter, _, state, shard = beginning()
    votes = [Contribution(f"{n}", Labels(bytes(Rng(n).below(10) for _ in range(64)))) for n in range(5)]
    one = adapter.absorb(state, votes, RoundId(3), Rng(1))
    trained = adapter.train(state, shard, Budget(1), Rng(2))
    other = adapter.absorb(trained, votes[::-1], RoundId(3), Rng(9))
    assert adapter.student(one) == adapter.student(other)
    assert adapter.student(one) != adapter.student(adapter.absorb(state, votes, RoundId(4), Rng(1)))
    assert adapter.student(one) != adapter.student(adapter.absorb(state, votes[:4], RoundId(3), Rng(1)))


def test_a_node_may_go_over_some_of_the_public_samples_again_and_others_the_next_time() -> None:
    adapter, _, state, _ = beginning(net="linear8", replay_share="0.25")
    assert replayed(state, Rng(1)) is None, "nothing has been counted yet"
    votes = [Contribution(f"{n}", Labels(bytes(Rng(n).below(10) for _ in range(64)))) for n in range(5)]
    state = adapter.absorb(state, votes, RoundId(0), Rng(1))
    assert state.targets is not None
    known = {x.tobytes(): goal.tobytes() for x, goal in zip(state.public, state.targets, strict=True)}
    drawn = []
    for seed in (1, 2, 1):
        again = replayed(state, Rng(seed))
        assert again is not None
        drawn.append([x.tobytes() for x in again.x])
        assert len(set(drawn[-1])) == 16
        assert [known[x] for x in drawn[-1]] == [goal.tobytes() for goal in again.targets]
    assert drawn[0] == drawn[2] != drawn[1]
    everything = replayed(replace(state, settings={**state.settings, "replay_share": "1"}), Rng(1))
    assert everything is not None
    assert np.array_equal(everything.x, state.public)


def test_contributions_that_mean_nothing_do_not_count() -> None:
    adapter, _, state, _ = beginning()
    good = [Contribution("b", Labels(bytes(range(8)) * 8)), Contribution("c", Labels(bytes(64)))]
    bad = [
        Contribution("a", Labels(bytes(63))),
        Contribution("d", Labels(bytes([10]) * 64)),
        Contribution("e", Tensors({})),
        Contribution("b", Labels(bytes([9]) * 64)),
    ]
    assert adapter.dump(adapter.absorb(state, good + bad, RoundId(0), Rng(1))) == adapter.dump(
        adapter.absorb(state, good, RoundId(0), Rng(1))
    )
    assert adapter.absorb(state, bad[:3], RoundId(0), Rng(1)) is state


def test_soft_labels_of_several_bits_are_votes_too() -> None:
    adapter, task, state, shard = beginning(bits=4)
    told = adapter.share(adapter.train(state, shard, Budget(3), Rng(2)), task, RoundId(0))
    assert isinstance(told, SoftLabels)
    assert told.bits == 4
    after = adapter.absorb(state, [Contribution("a", told)], RoundId(0), Rng(1))
    assert after.targets is not None
    assert np.abs(after.targets - shares_of(told)).max() < 0.01  # of one voter, what it said
    other = replace(told, bits=5)
    coarse = harden(told)
    assert adapter.absorb(state, [Contribution("a", other), Contribution("b", coarse)], RoundId(0), Rng(1)) is state


def test_a_node_that_was_away_adopts_the_student_and_is_one_of_them_again() -> None:
    adapter, _, state, shard = beginning()
    votes = [Contribution(f"{n}", Labels(bytes(Rng(n).below(10) for _ in range(64)))) for n in range(5)]
    present = adapter.absorb(state, votes, RoundId(0), Rng(1))
    late = adapter.adopt(state, adapter.student(present))
    late = adapter.train(late, shard, Budget(1), Rng(2))
    after = [adapter.absorb(s, votes, RoundId(1), Rng(1)) for s in (present, late)]
    assert adapter.student(after[0]) == adapter.student(after[1])


def test_both_models_together_are_as_sure_as_the_surer_of_them() -> None:
    adapter, _, state, shard = beginning(net="linear8")
    assert len(set(adapter.evaluate(state, shard).values())) == 1, "before the first round there is but one model"
    sure = adapter.train(state, shard, Budget(8), Rng(2)).own
    meek = (-0.01 * sure).astype(np.float32)  # whatever the other says, and hardly louder than chance
    found = adapter.evaluate(replace(state, student=meek, own=sure), shard)
    assert found["accuracy"] < 0.5 < found["own_accuracy"]
    assert found["both_accuracy"] == found["own_accuracy"]


def test_a_shard_may_lack_classes_or_nearly_everything() -> None:
    adapter, task, state, shard = beginning()
    for keep in (shard.y == shard.y[0], np.arange(len(shard)) < 3, np.arange(len(shard)) < 0):
        part = Split(shard.x[keep], shard.y[keep])
        own = adapter.train(state, part, Budget(2), Rng(1))
        assert len(adapter.share(own, task, RoundId(0)).classes) == 64
        assert np.isfinite(own.own).all()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"rounds_": 3}, "settings has no 'rounds_'"),
        ({"net": "vgg"}, r"settings.net is 'vgg'.*conv8"),
        ({"epochs": 0}, "settings.epochs is 0: it must be a whole number from 1"),
        ({"epochs": True}, "settings.epochs is True"),
        ({"rate": "fast"}, "settings.rate is 'fast': it must be a decimal text"),
        ({"rate": "1e-2"}, "settings.rate"),
        ({"rate": 1}, "settings.rate is 1"),
        ({"replay": "11"}, "settings.replay is '11'"),
        ({"gate": 1}, "settings.gate is 1: it must be true or false"),
        ({"target": "soft"}, "settings.target is 'soft'"),
    ],
)  # fmt: skip
def test_settings_are_checked_by_name(settings: dict[str, int | str | bool], complaint: str) -> None:
    spec = digits_task(public=64)
    task = Task(spec, deal(spec.data, 1).public)
    with pytest.raises(PlanError, match=complaint):
        Cfd().init(Task(replace(spec, settings=settings), task.public), Rng(1))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kind": "cfd-0"}, "not a state"),
        ({"classes": 99}, "number of classes"),
        ({"settings": []}, "without settings"),
        ({"settings": {"epochs": b""}}, "neither number nor text"),
        ({"settings": {"epochs": 0}}, "not legal"),
        ({"seed": 3}, "seed is not bytes"),
        ({"classes": 9}, "a task with 9 classes"),
        ({"targets": b"\xff\xff\xff\xff" * 64 * 10}, "not all finite"),
        ({"targets": b"\0" * 4}, "targets have another size"),
        ({"student": b"\0" * 10}, "bytes of weights"),
        ({"more": 1}, "not a state"),
    ],
)
def test_damaged_states_are_refused(change: dict[str, object], complaint: str) -> None:
    adapter, task, state, _ = beginning()
    value = decode(adapter.dump(state), limit=LIMIT)
    assert isinstance(value, dict)
    with pytest.raises(DecodeError, match=complaint):
        adapter.load(encode({**value, **change}), task)  # type: ignore[dict-item]
