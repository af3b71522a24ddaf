"""An encounter on the pure ledger, with five validators: for tests that tell one story each."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from p2pfd.core import encounter_where as where_
from p2pfd.core.claims import Deposit
from p2pfd.core.encounter_claims import (
    UNSIGNED,
    CheckIn,
    CloseEncounter,
    DrawCommittee,
    EncounterTerms,
    Join,
    OpenEncounter,
    ReportResult,
    RevealVote,
    SettleEncounter,
    Signature,
    SignedCommitment,
    Vote,
)
from p2pfd.core.ids import Account, Amount, Digest
from p2pfd.core.rng import Rng
from p2pfd.incentives.encounter_state import Lane, Moment
from p2pfd.incentives.encounters import Encounters
from p2pfd.incentives.staking import Refused
from p2pfd.sim.encounter_chain import Signatures
from tests.unit.incentives.stories import named

LEARNER, NEIGHBOR, STRANGER = named(1), named(2), named(3)
VALIDATORS = tuple(named(number) for number in range(11, 16))
FUNDS, BOND, THRESHOLD, LONGEST, UNBOND = 1_000, 100, 40, 1_000, 2_000
AFTER = b"\3" * 32
TERMS = EncounterTerms(
    LEARNER,
    NEIGHBOR,
    Amount(90),
    open_by=10,
    learn_by=50,
    nonce=0,
    vote_seconds=20,
    share=700_000,
    size=3,
    rule=1,
)
"""Under the symmetric rule: of ninety the neighbor may earn sixty-three, and the voters' pool is twenty-seven."""


def hash_of(block: int) -> bytes:
    """A block's hash follows from its number."""
    return hashlib.sha256(b"%d" % block).digest()


