"""Which neighbours have which message, because they sent it: it need not be sent to them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Set as AbstractSet

from libp2p.peer.id import ID

ID_BYTES = 128  # ours have 46; a stranger's may be as long as an RPC, and is not worth remembering
NOBODY: frozenset[ID] = frozenset()


class Holders:
    """Remembers it up to a bound; the oldest message is forgotten first, and then costs a needless copy, no more."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[bytes, set[ID]] = OrderedDict()

    def note(self, message: bytes, peer: ID) -> None:
        """A neighbour has sent the message of this id."""
        if len(message) > ID_BYTES:
            return
        holders = self._known.get(message)
        if holders is None:
            self._known[message] = {peer}
            if len(self._known) > self._limit:
                self._known.popitem(last=False)
        else:
            holders.add(peer)

    def of(self, message: bytes) -> AbstractSet[ID]:
        """Who has the message of this id for sure."""
        return self._known.get(message, NOBODY)

    def forget(self, peer: ID) -> None:
        """The neighbour is gone; when it comes back, it may have been restarted and have nothing."""
        for holders in self._known.values():
            holders.discard(peer)
