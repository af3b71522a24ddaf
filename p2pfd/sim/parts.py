"""One simulation on several cores: each process runs some of the nodes, and they meet at the end of every window.

No message is faster than a window is long, so within one the processes need nothing of each other. What a node says to
one of another process is handed over before the next window, with the number that orders it. So the order of events at
each node is the same as in one process, and so is the trace.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

from p2pfd.core.effects import Emit
from p2pfd.core.events import Heard, Message
from p2pfd.core.ids import Digest, RoundId
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.errors import PlanError
from p2pfd.sim.heap import HeapDriver
from p2pfd.sim.run import Cast, Part, SimPlan, SimReport, Tally, report_of, simulate
from p2pfd.sim.trace import Trace
from p2pfd.sim.world import SIGNED
from p2pfd.wire.messages import Commit, Reveal

MOST = 8
_NEVER = 1 << 62
Crossing = tuple[int, int, bool, int, bytes, bytes, list[tuple[int, Tick]]]
"""Who says something, under which number, whether it is a commitment, its three fields; and who of another process
hears it when. Plain values travel faster than a message would."""
Progress = Callable[[float, int, int], None]


def cores() -> int:
    """How many processes are worth while on this machine."""
    return min(MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def simulate_in_parts(plan: SimPlan, processes: int, progress: Progress | None = None) -> SimReport:
    """The report that `simulate` gives, by so many processes; this one runs the first nodes itself."""
    nodes = plan.world.nodes
    processes = min(processes, nodes)
    if processes < 2:
        return simulate(plan, progress)
    if processes > MOST:
        raise PlanError(f"{processes} processes", f"{MOST} are the most")
    if plan.settled:
        raise PlanError(f"a market in {processes} processes", "there is one ledger for all: take one process")
    bounds = [nodes * number // processes for number in range(processes + 1)]
    context = multiprocessing.get_context("spawn")
    lines: list[list[Connection | None]] = [[None] * processes for _ in range(processes)]
    for one in range(processes):
        for other in range(one + 1, processes):
            lines[one][other], lines[other][one] = context.Pipe()
    reports = [context.Pipe(duplex=False) for _ in range(1, processes)]
    workers = [
        context.Process(
            target=_work, args=(plan, bounds, number, lines[number], reports[number - 1][1]), name=f"p2pfd-sim-{number}"
        )
        for number in range(1, processes)
    ]
    for worker in workers:
        worker.daemon = True
        worker.start()
    for number in range(1, processes):  # so that the end of a process is the end of its lines
        reports[number - 1][1].close()
        for line in lines[number]:
            if line is not None:
                line.close()
    try:
        parts = [_run(plan, bounds, 0, lines[0], progress), *(report.recv() for report, _ in reports)]
    except (EOFError, BrokenPipeError, ConnectionResetError) as error:
        raise RuntimeError("a process of the simulation ended early: what it said stands above") from error
    finally:
        for worker in workers:  # each has said all, or will not be asked any more
            worker.kill()
            worker.join()
    return report_of(plan, parts)


def _work(plan: SimPlan, bounds: list[int], number: int, lines: list[Connection | None], report: Connection) -> None:
    """What every process but the first does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process is who is interrupted, and ends this one
    gc.disable()  # a simulation makes no cycles
    report.send(_run(plan, bounds, number, lines, None))


def _run(
    plan: SimPlan,
    bounds: list[int],
    number: int,
    lines: Sequence[Connection | None],
    progress: Progress | None,
) -> Part:
    cast = Cast(plan, range(bounds[number], bounds[number + 1]))
    trace = Trace(plan.world.nodes) if plan.trace else None
    tally = Tally()
    driver = PartDriver(cast, tally.watch, trace, bounds, number, lines)
    for at, node, event in cast.lives():
        driver.post(at, node, event)
    share = len(bounds) - 1
    driver.run(
        None if progress is None else lambda at, events: progress(at / SECOND, share * events, share * tally.absorbed)
    )
    return tally.part(cast, driver, trace)


class PartDriver(HeapDriver):
    """Runs the nodes of one process, in step with the others."""

    def __init__(
        self,
        cast: Cast,
        watch: Callable[[Tick, int, Emit], None],
        trace: Trace | None,
        bounds: Sequence[int],
        number: int,
        lines: Sequence[Connection | None],
    ) -> None:
        super().__init__(cast.machines, cast.peers, cast.world, cast.work, watch, trace)
        self._bounds = bounds
        self._number_of_part = number
        self._lines = lines
        self._here = cast.here
        self._crossing: list[list[Crossing]] = [[] for _ in lines]
        self._first_crossing = _NEVER

    def _more(self) -> bool:
        """Meet the others; go on when the next window of all is one of this process."""
        while True:
            mine = self._order[0] if self._order else _NEVER
            least = self._meet(min(mine, self._first_crossing))
            if least == _NEVER:
                return False
            if self._order and self._order[0] == least:
                return True

    def _meet(self, next_here: int) -> int:
        """Exchange what crosses, and the first window in which anything happens; in pairs, the lower number first."""
        least = next_here
        for other, line in enumerate(self._lines):
            if line is None:
                continue
            said = next_here, self._crossing[other]
            if self._number_of_part < other:
                line.send(said)
                window, crossing = line.recv()
            else:
                window, crossing = line.recv()
                line.send(said)
            self._crossing[other] = []
            least = min(least, window)
            self._take(crossing)
        self._first_crossing = _NEVER
        return least

    def _take(self, crossing: list[Crossing]) -> None:
        for node, number, binds, rnd, first, second, hearers in crossing:
            message = Commit(RoundId(rnd), Digest(first), second) if binds else Reveal(RoundId(rnd), first, second)
            super()._deliver(node, number, Heard(number, self._peers[node], message, SIGNED), hearers)

    def _deliver(self, node: int, number: int, heard: Heard, arrivals: Sequence[tuple[int, Tick]]) -> None:
        first, last = self._here.start, self._here.stop
        near = [arrival for arrival in arrivals if first <= arrival[0] < last]
        super()._deliver(node, number, heard, near)
        if len(near) < len(arrivals):
            for neighbour, at in arrivals:
                if not first <= neighbour < last:
                    self._cross(node, number, heard.message, neighbour, at)

    def _cross(self, node: int, number: int, message: Message, neighbour: int, at: Tick) -> None:
        part = 0
        while neighbour >= self._bounds[part + 1]:
            part += 1
        crossing = self._crossing[part]
        if crossing and crossing[-1][:2] == (node, number):
            crossing[-1][6].append((neighbour, at))
        elif isinstance(message, Commit):
            crossing.append((node, number, True, message.round, message.commitment, message.student, [(neighbour, at)]))
        elif isinstance(message, Reveal):
            crossing.append((node, number, False, message.round, message.salt, message.labels, [(neighbour, at)]))
        else:
            raise RuntimeError(f"a {type(message).__name__} to a node of another process: nobody is greeted here")
        self._first_crossing = min(self._first_crossing, at // self._window)
