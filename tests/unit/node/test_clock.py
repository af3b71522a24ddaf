"""Which clock a node goes by: the machine's when it starts, and from then on one that nobody can set."""

from __future__ import annotations

import time

import pytest
import trio
from trio.testing import MockClock

from p2pfd.core.agenda import Kind
from p2pfd.core.effects import Effect, SetTimer
from p2pfd.core.events import Event, Started, TimerFired
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.node.clock import ASTRAY, LOOK_SECONDS, SystemClock, TrioClock, steady, watch_wall
from p2pfd.node.driver import LONGEST_WAIT, Driver

from . import test_ports
from .test_driver import Notes, Script
from .test_ports import world

__all__ = ["world"]
HOUR = 3_600 * SECOND


class Machine:
    """A machine's two clocks, in microseconds: the wall's can be set, and the steady one cannot."""

    def __init__(self) -> None:
        self.wall, self.pace = 1_000_000 * HOUR, 77 * SECOND

    def later(self, ticks: int) -> None:
        self.wall += ticks
        self.pace += ticks

    def clock(self, paused: int = 0) -> SystemClock:
        return SystemClock(paused, lambda: 1_000 * self.wall, lambda: 1_000 * self.pace)


@pytest.mark.parametrize("by", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_wall_clock_that_is_set_moves_no_running_node_and_the_next_start_takes_it(by: int) -> None:
    machine = Machine()
    clock = machine.clock()
    began = clock.now()
    machine.wall += by
    machine.later(9 * SECOND)
    assert clock.now() == began + 9 * SECOND
    assert clock.astray() == by
    assert machine.clock().now() == began + 9 * SECOND + by
    assert machine.clock().astray() == 0


def test_standing_still_on_purpose_is_not_astray() -> None:
    machine = Machine()
    clock = machine.clock(paused=100)
    machine.later(SECOND)
    assert clock.now() == machine.wall - 100 * SECOND
    assert clock.astray() == 0


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no clock that counts its sleep")
def test_the_steady_clock_counts_what_the_machine_slept() -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert before <= steady()() <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)


async def test_a_clock_that_was_set_is_told_once_each_time(autojump_clock: MockClock) -> None:
    machine = Machine()
    told: list[tuple[str, object]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_wall, machine.clock(), lambda name, fields: told.append((name, fields["ahead"])))
        await trio.sleep(3 * LOOK_SECONDS)
        machine.wall += ASTRAY  # as much as a slow correction comes to in a day
        await trio.sleep(3 * LOOK_SECONDS)
        assert told == []
        for by in (HOUR, -2 * HOUR):
            machine.wall += by
            await trio.sleep(3 * LOOK_SECONDS)
        nursery.cancel_scope.cancel()
    assert told == [("clock.set", 3_605.0), ("clock.set", -3_595.0)]


async def test_a_timer_that_came_due_while_the_machine_slept_fires_soon_after(autojump_clock: MockClock) -> None:
    """Trio's clock stands still while a machine sleeps: the node's own went on for an hour."""
    machine = Machine()
    clock = machine.clock()
    due = Tick(clock.now() + 1_800 * SECOND)
    script = Script((SetTimer("deadline", due),))
    driver = Driver(script, Notes(), clock)
    driver.post(Kind.LIFE, Started())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.run)
        await trio.sleep(1)
        machine.later(HOUR)
        await trio.sleep(LONGEST_WAIT)
        nursery.cancel_scope.cancel()
    assert [event for _, event in script.lived] == [Started(), TimerFired("deadline")]


@pytest.fixture
def noon(autojump_clock: MockClock) -> None:
    """It is not the beginning of all time."""
    autojump_clock.jump(12 * HOUR / SECOND)


@pytest.mark.parametrize("by", [HOUR, -HOUR], ids=["ahead", "behind"])
async def test_a_node_whose_clock_is_an_hour_off_takes_part_all_the_same(
    noon: None, world, monkeypatch: pytest.MonkeyPatch, by: int
) -> None:
    class Off(TrioClock):
        def now(self) -> Tick:
            return Tick(super().now() + by)

    one, two = world
    async with two.life() as second:
        monkeypatch.setattr(test_ports, "TrioClock", Off)
        async with one.life() as first:
            with trio.fail_after(120):
                await first.finished.wait()
                await second.finished.wait()
            assert abs(first.driver.clock.now() - second.driver.clock.now() - by) < SECOND
            assert first.figures["weights"] == second.figures["weights"]
    assert one.names().count("claim.refused") <= 24, "a deadline that has come here only is asked for in vain, seldom"


class Restless(Script):
    """It sets its timer anew whenever it fires."""

    def handle(self, now: Tick, event: Event) -> tuple[Effect, ...]:
        self.lived.append((now, event))
        return (SetTimer("again", Tick(now + 4 * SECOND)),)


async def test_an_hour_that_the_machine_slept_is_not_lived_through_timer_by_timer(autojump_clock: MockClock) -> None:
    machine, restless = Machine(), Restless()
    clock = machine.clock()
    driver = Driver(restless, Notes(), clock)
    driver.post(Kind.LIFE, Started())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.run)
        await trio.sleep(1)
        machine.later(HOUR)
        await trio.sleep(LONGEST_WAIT)
        nursery.cancel_scope.cancel()
    ticks = [now for now, _ in restless.lived]
    assert ticks == sorted(ticks)
    assert len(ticks) == 2, "once when it started, once when it woke"
    assert ticks[1] - ticks[0] > 3_590 * SECOND
