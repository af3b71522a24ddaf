"""The validators' seats: who can be drawn at which block, and what each has in it.

The pure counterpart of `contracts/vyper/registry.vy`, with the same refusals in the same order. Who can be drawn at a
block depends on blocks alone, never on balances, so a draw comes out the same whenever it is made.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pfd.core.encounter_events import EncounterEvent, SeatBack, SeatLeft, SeatTaken, SeatVacated
from p2pfd.core.ids import Account
from p2pfd.incentives.encounter_purse import Purse
from p2pfd.incentives.staking import require

MAX_SEATS = 2**24
HISTORY = 512
"""When a seat has voted either way so often, both its counts are halved."""


@dataclass(slots=True)
class Seat:
    """One ticket. Blocks and seconds are zero where they do not matter (any more)."""

    holder: Account
    balance: int
    taken: int = 0
    left: int = 0
    left_at: int = 0
    valid: int = 0
    invalid: int = 0

    def serves(self, block: int) -> bool:
        """Whether the hash of this block can draw it."""
        return (self.taken == 0 or self.taken < block) and (self.left == 0 or block < self.left)

    def same(self, block: int) -> bool:
        """Whether whoever was drawn by this block's hash still has it."""
        return self.taken == 0 or self.taken < block

    def remember(self, vote: bool) -> None:
        """Add a vote to the history."""
        self.valid += vote
        self.invalid += not vote
        if max(self.valid, self.invalid) >= HISTORY:
            self.valid //= 2
            self.invalid //= 2


class Registry:
    """All seats; None is a hole."""

    def __init__(self, purse: Purse, bond: int, longest: int) -> None:
        self._purse = purse
        self.bond = bond
        self.longest = longest
        self.seats: list[Seat | None] = []
        self._holes: list[int] = []

    def join(self, who: Account, block: int) -> EncounterEvent:
        """Take the hole that was made last, or a new seat."""
        self._purse.take(who, self.bond)
        if self._holes:
            # Draws from blocks before this one must not find the new holder.
            number = self._holes.pop()
            self.seats[number] = Seat(who, self.bond, taken=block)
        else:
            number = len(self.seats)
            if number >= MAX_SEATS:
                self._purse.give(who, self.bond)
                require(False, "registry: full")
            self.seats.append(Seat(who, self.bond))
        return SeatTaken(number, who)

    def top_up(self, who: Account, number: int, amount: int) -> None:
        """Free to seat."""
        seat = self._own(who, number)
        self._purse.take(who, amount)
        seat.balance += amount

    def collect(self, who: Account, number: int) -> None:
        """What exceeds the bond, to free."""
        seat = self._own(who, number)
        require(seat.balance > self.bond, "registry: nothing to collect")
        self._purse.give(who, seat.balance - self.bond)
        seat.balance = self.bond

    def leave(self, who: Account, number: int, now: int, block: int) -> EncounterEvent:
        """Be drawn no more."""
        seat = self._own(who, number)
        require(seat.left == 0, "registry: already left")
        seat.left, seat.left_at = block, now
        return SeatLeft(number)

    def come_back(self, who: Account, number: int, now: int, block: int) -> EncounterEvent:
        """Be drawn again, once all encounters from before it was left are over."""
        seat = self._own(who, number)
        require(seat.left != 0, "registry: not left")
        require(seat.balance >= self.bond, "registry: under the bond")
        require(now > seat.left_at + self.longest, "registry: too early")
        seat.taken, seat.left, seat.left_at = block, 0, 0
        return SeatBack(number)

    def vacate(self, who: Account, number: int, now: int) -> EncounterEvent:
        """Give the seat up."""
        seat = self._own(who, number)
        require(seat.left != 0, "registry: not left")
        require(now > seat.left_at + self._purse.unbond_seconds, "registry: still unbonding")
        self.seats[number] = None
        self._holes.append(number)
        self._purse.give(who, seat.balance)
        return SeatVacated(number)

    def bench(self, number: int, now: int, block: int) -> EncounterEvent | None:
        """A seat with less than half the bond is left by rule."""
        seat = self.seats[number]
        if seat is None or seat.left != 0 or seat.balance >= self.bond // 2:
            return None
        seat.left, seat.left_at = block, now
        return SeatLeft(number)

    def holder(self, number: int, block: int) -> Account | None:
        """Who can be drawn in this seat by the hash of this block."""
        seat = self.seats[number]
        return seat.holder if seat is not None and seat.serves(block) else None

    def still(self, number: int, block: int) -> Seat | None:
        """The seat, if whoever was drawn by this block's hash still has it."""
        seat = self.seats[number]
        return seat if seat is not None and seat.same(block) else None

    def in_seats(self) -> int:
        """All that is held in seats."""
        return sum(seat.balance for seat in self.seats if seat is not None)

    def _own(self, who: Account, number: int) -> Seat:
        seat = self.seats[number] if number < len(self.seats) else None
        if seat is None or seat.holder != who:
            require(False, "registry: not your seat")
        assert seat is not None
        return seat
