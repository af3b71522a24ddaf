"""How much of something is allowed in a time: a bucket that fills steadily and holds so much at most."""

from __future__ import annotations

import trio


class Pace:
    """So many a second, and as many at once after a pause as come together in `burst_seconds`."""

    __slots__ = ("_at", "_most", "_rate", "_room")

    def __init__(self, a_second: float, burst_seconds: float = 1.0) -> None:
        self._rate = a_second
        self._most = max(1.0, a_second * burst_seconds)
        self._room = self._most
        self._at = trio.current_time()

    def take(self, amount: float = 1.0) -> bool:
        """Take so much when it is there; False, and nothing taken, when it is not."""
        self._fill()
        if self._room < amount:
            return False
        self._room -= amount
        return True

    async def wait(self, amount: float = 1.0) -> None:
        """Take so much, and wait until it is paid for: whoever comes after waits for this one too."""
        self._fill()
        self._room -= amount
        if self._room < 0:
            await trio.sleep(-self._room / self._rate)

    def owe(self, amount: float) -> None:
        """So much was taken already: whoever waits next waits for it."""
        self._fill()
        self._room -= amount

    def _fill(self) -> None:
        now = trio.current_time()
        self._room = min(self._most, self._room + (now - self._at) * self._rate)
        self._at = now
