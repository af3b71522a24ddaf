"""`check_adapter`: what every `LearningAdapter` has to do. Run it on yours:

    def test_my_adapter():
        check_adapter(MyAdapter, some_task, some_shards)

where the task is small, since a round is computed several times, and there are at least two shards. An adapter that
also has ``student``, ``adopt`` and ``parameters`` is held to what `ConsensusAdapter` promises, and one that has
``request`` to what `EncounterAdapter` does. AssertionError names what was not kept.

PYTEST_DONT_REWRITE: what was not kept is said in words; a diff of two states would take minutes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError
from p2pfd.learning.adapter import (
    Budget,
    Contribution,
    EncounterAdapter,
    Labels,
    LearningAdapter,
    Payload,
    Split,
    Task,
    Tensors,
)
from p2pfd.testing.codec import same
from p2pfd.testing.encounter import broken_payloads, check_encounters

Factory = Callable[[], LearningAdapter[Any]]

_ROUNDS = 2
_GROWTH = 64
_BUDGET = Budget(epochs=1)


@dataclass(frozen=True)
class Law:
    """One thing that an adapter has to do; `check` raises an AssertionError that says what was not kept."""

    name: str
    check: Callable[[], None]


def check_adapter(factory: Factory, task: Task, shards: Sequence[Split]) -> None:
    """Hold an adapter to the laws of its interface."""
    for law in laws(factory, task, shards):
        law.check()


def laws(factory: Factory, task: Task, shards: Sequence[Split]) -> tuple[Law, ...]:
    """What this adapter has to do, law by law."""
    assert len(shards) >= 2, "the kit needs two shards or more"
    adapter, shard = factory(), shards[0]
    found = [
        Law("has a name", lambda: _check_name(adapter)),
        Law("begins alike from the same rng, and otherwise from another", lambda: _check_beginnings(factory, task)),
        Law("plays the same rounds twice alike", lambda: _check_determinism(factory, task, shards)),
        Law("changes nothing that it is given", lambda: _check_inputs_untouched(factory(), task, shard)),
        Law("shares what the others can read", lambda: _check_shares(adapter, task, shards)),
        Law("evaluates between 0 and 1", lambda: _check_metrics(adapter, _trained(adapter, task, shards), shard)),
        Law("goes on without some or all of the others", lambda: _check_order(adapter, task, shards)),
        Law(
            "dumps, loads, and goes on as if nothing had been",
            lambda: _check_dumps(adapter, factory(), _trained(adapter, task, shards), task, shard),
        ),
        Law(
            "refuses damaged states",
            lambda: _check_garbage(adapter, task, adapter.dump(_trained(adapter, task, shards))),
        ),
        Law("takes shards of no, one and three samples", lambda: _check_small_shards(adapter, task, shard)),
        Law("keeps to its budget", lambda: _check_budget(adapter, task, shard)),
        Law("is unmoved by broken contributions", lambda: _check_bad_peers(adapter, task, shards)),
        Law("does not grow from round to round", lambda: _check_growth(adapter, task, shards)),
    ]
    if hasattr(adapter, "student"):
        found.append(Law("has one student on all nodes", lambda: _check_consensus(adapter, task, shards)))
    if hasattr(adapter, "request"):
        found.append(
            Law(
                "keeps to the steps of an encounter",
                lambda: check_encounters(cast("EncounterAdapter[Any]", adapter), task, shards),
            )
        )
    return tuple(found)


def _check_name(adapter: LearningAdapter[Any]) -> None:
    assert isinstance(adapter.name, str), "name is text"
    assert adapter.name, "name is not empty"


def _check_determinism(factory: Factory, task: Task, shards: Sequence[Split]) -> None:
    first, second = _play(factory, task, shards), _play(factory, task, shards)
    assert first == second, "the same rounds twice, in two instances, end in different states"


def _check_shares(adapter: LearningAdapter[Any], task: Task, shards: Sequence[Split]) -> None:
    _check_payload(adapter.share(_trained(adapter, task, shards), task, RoundId(0)), task)


def _check_beginnings(factory: Factory, task: Task) -> None:
    one, other = factory(), factory()
    same = one.dump(one.init(task, Rng(1))), other.dump(other.init(task, Rng(1)))
    assert same[0] == same[1], "nodes with equal rng do not start equal"
    assert one.dump(one.init(task, Rng(2))) != same[0], "init does not use its rng"


def _trained(adapter: LearningAdapter[Any], task: Task, shards: Sequence[Split], place: int = 0) -> Any:
    start = adapter.init(task, Rng(1))
    return adapter.train(start, shards[place], _BUDGET, Rng(2).split(place))


def _heard(adapter: LearningAdapter[Any], states: Sequence[Any], task: Task, rnd: RoundId) -> list[Contribution]:
    return [Contribution(f"{place:03}", adapter.share(state, task, rnd)) for place, state in enumerate(states)]


def _play(factory: Factory, task: Task, shards: Sequence[Split]) -> list[bytes]:
    """Some rounds of all shards; what their states are in the end."""
    adapter = factory()
    states = [adapter.init(task, Rng(1)) for _ in shards]
    for number in range(_ROUNDS):
        rnd = RoundId(number)
        states = [
            adapter.train(state, shard, _BUDGET, Rng(2).split(number, place))
            for place, (state, shard) in enumerate(zip(states, shards, strict=True))
        ]
        heard = _heard(adapter, states, task, rnd)
        states = [adapter.absorb(state, heard, rnd, Rng(3).split(number)) for state in states]
    return [adapter.dump(state) for state in states]


def _check_inputs_untouched(adapter: LearningAdapter[Any], task: Task, shard: Split) -> None:
    x, y, public = shard.x.copy(), shard.y.copy(), task.public.copy()
    start = adapter.init(task, Rng(1))
    before = adapter.dump(start)
    state = adapter.train(start, shard, _BUDGET, Rng(2))
    assert adapter.dump(start) == before, "train changed the state that it was given"
    middle = adapter.dump(state)
    heard = _heard(adapter, [state], task, RoundId(0))
    adapter.absorb(state, heard, RoundId(0), Rng(3))
    adapter.evaluate(state, shard)
    assert adapter.dump(state) == middle, "share, absorb or evaluate changed the state that it was given"
    intact = np.array_equal(x, shard.x) and np.array_equal(y, shard.y) and np.array_equal(public, task.public)
    assert intact, "the samples were changed"


def _check_payload(payload: Payload, task: Task) -> None:
    if isinstance(payload, Labels):
        assert len(payload.classes) == len(task.public), "share gives not one label per public sample"
        assert max(payload.classes) < task.spec.data.classes, "share names a class that there is not"
    else:
        assert isinstance(payload, Tensors), f"share gives {type(payload).__name__}, neither Labels nor Tensors"
        assert list(payload.arrays) == sorted(payload.arrays), "tensors stand in the order of their names"


def _check_metrics(adapter: LearningAdapter[Any], state: Any, split: Split) -> None:
    metrics = adapter.evaluate(state, split)
    assert "accuracy" in metrics, "evaluate gives no accuracy"
    assert 0 <= metrics["accuracy"] <= 1, "accuracy does not lie between 0 and 1"
    assert metrics == adapter.evaluate(state, split), "evaluate twice gives two answers"
    nothing = adapter.evaluate(state, Split(split.x[:0], split.y[:0]))
    assert 0 <= nothing["accuracy"] <= 1, "accuracy on no samples does not lie between 0 and 1"


def _check_order(adapter: LearningAdapter[Any], task: Task, shards: Sequence[Split]) -> None:
    states = [_trained(adapter, task, shards, place) for place in range(len(shards))]
    heard = _heard(adapter, states, task, RoundId(0))
    once = adapter.dump(adapter.absorb(states[0], heard, RoundId(0), Rng(3)))
    again = adapter.dump(adapter.absorb(states[0], heard, RoundId(0), Rng(3)))
    assert once == again, "absorb of the same contributions gives two answers"
    adapter.absorb(states[0], heard[:1], RoundId(0), Rng(3))
    nothing = adapter.absorb(states[0], [], RoundId(0), Rng(3))
    assert 0 <= adapter.evaluate(nothing, shards[0])["accuracy"] <= 1, "a node that heard nothing cannot go on"


def _check_dumps(
    adapter: LearningAdapter[Any], fresh: LearningAdapter[Any], state: Any, task: Task, shard: Split
) -> None:
    """``fresh`` has done nothing yet: whatever an adapter keeps outside its states shows here."""
    raw = adapter.dump(state)
    assert isinstance(raw, bytes), "dump gives no bytes"
    back = fresh.load(raw, task)
    assert fresh.dump(back) == raw, "load and dump do not give the same bytes"
    went_on = adapter.dump(adapter.train(state, shard, _BUDGET, Rng(4)))
    assert fresh.dump(fresh.train(back, shard, _BUDGET, Rng(4))) == went_on, "a loaded state learns otherwise"
    told = fresh.share(back, task, RoundId(1)), adapter.share(state, task, RoundId(1))
    assert same(*told), "a loaded state shares something else"


def _check_garbage(adapter: LearningAdapter[Any], task: Task, raw: bytes) -> None:
    rng = Rng(5)
    damaged = [b"", b"\0", b"\x80", b"\xc1" * 40, rng.bytes(200), raw[:-1], raw + b"\0", raw[: len(raw) // 2], raw[1:]]
    # The head of a dump is where its structure is: one bit of each of its first bytes is turned round.
    damaged += [raw[:cut] + bytes([raw[cut] ^ 1 << rng.below(8)]) + raw[cut + 1 :] for cut in range(1, 40)]
    for garbage in damaged:
        try:
            state = adapter.load(garbage, task)
        except DecodeError:
            continue
        except Exception as error:
            raise AssertionError(f"load answers garbage with {type(error).__name__}, not DecodeError") from error
        assert adapter.dump(state) == garbage, "load took bytes that dump does not write"


def _check_small_shards(adapter: LearningAdapter[Any], task: Task, shard: Split) -> None:
    """Shards of nothing, of little, and of one class; and a node that hears nobody but itself."""
    one_class = np.flatnonzero(shard.y == shard.y[0])
    for places in (np.arange(0), np.arange(1), np.arange(3), one_class):
        state = adapter.train(adapter.init(task, Rng(1)), Split(shard.x[places], shard.y[places]), _BUDGET, Rng(2))
        _check_payload(adapter.share(state, task, RoundId(0)), task)
        state = adapter.absorb(state, _heard(adapter, [state], task, RoundId(0)), RoundId(0), Rng(3))
        _check_metrics(adapter, adapter.train(state, shard, _BUDGET, Rng(4)), shard)


def _check_budget(adapter: LearningAdapter[Any], task: Task, shard: Split) -> None:
    start = adapter.init(task, Rng(1))
    spent = [adapter.dump(adapter.train(start, shard, Budget(epochs), Rng(2))) for epochs in (1, 2)]
    assert spent[0] != spent[1], "a budget of two epochs is spent like one of one"


def _check_bad_peers(adapter: LearningAdapter[Any], task: Task, shards: Sequence[Split]) -> None:
    """What is broken counts for nothing, nor does a sender's second word; who is late is merely behind."""
    states = [_trained(adapter, task, shards, place) for place in range(len(shards))]
    heard = _heard(adapter, states, task, RoundId(0))
    wanted = adapter.dump(adapter.absorb(states[0], heard, RoundId(0), Rng(3)))
    broken = broken_payloads(heard[0].payload)
    junk = [Contribution(f"{place:03} broken", payload) for place, payload in enumerate(broken)]
    second = Contribution(heard[0].sender, heard[1].payload)
    for extra in ([*heard, *junk, second], [*junk, *heard]):
        got = adapter.dump(adapter.absorb(states[0], extra, RoundId(0), Rng(3)))
        assert got == wanted, "broken contributions, or a second one of a sender, change what is learned"
    adapter.absorb(states[0], junk, RoundId(0), Rng(3))
    ahead = adapter.absorb(states[0], heard, RoundId(0), Rng(3))
    late = [Contribution("late", adapter.share(adapter.init(task, Rng(1)), task, RoundId(0))), *heard[1:]]
    _check_metrics(adapter, adapter.absorb(ahead, late, RoundId(1), Rng(3)), shards[0])


