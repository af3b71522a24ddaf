"""A node's learning by encounters, with a model of one number: what it trains when, and what it remembers."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from p2pfd.core import canonical
from p2pfd.core.ids import Amount
from p2pfd.core.rng import Rng
from p2pfd.core.spec import DataSpec, MoneySpec, PhaseSpec, TaskSpec
from p2pfd.errors import DecodeError
from p2pfd.learning.adapter import Budget, Judgement, Split, Task, Tensors
from p2pfd.roles.encounter.tutor import Tutor

NOTHING = Amount(0)
SPEC = TaskSpec(
    name="one number",
    data=DataSpec("digits", bytes(32), 10, "iid", 1, 40, 177, 300),
    adapter="number",
    settings={},
    aggregator="serum",
    codecs=(),
    rounds=1,
    seats=2,
    quorum=1,
    phases=PhaseSpec(1, 1, 1),
    money=MoneySpec(NOTHING, NOTHING, NOTHING, NOTHING),
)
TASK = Task(SPEC, np.zeros((1, 1), dtype=np.float32))


def split(samples: int) -> Split:
    return Split(np.zeros((samples, 1), dtype=np.float32), np.zeros(samples, dtype=np.int64))


class Number:
    """Training adds the samples times the epochs; an answer is a hundred more than the request and the server's own."""

    name = "number"

    def init(self, task: Task, rng: Rng) -> float:
        return 0.0

    def train(self, state: float, shard: Split, budget: Budget, rng: Rng) -> float:
        return state + len(shard) * budget.epochs

    def request(self, state: float, task: Task) -> Tensors:
        return Tensors({"n": np.array([state], dtype=np.float32)})

    def serve(self, state: float, request: Tensors, shard: Split, budget: Budget, rng: Rng) -> Tensors:
        return Tensors({"n": request.arrays["n"] + np.float32(state + 100)})

    def judge(self, state: float, before: Tensors, after: Tensors, probe: Split, tolerance: float) -> Judgement:
        was, now = float(before.arrays["n"][0]) / 1_000, float(after.arrays["n"][0]) / 1_000
        return Judgement(now >= was - tolerance, was, now)

    def accept(self, state: float, after: Tensors) -> float:
        return float(after.arrays["n"][0])

    def evaluate(self, state: float, split: Split) -> dict[str, float]:
        return {"accuracy": state / 1_000}

    def dump(self, state: float) -> bytes:
        return struct.pack(">d", state)

    def load(self, raw: bytes, task: Task) -> float:
        return float(struct.unpack(">d", raw)[0])


def tutor(samples: int = 3) -> Tutor:
    adapter: Any = Number()
    return Tutor(adapter, TASK, split(samples), split(2), Budget(2), Rng(1), Rng(2))


def test_a_learner_trains_before_each_request_and_goes_on_from_the_answer() -> None:
    one, other = tutor(), tutor(5)
    assert one.state == 0.0
    request = one.ask(7)
    assert one.state == 6.0, "three samples, two epochs"
    answer = other.serve(7, request)
    assert other.state == 10.0, "who teaches has learnt something itself"
    other.serve(8, request)
    assert other.state == 10.0, "and that once"
    taken = one.take(7, answer)
    assert one.state == 6 + 10 + 100
    assert taken.figures == {"accuracy": 116_000}
    one.ask(8)
    assert one.state == 122.0
    one.serve(9, request)
    assert one.state == 122.0, "it has trained already"


def test_a_judge_finds_by_the_tolerance_in_millionths_and_tells_both_accuracies() -> None:
    judge, one, none = tutor(), tutor(), tutor(0)
    low, high = none.ask(0), one.ask(0)  # nought and six thousandths
    found = judge.judge(high, low, 6_000)
    assert found.good is True
    assert found.figures == {"before": 6_000, "after": 0}
    assert judge.judge(high, low, 5_999).good is False
    assert judge.judge(b"", low, 0).good is None, "without a request there is nothing to compare"
    assert judge.judge(high, b"", 10**6).good is False, "an answer that is none is worse than any"


def test_an_accuracy_without_samples_is_nothing() -> None:
    one = tutor()
    one.ask(0)
    assert (one.accuracy(split(1)), one.accuracy(split(0))) == (6_000, 0)


def test_of_two_hundred_and_fifty_six_encounters_no_answer_is_taken_twice() -> None:
    one = tutor()
    answer = tutor(5).serve(0, one.ask(0))
    for key in range(257):
        one.take(key, answer)
    assert one.taken == list(range(1, 257)), "the oldest is forgotten"
    one.state = 0.0
    one.take(1, answer)
    assert one.state == 0.0
    one.take(0, answer)
    assert one.state == 116.0


def test_what_is_kept_on_disk_is_the_state_and_whose_answers_are_in_it() -> None:
    one, again = tutor(), tutor()
    one.take(3, tutor(5).serve(3, one.ask(3)))
    again.load(one.dump())
    assert (again.state, again.taken, again.trained) == (116.0, [3], True)
    for wrong in (
        [one.dump(), []],
        [one.dump(), ["3"], True],
        [one.dump(), [3, "3"], True],
        [one.dump(), [True], True],
        ["text", [], True],
        [b"", [], 1],
    ):
        with pytest.raises(DecodeError, match="not the state"):
            tutor().load(canonical.encode(wrong))


def test_what_is_larger_than_a_model_of_the_task_is_not_read() -> None:
    one = tutor()
    request = one.ask(0)
    most, _ = one.most
    with pytest.raises(DecodeError, match=f"{most + 1} bytes, at most {most} are of this task"):
        one.weigh(request + bytes(most + 1 - len(request)))
    one.weigh(request)
