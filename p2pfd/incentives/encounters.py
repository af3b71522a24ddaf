"""Encounters: a learner pays a neighbor for help if validators drawn by lot find the learner's model better for it.

Pure, and the oracle: `contracts/vyper/Encounters.vy` does the same to the last unit and refuses for the same reasons in
the same order; what must hold stands in `contracts/vyper/SPEC.md`. Signatures and hashes are the real ones; the
functions that make them are passed in.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence

from p2pfd.core import encounter_where as where_
from p2pfd.core.claims import Balances, Deposit, Unstake, Withdraw
from p2pfd.core.encounter_claims import (
    MAX_SIZE,
    RULES,
    UNSIGNED,
    CloseEncounter,
    Collect,
    ComeBack,
    CommitVote,
    DrawCommittee,
    EncounterClaim,
    EncounterTerms,
    Join,
    Leave,
    OpenEncounter,
    OpenMany,
    ReportResult,
    RevealVote,
    SettleEncounter,
    SettleMany,
    Signature,
    SignedOpening,
    TopUp,
    Vacate,
)
from p2pfd.core.encounter_events import (
    Committed,
    Defaulted,
    Drawn,
    EncounterEvent,
    Opened,
    Reported,
    Revealed,
    Settled,
    Voided,
)
from p2pfd.core.encounter_papers import Papers
from p2pfd.core.ids import Account
from p2pfd.incentives.encounter_award import Stake, awarded
from p2pfd.incentives.encounter_purse import Purse
from p2pfd.incentives.encounter_registry import Registry
from p2pfd.incentives.encounter_state import Lane, Moment, Phase
from p2pfd.incentives.payouts import WHOLE
from p2pfd.incentives.sortition import drawn_seats
from p2pfd.incentives.staking import Refused, require

Signer = Callable[[bytes, Signature], Account | None]
Events = tuple[EncounterEvent, ...]
_NOBODY = Account("0x" + "0" * 40)


class Encounters:
    """All encounters, seats and balances: claims in, events out."""

    def __init__(
        self,
        wallets: Mapping[Account, int],
        papers: Papers,
        signer: Signer,
        unbond_seconds: int,
        longest: int,
        bond: int,
        threshold: int,
    ) -> None:
        self.purse = Purse(wallets, unbond_seconds)
        self.registry = Registry(self.purse, bond, longest)
        self.lanes: dict[tuple[Account, int], Lane] = {}
        self._papers = papers
        self._signer = signer
        self._threshold = threshold

    def apply(self, at: Moment, sender: Account, claim: EncounterClaim) -> Events:
        """Carry out a claim, wholly, or raise `Refused` and change nothing."""
        match claim:
            case Deposit(amount):
                self.purse.deposit(sender, amount)
            case Unstake(amount):
                self.purse.unstake(sender, amount, at.now)
            case Withdraw():
                self.purse.withdraw(sender, at.now)
            case TopUp(seat, amount):
                self.registry.top_up(sender, seat, amount)
            case Collect(seat):
                self.registry.collect(sender, seat)
            case Join():
                return (self.registry.join(sender, at.block),)
            case Leave(seat):
                return (self.registry.leave(sender, seat, at.now, at.block),)
            case ComeBack(seat):
                return (self.registry.come_back(sender, seat, at.now, at.block),)
            case Vacate(seat):
                return (self.registry.vacate(sender, seat, at.now),)
            case OpenEncounter(named, details, signature):
                terms = dataclasses.replace(named, learner=sender)  # whoever opens learns
                name = self._papers.encounter(terms, details)
                require(self._signed(name, terms.neighbor, signature), "encounters: unsigned by neighbor")
                return self._open(at, terms, name)
            case OpenMany() | SettleMany():
                return self._all_or_none(at, sender, claim)
            case SettleEncounter():
                return self._settle(at, sender, claim)
            case DrawCommittee():
                return self._draw(at, claim)
            case ReportResult():
                return self._report(at, sender, claim)
            case CommitVote():
                return self._commit(at, sender, claim)
            case RevealVote():
                return self._reveal(at, claim)
            case CloseEncounter():
                return self._close(at, claim)
        return ()

    def _all_or_none(self, at: Moment, sender: Account, claim: OpenMany | SettleMany) -> Events:
        wallets = self.purse.wallets  # no part of a batch moves these, and other contracts may share them
        saved = copy.deepcopy((self.purse, self.registry, self.lanes), {id(wallets): wallets})
        try:
            if isinstance(claim, OpenMany):
                return tuple(event for part in claim.parts for event in self._open_signed(at, sender, part))
            return tuple(event for part in claim.parts for event in self._settle(at, sender, part))
        except Refused:
            self.purse, self.registry, self.lanes = saved
            raise

    # -- beginning --

    def _open_signed(self, at: Moment, sender: Account, part: SignedOpening) -> Events:
        name = self._papers.encounter(part.terms, part.details)
        require(self._agreed(sender, name, part.terms.learner, part.learner), "encounters: unsigned by learner")
        require(self._agreed(sender, name, part.terms.neighbor, part.neighbor), "encounters: unsigned by neighbor")
        return self._open(at, part.terms, name)

    def _open(self, at: Moment, terms: EncounterTerms, name: bytes) -> Events:
        require(at.now <= terms.open_by, "encounters: too late to open")
        in_range = (
            0 < terms.prepayment <= self.registry.bond
            and terms.open_by < terms.learn_by
            and terms.vote_seconds > 0
            and terms.share <= WHOLE
            and 0 < terms.size <= MAX_SIZE
            and terms.rule < len(RULES)
        )
        require(in_range, "encounters: terms out of range")
        ends = terms.learn_by + 2 * terms.vote_seconds
        require(ends <= at.now + self.registry.longest, "encounters: lasts too long")
        require(terms.learner != terms.neighbor, "encounters: own neighbor")
        lane = self._lane(terms)
        require(lane.phase == Phase.IDLE, "encounters: lane in use")
        require(lane.nonce == terms.nonce, "encounters: wrong nonce")
        needed = max(terms.prepayment, self._threshold)
        require(self.purse.free(terms.learner) >= needed, "encounters: learner's stake low")
        require(self.purse.free(terms.neighbor) >= needed, "encounters: neighbor's stake low")
        seats = len(self.registry.seats)
        require(seats >= terms.size, "encounters: too few seats")
        self.purse.take(terms.learner, terms.prepayment)
        self.purse.take(terms.neighbor, terms.prepayment)
        where = where_.opened(seats, at.block)
        lane.phase, lane.escrow, lane.ballot = Phase.OPEN, 2 * terms.prepayment, 0
        lane.tag = (terms, name, where)
        return (Opened(terms.key, seats),)

    # -- the committee --

    def drawn(self, at: Moment, terms: EncounterTerms, name: bytes, where: int) -> tuple[int, ...]:
        """Whom chance picks now for an open encounter, and with it the block that draws."""
        require(at.block > where_.opened_at(where), "encounters: no block since")
        block = where_.scheduled(where, at.block)
        parties = (terms.learner, terms.neighbor)

        def holder_of(seat: int) -> Account | None:
            who = self.registry.holder(seat, block)
            return None if who in parties else who

        keccak = self._papers.keccak
        seed = keccak(at.hash_of(block) + name)
        found = drawn_seats(seed, where_.seats_then(where), terms.size, holder_of, keccak)
        return (*found, block)

    def _draw(self, at: Moment, claim: DrawCommittee) -> Events:
        terms, name = claim.terms, claim.name
        lane = self._lane(terms)
        require(lane.phase == Phase.OPEN, "encounters: not open")
        require(lane.tag == (terms, name, claim.where), "encounters: not these terms")
        require(at.now <= terms.learn_by, "encounters: too late")
        *found, block = self.drawn(at, terms, name, claim.where)
        if len(found) < terms.size:
            self._end(terms, lane, terms.prepayment, terms.prepayment)
            return (Voided(terms.key),)
        where = where_.drawn(found, block)
        lane.phase, lane.tag = Phase.DRAWN, (terms, name, where)
        return (Drawn(terms.key, where),)

    def _delivered(self, sender: Account, claim: SettleEncounter | ReportResult, result: bytes) -> EncounterTerms:
        """The terms, with whoever is liable for the result as the neighbor: who signed it, or who sends it."""
        liable = self._signer(self._papers.digest(result), claim.neighbor) if claim.neighbor != UNSIGNED else sender
        return dataclasses.replace(claim.terms, neighbor=liable or _NOBODY)

    def _committee(self, at: Moment, claim: SettleEncounter | ReportResult, terms: EncounterTerms) -> tuple[Lane, int]:
        """The lane, and the committee with its block: all checked."""
        name, where = claim.name, claim.where
        lane = self._lane(terms)
        require(lane.phase in (Phase.OPEN, Phase.DRAWN), "encounters: not in play")
        require(lane.tag == (terms, name, where), "encounters: not these terms")
        require(at.now <= terms.learn_by, "encounters: too late")
        if lane.phase == Phase.OPEN:
            *found, block = self.drawn(at, terms, name, where)
            require(len(found) == terms.size, "encounters: too few validators")
            where = where_.drawn(found, block)
        return lane, where

    # -- the fast path --

    def _settle(self, at: Moment, sender: Account, claim: SettleEncounter) -> Events:
        result = self._papers.result(claim.name, claim.after)
        require(len(claim.votes) == claim.terms.size, "encounters: not all votes")
        terms = self._delivered(sender, claim, result)
        lane, where = self._committee(at, claim, terms)
        bound = [
            self._papers.commitment(result, where_.seat(where, place), vote.opening)
            for place, vote in enumerate(claim.votes)
        ]
        ballot = self._papers.ballot(result, bound)
        for place, vote in enumerate(claim.votes):
            self._require_member(ballot, where, place, vote.signature)
        states = [3 - (vote.opening & 1) for vote in claim.votes]
        return self._award(at, terms, lane, where, states)

    # -- the slow path --

    def _report(self, at: Moment, sender: Account, claim: ReportResult) -> Events:
        result = self._papers.result(claim.name, claim.after)
        require(len(claim.signed) <= claim.terms.size, "encounters: not of the committee")
        terms = self._delivered(sender, claim, result)
        lane, where = self._committee(at, claim, terms)
        bound = [bytes(32)] * terms.size
        for place, one in enumerate(claim.signed):
            if one is not None and any(one.commitment):
                self._require_member(self._papers.bound(result, one.commitment), where, place, one.signature)
                bound[place] = one.commitment
        where = where_.reported(where, at.now)
        lane.phase, lane.tag = Phase.REPORTED, (terms, self._papers.bound_result(result, bound), where)
        lane.ballot = sum(1 << 2 * place for place, commitment in enumerate(bound) if any(commitment))
        return (Reported(terms.key, result, where, tuple(bound)),)

    def _reported(self, claim: CommitVote | RevealVote) -> Lane:
        lane = self._lane(claim.terms)
        require(lane.phase == Phase.REPORTED, "encounters: not reported")
        paper = self._papers.bound_result(claim.result, claim.bound)
        require(lane.tag == (claim.terms, paper, claim.where), "encounters: not these terms")
        return lane

    def _commit(self, at: Moment, sender: Account, claim: CommitVote) -> Events:
        terms, place = claim.terms, claim.place
        lane = self._reported(claim)
        require(at.now <= where_.reported_at(claim.where) + terms.vote_seconds, "encounters: too late to commit")
        require(place < terms.size, "encounters: not of the committee")
        require(lane.state(place) == 0, "encounters: already committed")
        if self._member(claim.where, place) != sender:
            self._require_member(
                self._papers.bound(claim.result, claim.commitment), claim.where, place, claim.signature
            )
        bound = (*claim.bound[:place], claim.commitment, *claim.bound[place + 1 :])
        lane.tag = (terms, self._papers.bound_result(claim.result, bound), claim.where)
        lane.ballot |= 1 << 2 * place
        return (Committed(terms.key, place, claim.commitment),)

    def _reveal(self, at: Moment, claim: RevealVote) -> Events:
        terms, place = claim.terms, claim.place
        lane = self._reported(claim)
        since = where_.reported_at(claim.where)
        require(at.now <= since + 2 * terms.vote_seconds, "encounters: too late to reveal")
        if at.now <= since + terms.vote_seconds:
            require(all(lane.states(terms.size)), "encounters: commitments not over")
        require(place < terms.size, "encounters: not of the committee")
        require(lane.state(place) == 1, "encounters: nothing to open")
        bound = self._papers.commitment(claim.result, where_.seat(claim.where, place), claim.opening)
        require(bound == claim.bound[place], "encounters: not its commitment")
        lane.ballot += 2 - (claim.opening & 1) << 2 * place
        states = lane.states(terms.size)
        if 1 not in states:
            return self._award(at, terms, lane, claim.where, states)
        return (Revealed(terms.key, lane.ballot),)

    def _close(self, at: Moment, claim: CloseEncounter) -> Events:
        terms = claim.terms
        lane = self._lane(terms)
        require(lane.phase != Phase.IDLE, "encounters: not in play")
        require(lane.tag == (terms, claim.paper, claim.where), "encounters: not these terms")
        if lane.phase == Phase.REPORTED:
            states = lane.states(terms.size)
            windows = 2 if 1 in states else 1
            require(at.now > where_.reported_at(claim.where) + windows * terms.vote_seconds, "encounters: too early")
            return self._award(at, terms, lane, claim.where, states)
        require(at.now > terms.learn_by, "encounters: too early")
        damages = terms.prepayment * terms.share // WHOLE
        self._end(terms, lane, terms.prepayment + damages, terms.prepayment - damages)
        return (Defaulted(terms.key, damages),)

    # -- the end --

    def _award(self, at: Moment, terms: EncounterTerms, lane: Lane, where: int, states: Sequence[int]) -> Events:
        block = where_.drawn_by(where)
        seats = [self.registry.still(where_.seat(where, place), block) for place in range(terms.size)]
        stakes = [None if seat is None else Stake(seat.balance, seat.valid, seat.invalid) for seat in seats]
        award = awarded(RULES[terms.rule], terms.prepayment, terms.share, states, stakes)
        told: list[EncounterEvent] = []
        for place, seat in enumerate(seats):
            if seat is not None:
                seat.balance = award.balances[place]
                if states[place] > 1:
                    seat.remember(states[place] == 2)
                benched = self.registry.bench(where_.seat(where, place), at.now, at.block)
                told += [benched] if benched is not None else []
        self._end(terms, lane, award.learner, award.neighbor)
        ballot = sum(state << 2 * place for place, state in enumerate(states))
        return (*told, Settled(terms.key, award.learner << 128 | award.neighbor << 64 | ballot))

    def _end(self, terms: EncounterTerms, lane: Lane, learner: int, neighbor: int) -> None:
        self.purse.give(terms.learner, learner)
        self.purse.give(terms.neighbor, neighbor)
        lane.nonce = terms.nonce + 1
        lane.phase, lane.escrow, lane.tag, lane.ballot = Phase.IDLE, 0, (), 0

    # -- what can be read --

    def balances(self, who: Account) -> Balances:
        """Where an account's tokens are, apart from escrow and seats."""
        return self.purse.balances(who)

    def check(self) -> None:
        """No token was made or lost."""
        places = self.purse.in_accounts() + self.registry.in_seats() + sum(lane.escrow for lane in self.lanes.values())
        assert self.purse.held == places, f"held {self.purse.held}, found {places}"

    # -- small things --

    def _lane(self, terms: EncounterTerms) -> Lane:
        return self.lanes.setdefault((terms.learner, terms.lane), Lane())

    def _signed(self, struct: bytes, who: Account | None, signature: Signature) -> bool:
        return who is not None and self._signer(self._papers.digest(struct), signature) == who

    def _agreed(self, sender: Account, struct: bytes, who: Account, signature: Signature) -> bool:
        return sender == who if signature.r == 0 else self._signed(struct, who, signature)

    def _member(self, where: int, place: int) -> Account | None:
        seat = self.registry.still(where_.seat(where, place), where_.drawn_by(where))
        return None if seat is None else seat.holder

    def _require_member(self, struct: bytes, where: int, place: int, signature: Signature) -> None:
        require(self._signed(struct, self._member(where, place), signature), "encounters: unsigned by member")
