"""Whom we have met, and where they can be dialled. Bounded; whoever was met longest ago is forgotten first.

Nothing stands here on a stranger's word alone: an address was dialled and answered by that very peer, or the peer, on
a connection of its own, has signed a record with it.
"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from collections.abc import Callable, Container
from dataclasses import dataclass, field

from p2pfd.core.ids import PeerId, peer_id
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError
from p2pfd.network.reach import ADDRESSES, Reach, reach_of, read_record, relay_in, whole
from p2pfd.network.statefile import finite

PEERS = 1024
VERSION = 1


@dataclass
class Known:
    """One peer."""

    seen: float
    """When it was connected last."""
    addresses: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """Where it may be dialled, and when it last answered there; 0 for never."""
    record: bytes = b""
    """Its own word for that, signed; empty when it never gave it."""
    signed: tuple[str, ...] = ()
    """The addresses in its record."""

    @property
    def reached(self) -> float:
        """When it last answered a dial; 0 for never."""
        return max(self.addresses.values(), default=0.0)

    def dialable(self) -> list[str]:
        """Its addresses, the one that answered last first; of those that never did, the direct ones first."""
        return sorted(self.addresses, key=lambda address: (-self.addresses[address], relay_in(address) is not None))


class AddressBook:
    """The peers that one node has met."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._known: OrderedDict[PeerId, Known] = OrderedDict()
        self.changed = False

    def __contains__(self, peer: object) -> bool:
        return peer in self._known

    def __len__(self) -> int:
        return len(self._known)

    def met(self, peer: PeerId) -> Known:
        """The peer is connected now."""
        known = self._known.pop(peer, None) or Known(self._now())
        self._known[peer] = known
        known.seen = self._now()
        self.changed = True
        if len(self._known) > PEERS:
            # Strangers that only came and told must not push out whoever has answered.
            useless = (each for each, held in self._known.items() if not held.reached and each != peer)
            del self._known[next(useless, next(iter(self._known)))]
        return known

    def reached(self, address: str, peer: PeerId) -> None:
        """The peer has answered there."""
        full = whole(address, peer)
        if full is not None:
            known = self.met(peer)
            known.addresses.pop(full, None)
            known.addresses[full] = self._now()
            self._trim(known)

    def signed(self, raw: bytes) -> PeerId:
        """A peer that is connected has given its record."""
        peer, addresses = read_record(raw)
        known = self.met(peer)
        if known.record != raw:
            known.record, known.signed = raw, addresses
            for address in addresses:
                known.addresses.setdefault(address, 0.0)
            self._trim(known)
        return peer

    @staticmethod
    def _trim(known: Known) -> None:
        while len(known.addresses) > ADDRESSES:
            del known.addresses[min(known.addresses, key=lambda address: known.addresses[address])]

    def failed(self, address: str, peer: PeerId) -> None:
        """Nobody answered there, or somebody else: a peer is forgotten when it never did, anywhere."""
        known = self._known.get(peer)
        if known is not None and not known.addresses.get(address, 1.0):
            del known.addresses[address]
            self.changed = True

    def of(self, peer: PeerId) -> list[str]:
        """Where the peer may be dialled, the best first."""
        known = self._known.get(peer)
        return [] if known is None else known.dialable()

    def record_of(self, peer: PeerId) -> bytes:
        """What the peer has signed; empty when it has not."""
        known = self._known.get(peer)
        return b"" if known is None else known.record

    def has_reached(self, peer: PeerId) -> bool:
        """Whether the peer has ever answered a dial."""
        known = self._known.get(peer)
        return known is not None and known.reached > 0

    def candidates(self, but: Container[PeerId], rng: Rng) -> list[PeerId]:
        """Peers to dial, in random order, those that once answered before those that only said they would."""
        able = [peer for peer, known in self._known.items() if known.addresses and peer not in but]
        rng.shuffle(able)
        return sorted(able, key=lambda peer: not self._known[peer].reached)

    def by_date(self) -> list[list[str]]:
        """Where each peer may be dialled, who answered last first."""
        able = [known for known in self._known.values() if known.addresses]
        return [known.dialable() for known in sorted(able, key=lambda known: -known.reached)]

    def introduce(
        self, reach: Reach, seconds: float, connected: Container[PeerId], but: PeerId, rng: Rng, count: int
    ) -> list[bytes | str]:
        """Some peers for somebody so far away, each its record, or an address that it has not signed.

        Only those that have answered a dial, and that are connected now or were so lately.
        """
        since = self._now() - seconds
        able = [
            peer
            for peer, known in self._known.items()
            if known.reached and peer != but and (peer in connected or known.seen >= since)
        ]
        rng.shuffle(able)
        told: list[bytes | str] = []
        for peer in able:
            known = self._known[peer]
            # Where it answered last may be nearer than the asker is: a relay is told by loopback, too.
            answering = (address for address in known.dialable() if known.addresses[address])
            best = next((address for address in answering if (reach_of(address) or Reach.MACHINE) >= reach), None)
            if best is None:
                continue
            told.append(known.record if best in known.signed else best)
            if len(told) == count:
                break
        return told

    def dump(self) -> object:
        """What `restore` takes."""
        self.changed = False
        return {
            "version": VERSION,
            "peers": [
                {
                    "peer": peer,
                    "seen": known.seen,
                    "addresses": [[address, moment] for address, moment in known.addresses.items()],
                    "record": base64.b64encode(known.record).decode(),
                }
                for peer, known in self._known.items()
                if known.addresses
            ],
        }

    def restore(self, value: object) -> None:
        """Know what `dump` wrote; DecodeError when it is something else, and then nothing is known."""
        now, found = self._now(), OrderedDict[PeerId, Known]()
        try:
            if not isinstance(value, dict) or value["version"] != VERSION or not isinstance(value["peers"], list):
                raise DecodeError("it is not an address book of this version")
            for entry in value["peers"][-PEERS:]:
                peer = peer_id(entry["peer"])
                known = Known(min(finite(entry["seen"]), now), record=base64.b64decode(entry["record"], validate=True))
                if known.record:
                    signer, known.signed = read_record(known.record)
                    if signer != peer:
                        raise DecodeError(f"the record of {peer} is one of {signer}")
                for address, moment in entry["addresses"][:ADDRESSES]:
                    full = whole(address, peer)
                    if full is None:
                        raise DecodeError(f"{address!r} is no address of {peer}")
                    known.addresses[full] = min(finite(moment), now)
                found[peer] = known
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise DecodeError(f"an address book with something else in it: {error!r}") from error
        self._known = found
