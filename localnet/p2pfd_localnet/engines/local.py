"""All nodes on this machine: the engine that needs nothing."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from p2pfd_localnet.homes import furnish
from p2pfd_localnet.plan import Plan
from p2pfd_localnet.spawner import Spawner
from p2pfd_localnet.state import State


@dataclass(frozen=True)
class LocalEngine:
    """Forks the nodes from one process here."""

    early: subprocess.Popen[bytes] | None = None
    """That process, where it was started already."""

    def furnish(self, plan: Plan, state: State, name: str, chain_url: str, paused: int = 0) -> Path:
        """Its keys and settings are in its directory here."""
        return furnish(plan, state, name, plan.everybody().index(name), chain_url, paused)

    def spawner(self, state: State, lock: int, entry: str, warm: tuple[str, ...], *, isolate: bool) -> Spawner:
        """The zygote."""
        return Spawner(state.zygote_log, (lock,), entry, warm, isolate=isolate, early=self.early)

    @asynccontextmanager
    async def reach(self, chain_url: str) -> AsyncIterator[str]:
        """All are on this machine, and so is the chain."""
        yield chain_url

    def prepare(self, state: State) -> None:
        """There is nothing to tell."""
