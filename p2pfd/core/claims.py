"""What roles assert on a chain (claims), what becomes of it (receipts), and what a chain tells (chain events).

Pure values: roles emit and read them, `p2pfd.settlement` carries them, and neither knows the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pfd.core.ids import Account, Amount, Digest, RoundId, TaskId

# -- claims ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MarketTerms:
    """The terms of a label market: what a task's contract enforces. All amounts in the token's smallest unit.

    ``pot`` is set aside for each round; a worker earns ``rate`` for a mean score of one, and when that would exceed
    the pot everybody is paid in proportion. ``bond`` is locked for the task's whole life; ``forfeit`` of it is lost by
    a worker that commits and does not reveal. A round counts when at least ``quorum`` workers reveal.

    ``mode`` says which kind of market it is for: ``onchain``, ``optimistic`` or ``sampled``. The last four are of one
    mode alone: what a claim or a challenge stakes, how long a claim can be challenged and a dispute may take
    (``optimistic``), and how many words of labels are drawn (``sampled``).
    """

    task: TaskId
    samples: int
    classes: int
    rounds: int
    pot: Amount
    rate: Amount
    bond: Amount
    forfeit: Amount
    quorum: int
    seats: int
    enrol_seconds: int
    commit_seconds: int
    reveal_seconds: int
    mode: str = "onchain"
    stake: int = 0
    challenge_seconds: int = 0
    dispute_seconds: int = 0
    picks: int = 0


@dataclass(frozen=True, slots=True)
class Deposit:
    """Move tokens from the wallet into the contract's free balance."""

    amount: Amount


@dataclass(frozen=True, slots=True)
class Unstake:
    """Begin to withdraw from the free balance; the tokens unbond, still slashable, until the delay has passed."""

    amount: Amount


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Move what has finished unbonding back to the wallet."""


@dataclass(frozen=True, slots=True)
class OpenTask:
    """Open a market with these terms; all rounds' pots leave the requester's free balance."""

    terms: MarketTerms


@dataclass(frozen=True, slots=True)
class Enrol:
    """Take a seat; the bond is locked. Effective at once while the task gathers, else when the next round opens."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class CommitLabels:
    """Bind oneself to a round's labels without showing them."""

    task: TaskId
    round: RoundId
    commitment: Digest


@dataclass(frozen=True, slots=True)
class RevealLabels:
    """Show the labels that the commitment bound."""

    task: TaskId
    round: RoundId
    salt: bytes
    labels: bytes


@dataclass(frozen=True, slots=True)
class Advance:
    """Take the timed exit of a phase whose deadline has passed. Anyone may."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class SettleRound:
    """Score and pay a round whose reveals are over. Anyone may."""

    task: TaskId
    round: RoundId


Claim = Deposit | Unstake | Withdraw | OpenTask | Enrol | CommitLabels | RevealLabels | Advance | SettleRound

# -- receipts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Included:
    """The claim is on the chain, as final as the chain's profile asks."""

    ref: str
    block: int
    cost: int


@dataclass(frozen=True, slots=True)
class Reverted:
    """The chain refused the claim, and says why: ``module: reason``."""

    ref: str
    reason: str


@dataclass(frozen=True, slots=True)
class Pending:
    """Sent, not yet final."""

    ref: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The chain does not know it (any more), or cannot be asked; the reason says which."""

    ref: str
    reason: str


Receipt = Included | Reverted | Pending | Unknown

# -- chain events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskOpened:
    """A market gathers workers until its seats are taken or the deadline (Unix seconds) passes."""

    task: TaskId
    requester: Account
    deadline: int


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A worker took a seat."""

    task: TaskId
    worker: Account
    seats_taken: int


@dataclass(frozen=True, slots=True)
class RoundOpened:
    """Commitments are taken until the deadline (Unix seconds) or until all these workers have committed."""

    task: TaskId
    round: RoundId
    deadline: int
    workers: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class LabelsCommitted:
    """A worker is bound."""

    task: TaskId
    round: RoundId
    worker: Account
    commitment: Digest


@dataclass(frozen=True, slots=True)
class RevealsOpened:
    """Reveals are taken until the deadline (Unix seconds) or until all who committed have revealed."""

    task: TaskId
    round: RoundId
    deadline: int
    committed: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class LabelsRevealed:
    """A worker showed its labels, and they match its commitment."""

    task: TaskId
    round: RoundId
    worker: Account
    labels: bytes


@dataclass(frozen=True, slots=True)
class RevealsClosed:
    """The reveals are over: these workers count, and anyone may settle."""

    task: TaskId
    round: RoundId
    counted: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class WorkerPaid:
    """A worker's serum score (millionths, summed over the samples) and what it earned."""

    task: TaskId
    round: RoundId
    worker: Account
    score: int
    amount: Amount


@dataclass(frozen=True, slots=True)
class BondForfeited:
    """A worker committed and did not reveal: this much of its bond went to those who did."""

    task: TaskId
    round: RoundId
    worker: Account
    amount: Amount


@dataclass(frozen=True, slots=True)
class WorkerSuspended:
    """A worker did not commit, or its bond ran out: it is not waited for until it enrols again."""

    task: TaskId
    round: RoundId
    worker: Account


@dataclass(frozen=True, slots=True)
class RoundSettled:
    """The round is over. Not counted means that the quorum was missed and the pot went back."""

    task: TaskId
    round: RoundId
    counted: bool
    paid: Amount
    refunded: Amount


@dataclass(frozen=True, slots=True)
class TaskClosed:
    """No further round; bonds are free again and what is left of the pots is the requester's."""

    task: TaskId
    rounds: int


ChainEvent = (
    TaskOpened
    | Enrolled
    | RoundOpened
    | LabelsCommitted
    | RevealsOpened
    | LabelsRevealed
    | RevealsClosed
    | WorkerPaid
    | BondForfeited
    | WorkerSuspended
    | RoundSettled
    | TaskClosed
)


@dataclass(frozen=True, slots=True)
class Balances:
    """Where an account's tokens are: in its wallet, and inside the contract free, locked, or unbonding."""

    wallet: Amount
    free: Amount
    locked: Amount
    unbonding: Amount

    @property
    def total(self) -> Amount:
        """All of it."""
        return Amount(self.wallet + self.free + self.locked + self.unbonding)
