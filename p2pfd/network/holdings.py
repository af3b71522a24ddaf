"""What all connections together hold that has come in and that nobody has read yet."""

from __future__ import annotations

from typing import Protocol


class Holder(Protocol):
    """A connection."""

    def shed(self) -> None:
        """It holds the most of all, and that is too much: it ends."""
        ...


class Holdings:
    """The bytes that each connection holds; when they are more than the limit, the one that holds the most ends."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self._held: dict[Holder, int] = {}

    def change(self, who: Holder, more: int) -> None:
        """So many bytes more, or fewer."""
        self._held[who] = self._held.get(who, 0) + more
        self.total += more
        if self.total > self.limit and more > 0:
            most = max(self._held, key=self._held.__getitem__)
            self.forget(most)
            most.shed()

    def forget(self, who: Holder) -> None:
        """It holds nothing any more."""
        self.total -= self._held.pop(who, 0)
