"""What the distillation round wants computed, and what comes back. The machine itself knows no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from p2pfd.core.effects import Work
from p2pfd.core.events import Outcome
from p2pfd.core.ids import Account, Digest, RoundId


@dataclass(frozen=True, slots=True)
class Study(Work):
    """Train on private data, then label the public samples."""

    round: RoundId


@dataclass(frozen=True, slots=True)
class Studied(Outcome):
    """One class index (a byte) per public sample."""

    labels: bytes


@dataclass(frozen=True, slots=True)
class Absorb(Work):
    """Learn from the labels that count, one's own among them, in the order of the accounts."""

    round: RoundId
    votes: tuple[tuple[Account, bytes], ...]


@dataclass(frozen=True, slots=True)
class Absorbed(Outcome):
    """The consensus student after a round: the SHA-256 of its weights, and figures for whoever watches."""

    weights: Digest
    figures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Adopt(Work):
    """Fetch the student with these weights from the others and take it over: one's own went astray, or is behind."""

    round: RoundId
    weights: Digest


@dataclass(frozen=True, slots=True)
class Adopted(Outcome):
    """The student is now the one that was asked for."""

    weights: Digest


@dataclass(frozen=True, slots=True)
class Conclude(Work):
    """The task is over: take the last figures, on the test set."""


@dataclass(frozen=True, slots=True)
class Concluded(Outcome):
    """The last figures; fractions in millionths."""

    weights: Digest
    figures: Mapping[str, int] = field(default_factory=dict)


DistillWork = Study | Absorb | Adopt | Conclude
DistillOutcome = Studied | Absorbed | Adopted | Concluded
