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
from p2pfd.core.effects import Answer, CancelTimer, Compute, Effect, Emit, Persist, Publish, Send, SetTimer, Submit
from p2pfd.core.events import Computed, Event, Heard, Message, Outcome, TimerFired
from p2pfd.core.ids import Account, PeerId
from p2pfd.core.machine import Machine
from p2pfd.core.ticks import Tick
from p2pfd.sim.chain import CLAIM_TICKS, Claimed, News, SimChain
from p2pfd.sim.mortal import Returned
from p2pfd.sim.trace import Trace
from p2pfd.sim.world import SIGNED, World

# Plain integers: they are compared some millions of times.
_LIFE, _COMPUTED, _CHAIN = int(Kind.LIFE), int(Kind.COMPUTED), int(Kind.CHAIN)
_HISTORY, _RECEIPT = 0, 1
_HEARD, _TIMER = int(Kind.HEARD), int(Kind.TIMER)

Entry = tuple[int, Tick, int, int, int, Event]
"""Node, tick, kind, source, number, event: sorted, each node's events stand together in the order of its agenda."""
Worker = Callable[[int, Compute], tuple[int, Outcome | str]]
"""Does a node's work at once, and says how many ticks it is to take; a text says why it failed."""
Direct = Callable[[int, int, Tick], Tick | None]
"""When what one node says now to another alone arrives; None where it is lost."""
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
        chain: SimChain | None = None,
        accounts: Sequence[Account] = (),
        direct: Direct | None = None,
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
        self._chain = chain
        self._accounts = accounts
        self._direct = direct
        self._node_of = {peer: node for node, peer in enumerate(peers)}
        self._chain_at = -1  # in each window the chain goes first: who comes back must find all that has happened
        self._history: list[tuple[Tick, Event]] = []
        """What the chain did, and when nodes see it."""
        self._seen = [0] * len(machines)
        self._saved = [0] * len(machines)
        self._window = min(world.plan.latency_low, CLAIM_TICKS)
        self._waiting: dict[int, list[Entry]] = {}
        self._order: list[int] = []
        self._present = -1
        self._entries: list[Entry] = []
        self._at = 0
        self._timers: list[dict[str, tuple[int, Tick]]] = [{} for _ in machines]
        """Each timer's number, and when it is due."""
        self._posted: list[dict[str, Tick]] = [{} for _ in machines]
        """When each timer's first entry comes up. Timers are moved on far more often than they fire: an entry that
        comes up before its timer is due is posted again, and none is posted for a timer that has an earlier one."""
        self._numbers = [0] * (len(machines) + 1)
        self._sent = [0] * len(machines)

    def post(self, at: Tick, node: int, event: Event) -> None:
        """Let a node live through this at that tick."""
        self._post((node, at, _LIFE, 0, self._number(node), event))

    def run(self, progress: Callable[[Tick, int], None] | None = None) -> None:
        """Handle events until there are none."""
        machines, timers, posted, trace, perform = (
            self.machines,
            self._timers,
            self._posted,
            self._trace,
            self._perform,
        )
        if self._chain is not None:
            self._spread(self.now, self._chain.open(self.now))
        handled, latest, heard = self.events, self.now, _HEARD
        while self._more():
            self._present = heappop(self._order)
            entries = self._entries = self._waiting.pop(self._present)
            entries.sort()
            place = 0
            while place < len(entries):  # more may be put in behind, while it lasts
                node, at, kind, source, number, event = entries[place]
                place += 1
                self._at = place
                if kind == heard:
                    pass  # most of what happens
                elif node == self._chain_at:
                    self._at_chain(at, event)
                    continue
                elif kind == _TIMER:
                    name = event.name  # type: ignore[union-attr]
                    if posted[node].get(name) == at:
                        del posted[node][name]
                    current = timers[node].get(name)
                    if current is None:
                        continue  # cancelled
                    if current[0] != number:
                        if name not in posted[node]:  # moved
                            posted[node][name] = current[1]
                            self._post((node, current[1], _TIMER, 0, current[0], event))
                        continue
                    del timers[node][name]
                elif kind == _CHAIN and source == _HISTORY:
                    if number != self._seen[node]:
                        continue  # on its way twice, because the node asked again after a restart
                    self._seen[node] += 1
                elif kind == _LIFE and isinstance(event, Returned):
                    self._replay(node, at)
                effects = machines[node].handle(at, event)
                handled += 1
                if at > latest:
                    latest = at
                if trace is not None:
                    trace.record(node, at, event, effects)
                # A lone answer needs nothing done: a simulated network carries what is said to direct neighbours only,
                # whatever they think of it.
                if len(effects) != 1 or type(effects[0]) is not Answer:
                    perform(at, node, effects)
            self.events, self.now = handled, max(self.now, latest)
            if progress is not None:
                progress(self.now, self.events)

    def _more(self) -> bool:
        """Whether there is a further window; it is the first one in the order."""
        return bool(self._order)

    def _post(self, entry: Entry) -> None:
        window = entry[1] // self._window
        if window == self._present:
            # Only ever the present node's own: a timer, a computation that took no time at all. What was done is done.
            insort(self._entries, entry, lo=self._at)
            return
        waiting = self._waiting.get(window)
        if waiting is None:
            self._waiting[window] = [entry]
            heappush(self._order, window)
        else:
            waiting.append(entry)

    def _publish(self, now: Tick, node: int, message: Message) -> None:
        number = self._sent[node] = self._sent[node] + 1
        heard = Heard(number, self._peers[node], message, SIGNED)
        arrivals = self._world.carry(node, now)
        self.deliveries += len(arrivals)
        self._deliver(node, number, heard, arrivals)

    def _deliver(self, node: int, number: int, heard: Heard, arrivals: Sequence[tuple[int, Tick]]) -> None:
        """Most of what is posted is posted here; it is never for the present window, which is shorter than any way."""
        waiting, length = self._waiting, self._window
        for neighbour, at in arrivals:
            window = at // length
            entries = waiting.get(window)
            if entries is None:
                waiting[window] = [(neighbour, at, _HEARD, node, number, heard)]
                heappush(self._order, window)
            else:
                entries.append((neighbour, at, _HEARD, node, number, heard))

    def _send(self, now: Tick, node: int, effect: Send) -> None:
        to = self._node_of.get(effect.peer)
        at = None if to is None or self._direct is None else self._direct(node, to, now)
        if to is not None and at is not None:
            number = self._sent[node] = self._sent[node] + 1
            self.deliveries += 1
            self._post((to, at, _HEARD, node, number, Heard(number, self._peers[node], effect.message, SIGNED)))

    def _number(self, node: int) -> int:
        self._numbers[node] += 1
        return self._numbers[node]

    def _at_chain(self, now: Tick, event: Event) -> None:
        if self._chain is None or not isinstance(event, Claimed):
            raise RuntimeError(f"a {type(event).__name__} at a chain that is not there")
        self.now = max(self.now, now)
        self._spread(now, self._chain.take(now, event))

    def _spread(self, now: Tick, news: News) -> None:
        at = self._news_at(now)
        for to, event in news:
            if to is not None:
                self._post((to, at, _CHAIN, _RECEIPT, self._number(to), event))
                continue
            self._history.append((at, event))
            for node in range(len(self.machines)):
                self._post((node, at, _CHAIN, _HISTORY, len(self._history) - 1, event))

    def _replay(self, node: int, now: Tick) -> None:
        """A node that comes back reads on in the chain's history where its last snapshot stood."""
        self._seen[node] = self._saved[node]
        at = self._news_at(now)
        for number in range(self._saved[node], len(self._history)):
            seen, event = self._history[number]
            self._post((node, max(at, seen), _CHAIN, _HISTORY, number, event))

    def _news_at(self, now: Tick) -> Tick:
        return now if self._chain is None else self._chain.news_at(now)

    def _submit(self, now: Tick, node: int, effect: Submit) -> None:
        claimed = Claimed(node, self._accounts[node], effect.intent, effect.claim)
        if self._chain is None:
            raise RuntimeError(f"{effect.intent} for a chain that is not there")
        sent = self._chain.send(now, node, claimed)
        if sent is None:
            return
        at, event = sent
        number = self._number(node)
        if event is claimed:
            self._post((self._chain_at, at, _CHAIN, node, number, event))
        else:
            self._post((node, at, _CHAIN, _RECEIPT, number, event))

    def _set_timer(self, node: int, name: str, due: Tick) -> None:
        number = self._number(node)
        self._timers[node][name] = (number, due)
        before = self._posted[node].get(name)
        if before is None or due < before:
            self._posted[node][name] = due
            self._post((node, due, _TIMER, 0, number, TimerFired(name)))

    def _perform(self, now: Tick, node: int, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            kind = type(effect)
            if kind is Answer:
                continue
            if kind is Publish:
                self._publish(now, node, effect.message)  # type: ignore[union-attr]
            elif kind is SetTimer:
                self._set_timer(node, effect.name, max(now, effect.at))  # type: ignore[union-attr]
            elif kind is CancelTimer:
                self._timers[node].pop(effect.name, None)  # type: ignore[union-attr]
            elif kind is Compute:
                ticks, outcome = self._work(node, effect)  # type: ignore[arg-type]
                job = effect.job  # type: ignore[union-attr]
                done = Computed(job, None, outcome) if isinstance(outcome, str) else Computed(job, outcome)
                self._post((node, Tick(now + ticks), _COMPUTED, 0, self._number(node), done))
            elif kind is Persist:
                self._saved[node] = self._seen[node]
            elif kind is Submit:
                self._submit(now, node, effect)  # type: ignore[arg-type]
            elif kind is Send:
                self._send(now, node, effect)  # type: ignore[arg-type]
            elif kind is Emit and self._watch is not None:
                self._watch(now, node, effect)  # type: ignore[arg-type]
