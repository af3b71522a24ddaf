"""The word that says how an encounter stands, as events tell it and calls bring it along.

Open: the block of the opening in the lowest 40 bits, the number of seats above. Drawn: 24 bits a place of the
committee, 168 together, then 40 bits of the block whose hash drew it. Reported: the second of the report above that.
"""

from __future__ import annotations

from collections.abc import Sequence

_BLOCK, _SEAT, _COMMITTEE = 40, 24, 168
PERIOD = 256
"""How many blocks back a hash can be read."""


def opened(seats: int, block: int) -> int:
    """Open since this block, when there were so many seats."""
    return seats << _BLOCK | block


def opened_at(where: int) -> int:
    """The block of the opening."""
    return where & (1 << _BLOCK) - 1


def seats_then(where: int) -> int:
    """How many seats there were."""
    return where >> _BLOCK


def scheduled(where: int, block: int) -> int:
    """The block whose hash draws, for whoever asks in this block, one later than the opening's at least."""
    since = opened_at(where)
    return since + (block - since - 1) // PERIOD * PERIOD


def drawn(committee: Sequence[int], block: int) -> int:
    """Drawn by the hash of this block."""
    return sum(seat << _SEAT * place for place, seat in enumerate(committee)) | block << _COMMITTEE


def seat(where: int, place: int) -> int:
    """The seat of a member of the committee."""
    return where >> _SEAT * place & (1 << _SEAT) - 1


def drawn_by(where: int) -> int:
    """The block whose hash drew the committee."""
    return where >> _COMMITTEE & (1 << _BLOCK) - 1


def reported(where: int, now: int) -> int:
    """Reported in this second."""
    return where | now << _COMMITTEE + _BLOCK


def reported_at(where: int) -> int:
    """The second of the report."""
    return where >> _COMMITTEE + _BLOCK