def _check_growth(adapter: LearningAdapter[Any], task: Task, shards: Sequence[Split]) -> None:
    """What a node keeps does not grow with the rounds."""
    states = [adapter.init(task, Rng(1)) for _ in shards]
    few = Split(shards[0].x[:8], shards[0].y[:8])
    sizes = []
    for number in range(8):
        states = [adapter.train(state, few, _BUDGET, Rng(2).split(number)) for state in states]
        heard = _heard(adapter, states, task, RoundId(number))
        states = [adapter.absorb(state, heard, RoundId(number), Rng(3)) for state in states]
        sizes.append(len(adapter.dump(states[0])))
    assert max(sizes[4:]) <= max(sizes[:4]) + _GROWTH, f"a state grows from round to round: {sizes}"


def _check_consensus(adapter: Any, task: Task, shards: Sequence[Split]) -> None:
    states = [_trained(adapter, task, shards, place) for place in range(len(shards))]
    heard = _heard(adapter, states, task, RoundId(0))
    states = [adapter.absorb(state, heard, RoundId(0), Rng(3)) for state in states]
    students = {hashlib.sha256(adapter.student(state)).digest() for state in states}
    assert len(students) == 1, "nodes that absorbed the same contributions have different students"
    late = adapter.adopt(adapter.init(task, Rng(1)), adapter.student(states[0]))
    assert adapter.student(late) == adapter.student(states[0]), "a node that adopts a student has another one"
    assert adapter.parameters(states[0]) > 0, "a student has parameters"
    student = adapter.student(states[0])
    for garbage in (b"", student[:-1], student + b"\0", b"\xff" * len(student)):
        try:
            adapter.adopt(states[0], garbage)
        except DecodeError:
            continue
        raise AssertionError("adopt takes bytes that are no student")
