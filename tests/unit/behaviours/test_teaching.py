"""A neighbor that teaches wrong labels: from its second on, on its own samples, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from p2pfd_adapters.oppcl import OppCl

from p2pfd.behaviours import Scene, behaviour_class, check
from p2pfd.behaviours.payloads import Tampered
from p2pfd.core.events import Started
from p2pfd.core.ids import Account, Amount, TaskId
from p2pfd.core.rng import Rng
from p2pfd.core.spec import DataSpec, MoneySpec, PhaseSpec, TaskSpec
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Budget, Split, Task
from p2pfd.learning.data import deal, digest_of_set
from p2pfd.roles.encounter.work import Judged


def flipper(text: str) -> object:
    kind, argument = behaviour_class(text)
    return kind(Scene(TaskId(bytes(32)), Account("0x" + "11" * 20), 4, 10, Rng(1), Rng(2), argument))


def test_labels_are_flipped_from_the_second_that_was_named_on():
    one = flipper("flip-labels:30")
    shard = Split(np.zeros((3, 64), dtype=np.float32), np.array([0, 4, 9], dtype=np.int64))
    assert one.teaches(shard) is shard  # type: ignore[attr-defined]
    for second, flipped in ((29, False), (30, True)):
        [seen] = one.hears(Tick(second * SECOND), Started())  # type: ignore[attr-defined]
        assert seen == Started()
        taught = one.teaches(shard)  # type: ignore[attr-defined]
        assert taught.y.tolist() == ([1, 5, 0] if flipped else [0, 4, 9])
        assert (taught.x == shard.x).all()
    assert flipper("flip-labels").teaches(shard).y.tolist() == [1, 5, 0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["flip-labels:soon", "flip-labels:-1", "flip-labels:1.5", "flip-labels:99999999"])
def test_a_time_that_is_none_is_named(text: str):
    with pytest.raises(PlanError, match="is no time"):
        check(text, 10)


def test_what_it_delivers_does_harm_and_what_it_learns_does_not():
    none = Amount(0)
    spec = TaskSpec(
        name="teaching",
        data=DataSpec("digits", digest_of_set("digits"), 10, "iid", 1, 20, 177, 300),
        adapter="oppcl",
        settings={"goal": "all", "epochs": 5},
        aggregator="serum",
        codecs=(),
        rounds=1,
        seats=4,
        quorum=1,
        phases=PhaseSpec(1, 1, 1),
        money=MoneySpec(none, none, none, none),
    )
    dealt = deal(spec.data, 4)
    task, budget, honest = Task(spec, dealt.public), Budget(5), OppCl()
    tampered = Tampered(honest, flipper("flip-labels"))  # type: ignore[arg-type]
    learnt = honest.train(honest.init(task, Rng(1)), dealt.shards[0], budget, Rng(2))
    again = tampered.train(tampered.init(task, Rng(1)), dealt.shards[0], budget, Rng(2))
    assert (again.weights == learnt.weights).all()
    assert not tampered.altered
    asked = honest.request(learnt, task)
    for adapter, good in ((honest, True), (tampered, False)):
        answer = adapter.serve(learnt, asked, dealt.shards[1], budget, Rng(3))
        assert honest.judge(learnt, asked, answer, dealt.validation, 0.1).good is good
    assert tampered.altered


def test_who_lies_as_a_validator_too_turns_its_findings_round_from_its_second_on():
    one = flipper("flip-all:30")
    found = Judged(True, {"before": 1, "after": 2})
    assert one.alters(found) == found  # type: ignore[attr-defined]
    list(one.hears(Tick(30 * SECOND), Started()))  # type: ignore[attr-defined]
    assert one.alters(found) == Judged(False, found.figures)  # type: ignore[attr-defined]
    assert one.alters(Judged(None)) == Judged(None)  # type: ignore[attr-defined]
    shard = Split(np.zeros((1, 64), dtype=np.float32), np.array([3], dtype=np.int64))
    assert one.teaches(shard).y.tolist() == [4]  # type: ignore[attr-defined]
