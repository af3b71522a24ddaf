"""Claims of encounters as calls of their contract, its logs as events, and signatures under what is agreed. No IO."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any

from p2pfd.core import encounter_events as told
from p2pfd.core.claims import Deposit, Unstake, Withdraw
from p2pfd.core.encounter_claims import (
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
    SignedCommitment,
    SignedOpening,
    TopUp,
    Vacate,
    Vote,
)
from p2pfd.core.encounter_events import EncounterEvent
from p2pfd.core.encounter_papers import Papers
from p2pfd.core.ids import Account, account
from p2pfd.errors import ChainError, DecodeError
from p2pfd.settlement import compact
from p2pfd.settlement.abi import Interface
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.artifacts import artifact
from p2pfd.settlement.keccak import keccak

_WORD_BYTES = 32
_SEATS = 0xFFFFFF << 48
_EVENTS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        told.SeatTaken,
        told.SeatLeft,
        told.SeatBack,
        told.SeatVacated,
        told.Opened,
        told.Drawn,
        told.Reported,
        told.Committed,
        told.Revealed,
        told.Settled,
        told.Defaulted,
        told.Voided,
    )
}


@cache
def interface() -> Interface:
    """The interface of the contract of encounters."""
    return Interface.of(artifact("Encounters"))


def papers(chain_id: int, contract: Account) -> Papers:
    """What is signed for this contract on this chain."""
    return Papers(keccak, chain_id, contract)


# -- signatures --------------------------------------------------------------------------------------------------------


def sign(key: AccountKey, digest: bytes) -> Signature:
    """The signature of a digest, always the same one, with the lower s."""
    return Signature(*compact.sign(key, digest))


def signer(digest: bytes, signature: Signature) -> Account | None:
    """Who signed a digest; None for what the contract would not take either."""
    return compact.signer(digest, signature.r, signature.vs)


# -- what is signed ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seal:
    """A key that signs what participants of encounters sign, for one contract on one chain."""

    papers: Papers
    key: AccountKey

    def terms(self, terms: EncounterTerms, details: bytes) -> Signature:
        """As a learner or a neighbor: these are the terms."""
        return self._sign(self.papers.encounter(terms, details))

    def result(self, name: bytes, after: bytes) -> Signature:
        """As the neighbor: this is what the encounter of this name came to."""
        return self._sign(self.papers.result(name, after))

    def commitment(self, result: bytes, seat: int, opening: int) -> SignedCommitment:
        """As a validator: bound to the vote in the opening's lowest bit, which stays hidden."""
        bound = self.papers.commitment(result, seat, opening)
        return SignedCommitment(bound, self._sign(self.papers.bound(result, bound)))

    def vote(self, result: bytes, commitments: Sequence[bytes], opening: int) -> Vote:
        """As a validator that has seen all commitments: its part of the fast path."""
        return Vote(self._sign(self.papers.ballot(result, commitments)), opening)

    def _sign(self, struct: bytes) -> Signature:
        return sign(self.key, self.papers.digest(struct))


# -- calls -------------------------------------------------------------------------------------------------------------


def check(claim: EncounterClaim) -> None:
    """ChainError for a claim with a value that no call can carry, or that would not come out as it went in."""
    for value in _values(claim):
        if isinstance(value, bytes) and len(value) != _WORD_BYTES:
            raise ChainError(f"{len(value)} bytes where {_WORD_BYTES} belong", "mend the claim: it was not sent")
        if isinstance(value, int) and not 0 <= value < 1 << 8 * _WORD_BYTES:
            raise ChainError("a number of a claim has not 256 bits", "mend the claim: it was not sent")
        if isinstance(value, EncounterTerms):
            try:
                value.packed()
            except DecodeError as error:
                raise ChainError(error.what, "mend the claim: it was not sent") from error


def _values(part: object) -> Iterator[object]:
    yield part
    if isinstance(part, tuple):
        inside: Iterable[object] = part
    else:
        inside = () if not is_dataclass(part) else [getattr(part, entry.name) for entry in fields(part)]
    for each in inside:
        yield from _values(each)


