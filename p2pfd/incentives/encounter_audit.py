"""Was an encounter paid by the rules, and why so much? Recomputes each end from what was agreed and what was voted.

The chain keeps a seat's present state and tells no balance in its events, so seats are led along from the beginning.
What their holders put in or took out by themselves is not told; it matters only to a seat that has too little to pay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from p2pfd.core import encounter_where as where_
from p2pfd.core.encounter_claims import RULES, EncounterTerms
from p2pfd.core.encounter_events import EncounterEvent, SeatBack, SeatLeft, SeatTaken, SeatVacated, Settled
from p2pfd.core.ids import Account
from p2pfd.incentives import ptsc
from p2pfd.incentives.encounter_award import VALID, Stake, awarded, vote_scores
from p2pfd.incentives.encounter_registry import Seat
from p2pfd.incentives.sortition import drawn_seats


@dataclass(frozen=True, slots=True)
class Judge:
    """One place of the committee: who had it, what it did, and what came of it."""

    seat: int
    holder: Account | None
    """None where the seat has changed hands since it was drawn."""
    vote: bool | None
    """None for who did not vote."""
    before: tuple[int, int]
    """How often the seat had voted valid, and invalid."""
    matches: int
    """How many others voted the same."""
    worth: int
    """Millionths for each of them, by how rare such a vote was among the others before; for ``serum`` alone."""
    score: int
    change: int
    """What the seat has more, or less."""


@dataclass(frozen=True, slots=True)
class End:
    """How an encounter ended by its votes: recomputed, beside what the chain says."""

    terms: EncounterTerms
    judges: tuple[Judge, ...]
    learner: int
    neighbor: int
    told_learner: int
    told_neighbor: int

    @property
    def right(self) -> bool:
        """Whether the chain credited what the rules say, to the unit."""
        return (self.learner, self.neighbor) == (self.told_learner, self.told_neighbor)

    @property
    def verdict(self) -> str:
        """What the votes came to."""
        votes = [judge.vote for judge in self.judges if judge.vote is not None]
        valid = votes.count(True)
        if len(votes) <= len(self.judges) // 2 or 2 * valid == len(votes):
            return "none"
        return "valid" if 2 * valid > len(votes) else "invalid"


class SeatBook:
    """All seats of a contract, led along by its events."""

    def __init__(self, bond: int) -> None:
        self._bond = bond
        self.seats: dict[int, Seat] = {}
        self._used = set[int]()

    def see(self, block: int, event: EncounterEvent) -> None:
        """Take in an event about a seat; others change none."""
        match event:
            case SeatTaken(number, holder):
                # A seat that was somebody's before is drawn by later blocks alone; a new one was not there before.
                self.seats[number] = Seat(holder, self._bond, taken=block if number in self._used else 0)
                self._used.add(number)
            case SeatLeft(number):
                self.seats[number].left = block
            case SeatBack(number):
                self.seats[number].taken, self.seats[number].left = block, 0
            case SeatVacated(number):
                del self.seats[number]
            case _:
                pass

    def drawn(
        self,
        terms: EncounterTerms,
        name: bytes,
        where: int,
        block: int,
        hashed: bytes,
        keccak: Callable[[bytes], bytes],
    ) -> int:
        """``where`` of an open encounter, once the hash of this block has drawn its committee."""

        def holder_of(number: int) -> Account | None:
            seat = self.seats.get(number)
            served = seat is not None and seat.serves(block) and seat.holder not in (terms.learner, terms.neighbor)
            return seat.holder if seat is not None and served else None

        found = drawn_seats(keccak(hashed + name), where_.seats_then(where), terms.size, holder_of, keccak)
        return where_.drawn(found, block)

    def end(self, terms: EncounterTerms, where: int, told: Settled) -> End:
        """The end of an encounter whose committee is in ``where``; the seats are paid."""
        block = where_.drawn_by(where)
        numbers = [where_.seat(where, place) for place in range(terms.size)]
        seats = [seat if seat is not None and seat.same(block) else None for seat in map(self.seats.get, numbers)]
        states = [told.ballot >> 2 * place & 3 for place in range(terms.size)]
        stakes = [None if seat is None else Stake(seat.balance, seat.valid, seat.invalid) for seat in seats]
        award = awarded(RULES[terms.rule], terms.prepayment, terms.share, states, stakes)
        judges = _judges(numbers, seats, states, award.balances)
        for seat, state, balance in zip(seats, states, award.balances, strict=True):
            if seat is not None:
                seat.balance = balance
                if state >= VALID:
                    seat.remember(state == VALID)
        return End(terms, judges, award.learner, award.neighbor, told.learner, told.neighbor)


def _judges(
    numbers: list[int], seats: list[Seat | None], states: list[int], after: tuple[int, ...]
) -> tuple[Judge, ...]:
    histories = [(0, 0) if seat is None else (seat.valid, seat.invalid) for seat in seats]
    voters = [place for place, state in enumerate(states) if state >= VALID]
    votes = [states[place] == VALID for place in voters]
    scores = dict(zip(voters, vote_scores(votes, [histories[place] for place in voters]), strict=True))
    said = [sum(histories[place][kind] for place in voters) for kind in range(2)]
    out = []
    for place, (number, seat, state) in enumerate(zip(numbers, seats, states, strict=True)):
        vote = None if state < VALID else state == VALID
        worth = 0 if vote is None else ptsc.worth(said, histories[place], 2)[state - VALID]
        out.append(
            Judge(
                seat=number,
                holder=None if seat is None else seat.holder,
                vote=vote,
                before=histories[place],
                matches=0 if vote is None else votes.count(vote) - 1,
                worth=worth,
                score=scores.get(place, 0),
                change=after[place] - (0 if seat is None else seat.balance),
            )
        )
    return tuple(out)
