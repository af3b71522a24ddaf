"""A mesh's settlement as its supervisor sees it. Whoever only looks need not import a chain's libraries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

import trio

from p2pfd.core.ids import Account
from p2pfd.core.spec import TaskSpec
from p2pfd.node import keys
from p2pfd_localnet.plan import DataFacts, Plan

if TYPE_CHECKING:
    from p2pfd.core.claims import ChainEvent
    from p2pfd.incentives.audit import Audit
    from p2pfd.incentives.encounter_audit import End
    from p2pfd.settlement.encounter_history import Entry

Findings: TypeAlias = "tuple[Audit | None, tuple[End, ...]]"
"""What was paid, recomputed, and how each encounter ended that votes did end."""
History: TypeAlias = "Sequence[tuple[int, ChainEvent | Entry]]"
"""Each thing that the chain told, with its block."""
Tell: TypeAlias = "Callable[[int, ChainEvent | Entry], Awaitable[None]]"
"""Hears of a block's number and of what happened in it."""


class Ledger(Protocol):
    """A settlement, seen by whoever opens the task."""

    @property
    def url(self) -> str:
        """Where nodes reach it; empty when there is none."""
        ...

    async def found(self, plan: Plan, facts: DataFacts) -> TaskSpec:
        """Deploy and fund what the task is to name; the task, which is not open yet."""
        ...

    async def open(self, task: TaskSpec, plan: Plan) -> None:
        """Open the task: from now on its deadlines run."""
        ...

    def resume(self, task: TaskSpec) -> None:
        """The task is open already."""
        ...

    async def totals(self, accounts: Sequence[Account]) -> Mapping[Account, int]:
        """All that these accounts own."""
        ...

    async def audit(self, task: TaskSpec) -> Findings:
        """Every payment recomputed from what the chain itself shows; None where nothing settles."""
        ...

    async def follow(self, task: TaskSpec, tell: Tell) -> None:
        """Tell of all that the chain says of the task, from its beginning on, for ever; ChainError when it cannot."""
        ...

    async def watch(self) -> None:
        """Return never; ChainError as soon as the chain has gone by itself."""
        ...

    @property
    def history(self) -> History:
        """What the audit has read, in its order."""
        ...

    @property
    def pid(self) -> int:
        """Its process; 0 where there is none, or it is somebody else's."""
        ...

    def kill(self) -> None:
        """End the chain at once, without asking."""
        ...


class NoLedger:
    """No chain: nothing is staked and nobody is paid."""

    pid = 0
    url = ""
    history: History = ()

    async def found(self, plan: Plan, facts: DataFacts) -> TaskSpec:
        """The task, which settles nowhere."""
        return plan.task(facts)

    async def open(self, task: TaskSpec, plan: Plan) -> None:
        """Its nodes begin when they know one another."""

    def resume(self, task: TaskSpec) -> None:
        """It settles nowhere."""

    async def totals(self, accounts: Sequence[Account]) -> Mapping[Account, int]:
        """Nobody owns anything."""
        return {}

    async def audit(self, task: TaskSpec) -> Findings:
        """Nobody was paid."""
        return None, ()

    async def follow(self, task: TaskSpec, tell: Tell) -> None:
        """There is nothing to tell."""
        await trio.sleep_forever()

    async def watch(self) -> None:
        """There is nothing that could go."""
        await trio.sleep_forever()

    def kill(self) -> None:
        """There is nothing to end."""


def accounts(plan: Plan) -> list[Account]:
    """The accounts of the nodes, and of those that may join late, in the order of their names."""
    return [keys.throwaway(plan.seed, name).account.account for name in plan.everybody()]
