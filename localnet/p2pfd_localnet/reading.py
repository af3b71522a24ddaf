"""A mesh as its files tell it, read on as they grow: for commands that look at it from outside."""

from __future__ import annotations

from typing import Any

from p2pfd_localnet.engines.placement import machines_of
from p2pfd_localnet.events import NodeEvent, Tail
from p2pfd_localnet.life import lives
from p2pfd_localnet.state import State
from p2pfd_localnet.view import MeshView, NodeView

HZ = 5
"""So often a command looks at a mesh that it follows, at most."""
ENDED = ("done", "failed", "interrupted", "stopped")


class Reader:
    """Follows a mesh's files. Every look reads only what is new."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.mesh = state.read(state.mesh)
        plan = self.mesh.get("plan")
        self.plan: dict[str, Any] = plan if isinstance(plan, dict) else {}
        rounds = self.plan.get("rounds")
        self.view = MeshView((), rounds if isinstance(rounds, int) else 0)
        self.running = False
        self._tails = {"": Tail(state.events)}
        self._machines = machines_of(state.home)

    def look(self) -> list[NodeEvent]:
        """Bring the view up to date; the events that are new, in the order of time."""
        self.running = self.state.running()  # asked first, so that nothing written before the end is missed
        self.mesh = self.state.read(self.state.mesh)
        for name in self.state.names():
            if name not in self._tails:
                self._tails[name] = Tail(self.state.node(name) / "events.jsonl")
                self.view.nodes[name] = NodeView(name, machine=self._machines.get(name, ""))
        new = sorted((event for tail in self._tails.values() for event in tail.new()), key=lambda event: event.t)
        for event in new:
            self.view.take(event)
        if self.running:
            self.view.bury(node.name for node in self.view.living() if self._died(node))
        return new

    @staticmethod
    def _died(node: NodeView) -> bool:
        """Whether its process is gone, where one can see it from here: of another machine's, its host tells."""
        return node.pid > 0 and not node.machine and not lives(node.pid)

    @property
    def status(self) -> str:
        """How the mesh is. One that was cut off could not say so itself."""
        told = str(self.mesh.get("status", ""))
        return told if self.running or told in ENDED else "killed"

    @property
    def watch(self) -> Any:
        """Where its page is, as long as it runs."""
        known = self.running and self.state.supervisor.exists()
        return self.state.read(self.state.supervisor).get("watch") if known else None
