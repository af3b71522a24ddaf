"""A node and its chain: claims go there, events come from there, and when it is away the node waits and goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio

from p2pfd.core.claims import Claim, Deposit, Included, Receipt, Unknown
from p2pfd.core.ids import Account, TaskId
from p2pfd.errors import ChainError
from p2pfd.node.store import Store
from p2pfd.node.telemetry import Emitter
from p2pfd.settlement.api import GENESIS, ChainAwayError, Cursor, Desk, OnceDesk, TxRef

AnyDesk = Desk[Any, Any]
Open = Callable[[], AbstractAsyncContextManager[AnyDesk]]
"""Connects to the chain, and makes sure that it is the one that was meant."""
SENDS_AGAIN = 5
SENDS_AGAIN_AFTER = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
PATIENCE = 60.0
"""So long a node that is new waits for a chain that does not answer. One that has taken part waits for ever."""


class ChainSide:
    """Everything between one node and its chain."""

    def __init__(
        self, task: TaskId, who: Account, open_chain: Open, store: Store, emit: Emitter, *, of_all: bool = False
    ) -> None:
        """``of_all``: what the contract tells is of no task, as with encounters, and all of it is handed over."""
        self._task = task
        self._of = None if of_all else task
        self._who = who
        self._open = open_chain
        self._store = store
        self._emit = emit
        self._settlement: AnyDesk | None = None
        self._under_way: set[str] = set()
        self.reached = trio.Event()
        """Set once the chain has answered, and is the right one."""
        self.cursor: Cursor = GENESIS
        """Up to where the machine has handled the chain's events: it is saved with the machine, never ahead of it."""
        self.patient = False
        """Whether it waits for ever for a chain that does not answer at the start: a node that has taken part does."""
        self._cursors: deque[Cursor] = deque()
        self._read: Cursor | None = None

    # -- what the chain says -------------------------------------------------------------------------------------------

    def desk(self) -> Any:
        """The chain, to be asked; ChainAwayError while it does not answer."""
        if self._settlement is None:
            raise ChainAwayError("the chain does not answer", "the node asks it again")
        return self._settlement

    async def run(self, saw: Callable[[Any, int], None]) -> None:
        """Hand over what the chain says of the task, with the block, from the cursor on, for ever.

        When the chain is away it is asked again, at growing intervals. ChainError only when it is the wrong chain, or
        when it has not answered once for too long.
        """
        pause = FIRST_PAUSE
        give_up = trio.current_time() + PATIENCE
        while True:
            following = False
            try:
                async with self._open() as settlement:
                    self._settlement, following, pause = settlement, True, FIRST_PAUSE
                    self.reached.set()
                    await self._follow(settlement, saw)
            except* ChainError as group:
                error = _first(group)
                impatient = not (self.patient or self.reached.is_set()) and trio.current_time() >= give_up
                if impatient or not (following or isinstance(error, ChainAwayError)):
                    raise ChainError(error.what, error.fix) from error
                self._emit("chain.unreachable", {"why": str(error), "again_in": pause})
            finally:
                self._settlement = None
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _follow(self, settlement: AnyDesk, saw: Callable[[Any, int], None]) -> None:
        since = self.cursor if self._read is None else self._read
        async for cursor, event in settlement.events(since, self._of):
            self._read = cursor
            self._cursors.append(cursor)
            saw(event, cursor.block)

    def handled(self) -> None:
        """The machine has handled one more event of the chain's."""
        self.cursor = self._cursors.popleft()

    # -- what the node claims ------------------------------------------------------------------------------------------

    async def settle(self, intent: str, claim: Claim) -> Receipt | None:
        """Send a claim, unless it was sent before, and wait for what becomes of it. None while it is under way."""
        if intent in self._under_way:
            return None
        self._under_way.add(intent)
        try:
            return await self._settle(intent, claim)
        finally:
            self._under_way.discard(intent)

    async def _settle(self, intent: str, claim: Claim) -> Receipt:
        ref = self._store.intend(self._task, intent)
        begun = ref is not None
        receipt: Receipt = Unknown("", "the chain could not be reached")
        for attempt in range(SENDS_AGAIN):
            try:
                settlement: AnyDesk = self.desk()
                if not ref:
                    if isinstance(settlement, OnceDesk):
                        ref = await settlement.submit_once(f"{self._task.hex()}/{intent}", claim)
                    elif begun and await self._arrived(settlement, claim):
                        return Included("", 0, 0)
                    else:
                        begun = True
                        ref = await settlement.submit(claim)
                    self._store.sent(self._task, intent, ref)
                return await settlement.final(TxRef(ref))
            except ChainError as error:
                receipt = Unknown(ref or "", str(error))
                self._emit("chain.unreachable", {"intent": intent, "why": str(error), "attempt": attempt + 1})
            if attempt + 1 < SENDS_AGAIN:
                await trio.sleep(SENDS_AGAIN_AFTER * 2**attempt)
        return receipt

    async def _arrived(self, settlement: AnyDesk, claim: Claim) -> bool:
        """Whether a claim that was begun, and whose reference was lost, needs no sending.

        A chain takes an enrolment, a commitment or a reveal once, and refuses the second. A deposit it would take
        twice: it is needed only while the account has less than the amount at its disposal.
        """
        return isinstance(claim, Deposit) and (await settlement.account(self._who)).free >= claim.amount


def _first(group: BaseExceptionGroup[ChainError]) -> ChainError:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, ChainError)
    return found
