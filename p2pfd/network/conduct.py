"""Who has offended how often, and who is refused for it."""

from __future__ import annotations

import logging
from collections import OrderedDict

import trio

from p2pfd.core.ids import PeerId
from p2pfd.network.settings import NetworkSettings

KNOWN_OFFENDERS = 4096

log = logging.getLogger("p2pfd.network")


class Conduct:
    """Counts offences. The counts outlive connections: whoever comes back does not come back innocent."""

    def __init__(self, settings: NetworkSettings) -> None:
        self._rejects = settings.rejects
        self._seconds = settings.refuse_seconds
        self._strikes: OrderedDict[PeerId, int] = OrderedDict()
        self._refused: OrderedDict[PeerId, float] = OrderedDict()

    def strike(self, peer: PeerId, reason: str) -> bool:
        """Hold one more thing against a peer; True when that was one too many, and the peer has to go."""
        count = self._strikes.pop(peer, 0) + 1
        log.debug("offence %d of %s: %s", count, peer, reason)
        if count < self._rejects:
            self._strikes[peer] = count
            if len(self._strikes) > KNOWN_OFFENDERS:
                self._strikes.popitem(last=False)
            return False
        log.warning("%s is disconnected after %d offences, the last: %s", peer, count, reason)
        self._refused.pop(peer, None)
        self._refused[peer] = trio.current_time() + self._seconds
        if len(self._refused) > KNOWN_OFFENDERS:
            self._refused.popitem(last=False)
        return True

    def is_refused(self, peer: PeerId) -> bool:
        """Whether the peer is not welcome at present."""
        return trio.current_time() < self._refused.get(peer, float("-inf"))
