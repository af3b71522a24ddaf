"""Who has offended how often, and who is refused for it.

An offence weighs one, and half of that after every `forgive_seconds`: whoever is unlucky now and then is forgiven,
whoever keeps on offending adds up to `rejects`, and is refused for `refuse_seconds`. What it weighed is not forgotten
by that: after the refusal one or two more are enough.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable

import trio

from p2pfd.core.ids import PeerId, peer_id
from p2pfd.errors import DecodeError
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.statefile import finite

KNOWN_OFFENDERS = 4096
VERSION = 1

log = logging.getLogger("p2pfd.network")


class Conduct:
    """Weighs offences. They outlive connections, and the process: whoever comes back does not come back innocent."""

    def __init__(self, settings: NetworkSettings, now: Callable[[], float] = trio.current_time) -> None:
        self._rejects = settings.rejects
        self._seconds = settings.refuse_seconds
        self._half_life = settings.forgive_seconds
        self._now = now
        self._strikes: OrderedDict[PeerId, tuple[float, float]] = OrderedDict()
        self._refused: OrderedDict[PeerId, float] = OrderedDict()
        self.changed = False

    def weight(self, peer: PeerId) -> float:
        """What is held against a peer now."""
        weight, since = self._strikes.get(peer, (0.0, 0.0))
        return weight * math.exp2(-max(0.0, self._now() - since) / self._half_life)

    def strike(self, peer: PeerId, reason: str) -> bool:
        """Hold one more thing against a peer; True when that was one too many, and the peer has to go."""
        weight = min(self.weight(peer) + 1, float(self._rejects))
        log.debug("offences of %s weigh %.1f: %s", peer, weight, reason)
        self.changed = True
        self._strikes.pop(peer, None)
        self._strikes[peer] = (weight, self._now())
        if len(self._strikes) > KNOWN_OFFENDERS:
            self._strikes.popitem(last=False)
        if weight <= self._rejects - 0.5:  # a little of each is forgiven already when the last one comes
            return False
        log.warning("%s is disconnected, its offences weigh %.1f, the last: %s", peer, weight, reason)
        self._refused.pop(peer, None)
        self._refused[peer] = self._now() + self._seconds
        if len(self._refused) > KNOWN_OFFENDERS:
            self._refused.popitem(last=False)
        return True

    def is_refused(self, peer: PeerId) -> bool:
        """Whether the peer is not welcome at present."""
        return self._now() < self._refused.get(peer, -math.inf)

    def dump(self) -> object:
        """What `restore` takes."""
        self.changed = False
        return {
            "version": VERSION,
            "offences": [[peer, weight, since] for peer, (weight, since) in self._strikes.items()],
            "refused": [[peer, until] for peer, until in self._refused.items() if until > self._now()],
        }

    def restore(self, value: object) -> None:
        """Know what `dump` wrote; DecodeError when it is something else, and then nothing is known.

        A clock that was set back must not make a refusal longer than it was meant to be.
        """
        now = self._now()
        try:
            if not isinstance(value, dict) or value["version"] != VERSION:
                raise DecodeError("it is not a list of offences of this version")
            strikes = [
                (peer_id(peer), (min(finite(weight), float(self._rejects)), min(finite(since), now)))
                for peer, weight, since in value["offences"][-KNOWN_OFFENDERS:]
            ]
            refused = [
                (peer_id(peer), min(finite(until), now + self._seconds))
                for peer, until in value["refused"][-KNOWN_OFFENDERS:]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise DecodeError(f"a list of offences with something else in it: {error!r}") from error
        self._strikes, self._refused = OrderedDict(strikes), OrderedDict(refused)