def call_of(claim: EncounterClaim) -> bytes:
    """The call that carries a claim. A deposit's needs an allowance or a permit first."""
    of = interface()
    match claim:
        case Deposit(amount):
            return of["deposit"].call(amount)
        case Unstake(amount):
            return of["unstake"].call(amount)
        case Withdraw():
            return of["withdraw"].call()
        case Join():
            return of["join"].call()
        case TopUp(seat, amount):
            return of["top_up"].call(seat, amount)
        case Collect(seat):
            return of["collect"].call(seat)
        case Leave(seat):
            return of["leave"].call(seat)
        case ComeBack(seat):
            return of["come_back"].call(seat)
        case Vacate(seat):
            return of["vacate"].call(seat)
        case _:
            return _encounter_call(of, claim)


def _encounter_call(
    of: Interface,
    claim: OpenEncounter
    | OpenMany
    | DrawCommittee
    | SettleEncounter
    | SettleMany
    | ReportResult
    | CommitVote
    | RevealVote
    | CloseEncounter,
) -> bytes:
    match claim:
        case OpenEncounter(terms, details, signature):
            return of["open"].call(terms.packed(), terms.neighbor, details, signature.r, signature.vs)
        case OpenMany(parts):
            return of["open_many"].call([_opening(part) for part in parts])
        case SettleEncounter(votes=votes):
            shown = [number for vote in votes for number in (vote.signature.r, vote.signature.vs, vote.opening)]
            return of["settle"].call(*_head(claim), shown + _signature(claim.neighbor))
        case SettleMany(many):
            return of["settle_many"].call([_encounter_call(of, part) for part in many])
        case ReportResult(signed=signed):
            numbers = []
            for one in signed:
                numbers += [0, 0, 0] if one is None else [_number(one.commitment), one.signature.r, one.signature.vs]
            return of["report"].call(*_head(claim), numbers + _signature(claim.neighbor))
    parties = (claim.terms.packed(), claim.terms.learner, claim.terms.neighbor)
    match claim:
        case DrawCommittee(name=name, where=where):
            return of["draw"].call(*parties, name, where)
        case CommitVote(_, result, where, bound, place, commitment, signature):
            return of["commit"].call(*parties, result, where, bound, place, commitment, signature.r, signature.vs)
        case RevealVote(_, result, where, bound, place, opening):
            return of["reveal"].call(*parties, result, where, bound, place, opening)
        case CloseEncounter(paper=paper, where=where):
            return of["close"].call(*parties, paper, where)


def _opening(part: SignedOpening) -> list[int]:
    terms = part.terms
    parties = [int(terms.learner, 16), int(terms.neighbor, 16)]
    signatures = [part.learner.r, part.learner.vs, part.neighbor.r, part.neighbor.vs]
    return [terms.packed(), *parties, _number(part.details), *signatures]


def _head(claim: SettleEncounter | ReportResult) -> tuple[Any, ...]:
    return claim.terms.packed(), claim.terms.learner, claim.name, claim.where, claim.after


def _signature(of: Signature) -> list[int]:
    return [] if of == UNSIGNED else [of.r, of.vs]


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def gas_for(claim: EncounterClaim) -> int:
    """A gas limit that no valid call of this kind reaches, whatever the number of seats."""
    return 2**24 if isinstance(claim, (OpenMany, SettleMany)) else 1_000_000


# -- events ------------------------------------------------------------------------------------------------------------


def event_of(topics: Sequence[bytes], data: bytes) -> EncounterEvent | None:
    """The event that a log tells; None for one about an account's own tokens."""
    shape = interface().events.get(topics[0]) if topics else None
    kind = _EVENTS.get(shape.name) if shape is not None else None
    if shape is None or kind is None:
        return None
    values = shape.values(topics, data)
    if kind is told.Opened:
        return told.Opened(values["key"] & ~_SEATS, values["key"] >> 48 & 0xFFFFFF)
    if "holder" in values:
        values["holder"] = account(values["holder"])
    event: EncounterEvent = kind(**values)
    return event
