"""The driver: events in order, timers that move, effects in order, and no turn taken from others."""

from __future__ import annotations

from collections.abc import Mapping

import trio
import trio.testing

from p2pfd.core.agenda import Kind
from p2pfd.core.effects import CancelTimer, Effect, Emit, Persist, SetTimer
from p2pfd.core.events import Event, Restored, Started, TimerFired
from p2pfd.core.ticks import MILLISECOND, SECOND, Tick
from p2pfd.node.clock import SystemClock, TrioClock
from p2pfd.node.driver import Driver


class Script:
    """A machine that answers the n-th event with the n-th reply, and remembers."""

    def __init__(self, *replies: tuple[Effect, ...]) -> None:
        self.replies = list(replies)
        self.lived: list[tuple[int, Event]] = []

    def handle(self, now: Tick, event: Event) -> tuple[Effect, ...]:
        self.lived.append((now, event))
        return self.replies.pop(0) if self.replies else ()

    def snapshot(self) -> bytes:
        return str(len(self.lived)).encode()

    def restore(self, raw: bytes) -> None:
        raise AssertionError


class Notes:
    def __init__(self) -> None:
        self.taken: list[object] = []

    def persist(self, snapshot: bytes) -> None:
        self.taken.append(("persist", snapshot))

    def emit(self, name: str, fields: Mapping[str, object]) -> None:
        self.taken.append(("emit", name))


async def live(machine: Script, notes: Notes, until: float, **events: tuple[Kind, Event, Tick | None]) -> None:
    driver = Driver(machine, notes, TrioClock())
    for kind, event, at in events.values():
        driver.post(kind, event, at)
    with trio.move_on_at(until):
        await driver.run()


async def test_timers_fire_when_they_were_last_set_to(autojump_clock: trio.testing.MockClock):
    machine = Script(
        (SetTimer("a", Tick(1 * SECOND)), SetTimer("b", Tick(2 * SECOND)), SetTimer("a", Tick(3 * SECOND)))
    )
    await live(machine, Notes(), 10, start=(Kind.LIFE, Started(), None))
    assert machine.lived == [(0, Started()), (2 * SECOND, TimerFired("b")), (3 * SECOND, TimerFired("a"))]


async def test_a_cancelled_timer_never_fires(autojump_clock: trio.testing.MockClock):
    machine = Script((SetTimer("a", Tick(SECOND)), CancelTimer("a"), CancelTimer("unknown")))
    await live(machine, Notes(), 10, start=(Kind.LIFE, Started(), None))
    assert machine.lived == [(0, Started())]


async def test_events_of_one_tick_come_in_the_order_of_their_kinds(autojump_clock: trio.testing.MockClock):
    machine = Script()
    at = Tick(5 * MILLISECOND)
    await live(
        machine,
        Notes(),
        1,
        late=(Kind.TIMER, Restored(), at),
        early=(Kind.LIFE, Started(), at),
        now=(Kind.CHAIN, Started(), None),
    )
    assert machine.lived == [(0, Started()), (at, Started()), (at, Restored())]


async def test_effects_are_carried_out_in_their_order(autojump_clock: trio.testing.MockClock):
    notes = Notes()
    await live(Script((Emit("one"), Persist(), Emit("two"))), notes, 1, start=(Kind.LIFE, Started(), None))
    assert notes.taken == [("emit", "one"), ("persist", b"1"), ("emit", "two")]


async def test_an_event_wakes_a_waiting_driver(autojump_clock: trio.testing.MockClock):
    machine = Script()
    driver = Driver(machine, Notes(), TrioClock())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.run)
        await trio.testing.wait_all_tasks_blocked()
        driver.post(Kind.LIFE, Started())
        await trio.testing.wait_all_tasks_blocked()
        assert machine.lived == [(0, Started())]
        nursery.cancel_scope.cancel()


async def test_a_busy_machine_leaves_others_their_turn(autojump_clock: trio.testing.MockClock):
    class Busy(Script):
        def handle(self, now: Tick, event: Event) -> tuple[Effect, ...]:
            driver.post(Kind.LIFE, Started())
            return ()

    driver = Driver(Busy(), Notes(), TrioClock())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.run)
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


def test_the_system_clock_never_runs_backwards():
    clock = SystemClock()
    readings = [clock.now() for _ in range(1000)]
    assert readings == sorted(readings)
    assert readings[0] > 1_600_000_000 * SECOND


def test_a_clock_that_stood_still_is_behind_by_whole_seconds():
    before, behind, after = SystemClock().now(), SystemClock(100).now(), SystemClock().now()
    assert before <= behind + 100 * SECOND <= after
