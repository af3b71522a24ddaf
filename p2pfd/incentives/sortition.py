"""Drawing a committee of bonded validators that nobody chose.

The seed mixes a block's hash, made after both parties were bound, with a salt from each of them, so neither the
parties nor whoever makes the block can alone decide it. Each candidate holds one ticket for every whole unit of
stake; a ticket's number is a hash of the seed, the account and the ticket, and the candidates with the lowest
tickets judge. So the chance to be drawn is proportional to stake, splitting a stake over many accounts gains
nothing, and whoever holds less than a unit is never drawn. The order in which candidates are listed does not
matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping

from p2pfd.core.ids import Account, Digest, account_bytes

MAX_TICKETS = 1024
"""What one account can hold; more stake than that buys nothing, and is better spread over accounts."""
_DOMAIN = b"p2pfd-sortition-1"


def seed(block_hash: bytes, salts: tuple[bytes, bytes]) -> Digest:
    """The seed of a draw: a block's hash and both parties' salts, 32 bytes each."""
    if any(len(part) != 32 for part in (block_hash, *salts)):
        raise ValueError("a block's hash and both salts are 32 bytes each")
    return Digest(hashlib.sha256(_DOMAIN.ljust(32, b"\0") + block_hash + salts[0] + salts[1]).digest())


def committee(
    drawn_by: Digest, stakes: Mapping[Account, int], unit: int, size: int, excluded: Collection[Account]
) -> tuple[Account, ...]:
    """The ``size`` candidates with the lowest tickets, lowest first; fewer where there are fewer candidates."""
    if unit < 1 or size < 0:
        raise ValueError("a ticket costs at least one unit of stake, and a committee is no smaller than empty")
    best = {
        who: _lowest(drawn_by, who, min(stake // unit, MAX_TICKETS))
        for who, stake in stakes.items()
        if stake >= unit and who not in excluded
    }
    return tuple(sorted(best, key=lambda who: (best[who], who))[:size])


def _lowest(drawn_by: Digest, who: Account, tickets: int) -> bytes:
    begun = hashlib.sha256(drawn_by + account_bytes(who))
    lowest = b"\xff" * 32
    for ticket in range(tickets):
        state = begun.copy()
        state.update(ticket.to_bytes(4, "big"))
        lowest = min(lowest, state.digest())
    return lowest


# -- as the contract of encounters draws: by seats of one bond each --

MAX_PICKS = 64
"""After so many picks a draw is over, whether enough were found or not."""
_SLICE = 2**32


def drawn_seats(
    seed: bytes, seats: int, size: int, holder_of: Callable[[int], Account | None], keccak: Callable[[bytes], bytes]
) -> tuple[int, ...]:
    """Up to ``size`` seats of different holders; one whose holder is None is passed over.

    A seat costs the same bond for everyone, so to pick seats evenly is to pick in proportion to stake, and takes about
    as many steps as the committee has members. Slices of 32 bits of the seed pick; eight are in it, then it is hashed.
    """
    found: list[int] = []
    holders = set[Account]()
    slices = int.from_bytes(seed, "big")
    for pick in range(1, MAX_PICKS + 1):
        seat = slices % _SLICE % seats
        slices //= _SLICE
        if pick % 8 == 0:
            seed = keccak(seed)
            slices = int.from_bytes(seed, "big")
        who = holder_of(seat)
        if who is None or who in holders:
            continue
        holders.add(who)
        found.append(seat)
        if len(found) == size:
            break
    return tuple(found)
