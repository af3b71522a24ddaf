"""The mesh's settlement: what the supervisor does on it, whichever chain it is, or none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from p2pfd.core.ids import Account
from p2pfd.core.spec import TaskSpec
from p2pfd_localnet.plan import Plan
from p2pfd_localnet.state import State


class Ledger(Protocol):
    """A settlement, seen by whoever opens the task."""

    @property
    def url(self) -> str:
        """Where nodes reach it; empty when there is none."""
        ...

    async def open(self, plan: Plan, sha256: bytes) -> TaskSpec:
        """Deploy, fund, and open the task."""
        ...

    async def totals(self, accounts: Sequence[Account]) -> Mapping[Account, int]:
        """All that these accounts own."""
        ...

    def kill(self) -> None:
        """End the chain at once, without asking."""
        ...


class NoLedger:
    """No chain: nothing is staked and nobody is paid."""

    url = ""

    async def open(self, plan: Plan, sha256: bytes) -> TaskSpec:
        """The task, which settles nowhere."""
        return plan.task(sha256)

    async def totals(self, accounts: Sequence[Account]) -> Mapping[Account, int]:
        """Nobody owns anything."""
        return {}

    def kill(self) -> None:
        """There is nothing to end."""


@asynccontextmanager
async def open_ledger(plan: Plan, state: State, port: int) -> AsyncIterator[Ledger]:
    """The plan's chain, running."""
    yield NoLedger()
