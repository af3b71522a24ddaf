"""What goes on in a mesh that runs: every event of every node, taken once, until the last node has finished."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio

from p2pfd.cli import exits
from p2pfd.errors import DeadlineError, EnvironmentProblem, P2pfdError
from p2pfd.node.clock import SystemClock
from p2pfd_localnet.engines.placement import machines_of
from p2pfd_localnet.events import NodeEvent, Tail
from p2pfd_localnet.past import Past
from p2pfd_localnet.picture import Picture
from p2pfd_localnet.plan import Plan
from p2pfd_localnet.spawner import Spawner, last_line
from p2pfd_localnet.state import State
from p2pfd_localnet.view import GONE, Life, MeshView, NodeView
from p2pfd_localnet.words import Words

TICK = 0.1
_SETTLE = 3.0
"""How long the last figures may take to reach the files after a node said that it is done."""
_SLACK = 60.0


class Watch:
    """The mesh's view and its picture, kept up to date from the status pipe and from the nodes' files."""

    def __init__(self, plan: Plan, state: State, words: Words) -> None:
        self.plan = plan
        self.state = state
        self.words = words
        joined = [name for name in plan.everybody()[plan.nodes :] if state.node(name).exists()]  # before it was stopped
        self.view = MeshView([*plan.names(), *joined], plan.rounds)
        self._machines = machines_of(state.home)
        for node in self.view.nodes.values():
            node.machine = self._machines.get(node.name, "")
        self.picture = Picture(plan, self.view, SystemClock())
        self._news = trio.Event()
        self.listeners: list[Callable[[NodeEvent], None]] = []
        """Who else is told of each event, once the view has taken it."""
        self.held_up: Callable[[], bool] = lambda: False
        """Whether somebody has stopped what others may be waiting for."""
        self._tails = [Tail(state.node(name) / "events.jsonl") for name in self.view.nodes]

    def join(self, name: str) -> None:
        """There is one more node."""
        self.view.nodes[name] = NodeView(name, machine=self._machines.get(name, ""))
        self.picture.join(name)
        self._tails.append(Tail(self.state.node(name) / "events.jsonl"))

    def recall(self, past: Past) -> None:
        """What happened before the mesh was stopped."""
        self._read()
        self.view.rest(past.began)
        self.words.recalled(self.view, past.ran, past.paused)

    def _read(self) -> bool:
        """Take what the nodes wrote; whether there was anything."""
        heard = False
        for event in sorted((event for tail in self._tails for event in tail.new()), key=lambda event: event.t):
            heard = True
            self._see(event)
        return heard

    # -- what comes up the pipe ----------------------------------------------------------------------------------------

    async def listen(self, spawner: Spawner) -> None:
        """Take what comes up the status pipe. It ends only when all are gone, and here nobody asked them to go."""
        async for event in spawner.events():
            self._take(event)
        raise await spawner.obituary()

    def _take(self, event: NodeEvent) -> None:
        if event.name == "exited" and event.node in self.view.nodes:
            for late in Tail(self.state.node(event.node) / "events.jsonl").new():
                self.view.take(late)  # its own last words come before its end
        self._see(event)
        self._news.set()
        if event.name != "zygote.ready" and self.view.nodes[event.node].life in GONE:
            self.words.progress(self.view)

    def _see(self, event: NodeEvent) -> None:
        self.view.take(event)
        self.picture.take(event)
        for hear in self.listeners:
            hear(event)

    # -- how far they are ----------------------------------------------------------------------------------------------

    async def until(self, life: Life) -> None:
        """Wait until every node is at least so far. During start-up a node that fails ends the whole run."""
        order = list(Life)
        while True:
            gone = self.view.gone()
            if gone:
                raise self.fatal(gone[0])
            if all(order.index(node.life) >= order.index(life) for node in self.view.nodes.values()):
                return
            await self._news.wait()
            self._news = trio.Event()

    async def to_the_end(self) -> None:
        """Take what the nodes write until all have finished; a P2pfdError when none of them can."""
        phases = self.plan.phases
        rounds = phases.enrol_seconds + phases.commit_seconds + phases.reveal_seconds
        patience = (self.plan.encounters.longest if self.plan.meets else rounds) + _SLACK
        quiet_since = trio.current_time()
        over_since: float | None = None
        while True:
            heard = self._news.is_set()
            if heard:
                self._news = trio.Event()
            heard = self._read() or heard
            now = trio.current_time()
            if heard or self.held_up():
                quiet_since = now
            if heard:
                self.words.progress(self.view)
            if self.view.over():
                over_since = now if over_since is None else over_since
                if self._has_figures() or now - over_since > _SETTLE:
                    break
            if now - quiet_since > patience:
                raise DeadlineError(
                    f"nothing happened for {patience:g} s in {self.view.how_far()}",
                    "look at localnet logs; [phases] or [encounters] in the plan bound how long it may take",
                )
            await trio.sleep(TICK)
        self.words.progress(self.view)
        gone = self.view.gone()
        if len(gone) == len(self.view.nodes):
            raise self.fatal(gone[0])

    def _has_figures(self) -> bool:
        return all(node.together is not None for node in self.view.living())

    def fatal(self, node: NodeView) -> P2pfdError:
        """A node's end as an error of the whole run."""
        return _failed(node, self.state.node(node.name) / "output.log")


def _failed(node: NodeView, output: Path) -> P2pfdError:
    """It is of the kind that the node itself named."""
    kind: type[P2pfdError] = P2pfdError
    if node.exit is not None and node.exit < 0:
        kind = EnvironmentProblem
    elif node.kind:
        kind = next((known for known, _ in exits.KINDS if known.__name__ == node.kind), P2pfdError)
    return kind(f"{node.name}: {node.error}", node.fix or f"its last words: {last_line(output)} ({output})")
