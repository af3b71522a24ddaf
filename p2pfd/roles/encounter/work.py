"""What encounters want done, and what comes back. Machines know no model, no key and no chain: drivers have those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from p2pfd.core.effects import Work
from p2pfd.core.encounter_claims import EncounterTerms, Signature
from p2pfd.core.events import Outcome
from p2pfd.core.ids import Digest

# -- signatures and what the chain knows: quick, and never behind a training -------------------------------------------


@dataclass(frozen=True, slots=True)
class Sign(Work):
    """Sign a paper, which is an EIP-712 struct's hash, with the account's key and for the task's contract alone."""

    paper: bytes


@dataclass(frozen=True, slots=True)
class Signed(Outcome):
    """The signature; the same paper always gets the same one."""

    signature: Signature


@dataclass(frozen=True, slots=True)
class Recall(Work):
    """Read from the chain what was opened under this key. Nobody's word is as good."""

    key: int


@dataclass(frozen=True, slots=True)
class Recalled(Outcome):
    """The terms, and the name: the hash of the terms with the check-in."""

    terms: EncounterTerms
    name: bytes


@dataclass(frozen=True, slots=True)
class Confirm(Work):
    """Read from the chain which answer was reported or settled under this key."""

    key: int


@dataclass(frozen=True, slots=True)
class Confirmed(Outcome):
    """The hash after."""

    after: Digest


@dataclass(frozen=True, slots=True)
class Audit(Work):
    """Read from the chain where this account's tokens are."""


@dataclass(frozen=True, slots=True)
class Held:
    """A seat of one's own."""

    number: int
    balance: int
    left_at: int = 0
    """The second in which it was left; 0 for a seat that can be drawn."""


@dataclass(frozen=True, slots=True)
class Audited(Outcome):
    """Tokens in the wallet, free, and unbonding until a second; and the seats."""

    wallet: int
    free: int
    unbonding: int = 0
    ready: int = 0
    seats: tuple[Held, ...] = ()


# -- what takes a model ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask(Work):
    """Learner: train on one's own data, and make a request of what one has."""

    key: int


@dataclass(frozen=True, slots=True)
class Asked(Outcome):
    """The request, held as a blob for whoever fetches it."""

    before: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Weigh(Work):
    """Neighbor: fetch a request and see whether it is one of this task; it fails if not."""

    before: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Weighed(Outcome):
    """The request is here, and can be served."""


@dataclass(frozen=True, slots=True)
class Serve(Work):
    """Neighbor: make of the request what the learner pays for, and hold both as blobs."""

    key: int
    before: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Served(Outcome):
    """The answer, held as a blob."""

    after: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Judge(Work):
    """Validator: fetch both, and compare them on one's own data; the tolerance is in millionths.

    It fails where a blob cannot be had. One that can and is no model of this task is judged: invalid.
    """

    key: int
    before: Digest
    before_size: int
    after: Digest
    after_size: int
    tolerance: int


@dataclass(frozen=True, slots=True)
class Judged(Outcome):
    """The finding; None where one's own data is too little to tell."""

    good: bool | None
    figures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Take(Work):
    """Learner: fetch the answer, and go on from it."""

    key: int
    after: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Taken(Outcome):
    """The learner's state now, by its hash, and figures for whoever watches."""

    weights: Digest
    figures: Mapping[str, int] = field(default_factory=dict)
