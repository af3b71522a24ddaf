"""What an engine is: whoever holds the processes of a mesh's nodes, wherever these run."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from p2pfd_localnet.plan import Plan
from p2pfd_localnet.spawner import Spawner
from p2pfd_localnet.state import State

LOCAL, RAY = "local", "ray"
ENGINES = (LOCAL, RAY)


class Engine(Protocol):
    """Places nodes, and gives each what it needs to run there."""

    def furnish(self, plan: Plan, state: State, name: str, chain_url: str, paused: int = 0) -> Path:
        """Write what the node needs; the path of its settings."""
        ...

    def spawner(self, state: State, lock: int, entry: str, warm: tuple[str, ...], *, isolate: bool) -> Spawner:
        """What starts nodes, gives them orders, and passes on what they say."""
        ...

    def reach(self, chain_url: str) -> AbstractAsyncContextManager[str]:
        """Let every node reach the chain that runs beside the supervisor; where they find it."""
        ...

    def prepare(self, state: State) -> None:
        """Write down in the mesh's directory, which is ours by now, who runs where."""
        ...
