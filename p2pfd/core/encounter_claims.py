"""What participants of encounters ask of their contract. Values only; `contracts/vyper/SPEC.md` says what each does.

``where`` is how an encounter stands, as the last event told it; every call brings it along, because the contract keeps
nothing of an encounter but a hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from p2pfd.core.claims import Deposit, Unstake, Withdraw
from p2pfd.core.ids import Account, Amount, Digest
from p2pfd.errors import DecodeError

Rule = Literal["paper", "symmetric", "serum"]
RULES: tuple[Rule, ...] = ("paper", "symmetric", "serum")
MAX_SIZE = 7
"""The largest committee."""
MAX_BATCH = 20
# Name and bits of what the packed terms hold, from the lowest bit up.
_FIELDS = (
    ("prepayment", 64),
    ("open_by", 40),
    ("learn_by", 40),
    ("nonce", 40),
    ("vote_seconds", 24),
    ("share", 24),
    ("size", 8),
    ("rule", 8),
    ("lane", 8),
)


@dataclass(frozen=True, slots=True)
class CheckIn:
    """What both parties sign and the contract never looks into: task, hash of the learner's model, salts."""

    task: bytes
    before: Digest
    tolerance: int
    learner_salt: bytes
    neighbor_salt: bytes


@dataclass(frozen=True, slots=True)
class EncounterTerms:
    """What a learner and a neighbor agree on; times are Unix seconds, the share is the neighbor's, in millionths."""

    learner: Account
    neighbor: Account
    prepayment: Amount
    open_by: int
    learn_by: int
    nonce: int
    vote_seconds: int
    share: int
    size: int
    rule: int = RULES.index("serum")
    lane: int = 0

    def packed(self) -> int:
        """The one word in which calls bring the numbers along."""
        word = at = 0
        for name, bits in _FIELDS:
            value = getattr(self, name)
            if not 0 <= value < 1 << bits:
                raise DecodeError(f"{name} of an encounter is {value}: not a whole number of {bits} bits")
            word |= value << at
            at += bits
        return word

    @classmethod
    def unpacked(cls, word: int, learner: Account, neighbor: Account) -> EncounterTerms:
        """The terms in a word of 256 bits."""
        values = {}
        for name, bits in _FIELDS:
            values[name] = word & (1 << bits) - 1
            word >>= bits
        return cls(learner, neighbor, **values)  # type: ignore[arg-type]

    @property
    def key(self) -> int:
        """What events call the encounter: its learner, lane and nonce."""
        return int(self.learner, 16) << 96 | self.lane << 40 | self.nonce


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature in the compact form of EIP-2098: ``s`` with the recovery bit on top."""

    r: int
    vs: int


UNSIGNED = Signature(0, 0)
"""Where the sender's own account stands for a signature."""


@dataclass(frozen=True, slots=True)
class Vote:
    """A validator's part of the fast path: its signature of the ballot, and the opening of its own commitment."""

    signature: Signature
    opening: int


@dataclass(frozen=True, slots=True)
class SignedCommitment:
    """What binds a validator to a vote without showing it, with its signature."""

    commitment: bytes
    signature: Signature


# -- claims ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Join:
    """Take a seat for a bond."""


@dataclass(frozen=True, slots=True)
class TopUp:
    """Move free tokens into one's seat."""

    seat: int
    amount: Amount


@dataclass(frozen=True, slots=True)
class Collect:
    """Take what a seat has above the bond."""

    seat: int


@dataclass(frozen=True, slots=True)
class Leave:
    """Be drawn no more."""

    seat: int


@dataclass(frozen=True, slots=True)
class ComeBack:
    """Be drawn again."""

    seat: int


@dataclass(frozen=True, slots=True)
class Vacate:
    """Give a seat up that was left long enough ago."""

    seat: int


@dataclass(frozen=True, slots=True)
class OpenEncounter:
    """Begin, as the learner, with the neighbor's signature."""

    terms: EncounterTerms
    details: bytes
    neighbor: Signature


@dataclass(frozen=True, slots=True)
class SignedOpening:
    """One of a batch: both parties signed."""

    terms: EncounterTerms
    details: bytes
    learner: Signature
    neighbor: Signature


@dataclass(frozen=True, slots=True)
class OpenMany:
    """Begin up to twenty encounters, all or none."""

    parts: tuple[SignedOpening, ...]


@dataclass(frozen=True, slots=True)
class DrawCommittee:
    """Fix the committee as it is drawn now."""

    terms: EncounterTerms
    name: bytes
    where: int


@dataclass(frozen=True, slots=True)
class SettleEncounter:
    """End an encounter with all votes at once; unsigned by the neighbor itself."""

    terms: EncounterTerms
    name: bytes
    where: int
    after: bytes
    neighbor: Signature
    votes: tuple[Vote, ...]


@dataclass(frozen=True, slots=True)
class SettleMany:
    """End up to twenty encounters, all or none."""

    parts: tuple[SettleEncounter, ...]


@dataclass(frozen=True, slots=True)
class ReportResult:
    """Fix the hash after and begin the votes, with commitments that are signed already; None for a missing one."""

    terms: EncounterTerms
    name: bytes
    where: int
    after: bytes
    neighbor: Signature
    signed: tuple[SignedCommitment | None, ...] = ()


@dataclass(frozen=True, slots=True)
class CommitVote:
    """Bind a validator to its vote; unsigned by itself. ``bound`` are the commitments so far, or zeros."""

    terms: EncounterTerms
    result: bytes
    where: int
    bound: tuple[bytes, ...]
    place: int
    commitment: bytes
    signature: Signature = UNSIGNED


@dataclass(frozen=True, slots=True)
class RevealVote:
    """Open a commitment."""

    terms: EncounterTerms
    result: bytes
    where: int
    bound: tuple[bytes, ...]
    place: int
    opening: int


@dataclass(frozen=True, slots=True)
class CloseEncounter:
    """End an encounter whose time is over; the paper is its name, or after a report `Papers.bound_result`."""

    terms: EncounterTerms
    paper: bytes
    where: int


EncounterClaim = (
    Deposit
    | Unstake
    | Withdraw
    | Join
    | TopUp
    | Collect
    | Leave
    | ComeBack
    | Vacate
    | OpenEncounter
    | OpenMany
    | DrawCommittee
    | SettleEncounter
    | SettleMany
    | ReportResult
    | CommitVote
    | RevealVote
    | CloseEncounter
)
