"""The contract of encounters on a chain in this process, and everyone who plays on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from eth_abi import encode
from eth_utils import keccak

from p2pfd.core.claims import Deposit
from p2pfd.core.encounter_claims import (
    CheckIn,
    CommitVote,
    EncounterClaim,
    EncounterTerms,
    Join,
    OpenEncounter,
    ReportResult,
    SettleEncounter,
    Signature,
    SignedCommitment,
    SignedOpening,
    Vote,
)
from p2pfd.core.encounter_events import EncounterEvent, Opened
from p2pfd.core.encounter_where import drawn, opened, scheduled, seats_then
from p2pfd.core.ids import Account, Amount, Digest, account_bytes
from p2pfd.incentives.encounter_state import Moment
from p2pfd.incentives.sortition import drawn_seats
from p2pfd.settlement import contracts, encounters
from p2pfd.settlement.abi import reason
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import Artifact, artifact
from p2pfd.settlement.embedded.ledger import Ledger
from p2pfd.settlement.embedded.store import Block, Store
from tests.contracts.chain import BOSS, CHAIN_ID, SUPPLY, Contracts

UNBOND, LONGEST = 10_000, 5_000
BOND, THRESHOLD = 10**6, 1_000
GAS = 16_000_000
Member = tuple[int, AccountKey]
"""A seat and who holds it."""
Keys = dict[Account, AccountKey]


class EncounterChain(Contracts):
    """The token and the contract of encounters, with tokens handed out and approved."""

    def __init__(
        self,
        wallets: dict[AccountKey, int],
        contract: Artifact | None = None,
        now: int = 1_000,
        bond: int = BOND,
        supply: int = SUPPLY,
    ) -> None:
        self.now, self.bond = now, bond
        self.ledger = Ledger(Store(None), lambda: self.now, CHAIN_ID, {})
        self._places = {}
        self.token = self.deploy(artifact("Token").bytecode + encode(["uint256"], [supply]))
        arguments = encode(["address", *["uint256"] * 4], [self.token, UNBOND, LONGEST, bond, THRESHOLD])
        self.contract = self.deploy((contract or artifact("Encounters")).bytecode + arguments)
        self.papers = encounters.papers(CHAIN_ID, self.contract)
        for who, amount in wallets.items():
            self.must(BOSS, self.token, contracts.token()["transfer"].call(who.account, amount))
            self.must(who, self.token, contracts.token()["approve"].call(self.contract, 2**255))

    # -- claims --

    def play(self, who: AccountKey, claim: EncounterClaim) -> tuple[Block, tuple[EncounterEvent, ...]]:
        """A claim's block, and the events in it."""
        block = self.send(who, self.contract, encounters.call_of(claim), GAS)
        logs = self.ledger.logs(block.number, block.number, 10_000)
        told = (
            encounters.event_of(log.topics, log.data) for log in logs if log.address == account_bytes(self.contract)
        )
        return block, tuple(event for event in told if event is not None)

    def done(self, who: AccountKey, claim: EncounterClaim) -> tuple[Block, tuple[EncounterEvent, ...]]:
        """The same, for a claim that must not be refused."""
        block, events = self.play(who, claim)
        assert block.success, f"{type(claim).__name__}: {reason(block.output)}"
        return block, events

    def refused(self, who: AccountKey, claim: EncounterClaim) -> str:
        """Why a claim is refused."""
        block, _ = self.play(who, claim)
        assert not block.success, f"{type(claim).__name__} was carried out"
        return reason(block.output)

    def says(self, name: str, *arguments: object) -> tuple[int, ...]:
        """What a view says."""
        function = encounters.interface()[name]
        return function.answer(self._asked(self.contract, function.call(*arguments)))

    def mine(self, blocks: int = 1) -> None:
        """Blocks in which nothing happens, with hashes but without contents."""
        ledger = self.ledger
        for _ in range(blocks):
            ledger._hashes.appendleft(bytes(keccak(ledger._hashes[0])))
        ledger.head = dataclasses.replace(ledger.head, number=ledger.head.number + blocks, hash=ledger._hashes[0])

    def moment(self) -> Moment:
        """When the next claim will happen."""
        block, hashes = self.ledger.head.number + 1, tuple(self.ledger._hashes)
        return Moment(self.now, block, lambda number: hashes[block - 1 - number])

    # -- what stands in storage, for those who ask after every transaction --

    def slots(self) -> Slots:
        """Where the contract keeps its words: found by watching its views."""
        account = BOSS.account
        leaving, free = self._watched(self.contract, encounters.interface()["balances"].call(account))
        (lane,) = self._watched(self.contract, encounters.interface()["lane_of"].call(account, 1))
        (seat,) = self._watched(self.contract, encounters.interface()["seat_of"].call(5))
        (held,) = self._watched(self.contract, encounters.interface()["held"].call())
        (count,) = self._watched(self.contract, encounters.interface()["seat_count"].call())
        who = int(account, 16)
        return Slots(held, count, _base(free, who), _base(leaving, who), _base(lane, who << 96 | 1), _base(seat, 5))

    def word(self, slot: int) -> int:
        return self.ledger.storage(account_bytes(self.contract), slot)

    def open(self, who: AccountKey, claim: OpenEncounter) -> tuple[int, Block]:
        """Where a fresh encounter stands, and the block that opened it."""
        block, (event,) = self.done(who, claim)
        assert isinstance(event, Opened)
        return opened(event.seats, block.number), block

    # -- everyone --

    def equip(self, parties: Sequence[AccountKey], validators: Sequence[AccountKey], free: int) -> None:
        """Parties with free tokens, and validators with a seat each."""
        for who in parties:
            self.done(who, Deposit(Amount(free)))
        for who in validators:
            self.done(who, Deposit(Amount(self.bond)))
            self.done(who, Join())

    def terms(
        self, learner: AccountKey, neighbor: AccountKey, nonce: int = 0, size: int = 3, **other: int
    ) -> EncounterTerms:
        values = {
            "prepayment": 600_000,
            "open_by": self.now + 100,
            "learn_by": self.now + 1_000,
            "vote_seconds": 50,
            "share": 700_000,
        } | other
        return EncounterTerms(learner.account, neighbor.account, nonce=nonce, size=size, **values)  # type: ignore[arg-type]

    def details(self, seed: int = 1) -> bytes:
        salt = seed.to_bytes(32, "big")
        return self.papers.details(CheckIn(b"\1" * 32, Digest(b"\2" * 32), 5, salt, salt[::-1]))

    def opening(self, terms: EncounterTerms, details: bytes, neighbor: AccountKey) -> OpenEncounter:
        return OpenEncounter(terms, details, self.signed_terms(terms, details, neighbor))

    def opening_of_both(
        self, terms: EncounterTerms, details: bytes, learner: AccountKey, neighbor: AccountKey
    ) -> SignedOpening:
        return SignedOpening(
            terms, details, self.signed_terms(terms, details, learner), self.signed_terms(terms, details, neighbor)
        )

    def signed_terms(self, terms: EncounterTerms, details: bytes, key: AccountKey) -> Signature:
        return encounters.sign(key, self.papers.digest(self.papers.encounter(terms, details)))

    def committee(self, terms: EncounterTerms, details: bytes, where: int, keys: Keys) -> list[Member]:
        """Whom a draw in the next block finds, from what the seats' views say: the seats, and who holds them."""
        name = self.papers.encounter(terms, details)
        at = self.moment()
        block = scheduled(where, at.block)
        parties = (terms.learner, terms.neighbor)

        def holder_of(seat: int) -> Account | None:
            who, _, _, _, taken, left, _ = self.says("seat_of", seat)
            there = int(str(who), 16) and (not taken or taken < block) and (not left or block < left)
            return Account(str(who)) if there and who not in parties else None

        seed = self.papers.keccak(at.hash_of(block) + name)
        found = drawn_seats(seed, seats_then(where), terms.size, holder_of, self.papers.keccak)
        return self.members(terms, drawn(found, block), keys)

    def members(self, terms: EncounterTerms, where: int, keys: Keys) -> list[Member]:
        seats = [where >> 24 * place & 0xFFFFFF for place in range(terms.size)]
        return [(seat, keys[Account(str(self.says("seat_of", seat)[0]))]) for seat in seats]

    def result(self, terms: EncounterTerms, details: bytes, after: bytes) -> bytes:
        return self.papers.result(self.papers.encounter(terms, details), after)

    def settlement(
        self,
        terms: EncounterTerms,
        details: bytes,
        where: int,
        neighbor: AccountKey,
        members: Sequence[Member],
        votes: Sequence[bool],
        after: bytes = b"\3" * 32,
    ) -> SettleEncounter:
        """The fast path, everyone there."""
        result = self.result(terms, details, after)
        openings = [opening(seat, vote) for (seat, _), vote in zip(members, votes, strict=True)]
        pairs = list(zip(members, openings, strict=True))
        bound = [self.papers.commitment(result, seat, number) for (seat, _), number in pairs]
        digest = self.papers.digest(self.papers.ballot(result, bound))
        signed = tuple(Vote(encounters.sign(key, digest), number) for (_, key), number in pairs)
        name = self.papers.encounter(terms, details)
        return SettleEncounter(terms, name, where, after, encounters.sign(neighbor, self.papers.digest(result)), signed)

    def bound(self, result: bytes, seat: int, key: AccountKey, vote: bool) -> SignedCommitment:
        """A signed commitment to a vote."""
        commitment = self.papers.commitment(result, seat, opening(seat, vote))
        return SignedCommitment(
            commitment, encounters.sign(key, self.papers.digest(self.papers.bound(result, commitment)))
        )

    def report(
        self,
        terms: EncounterTerms,
        details: bytes,
        where: int,
        neighbor: AccountKey,
        signed: tuple[SignedCommitment | None, ...] = (),
        after: bytes = b"\3" * 32,
    ) -> ReportResult:
        result = self.result(terms, details, after)
        name = self.papers.encounter(terms, details)
        return ReportResult(terms, name, where, after, encounters.sign(neighbor, self.papers.digest(result)), signed)

    def commitment(
        self, terms: EncounterTerms, result: bytes, where: int, bound: tuple[bytes, ...], place: int, vote: bool
    ) -> CommitVote:
        """A validator's own transaction."""
        seat = where >> 24 * place & 0xFFFFFF
        return CommitVote(terms, result, where, bound, place, self.papers.commitment(result, seat, opening(seat, vote)))


@dataclass(frozen=True)
class Slots:
    """Places of single words, and the bases of maps."""

    held: int
    count: int
    words: int
    leaving: int
    lanes: int
    seats: int


def slot_of(base: int, key: int) -> int:
    """Where a map keeps what belongs to a key."""
    return int.from_bytes(keccak(base.to_bytes(32, "big") + key.to_bytes(32, "big")), "big")


def _base(slot: int, key: int) -> int:
    return next(base for base in range(64) if slot_of(base, key) == slot)


def opening(seat: int, vote: bool) -> int:
    """Twelve bytes with the vote in the lowest bit."""
    return (0xA5A5_5A5A_1234_5678_9ABC_DEF5 + seat) << 1 & (1 << 96) - 1 | vote
