"""`Transport`: what a node needs of a network, and nothing more. Bytes in, bytes out; meaning is decided above."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import NewType, Protocol

from p2pfd.core.ids import PeerId
from p2pfd.core.verdict import Verdict

Topic = NewType("Topic", str)
Cid = NewType("Cid", bytes)
"""A blob's name: the SHA-256 of its bytes; above 1 MiB, of the list of its pieces (`p2pfd.network.manifest`)."""
Progress = Callable[[int, int], None]
"""Told how many bytes of a blob are here, and how many it has."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it came in. It is passed on to others only once it is answered with Accept, in time.

    ``sender`` is the peer that signed it, at this layer, as its author; ``via`` the neighbour that handed it over.
    """

    sender: PeerId
    via: PeerId
    raw: bytes
    answer: Callable[[Verdict], None]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes on the wire since the start, all protocols and all overhead included, counted at the sockets."""

    sent: int
    received: int


class Transport(Protocol):
    """A peer on a network."""

    @property
    def peer(self) -> PeerId:
        """Who this node is."""
        ...

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others can dial it, each ending in ``/p2p/<peer id>``."""
        ...

    async def connect(self, address: str) -> PeerId:
        """Dial a peer at an address that ends in its id; NetworkError when it cannot be reached or is somebody else."""
        ...

    def peers(self) -> tuple[PeerId, ...]:
        """The peers connected now."""
        ...

    def traffic(self) -> Traffic:
        """What went over the wire."""
        ...

    async def publish(self, topic: Topic, raw: bytes) -> None:
        """Say it to all who subscribe; returns when it is queued, and waits while queues are full."""
        ...

    def heard(self, topic: Topic) -> AsyncIterator[Delivery]:
        """What others say on a topic, each to be answered with a verdict. Iterating subscribes."""
        ...

    async def put(self, blob: bytes) -> Cid:
        """Offer a blob to whoever asks for it by hash."""
        ...

    async def get(self, cid: Cid, limit: int, progress: Progress | None = None) -> bytes:
        """Fetch a blob of at most `limit` bytes from whoever has it; NetworkError when nobody does.

        What came of one that failed is not fetched again when it is asked for once more.
        """
        ...

    async def request(self, peer: PeerId, protocol: str, raw: bytes, limit: int) -> bytes:
        """Ask one peer one thing, and take an answer of at most `limit` bytes."""
        ...

    def serve(self, protocol: str, limit: int, answer: Callable[[PeerId, bytes], bytes]) -> None:
        """Answer `request`s of at most `limit` bytes under this protocol name."""
        ...

    def blame(self, peer: PeerId, reason: str) -> None:
        """What a peer has asked of this node alone was wrong: it weighs as much as a message that is rejected."""
        ...
