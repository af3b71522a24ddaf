"""What the contract of encounters tells: each event names an encounter by its key, or a seat by its number."""

from __future__ import annotations

from dataclasses import dataclass

from p2pfd.core.ids import Account

_M64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class SeatTaken:
    """A validator joined."""

    seat: int
    holder: Account


@dataclass(frozen=True, slots=True)
class SeatLeft:
    """A seat is drawn no more, by its holder's wish or because too little is in it."""

    seat: int


@dataclass(frozen=True, slots=True)
class SeatBack:
    """A seat is drawn again."""

    seat: int


@dataclass(frozen=True, slots=True)
class SeatVacated:
    """A seat has no holder any more."""

    seat: int


@dataclass(frozen=True, slots=True)
class Opened:
    """Both parties are bound, when there were so many seats; `encounter_where.opened` makes the rest of it."""

    key: int
    seats: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """The committee is fixed: 24 bits a seat in ``where``, then forty bits of the block that drew it."""

    key: int
    where: int


@dataclass(frozen=True, slots=True)
class Reported:
    """Votes have begun; ``where`` holds the second above committee and block; ``bound`` is zero for who is not."""

    key: int
    result: bytes
    where: int
    bound: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Committed:
    """Somebody was bound."""

    key: int
    place: int
    commitment: bytes


@dataclass(frozen=True, slots=True)
class Revealed:
    """Somebody's vote was shown. Two bits a place: one for committed, two for valid, three for invalid."""

    key: int
    ballot: int


@dataclass(frozen=True, slots=True)
class Settled:
    """The encounter is over by its votes."""

    key: int
    outcome: int

    @property
    def learner(self) -> int:
        """What the learner was credited."""
        return self.outcome >> 128

    @property
    def neighbor(self) -> int:
        """What the neighbor was credited, its own prepayment included."""
        return self.outcome >> 64 & _M64

    @property
    def ballot(self) -> int:
        """Two bits a place."""
        return self.outcome & _M64


@dataclass(frozen=True, slots=True)
class Defaulted:
    """The neighbor delivered nothing."""

    key: int
    damages: int


@dataclass(frozen=True, slots=True)
class Voided:
    """Too few validators could be drawn."""

    key: int


EncounterEvent = (
    SeatTaken
    | SeatLeft
    | SeatBack
    | SeatVacated
    | Opened
    | Drawn
    | Reported
    | Committed
    | Revealed
    | Settled
    | Defaulted
    | Voided
)
