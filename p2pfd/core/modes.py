"""Claims and chain events of the label market's other modes, beside those that all modes share (`p2pfd.core.claims`).

``optimistic``: commitments are signed and posted in a batch, one claim says what a round pays, and a dispute computes
it. ``sampled``: a draw picks the words of labels that are shown.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pfd.core.claims import ChainEvent, Claim
from p2pfd.core.ids import Account, Amount, Digest, RoundId, TaskId
from p2pfd.core.trees import Step

# -- optimistic: claims ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignedCommitment:
    """A commitment with its worker's EIP-712 signature, in the compact form: r, and s with the parity on top.

    Who the worker is, the signature says.
    """

    commitment: Digest
    r: int
    vs: int


@dataclass(frozen=True, slots=True)
class PostCommitments:
    """Bind many workers at once; cheapest with all of them, by seat number. Anyone may who has their signatures."""

    task: TaskId
    round: RoundId
    signed: tuple[SignedCommitment, ...]


@dataclass(frozen=True, slots=True)
class ClaimRound:
    """Stake that these workers revealed, and that the serum pays them this."""

    task: TaskId
    round: RoundId
    counted: tuple[Account, ...]
    amounts: tuple[Amount, ...]


@dataclass(frozen=True, slots=True)
class ChallengeRound:
    """Stake that the standing claim is wrong."""

    task: TaskId
    round: RoundId


@dataclass(frozen=True, slots=True)
class OpenProof:
    """Open the commitments of all who count: each one's salt and the root of its labels, by seat number."""

    task: TaskId
    round: RoundId
    salts: tuple[bytes, ...]
    roots: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ProveChunk:
    """Show the next chunk of the labels of all who count, each with its path to the root."""

    task: TaskId
    round: RoundId
    labels: tuple[bytes, ...]
    paths: tuple[tuple[bytes, ...], ...]


# -- optimistic: events ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CommitmentsPosted:
    """These workers are bound."""

    task: TaskId
    round: RoundId
    workers: tuple[Account, ...]
    commitments: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class RoundClaimed:
    """Somebody staked that this is what the round pays; until the deadline it can be challenged.

    ``counted`` is a set of seats, one bit a seat; the amounts are by seat.
    """

    task: TaskId
    round: RoundId
    claimer: Account
    deadline: int
    counted: int
    amounts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ClaimDropped:
    """The claim left out a worker that has now shown its labels on chain; its stake is free again."""

    task: TaskId
    round: RoundId
    claimer: Account


@dataclass(frozen=True, slots=True)
class RoundChallenged:
    """Until the deadline the computation must be shown."""

    task: TaskId
    round: RoundId
    challenger: Account
    deadline: int


@dataclass(frozen=True, slots=True)
class LabelsDemanded:
    """No claim stands: whoever wants to count shows its labels on chain until the deadline."""

    task: TaskId
    round: RoundId
    deadline: int


@dataclass(frozen=True, slots=True)
class ProofWanted:
    """These workers count, and the computation must be shown until the deadline."""

    task: TaskId
    round: RoundId
    deadline: int
    counted: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class ProofOpened:
    """The roots of all who count are known."""

    task: TaskId
    round: RoundId
    roots: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ChunkProved:
    """So many chunks are in the sums."""

    task: TaskId
    round: RoundId
    done: int


@dataclass(frozen=True, slots=True)
class DisputeDecided:
    """Whether the claim was right, and who lost this much."""

    task: TaskId
    round: RoundId
    right: bool
    loser: Account
    amount: Amount


@dataclass(frozen=True, slots=True)
class WorkersPaid:
    """What these seats earned, one bit a seat; the amounts are by seat."""

    task: TaskId
    round: RoundId
    counted: int
    amounts: tuple[int, ...]


# -- sampled -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DrawSamples:
    """Fix which words of labels are shown."""

    task: TaskId
    round: RoundId


@dataclass(frozen=True, slots=True)
class RevealWords:
    """Open a commitment, and show the drawn words, each with its path."""

    task: TaskId
    round: RoundId
    salt: bytes
    top: Step
    words: tuple[bytes, ...]
    paths: tuple[tuple[Step, ...], ...]


@dataclass(frozen=True, slots=True)
class DrawOpened:
    """The commitments are over; the hash of this block will pick the words."""

    task: TaskId
    round: RoundId
    block: int


@dataclass(frozen=True, slots=True)
class SamplesDrawn:
    """The words that this seed draws are to be shown until the deadline."""

    task: TaskId
    round: RoundId
    seed: Digest
    deadline: int


@dataclass(frozen=True, slots=True)
class WordsRevealed:
    """A worker showed its drawn words, and how often all its labels say each class."""

    task: TaskId
    round: RoundId
    worker: Account
    counts: int
    words: tuple[bytes, ...]


ModeClaim = Claim | PostCommitments | ClaimRound | ChallengeRound | OpenProof | ProveChunk | DrawSamples | RevealWords
ModeEvent = (
    ChainEvent
    | CommitmentsPosted
    | RoundClaimed
    | ClaimDropped
    | RoundChallenged
    | LabelsDemanded
    | ProofWanted
    | ProofOpened
    | ChunkProved
    | DisputeDecided
    | WorkersPaid
    | DrawOpened
    | SamplesDrawn
    | WordsRevealed
)
