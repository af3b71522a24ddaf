"""Encounters in which something is really learnt: the adapters on handwritten digits, judged on others' data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from p2pfd_adapters.gossip import Gossip
from p2pfd_adapters.oppcl import OppCl

from p2pfd.core.ids import Amount
from p2pfd.core.rng import Rng
from p2pfd.core.spec import DataSpec, MoneySpec, PhaseSpec, TaskSpec
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Budget, Split, Task
from p2pfd.learning.data import Deal, deal, digest_of_set
from p2pfd.roles.encounter.tutor import Tutor
from p2pfd.sim.encounter_bench import AdapterBench
from p2pfd.sim.encounter_world import Blobs
from p2pfd.sim.encounters import EncounterPlan, EncounterReport, simulate_encounters, with_habits
from p2pfd.sim.world import WorldPlan

NODES = 6
NOTHING = Amount(0)


def task_of(adapter: Any, codecs: tuple[str, ...] = (), **settings: str) -> tuple[Task, Deal]:
    spec = TaskSpec(
        name="encounters",
        data=DataSpec("digits", digest_of_set("digits"), 10, "dirichlet:0.5", 1, 40, 177, 300),
        adapter=adapter.name,
        settings=settings,
        aggregator="serum",
        codecs=codecs,
        rounds=2,
        seats=NODES,
        quorum=1,
        phases=PhaseSpec(1, 1, 1),
        money=MoneySpec(NOTHING, NOTHING, NOTHING, NOTHING),
    )
    dealt = deal(spec.data, NODES)
    return Task(spec, dealt.public), dealt


def tutor(adapter: Any, task: Task, dealt: Deal, node: int, rng: Rng) -> Tutor:
    return Tutor(adapter, task, dealt.shards[node], dealt.validation, Budget(2), rng, Rng(5))


def run(adapter: Any, encounters: int, liars: frozenset[int] = frozenset(), **settings: str) -> EncounterReport:
    task, dealt = task_of(adapter, **settings)

    def bench(node: int, rng: Rng, blobs: Blobs) -> AdapterBench:
        untrained = tutor(adapter, task, dealt, node, rng)
        none = np.zeros(0, dtype=np.int64)
        empty = Tutor(adapter, task, Split(dealt.shards[0].x[:0], none), dealt.validation, Budget(1), rng, Rng(9))
        lie = empty.serve(0, empty.ask(0)) if node in liars else b""
        return AdapterBench(node, untrained, dealt.test, blobs, lie)

    habits = with_habits(encounters=encounters, tolerance=50_000)
    return simulate_encounters(EncounterPlan(WorldPlan(nodes=NODES), habits), bench)


@pytest.mark.parametrize(("adapter", "settings"), [(Gossip(), {}), (OppCl(), {"goal": "all"})], ids=["gossip", "oppcl"])
def test_learners_learn_and_the_books_balance(adapter: Any, settings: dict[str, str]):
    report = run(adapter, 2, **settings)
    assert report.held == 0
    assert sum(report.earned) == 0
    assert report.ends["neighbor settled"] == 2 * NODES
    assert report.learnt == report.ends["learner accepted"] >= 2 * NODES - 4
    taught = [figures["accuracy"] for figures in report.figures if figures["taken"] == 2]
    assert len(taught) >= 2
    assert min(taught) > 500_000, "an untrained net is right in a tenth of the cases"


@pytest.mark.long
@pytest.mark.parametrize(("adapter", "settings"), [(Gossip(), {}), (OppCl(), {"goal": "all"})], ids=["gossip", "oppcl"])
def test_an_untrained_answer_is_voted_down(adapter: Any, settings: dict[str, str]):
    report = run(adapter, 3, frozenset({1}), **settings)
    assert report.held == 0
    assert report.ends["learner refused"] > 0
    assert report.earned[1] < 0


# -- the tutor ----------------------------------------------------------------------------------------------


def test_a_tutor_takes_nothing_that_is_not_of_the_task():
    adapter = Gossip()
    task, dealt = task_of(adapter)
    one, other, judge = (tutor(adapter, task, dealt, node, Rng(node)) for node in range(3))
    request = one.ask(1)
    one_size, other_size = one.most
    assert len(request) <= one_size
    other.weigh(request)
    answer = other.serve(1, request)
    assert len(answer) <= other_size
    assert other.serve(1, request) == answer, "the same encounter has the same answer after a restart"
    for wrong in (b"", b"\0", request[:-1], request + b"\0", bytes(len(request)), bytes(one_size + 1)):
        with pytest.raises(DecodeError):
            other.weigh(wrong)
        with pytest.raises(DecodeError):
            other.serve(2, wrong)
        with pytest.raises(DecodeError):
            one.take(1, wrong)
        assert judge.judge(request, wrong, 10_000).good is False
        assert judge.judge(wrong, answer, 10_000).good is None
    assert judge.judge(request, answer, 200_000).good is True


def test_an_answer_is_taken_once_even_after_a_restart():
    adapter = Gossip()
    task, dealt = task_of(adapter)
    one, other = (tutor(adapter, task, dealt, node, Rng(node)) for node in range(2))
    answer = other.serve(7, one.ask(7))
    first = one.take(7, answer)
    again = tutor(adapter, task, dealt, 0, Rng(0))
    again.load(one.dump())
    assert again.take(7, answer) == first
    assert again.dump() == one.dump()
    with pytest.raises(DecodeError):
        again.load(b"\xc0")


def test_codecs_make_models_smaller_and_those_that_remember_are_refused():
    adapter = Gossip()
    task, dealt = task_of(adapter)
    small, _ = task_of(adapter, ("fp16",))
    raw, half = (tutor(adapter, each, dealt, 0, Rng(0)).ask(1) for each in (task, small))
    assert len(half) < 0.6 * len(raw)
    delta, _ = task_of(adapter, ("delta", "fp16"))
    with pytest.raises(PlanError, match="remembers"):
        tutor(adapter, delta, dealt, 0, Rng(0))
