"""A lock that costs nothing while nobody else holds it.

trio's own gives up two turns of the event loop each time it is taken. py-libp2p takes a dozen locks for a message,
hardly ever one that is held. Whoever takes this one gives up a turn only by waiting; so it is no checkpoint, and what
is done under it, or next to it, has to have one.
"""

from __future__ import annotations

from types import TracebackType

import trio
from libp2p.abc import INetStream


class QuickLock:
    """Mutual exclusion; whoever waits longest is next. For what py-libp2p does with `trio.Lock`."""

    def __init__(self) -> None:
        self._held = False
        self._waiting = trio.lowlevel.ParkingLot()

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._held

    async def acquire(self) -> None:
        """Take it."""
        if self._held:
            await self._waiting.park()  # whoever releases it hands it over: it stays held
        self._held = True

    def release(self) -> None:
        """Give it back, or on."""
        if not self._held:
            raise RuntimeError("a lock that nobody holds cannot be released")
        if self._waiting:
            self._waiting.unpark()
        else:
            self._held = False

    async def __aenter__(self) -> None:
        if self._held:
            await self._waiting.park()
        self._held = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.release()


def quicken(stream: INetStream) -> None:
    """Give a stream of the host a quick lock for its state, which it takes for every read and write."""
    if isinstance(getattr(stream, "_state_lock", None), trio.Lock):
        stream._state_lock = QuickLock()
