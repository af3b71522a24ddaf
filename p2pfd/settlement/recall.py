"""What some calls need beyond their claims: a task as its final events tell it, read on when somebody asks."""

from __future__ import annotations

import trio

from p2pfd.core.ids import TaskId
from p2pfd.settlement.kinds import Contract
from p2pfd.settlement.modes import Ledger
from p2pfd.settlement.watch import Watcher


class Recall:
    """The tasks of one contract, for all accounts of this process. Only what is final is taken in: it never changes."""

    def __init__(self, watcher: Watcher, contract: Contract) -> None:
        self._watcher = watcher
        self._contract = contract
        self._tasks: dict[TaskId, tuple[Ledger, int]] = {}
        self._lock = trio.Lock()

    async def of(self, task: TaskId, until: int) -> Ledger:
        """A task up to the newest final block, this one at least."""
        async with self._lock:
            ledger, read = self._tasks.get(task, (Ledger(), -1))
            last = max(until, await self._watcher.final_height())
            if last > read:
                for _, event in await self._watcher.caught_up(read + 1, last, self._contract, task):
                    ledger.see(event)  # type: ignore[arg-type]  # of a market, because it has a task
                self._tasks[task] = ledger, last
            return ledger
