"""Our contracts, as the settlement knows them: which claims each takes, as which calls, and what its logs tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, get_args

from p2pfd.core.claims import Claim
from p2pfd.core.encounter_claims import EncounterClaim
from p2pfd.core.ids import Account, TaskId
from p2pfd.core.modes import ModeClaim
from p2pfd.errors import ChainError
from p2pfd.settlement import contracts, encounters, modes
from p2pfd.settlement.abi import Interface
from p2pfd.settlement.api import AnyClaim, AnyEvent
from p2pfd.settlement.artifacts import artifact


@dataclass(frozen=True, slots=True)
class Kind:
    """All in which our contracts differ to the settlement."""

    name: str
    artifact: str
    takes: tuple[type, ...]
    interface: Callable[[], Interface]
    checks: Callable[[Any], None]
    """ChainError for a claim with a value that no call can carry."""
    carries: Callable[[Any, modes.Ledger], bytes]
    """The call for a claim, given what the task's events add up to."""
    gas_for: Callable[[Any], int]
    event_of: Callable[[Sequence[bytes], bytes], AnyEvent | None]
    recalls: Callable[[AnyClaim], bool] = lambda claim: False
    """Whether a claim's call says more than the claim, so that the task's events are needed for it."""
    tasks: bool = True
    """Whether every event is of a task."""
    patient: tuple[str, ...] = ()
    """Events upon which nobody acts: they tell how far a phase is, and another event tells its end."""

    def topics_of_the_patient(self) -> list[str]:
        """The first topics of events that may come a little later."""
        shapes = self.interface().events.values()
        return ["0x" + shape.topic.hex() for shape in shapes if shape.name in self.patient]

    def check(self, claim: AnyClaim) -> None:
        """ChainError for a claim that no call of this contract can carry; the same on every settlement."""
        if not isinstance(claim, self.takes):
            raise ChainError(
                f"{type(claim).__name__} is no claim for {self.artifact}", "mend the claim: it was not sent"
            )
        self.checks(claim)

    def check_task(self, task: TaskId | None) -> None:
        """ChainError where a task's events are asked for, and this contract's are of none."""
        if task is not None and not self.tasks:
            raise ChainError(f"what {self.artifact} tells is of no task", "follow all that the contract tells")

    def call_of(self, claim: AnyClaim, seen: modes.Ledger) -> bytes:
        """The call that carries a claim; ChainError for one that no call of this contract can carry."""
        self.check(claim)
        return self.carries(claim, seen)


@dataclass(frozen=True, slots=True)
class Contract:
    """One of our contracts, where it stands."""

    address: Account
    kind: Kind


_STAKES = ("Deposited", "UnbondingStarted", "Withdrawn")
_PROGRESS = (*_STAKES, "Enrolled", "LabelsCommitted", "LabelsRevealed", "WorkerPaid")


def _of_mode(mode: str) -> Kind:
    return Kind(
        mode,
        modes.CONTRACTS[mode],
        get_args(ModeClaim),
        partial(modes.interface, mode),
        partial(modes.check, mode),
        partial(modes.call_of, mode),
        modes.gas_for,
        partial(modes.event_of, mode),
        partial(modes.recalls, mode),
        patient=_PROGRESS,
    )


ONCHAIN = Kind(
    "onchain",
    "LabelMarket",
    get_args(Claim),
    contracts.market,
    contracts.check,
    lambda claim, seen: contracts.call_of(claim),
    contracts.gas_for,
    contracts.event_of,
    patient=_PROGRESS,
)
OPTIMISTIC, SAMPLED = _of_mode("optimistic"), _of_mode("sampled")
ENCOUNTERS = Kind(
    "encounters",
    "Encounters",
    get_args(EncounterClaim),
    encounters.interface,
    encounters.check,
    lambda claim, seen: encounters.call_of(claim),
    encounters.gas_for,
    encounters.event_of,
    tasks=False,
)
KINDS = MappingProxyType({kind.name: kind for kind in (ONCHAIN, OPTIMISTIC, SAMPLED, ENCOUNTERS)})


def kind_of(code: bytes) -> Kind | None:
    """Which of our contracts has this code; None for another."""
    return next((kind for kind in KINDS.values() if artifact(kind.artifact).made(code)), None)


def market_at(address: Account, mode: str = "onchain") -> Contract:
    """The label market of a mode at an address."""
    return Contract(address, KINDS[mode])
