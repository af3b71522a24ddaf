"""Whatever a device hears, sees, computes or waits for, in whatever order: it goes by its table, blames no honest one.

Events are those of whole simulated runs, with liars, losses and deaths: taken out of order, doubled, and changed.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import pytest

from p2pfd.core.effects import Answer, Effect
from p2pfd.core.events import ChainSaw, Computed, Event, Heard, Restored, Settled, TimerFired
from p2pfd.core.machine import Machine
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.core.verdict import Reject
from p2pfd.sim.encounters import EncounterCast, EncounterPlan, simulate_encounters, with_habits
from p2pfd.sim.world import WorldPlan

PLANS = (
    EncounterPlan(WorldPlan(nodes=6), with_habits(encounters=1), seed=1),
    EncounterPlan(
        WorldPlan(nodes=6, loss=100_000),
        with_habits(encounters=2),
        seed=2,
        liars=frozenset({1}),
        misers=frozenset({2}),
    ),
)
LIFE = (Heard, ChainSaw, Computed, TimerFired, Settled)


class Watched:
    """A device whose events are kept, and its state now and then."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.events: list[Event] = []
        self.states: list[tuple[Tick, bytes]] = []

    def handle(self, now: Tick, event: Event) -> tuple[Effect, ...]:
        if isinstance(event, LIFE):
            self.events.append(event)
        if len(self.events) % 20 == 1:
            self.states.append((now, self.machine.snapshot()))
        return self.machine.handle(now, event)

    def snapshot(self) -> bytes:
        return self.machine.snapshot()

    def restore(self, raw: bytes) -> None:
        self.machine.restore(raw)


@cache
def lived(which: int) -> tuple[EncounterCast, list[Watched]]:
    cast = EncounterCast(PLANS[which])
    watched = [Watched(machine) for machine in cast.machines]
    cast.machines = list(watched)
    simulate_encounters(PLANS[which], cast=cast)
    return cast, watched


def changed(value: Any, rng: Rng) -> Any:
    """The value with one thing in it different, of the same type."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in dataclasses.fields(value) if each.init]
        if not names:
            return value
        name = rng.choice(names)
        return dataclasses.replace(value, **{name: changed(getattr(value, name), rng)})
    match value:
        case bool():
            return not value
        case int():
            return max(0, value + rng.choice((-1, 1, 2**8, 2**32, -value)))
        case bytes() if value:
            at = rng.below(len(value))
            return value[:at] + bytes([value[at] ^ (1 << rng.below(8))]) + value[at + 1 :]
        case tuple() if value:
            at = rng.below(len(value))
            return (*value[:at], changed(value[at], rng), *value[at + 1 :])
    return value


def hostile(event: Event, rng: Rng) -> Event:
    """The event as a liar, a bad chain or a broken driver might have it; its type stays."""
    match event:
        case Heard(delivery, sender, message, raw):
            return Heard(delivery, sender, changed(message, rng), raw)
        case Computed(job, outcome, _):
            return Computed(job, None, "failed") if rng.chance(1, 3) else Computed(job, changed(outcome, rng), "")
        case ChainSaw(saw, block):
            return ChainSaw(changed(saw, rng), block)
    return event


def walk(which: int, seed: int, steps: int, *, changing: bool) -> None:
    cast, watched = lived(which)
    rng = Rng(seed)
    node = rng.below(len(watched))
    now, state = rng.choice(watched[node].states)
    device = cast.device(node)
    device.restore(state)
    device.handle(now, Restored())
    everything = [event for each in watched for event in each.events] if changing else watched[node].events
    for _ in range(steps):
        event = rng.choice(everything if rng.chance(1, 3) else watched[node].events)
        honest = not (changing and rng.chance(1, 2))
        if not honest:
            event = hostile(event, rng)
        now = Tick(now + rng.choice((0, SECOND // 10, SECOND, 20 * SECOND)))
        effects = device.handle(now, event)
        answers = [each for each in effects if isinstance(each, Answer)]
        assert len(answers) == isinstance(event, Heard)
        if isinstance(event, Heard) and honest:
            assert not isinstance(answers[0].verdict, Reject), f"{event.message} was held against an honest peer"
    again = cast.device(node)
    again.restore(device.snapshot())
    assert again.snapshot() == device.snapshot()


@pytest.mark.parametrize("seed", range(12))
def test_events_in_any_order_are_taken_and_nobody_honest_is_blamed(seed: int):
    walk(seed % 2, seed, 100, changing=False)


@pytest.mark.parametrize("seed", range(12))
def test_changed_events_are_taken_and_nobody_honest_is_blamed(seed: int):
    walk(seed % 2, seed, 100, changing=True)


@pytest.mark.long
@pytest.mark.parametrize("batch", range(10))
def test_many_walks(batch: int):
    for seed in range(100 + 50 * batch, 150 + 50 * batch):
        walk(seed % 2, seed, 400, changing=seed % 4 < 2)
