"""Mentor and mentee: what each learns from the other, and what travels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from p2pfd_adapters._mutual import Pupil, descend_both
from p2pfd_adapters._records import NetState
from p2pfd_adapters.fedkd import FedKd, codec_of
from p2pfd_adapters.gossip import Gossip

from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Budget, Contribution, Split, Task
from p2pfd.learning.data import deal
from p2pfd.learning.local import local_fit, log_shares
from p2pfd.learning.models import model_of
from p2pfd.learning.rehearsal import rehearse
from tests.unit.learning.tasks import digits_task

FIT = local_fit({"batch": 32}, 2)


def shard() -> Split:
    one = deal(digits_task().data, 3).shards[0]
    return Split(one.x[:200], one.y[:200])


def pupils() -> tuple[Pupil, Pupil]:
    mentor, mentee = model_of("mlp8", 10), model_of("tiny8", 10)
    return Pupil(mentor, mentor.init(Rng(1))), Pupil(mentee, mentee.init(Rng(2)))


def test_without_teaching_each_descends_as_if_alone() -> None:
    mentor, mentee = pupils()
    bias = log_shares({}, shard(), 10)
    got = descend_both(mentor, mentee, shard(), FIT, Rng(3), bias=bias, replay=None, teach=0)
    alone = mentor.model.fit(mentor.weights, shard().x, shard().y, FIT, Rng(3), bias=bias)
    assert np.allclose(got[0], alone, atol=1e-5)
    small = mentee.model.fit(mentee.weights, shard().x, shard().y, FIT, Rng(3), bias=bias)
    assert np.allclose(got[1], small, atol=1e-5)


def test_teaching_brings_the_two_together() -> None:
    def apart(teach: float) -> float:
        mentor, mentee = pupils()
        big, small = descend_both(mentor, mentee, shard(), FIT, Rng(3), bias=None, replay=None, teach=teach)
        x = shard().x
        return float(np.abs(mentor.model.logits(big, x) - mentee.model.logits(small, x)).mean())

    assert apart(2) < 0.8 * apart(0)


@pytest.mark.long
def test_what_the_mentees_agree_on_reaches_mentors_that_never_saw_it() -> None:
    """Two nodes with five classes each; a mentor's shard says nothing of the other five."""
    spec = digits_task(public=200)
    data, probe = deal(spec.data, 1).shards[0], deal(spec.data, 1).validation
    data = Split(data.x[:500], data.y[:500])
    halves = [Split(data.x[data.y // 5 == half], data.y[data.y // 5 == half]) for half in (0, 1)]
    found = {}
    for replay in ("0", "1"):
        settings = {"replay": replay, "distil_epochs": 10 * int(replay)}
        task = Task(digits_task(public=200, **settings), deal(spec.data, 1).public)
        states = [FedKd().init(task, Rng(1))] * 2
        for rnd in map(RoundId, range(4)):
            states = [
                FedKd().train(state, half, Budget(6), Rng(rnd).split(place))
                for place, (state, half) in enumerate(zip(states, halves, strict=True))
            ]
            heard = [Contribution(f"{n}", FedKd().share(state, task, rnd)) for n, state in enumerate(states)]
            states = [FedKd().absorb(state, heard, rnd, Rng(1)) for state in states]
        states = [FedKd().train(state, half, Budget(6), Rng(9)) for state, half in zip(states, halves, strict=True)]
        found[replay] = np.mean([FedKd().evaluate(state, probe)["accuracy"] for state in states])
    assert found["0"] < 0.6
    assert found["1"] > found["0"] + 0.15


def test_who_answers_is_a_setting() -> None:
    spec = digits_task(public=40)
    dealt = deal(spec.data, 3)
    task = Task(spec, dealt.public)
    state = FedKd().train(FedKd().init(task, Rng(1)), dealt.shards[0], Budget(2), Rng(2))
    mentee = model_of("tiny8", 10)
    logits = [
        state.model.logits(state.weights, dealt.validation.x),
        mentee.logits(state.extra["mentee"], dealt.validation.x),
    ]
    shares = [np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in logits]
    seen = {"mentor": shares[0], "mentee": shares[1], "both": shares[0] + shares[1]}
    wanted = {who: float(np.mean(one.argmax(axis=1) == dealt.validation.y)) for who, one in seen.items()}
    assert len(set(wanted.values())) == 3, "or it would make no difference here"
    for who, right in wanted.items():
        told = FedKd().evaluate(replace(state, settings={**state.settings, "answer": who}), dealt.validation)
        assert told == {
            "accuracy": right,
            "mentor_accuracy": wanted["mentor"],
            "mentee_accuracy": wanted["mentee"],
        }
    assert FedKd().evaluate(state, dealt.validation)["accuracy"] == wanted["mentor"]


def test_mentors_can_learn_right_after_hearing_and_nothing_be_gone_over() -> None:
    """Then a descent on the shard is as if there were no public samples."""
    dealt = deal(digits_task(public=40).data, 3)

    def after(**settings: str | int) -> tuple[NetState, NetState]:
        task = Task(digits_task(public=40, **settings), dealt.public)
        first = FedKd().init(task, Rng(1))
        heard = [Contribution("a", FedKd().share(first, task, RoundId(0)))]
        told = FedKd().absorb(first, heard, RoundId(0), Rng(1))
        return told, FedKd().train(replace(told, weights=first.weights), dealt.shards[0], Budget(1), Rng(2))

    (untaught, plain), (taught, same) = after(replay="0", distil_epochs=0), after(replay="0", distil_epochs=2)
    assert "public" not in untaught.extra
    assert not np.array_equal(untaught.weights, taught.weights)
    assert np.array_equal(plain.weights, same.weights)


def test_mentees_cost_a_tenth_of_mentors() -> None:
    spec = digits_task(rounds=2, seats=3, epochs=1)
    small = rehearse(FedKd(), spec, 1, Rng(1), codec=codec_of(spec))
    large = rehearse(Gossip(), spec, 1, Rng(1), codec="raw")
    assert small.traffic is not None
    assert large.traffic is not None
    assert sum(small.traffic.sent) < 0.1 * sum(large.traffic.sent)
    assert small.traffic.heard[0] == small.traffic.sent[1] + small.traffic.sent[2]


def test_the_codec_keeps_more_energy_later() -> None:
    assert codec_of(digits_task(rounds=13)) == "delta+svd:0.95:0.98:12+int8"
    assert codec_of(digits_task(rounds=1, energy_first="0.9")) == "delta+svd:0.9:0.98:1+int8"
    with pytest.raises(PlanError, match=r"settings\.energy_last is '2'"):
        codec_of(digits_task(energy_last="2"))


def test_states_with_other_arrays_are_refused() -> None:
    spec = digits_task(public=40)
    task = Task(spec, deal(spec.data, 1).public)
    start = FedKd().init(task, Rng(1))
    for change in (
        {"mentee": np.zeros(3, np.float32)},
        {"shares": np.zeros((40, 9), np.float32)},
        {"more": np.zeros(3, np.float32)},
    ):
        raw = FedKd().dump(NetState(10, start.settings, start.weights, 0, {**start.extra, **change}))
        with pytest.raises(DecodeError):
            FedKd().load(raw, task)
