"""The closed union of what peers say to one another by pubsub. Small things only: big ones are named here by hash."""

from __future__ import annotations

from dataclasses import dataclass

from p2pfd.core.events import Message as MessageBase
from p2pfd.core.ids import Account, Digest, PeerId, RoundId


@dataclass(frozen=True, slots=True)
class Hello(MessageBase):
    """A peer id and a chain account vouch for each other.

    ``by_peer`` is the peer key's signature over the account, ``by_account`` the account's over the peer id; both cover
    the task too. See `p2pfd.wire.vouch`.
    """

    peer: PeerId
    account: Account
    by_peer: bytes
    by_account: bytes


@dataclass(frozen=True, slots=True)
class Commit(MessageBase):
    """The sender is bound to its labels of this round.

    ``student`` is the consensus student with which it began the round: the SHA-256 of its weights, which are fetched by
    it. It is empty where the sender has absorbed nothing yet, or nodes have no student in common.
    """

    round: RoundId
    commitment: Digest
    student: bytes = b""


@dataclass(frozen=True, slots=True)
class Reveal(MessageBase):
    """The labels (packed, see `p2pfd.core.labels`) that the sender's commitment bound."""

    round: RoundId
    salt: bytes
    labels: bytes


@dataclass(frozen=True, slots=True)
class Offer(MessageBase):
    """The sender's contribution to a round: a blob of this hash and size, which it holds for whoever asks."""

    round: RoundId
    blob: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Whereabouts(MessageBase):
    """Where the sender can be dialled, for those who have something to say to it alone: addresses, a space between."""

    addresses: str


# -- encounters: what a learner, a neighbor and validators tell one another; all of it is signed by accounts too ------


@dataclass(frozen=True, slots=True)
class Propose(MessageBase):
    """The sender would learn from the one it tells this: packed terms, the blob with its request, its salt."""

    terms: bytes
    before: Digest
    size: int
    tolerance: int
    salt: bytes


@dataclass(frozen=True, slots=True)
class Agree(MessageBase):
    """The sender will serve, and signed the encounter that the proposal and this salt make."""

    name: Digest
    salt: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Brief(MessageBase):
    """All that an encounter's name is the hash of: for the validators who were drawn, from either party."""

    learner: Account
    neighbor: Account
    terms: bytes
    before: Digest
    size: int
    tolerance: int
    learner_salt: bytes
    neighbor_salt: bytes


@dataclass(frozen=True, slots=True)
class Deliver(MessageBase):
    """What the neighbor made of the request: a blob that it holds, and its signature for which it is liable."""

    name: Digest
    after: Digest
    size: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Bind(MessageBase):
    """A validator's commitment to its vote on a result, signed."""

    result: Digest
    place: int
    commitment: Digest
    signature: bytes


@dataclass(frozen=True, slots=True)
class Show(MessageBase):
    """What opens a validator's commitment, with its signature of all commitments."""

    result: Digest
    place: int
    opening: bytes
    signature: bytes


Message = Hello | Commit | Reveal | Offer | Whereabouts | Propose | Agree | Brief | Deliver | Bind | Show
