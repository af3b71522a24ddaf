"""A learner, a neighbor, validators with seats, and an encounter between them: for tests that tell one story each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from p2pfd.core.claims import Deposit
from p2pfd.core.encounter_claims import (
    UNSIGNED,
    CloseEncounter,
    DrawCommittee,
    EncounterTerms,
    Join,
    RevealVote,
    SettleEncounter,
    SignedCommitment,
)
from p2pfd.core.encounter_events import Committed, Drawn, Reported
from p2pfd.core.ids import Amount
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import Artifact
from tests.contracts.chain import key
from tests.contracts.encounter_chain import BOND, EncounterChain, Member, opening

LEARNER, NEIGHBOR, STRANGER = key(1), key(2), key(3)
VALIDATORS = [key(number) for number in range(11, 17)]
OF = {each.account: each for each in [LEARNER, NEIGHBOR, STRANGER, *VALIDATORS]}
FREE = 10 * BOND
AFTER = b"\3" * 32


class Stage:
    """One chain, one encounter at a time."""

    def __init__(
        self,
        contract: Artifact | None = None,
        validators: Sequence[AccountKey] = VALIDATORS,
        chain: EncounterChain | None = None,
        free: int = FREE,
    ) -> None:
        self.chain = chain or EncounterChain(dict.fromkeys(OF.values(), 100 * BOND), contract)
        self.chain.equip([LEARNER, NEIGHBOR], validators, free)
        self.nonce = 0
        self.bound: tuple[bytes, ...] = ()

    def open(self, **other: int) -> None:
        """Both parties are bound; the committee can be drawn."""
        chain = self.chain
        self.terms = chain.terms(LEARNER, NEIGHBOR, self.nonce, **other)
        self.details = chain.details(self.nonce + 1)
        self.nonce += 1
        self.name = chain.papers.encounter(self.terms, self.details)
        self.result = chain.papers.result(self.name, AFTER)
        self.where, _ = chain.open(LEARNER, chain.opening(self.terms, self.details, NEIGHBOR))
        chain.mine()

    def members(self) -> list[Member]:
        """The committee: the seats and who holds them."""
        return self.chain.committee(self.terms, self.details, self.where, OF)

    def settlement(self, votes: Sequence[bool] = (True, True, True)) -> SettleEncounter:
        """Everyone there, with the neighbor's signature."""
        return self.chain.settlement(self.terms, self.details, self.where, NEIGHBOR, self.members(), votes, AFTER)

    def draw(self) -> None:
        """Someone fixes the committee."""
        _, (event,) = self.chain.done(STRANGER, DrawCommittee(self.terms, self.name, self.where))
        assert isinstance(event, Drawn)
        self.where = event.where

    def report(self, votes: Sequence[bool | None] = ()) -> list[Member]:
        """The neighbor delivers, with the signed commitments of those who have a vote here."""
        members = self.members() if self.where >> 168 == 0 else self.chain.members(self.terms, self.where, OF)
        signed: list[SignedCommitment | None] = [
            None if vote is None else self.chain.bound(self.result, seat, who, vote)
            for (seat, who), vote in zip(members, votes, strict=False)
        ]
        claim = self.chain.report(self.terms, self.details, self.where, NEIGHBOR, tuple(signed), AFTER)
        _, (event,) = self.chain.done(NEIGHBOR, dataclasses.replace(claim, neighbor=UNSIGNED))
        assert isinstance(event, Reported)
        self.where, self.bound = event.where, event.bound
        return members

    def commit(self, place: int, who: AccountKey, vote: bool) -> None:
        """A validator's own transaction."""
        claim = self.chain.commitment(self.terms, self.result, self.where, self.bound, place, vote)
        _, (event,) = self.chain.done(who, claim)
        assert isinstance(event, Committed)
        self.bound = (*self.bound[:place], event.commitment, *self.bound[place + 1 :])

    def reveal(self, place: int, vote: bool) -> RevealVote:
        """What opens a place's commitment."""
        seat = self.where >> 24 * place & 0xFFFFFF
        return RevealVote(self.terms, self.result, self.where, self.bound, place, opening(seat, vote))

    def close(self) -> CloseEncounter:
        """What ends the encounter once its time is over."""
        reported = self.where >> 208
        paper = self.chain.papers.bound_result(self.result, self.bound) if reported else self.name
        return CloseEncounter(self.terms, paper, self.where)

    # -- what everyone has --

    def free(self, who: AccountKey) -> int:
        """An account's free tokens."""
        return self.chain.says("balances", who.account)[0]

    def in_seat(self, seat: int) -> int:
        """A seat's balance."""
        return self.chain.says("seat_of", seat)[1]

    def parties(self) -> tuple[int, int]:
        """By how much the learner's and the neighbor's free tokens differ from what they began with."""
        return self.free(LEARNER) - FREE, self.free(NEIGHBOR) - FREE

    def check(self, seats: int, escrow: int = 0) -> None:
        """No token is made or lost."""
        held = self.chain.says("held")[0]
        assert held == self.chain.wallet(self.chain.contract)
        unbonding = sum(self.chain.says("balances", who)[1] for who in OF)
        assert held == sum(map(self.free, OF.values())) + unbonding + sum(map(self.in_seat, range(seats))) + escrow


def with_new_seat(stage: Stage, who: AccountKey) -> None:
    """One more validator."""
    stage.chain.done(who, Deposit(Amount(BOND)))
    stage.chain.done(who, Join())


def changed(terms: EncounterTerms, **values: int) -> EncounterTerms:
    """Other terms."""
    return dataclasses.replace(terms, **values)  # type: ignore[arg-type]
