"""Makes a schedule that goes wrong small: as few faults as possible, each as short and as mild as possible.

Delta debugging: parts of the faults are left out, ever smaller ones, as long as what is left still goes wrong; then
each remaining fault is made milder in every way that keeps it going wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from p2pfd.core.ticks import MILLISECOND, SECOND, Tick
from p2pfd.sim.faults import Absence, Fault
from p2pfd.sim.schedules import Schedule

Fails = Callable[[Schedule], bool]
_GRAINS = (10 * SECOND, SECOND, SECOND // 10)
_PERCENT = 10_000
_SHORTEST = 200 * MILLISECOND
"""No shorter: a receipt must not overtake the restart of the process that had asked for it."""


class _Tries:
    """Asks whether a schedule fails, each only once, and so often at the most."""

    def __init__(self, fails: Fails, limit: int) -> None:
        self._fails = fails
        self._known: dict[Schedule, bool] = {}
        self._left = limit

    def fails(self, schedule: Schedule) -> bool:
        if schedule not in self._known:
            if not self._left:
                return False
            self._left -= 1
            self._known[schedule] = self._fails(schedule)
        return self._known[schedule]


def shrink(schedule: Schedule, fails: Fails, limit: int = 1000) -> Schedule:
    """The smallest schedule that was found to fail still, with so many tries; the schedule itself must fail."""
    tries = _Tries(fails, limit)
    while True:
        smaller = _fewer(schedule, tries)
        smaller = _fewer_rounds(smaller, tries)
        smaller = _milder(smaller, tries)
        if smaller == schedule:
            return schedule
        schedule = smaller


def _fewer(schedule: Schedule, tries: _Tries) -> Schedule:
    parts = 2
    while schedule.faults:
        faults = schedule.faults
        size = -(-len(faults) // parts)
        for start in range(0, len(faults), size):
            less = schedule.with_faults(faults[:start] + faults[start + size :])
            if tries.fails(less):
                schedule, parts = less, max(2, parts - 1)
                break
        else:
            if size == 1:
                return schedule
            parts = min(len(faults), 2 * parts)
    return schedule


def _fewer_rounds(schedule: Schedule, tries: _Tries) -> Schedule:
    for rounds in range(1, schedule.rounds):
        less = replace(schedule, rounds=rounds)
        if tries.fails(less):
            return less
    return schedule


def _milder(schedule: Schedule, tries: _Tries) -> Schedule:
    for place in range(len(schedule.faults)):
        again = True
        while again:
            again = False
            for fault in _mild(schedule.faults[place]):
                faults = schedule.faults
                less = schedule.with_faults((*faults[:place], fault, *faults[place + 1 :]))
                if tries.fails(less):
                    schedule, again = less, True
                    break
    return schedule


def _mild(fault: Fault) -> Iterator[Fault]:
    """Ways in which a fault can be less, the boldest first; each is strictly less, so that this comes to an end."""
    end = getattr(fault, "end", None)
    share = getattr(fault, "share", 0)
    least, most = getattr(fault, "least", 0), getattr(fault, "most", 0)
    for smaller in (share // 8, share // 2):
        if smaller >= _PERCENT:
            yield _changed(fault, share=smaller)
    if share > _PERCENT and share % _PERCENT:
        yield _changed(fault, share=share // _PERCENT * _PERCENT)
    for name, value, floor in (("most", most, least), ("least", least, 0)):
        for smaller in (value // 8, value // 2):
            if smaller > max(floor, _SHORTEST):
                yield _changed(fault, **{name: smaller})
        for grain in _GRAINS:
            if value % grain and value // grain * grain > floor:
                yield _changed(fault, **{name: value // grain * grain})
    if end is not None:
        length = end - fault.begin
        for smaller in (length // 8, length // 2):
            if smaller >= _SHORTEST:
                yield _changed(fault, end=Tick(fault.begin + smaller))
        for smaller in (length // 8, length // 2):
            if smaller >= _SHORTEST:
                yield _changed(fault, begin=Tick(end - smaller))
        for grain in _GRAINS:
            if end % grain and end // grain * grain > fault.begin:
                yield _changed(fault, end=Tick(end // grain * grain))
            later = -(-fault.begin // grain) * grain
            if fault.begin < later < end:
                yield _changed(fault, begin=Tick(later))
    if isinstance(fault, Absence) and fault.node:
        yield _changed(fault, node=0)


def _changed(fault: Fault, **fields: Any) -> Fault:
    return replace(fault, **fields)
