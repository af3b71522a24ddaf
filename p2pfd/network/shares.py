"""Nobody takes more than its share of what a node serves: places, questions a second, and bytes a second, by peer."""

from __future__ import annotations

from collections import OrderedDict

import trio

from p2pfd.core.ids import PeerId
from p2pfd.errors import NetworkError
from p2pfd.network.counters import Drop
from p2pfd.network.pace import Pace
from p2pfd.network.settings import NetworkSettings

KNOWN = 4096


class StreamFaultError(NetworkError):
    """What ends a stream of a peer, counted under a reason of its own; when it is an offence, it is held against it."""

    def __init__(self, reason: Drop, what: str, offence: bool = False) -> None:
        super().__init__(what)
        self.reason = reason
        self.offence = offence


class Share:
    """What one peer may take."""

    def __init__(self, settings: NetworkSettings) -> None:
        self.places = trio.Semaphore(settings.services_per_peer)
        self._questions = Pace(settings.requests_per_second)
        rate = settings.serve_bytes_per_second
        self._bytes = Pace(rate) if rate else None

    async def ask(self) -> None:
        """One more question: wait until it is this peer's turn again."""
        await self._questions.wait()

    async def be_served(self) -> None:
        """Wait until what was served before is paid for. No place is taken meanwhile."""
        if self._bytes is not None:
            await self._bytes.wait(0)

    def served(self, size: int) -> None:
        """So many bytes were served."""
        if self._bytes is not None:
            self._bytes.owe(size)


class Shares:
    """The shares of all peers. They outlive connections: whoever comes back does not begin anew."""

    def __init__(self, settings: NetworkSettings) -> None:
        self._settings = settings
        self._shares: OrderedDict[PeerId, Share] = OrderedDict()

    def of(self, peer: PeerId) -> Share:
        """The share of one peer."""
        share = self._shares.get(peer)
        if share is None:
            share = self._shares[peer] = Share(self._settings)
            if len(self._shares) > KNOWN:
                self._shares.popitem(last=False)
        else:
            self._shares.move_to_end(peer)
        return share