class Meeting:
    """The ledger, a clock and a block that the next claim is in."""

    def __init__(self, validators: Sequence[Account] = VALIDATORS, terms: EncounterTerms = TERMS) -> None:
        self.signatures = Signatures(Rng(b"meetings"))
        self.papers = self.signatures.papers
        everyone = (LEARNER, NEIGHBOR, STRANGER, *VALIDATORS)
        self.book = Encounters(
            dict.fromkeys(everyone, FUNDS),
            self.papers,
            self.signatures.signer,
            UNBOND,
            LONGEST,
            BOND,
            THRESHOLD,
        )
        self.now, self.block = 0, 1_000
        for who in everyone:
            self.does(who, Deposit(Amount(FUNDS)))
        for who in validators:
            self.does(who, Join())
        self.agree(terms)

    def agree(self, terms: EncounterTerms) -> None:
        """These are the terms from now on."""
        self.terms = terms
        self.details = self.papers.details(CheckIn(b"\1" * 32, Digest(b"\2" * 32), 5, b"\4" * 32, b"\5" * 32))
        self.name = self.papers.encounter(self.terms, self.details)
        self.result = self.papers.result(self.name, AFTER)

    # -- claims --

    def does(self, who: Account, claim: Any) -> tuple[Any, ...]:
        """What it tells."""
        events = self.book.apply(Moment(self.now, self.block, hash_of), who, claim)
        self.book.check()
        return events

    def refused(self, who: Account, claim: Any) -> str:
        """Why; and that nothing came of it."""
        before = self._seen()
        with pytest.raises(Refused) as refusal:
            self.book.apply(Moment(self.now, self.block, hash_of), who, claim)
        assert self._seen() == before, "a refusal changes nothing"
        return str(refusal.value)

    def _seen(self) -> Any:
        money = [self.book.balances(named(number)) for number in range(20)]
        lanes = {at: lane for at, lane in self.book.lanes.items() if lane != Lane()}
        return copy.deepcopy((money, self.book.registry.seats, lanes))

    def at(self, second: int) -> Meeting:
        """Later, in a block of its own."""
        assert second >= self.now
        self.now, self.block = second, self.block + 1
        return self

    # -- steps --

    def opening(self, terms: EncounterTerms | None = None) -> OpenEncounter:
        """What the learner sends, with the neighbor's signature."""
        terms = terms or self.terms
        name = self.papers.encounter(terms, self.details)
        return OpenEncounter(terms, self.details, self.signatures.sign(terms.neighbor, name))

    def opens(self) -> Meeting:
        """Both parties are bound; the next block can draw."""
        (event,) = self.does(self.terms.learner, self.opening())
        self.where = where_.opened(event.seats, self.block)
        return self.at(self.now)

    def draws(self) -> Meeting:
        """The committee is fixed."""
        (event,) = self.does(STRANGER, self.drawing())
        self.where = event.where
        return self

    def drawing(self) -> DrawCommittee:
        """What fixes it."""
        return DrawCommittee(self.terms, self.name, self.where)

    def seats(self) -> list[int]:
        """Who was drawn, or would be now."""
        if self.where >> 168:
            return [where_.seat(self.where, place) for place in range(self.terms.size)]
        *found, _ = self.book.drawn(Moment(self.now, self.block, hash_of), self.terms, self.name, self.where)
        return found

    def holder(self, place: int) -> Account:
        """Whose place it is."""
        seat = self.book.registry.seats[self.seats()[place]]
        assert seat is not None
        return seat.holder

    def bound(self, place: int, vote: bool) -> bytes:
        """What binds a place to its vote: the opening's lowest bit."""
        return self.papers.commitment(self.result, self.seats()[place], opening(vote))

    def liable(self) -> Signature:
        """The neighbor's signature under the result."""
        return self.signatures.sign(NEIGHBOR, self.result)

    def settlement(self, *votes: bool) -> SettleEncounter:
        """All there at once."""
        ballot = self.papers.ballot(self.result, [self.bound(place, vote) for place, vote in enumerate(votes)])
        signed = (self.signatures.sign(self.holder(place), ballot) for place in range(len(votes)))
        each = tuple(Vote(signature, opening(vote)) for signature, vote in zip(signed, votes, strict=True))
        return SettleEncounter(self.terms, self.name, self.where, AFTER, self.liable(), each)

    def report(self, *votes: bool | None) -> ReportResult:
        """The neighbor's result, with the commitments that are there already."""
        signed = tuple(None if vote is None else self.commitment(place, vote) for place, vote in enumerate(votes))
        return ReportResult(self.terms, self.name, self.where, AFTER, UNSIGNED, signed)

    def commitment(self, place: int, vote: bool) -> SignedCommitment:
        """What binds a place, with its holder's signature."""
        bound = self.bound(place, vote)
        return SignedCommitment(bound, self.signatures.sign(self.holder(place), self.papers.bound(self.result, bound)))

    def reports(self, *votes: bool | None) -> Meeting:
        """The votes have begun."""
        (event,) = self.does(NEIGHBOR, self.report(*votes))
        self.where, self.commitments = event.where, event.bound
        return self

    def reveal(self, place: int, vote: bool) -> RevealVote:
        """What shows a place's vote."""
        return RevealVote(self.terms, self.result, self.where, self.commitments, place, opening(vote))

    def close(self) -> CloseEncounter:
        """The timed exit."""
        reported = where_.reported_at(self.where)
        paper = self.papers.bound_result(self.result, self.commitments) if reported else self.name
        return CloseEncounter(self.terms, paper, self.where)

    # -- what they have --

    def parties(self) -> tuple[int, int]:
        """By how much the learner and the neighbor have more than they came with."""
        found = [self.book.balances(who).free - FUNDS for who in (LEARNER, NEIGHBOR)]
        return found[0], found[1]

    def in_seats(self) -> list[int]:
        """What is in each seat beyond the bond."""
        return [seat.balance - BOND for seat in self.book.registry.seats if seat is not None]


def opening(vote: bool) -> int:
    """An opening that says so."""
    return 8 + vote


def other(terms: EncounterTerms, **changed: Any) -> EncounterTerms:
    """The same terms but for these."""
    return replace(terms, **changed)
