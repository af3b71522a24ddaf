"""The simulation's chain for encounters: the pure reference ledger, with blocks, and what anyone can read from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from p2pfd.core.claims import ChainEvent, Included, Receipt, Reverted, Unknown
from p2pfd.core.encounter_claims import (
    EncounterClaim,
    EncounterTerms,
    OpenEncounter,
    ReportResult,
    SettleEncounter,
    Signature,
)
from p2pfd.core.encounter_events import EncounterEvent
from p2pfd.core.encounter_papers import Papers
from p2pfd.core.events import ChainSaw, Event, Settled
from p2pfd.core.ids import Account, Digest
from p2pfd.core.rng import Rng
from p2pfd.core.ticks import SECOND, Tick
from p2pfd.incentives.encounter_state import Moment
from p2pfd.incentives.encounters import Encounters
from p2pfd.incentives.staking import Refused
from p2pfd.roles.encounter.work import Audited, Confirmed, Held, Recalled
from p2pfd.sim.chain import CLAIM_TICKS, NEWS_TICKS, TRIES, Claimed, News
from p2pfd.sim.faults import ChainAway, Span

CONTRACT = Account("0x" + "cc" * 20)
CHAIN_ID = 1


def _hash(raw: bytes) -> bytes:
    return hashlib.sha3_256(raw).digest()


class Signer(Protocol):
    """Accounts' signatures under the papers of one contract."""

    @property
    def papers(self) -> Papers:
        """What is signed."""
        ...

    def sign(self, who: Account, paper: bytes) -> Signature:
        """What an account signs for a struct of this contract."""
        ...

    def signer(self, digest: bytes, signature: Signature) -> Account | None:
        """Who signed a digest."""
        ...


class Signatures:
    """Stand-ins for accounts' signatures, at a hundredth of the cost: who does not have the seed cannot make any."""

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self.papers = Papers(_hash, CHAIN_ID, CONTRACT)

    def sign(self, who: Account, paper: bytes) -> Signature:
        """What an account signs for a struct of this contract."""
        return self._of(who, self.papers.digest(paper))

    def signer(self, digest: bytes, signature: Signature) -> Account | None:
        """Who signed a digest."""
        if not 0 < signature.r < 1 << 160:
            return None
        who = Account(f"0x{signature.r:040x}")
        return who if self._of(who, digest) == signature else None

    def _of(self, who: Account, digest: bytes) -> Signature:
        keyed = hashlib.blake2b(digest, digest_size=31, key=self._rng.seed, salt=_hash(who.encode())[:16])
        return Signature(int(who, 16), int.from_bytes(keyed.digest(), "big"))


class EncounterChain:
    """Takes claims in the order in which they arrive; a block is a second of virtual time."""

    def __init__(
        self,
        wallets: Mapping[Account, int],
        signatures: Signer,
        unbond_seconds: int,
        longest: int,
        bond: int,
        threshold: int,
        seed: bytes = b"blocks",
    ) -> None:
        self.book = Encounters(wallets, signatures.papers, signatures.signer, unbond_seconds, longest, bond, threshold)
        self.outages: Sequence[ChainAway] = ()
        """When nobody reaches the chain."""
        self.absences: Mapping[int, Sequence[Span]] = {}
        """When which nodes are away: what they claim dies with them, if it has not got through."""
        self.refused: list[tuple[str, str]] = []
        self.claims: dict[str, int] = {}
        """How many claims of each kind were carried out."""
        self._papers = signatures.papers
        self._seed = seed
        self._receipts: dict[tuple[int, str], Receipt] = {}
        self._opened: dict[int, tuple[EncounterTerms, bytes]] = {}
        self._answers: dict[int, bytes] = {}
        self._count = 0

    def open(self, now: Tick) -> News:
        """Nothing has happened yet."""
        return []

    def send(self, now: Tick, node: int, claimed: Claimed) -> tuple[Tick, Event] | None:
        """When it gets there; or when the node gives it up, and hears so. None if it dies with the node."""
        for wait in TRIES:
            at = Tick(now + wait)
            if any(now < begin <= at for begin, _ in self.absences.get(node, ())):
                return None
            if not self.is_away(at):
                return Tick(at + CLAIM_TICKS), claimed
        return at, Settled(claimed.intent, Unknown("", "the chain could not be reached"))

    def news_at(self, now: Tick) -> Tick:
        """A little later; when the chain is there again, if it is away."""
        at = Tick(now + NEWS_TICKS)
        for fault in sorted(self.outages, key=lambda fault: fault.begin):
            if fault.begin <= at < fault.end:
                at = fault.end
        return at

    def is_away(self, now: Tick) -> bool:
        """Whether nobody reaches the chain."""
        return any(fault.begin <= now < fault.end for fault in self.outages)

    def take(self, now: Tick, claimed: Claimed) -> News:
        """Carry out a claim, or refuse it; the books must balance after every one. One intent is one claim."""
        before = self._receipts.get((claimed.node, claimed.intent))
        if before is not None:
            return [(claimed.node, Settled(claimed.intent, before))]
        self._count += 1
        ref, claim = str(self._count), cast("EncounterClaim", claimed.claim)
        receipt: Receipt
        block = 0
        events: tuple[EncounterEvent, ...] = ()
        try:
            block, events = self.carry_out(now // SECOND, claimed.sender, claim)
            receipt = Included(ref, block, 0)
            self._remember(claim)
            kind = type(claim).__name__
            self.claims[kind] = self.claims.get(kind, 0) + 1
        except Refused as refusal:
            self.refused.append((claimed.intent, str(refusal)))
            receipt = Reverted(ref, str(refusal))
        self.book.check()
        self._receipts[claimed.node, claimed.intent] = receipt
        told: News = [(None, ChainSaw(cast("ChainEvent", event), block)) for event in events]
        return [(claimed.node, Settled(claimed.intent, receipt)), *told]

    def carry_out(self, second: int, sender: Account, claim: EncounterClaim) -> tuple[int, tuple[EncounterEvent, ...]]:
        """The block that a claim is in, and what it tells; `Refused` with the reason."""
        block = 1 + second
        return block, self.book.apply(Moment(second, block, self._hash_of), sender, claim)

    def _remember(self, claim: EncounterClaim) -> None:
        match claim:
            case OpenEncounter(terms, details):
                self._opened[terms.key] = (terms, self._papers.encounter(terms, details))
            case SettleEncounter() | ReportResult():
                self._answers[claim.terms.key] = claim.after

    def _hash_of(self, block: int) -> bytes:
        return _hash(self._seed + block.to_bytes(8, "big"))

    # -- what anyone can read --

    def recall(self, key: int) -> Recalled | str:
        """What was opened under a key."""
        found = self._opened.get(key)
        return "nothing was opened under this key" if found is None else Recalled(*found)

    def confirm(self, key: int) -> Confirmed | str:
        """What was reported or settled under a key."""
        found = self._answers.get(key)
        return "nothing was reported under this key" if found is None else Confirmed(Digest(found))

    def audit(self, who: Account) -> Audited:
        """Where an account's tokens are."""
        held = self.book.balances(who)
        seats = tuple(
            Held(number, seat.balance, seat.left_at if seat.left else 0)
            for number, seat in enumerate(self.book.registry.seats)
            if seat is not None and seat.holder == who
        )
        return Audited(held.wallet, held.free, held.unbonding, self.book.purse.ready(who), seats)

    def total(self, who: Account) -> int:
        """All that an account has, wherever it is; escrow apart."""
        return self.book.balances(who).total + sum(seat.balance for seat in self.audit(who).seats)
