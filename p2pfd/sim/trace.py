"""What happened, as one hash: two runs are the same run exactly when their traces are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from p2pfd.core.effects import Effect
from p2pfd.core.events import Event
from p2pfd.core.ticks import Tick


class Trace:
    """Each node's events and effects, in its order, chained into a hash; the trace is the hash over all nodes."""

    def __init__(self, nodes: int) -> None:
        self._chains = [hashlib.blake2b(digest_size=32) for _ in range(nodes)]
        self.entries = 0

    def record(self, node: int, at: Tick, event: Event, effects: Sequence[Effect]) -> None:
        """One event and what followed. Values are frozen dataclasses of plain fields: their text is what they are."""
        self.entries += 1
        self._chains[node].update(f"{at} {event!r} {effects!r}\n".encode())

    def chains(self, nodes: Iterable[int]) -> tuple[bytes, ...]:
        """The hash of each of these nodes."""
        return tuple(self._chains[node].digest() for node in nodes)

    def digest(self) -> bytes:
        """The hash of the whole run."""
        return digest_of(self.chains(range(len(self._chains))))


def digest_of(chains: Sequence[bytes]) -> bytes:
    """The hash of a run, from those of all its nodes."""
    return hashlib.blake2b(b"".join(chains), digest_size=32).digest()
