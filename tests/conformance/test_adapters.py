"""Every installed adapter keeps the promises of `p2pfd.learning.adapter`, and the kit notices one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from p2pfd_adapters._records import NetState
from p2pfd_adapters.cfd import Cfd, CfdState
from p2pfd_adapters.gossip import Gossip

from p2pfd import plugins
from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.core.spec import Setting
from p2pfd.errors import DecodeError
from p2pfd.learning.adapter import Budget, Contribution, Judgement, Labels, Payload, Split, Task, Tensors
from p2pfd.learning.data import deal
from p2pfd.testing.adapter import check_adapter
from tests.unit.learning.tasks import digits_task


def materials(**settings: Setting) -> tuple[Task, tuple[Split, ...]]:
    spec = digits_task(public=40, **(settings or {"distil_epochs": 2}))
    dealt = deal(spec.data, 3)
    return Task(spec, dealt.public), tuple(Split(shard.x[:150], shard.y[:150]) for shard in dealt.shards)


@pytest.mark.parametrize("name", plugins.names("p2pfd.adapters"))
def test_installed_adapters_conform(name: str) -> None:
    task, shards = materials(**({"distil_epochs": 2} if name == "cfd" else {"batch": 32}))
    check_adapter(plugins.load("p2pfd.adapters", name), task, shards)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("gossip", {"merge": "limited", "limit": 3, "replay": "0", "variance": True}),
        ("gossip", {"merge": "krum", "distil_epochs": 1}),
        ("gossip", {"merge": "trimmed", "adjust": False}),
        ("oppcl", {"goal": "all", "memory": 0}),
        ("oppcl", {"goal": "0,1,2", "least": "0.1"}),
        ("fedkd", {"replay": "0", "distil_epochs": 0, "mentee": "linear8", "answer": "both"}),
        ("fedavg", {"cap": "1"}),
    ],
)
@pytest.mark.long
def test_adapters_conform_with_other_settings(name: str, settings: dict[str, Setting]) -> None:
    task, shards = materials(batch=32, **settings)
    check_adapter(plugins.load("p2pfd.adapters", name), task, shards)


class Forgetful(Cfd):
    """One label too few."""

    def share(self, state: CfdState, task: Task, rnd: RoundId) -> Labels:
        return Labels(super().share(state, task, rnd).classes[1:])


class Restless(Cfd):
    """Draws from a source that nobody passed in."""

    def __init__(self) -> None:
        self._count = 0

    def train(self, state: CfdState, shard: Split, budget: object, rng: Rng) -> CfdState:  # type: ignore[override]
        self._count += 1
        trained = super().train(state, shard, budget, rng.split(self._count))  # type: ignore[arg-type]
        return replace(trained, own=trained.own + self._count)


class Trusting(Cfd):
    """Takes any bytes for a state."""

    def __init__(self) -> None:
        self._last: CfdState | None = None

    def dump(self, state: CfdState) -> bytes:
        self._last = state
        return super().dump(state)

    def load(self, raw: bytes, task: Task) -> CfdState:
        try:
            return super().load(raw, task)
        except DecodeError:
            if self._last is None:
                raise
            return self._last


class Headstrong(Cfd):
    """Each node mixes its own model into the student."""

    def absorb(self, state: CfdState, heard: object, rnd: RoundId, rng: Rng) -> CfdState:  # type: ignore[override]
        taken = super().absorb(state, heard, rnd, rng)  # type: ignore[arg-type]
        return replace(taken, student=(taken.student + state.own) / 2)


@pytest.mark.parametrize(
    ("adapter", "complaint"),
    [
        (Forgetful, "one label per public sample"),
        (Restless, "learns otherwise"),
        (Trusting, "load took bytes"),
        (Headstrong, "different students"),
    ],
)
def test_the_kit_notices(adapter: type[Cfd], complaint: str) -> None:
    task, shards = materials()
    with pytest.raises(AssertionError, match=complaint):
        check_adapter(adapter, task, shards)


class Rude(Gossip):
    """Serves whatever it is sent."""

    def serve(self, state: NetState, request: Payload, shard: Split, budget: Budget, rng: Rng) -> Tensors:
        try:
            return super().serve(state, request, shard, budget, rng)
        except DecodeError:
            return self.share(state, Task(digits_task(), shard.x), RoundId(0))


class Lenient(Gossip):
    """Finds everything good."""

    def judge(self, state: NetState, before: Payload, after: Payload, probe: Split, tolerance: float) -> Judgement:
        return Judgement(True, 0.5, 0.5)


class Ungrateful(Gossip):
    """Takes nothing over."""

    def accept(self, state: NetState, after: Payload) -> NetState:
        return state


class Hoarder(Gossip):
    """Keeps everything that it ever heard."""

    def absorb(self, state: NetState, heard: Sequence[Contribution], rnd: RoundId, rng: Rng) -> NetState:
        taken = super().absorb(state, heard, rnd, rng)
        return replace(taken, extra={**taken.extra, **state.extra, f"heard {rnd}": taken.weights})

    def checked(self, state: NetState) -> NetState:
        return state


class Hasty(Gossip):
    """One epoch is enough."""

    def train(self, state: NetState, shard: Split, budget: Budget, rng: Rng) -> NetState:
        return super().train(state, shard, Budget(1), rng)


class Credulous(Gossip):
    """Hears a sender as often as it speaks."""

    def absorb(self, state: NetState, heard: Sequence[Contribution], rnd: RoundId, rng: Rng) -> NetState:
        renamed = [replace(one, sender=f"{place}") for place, one in enumerate(heard)]
        return super().absorb(state, renamed, rnd, rng)


@pytest.mark.parametrize(
    ("adapter", "complaint"),
    [
        (Rude, "serve takes what is no payload"),
        (Lenient, "two samples are enough"),
        (Ungrateful, "leaves the learner as it was"),
        (Hoarder, "grows from round to round"),
        (Hasty, "two epochs"),
        (Credulous, "second one of a sender"),
    ],
)
def test_the_kit_notices_gossips_that_err(adapter: type[Gossip], complaint: str) -> None:
    task, shards = materials(batch=32, merge="mean")
    with pytest.raises(AssertionError, match=complaint):
        check_adapter(adapter, task, shards)
