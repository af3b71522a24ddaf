"""What was done lately, and is not to be done again so soon."""

from __future__ import annotations

from collections import OrderedDict

import trio

from p2pfd.core.ids import PeerId

REMEMBERED = 2048


class Recent:
    """When something was last done with whom; bounded, and whoever is pushed out was never met."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._done: OrderedDict[PeerId, float] = OrderedDict()

    def __contains__(self, peer: object) -> bool:
        return isinstance(peer, str) and self._done.get(PeerId(peer), 0.0) > trio.current_time()

    def add(self, peer: PeerId, seconds: float | None = None) -> None:
        """It is done now, and not again for so long."""
        self._done.pop(peer, None)
        self._done[peer] = trio.current_time() + (self._seconds if seconds is None else seconds)
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)

    def forget(self, peer: PeerId) -> None:
        """It may be done again."""
        self._done.pop(peer, None)
