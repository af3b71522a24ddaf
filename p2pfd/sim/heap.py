"""The simulation driver: everything that is yet to happen to all nodes, in virtual time.

Nodes touch one another only through messages, and a message takes at least the world's lowest latency. So within a
window of that
length each node can be taken through its events on its own, one node after the other, without anyone being able to
tell: a window is sorted once and read from front to end. That is faster than popping single events from one big heap,
because sorting is, and because a node's memory is still warm for its next event. Windows wait in a heap.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from p2pfd.core.agenda import Kind
from p2pfd.core.effects import Answer, CancelTimer, Compute, Effect, Emit, Publish, SetTimer
from p2pfd.core.events import Computed, Event, Heard, Outcome, TimerFired
from p2pfd.core.ids import PeerId
from p2pfd.core.machine import Machine
from p2pfd.core.ticks import Tick
from p2pfd.sim.trace import Trace
from p2pfd.sim.world import World

# Plain integers: they are compared some millions of times.
_LIFE, _COMPUTED, _HEARD, _TIMER = int(Kind.LIFE), int(Kind.COMPUTED), int(Kind.HEARD), int(Kind.TIMER)

Entry = tuple[int, Tick, int, int, int, Event]
"""Node, tick, kind, source, number, event: sorted, each node's events stand together in the order of its agenda."""
Worker = Callable[[int, Compute], tuple[int, Outcome]]
"""Does a node's work at once, and says how many ticks it is to take."""
Watcher = Callable[[Tick, int, Emit], None]


class HeapDriver:
    """Runs machines to the end of their events, each in the order that `p2pfd.core.agenda` defines."""

    def __init__(
        self,
        machines: Sequence[Machine],
        peers: Sequence[PeerId],
        world: World,
        work: Worker,
        watch: Watcher | None = None,
        trace: Trace | None = None,
    ) -> None:
        self.machines = machines
        self.now = Tick(0)
        self.events = 0
        self.deliveries = 0
        self._peers = peers
        self._world = world
        self._work = work
        self._watch = watch
        self._trace = trace
        self._window = world.plan.latency_low
        self._waiting: dict[int, list[Entry]] = {}
        self._order: list[int] = []
        self._present = -1
        self._entries: list[Entry] = []
        self._at = 0
        self._timers: list[dict[str, int]] = [{} for _ in machines]
        self._numbers = [0] * len(machines)
        self._sent = [0] * len(machines)

    def post(self, at: Tick, node: int, event: Event) -> None:
        """Let a node live through this at that tick."""
        self._post((node, at, _LIFE, 0, self._number(node), event))

    def run(self, progress: Callable[[Tick, int], None] | None = None) -> None:
        """Handle events until there are none."""
        machines, timers, trace, perform = self.machines, self._timers, self._trace, self._perform
        while self._order:
            self._present = heappop(self._order)
            entries = self._entries = self._waiting.pop(self._present)
            entries.sort()
            self._at = 0
            while self._at < len(entries):
                node, at, kind, _, number, event = entries[self._at]
                self._at += 1
                if kind == _TIMER:
                    name = event.name  # type: ignore[union-attr]
                    if timers[node].get(name) != number:
                        continue  # moved or cancelled
                    del timers[node][name]
                effects = machines[node].handle(at, event)
                self.events += 1
                if at > self.now:
                    self.now = at
                if trace is not None:
                    trace.record(node, at, event, effects)
                perform(at, node, effects)
            if progress is not None:
                progress(self.now, self.events)

    def _post(self, entry: Entry) -> None:
        window = entry[1] // self._window
        if window == self._present:
            insort(self._entries, entry, lo=self._at)  # only ever the present node's own: a timer, a quick computation
            return
        waiting = self._waiting.get(window)
        if waiting is None:
            self._waiting[window] = [entry]
            heappush(self._order, window)
        else:
            waiting.append(entry)

    def _number(self, node: int) -> int:
        self._numbers[node] += 1
        return self._numbers[node]

    def _perform(self, now: Tick, node: int, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            kind = type(effect)
            if kind is Answer:
                continue  # a simulated network carries what is said to direct neighbours, whatever they think of it
            if kind is Publish:
                number = self._sent[node] = self._sent[node] + 1
                heard = Heard(number, self._peers[node], effect.message)  # type: ignore[union-attr]
                arrivals = self._world.carry(node, now)
                self.deliveries += len(arrivals)
                for neighbour, at in arrivals:
                    self._post((neighbour, at, _HEARD, node, number, heard))
            elif kind is SetTimer:
                number = self._number(node)
                name, due = effect.name, effect.at  # type: ignore[union-attr]
                self._timers[node][name] = number
                self._post((node, due, _TIMER, 0, number, TimerFired(name)))
            elif kind is CancelTimer:
                self._timers[node].pop(effect.name, None)  # type: ignore[union-attr]
            elif kind is Compute:
                ticks, outcome = self._work(node, effect)  # type: ignore[arg-type]
                done = Computed(effect.job, outcome)  # type: ignore[union-attr]
                self._post((node, Tick(now + ticks), _COMPUTED, 0, self._number(node), done))
            elif kind is Emit and self._watch is not None:
                self._watch(now, node, effect)  # type: ignore[arg-type]
