"""What a task says of encounters: how often each node learns from another, for how much, by which rules."""

from __future__ import annotations

from dataclasses import dataclass

from p2pfd.core.encounter_claims import MAX_SIZE, RULES
from p2pfd.core.ids import Amount
from p2pfd.errors import PlanError

MILLION = 1_000_000
_DAY = 86_400
_MOST_SECONDS = 2**24 - 1


@dataclass(frozen=True, slots=True)
class EncounterSpec:
    """The terms that all members of a task keep to. Amounts in the token's smallest unit, fractions in millionths.

    ``bond``, ``threshold``, ``longest`` and ``unbond_seconds`` are the contract's: every node asks the chain for them.
    """

    own: int
    """How often each node learns from another; 0 for a task that has no encounters."""
    prepayment: Amount
    stake: Amount
    """What each node keeps free, as long as its wallet allows."""
    bond: Amount
    """What a validator's seat costs."""
    threshold: Amount
    """What a learner and a neighbor must have free."""
    longest: int
    """How many seconds an encounter may last."""
    unbond_seconds: int
    share: int = 700_000
    """The neighbor's part of the prepayment; the validators share the rest."""
    size: int = 3
    """Of the committee."""
    rule: str = "serum"
    tolerance: int = 20_000
    """By so much accuracy an answer may be worse than the request."""
    open_seconds: int = 60
    learn_seconds: int = 600
    vote_seconds: int = 120
    margin_seconds: int = 60
    """So long before the end of the learning all signatures must be there; else votes go on chain one by one."""


NO_ENCOUNTERS = EncounterSpec(0, Amount(0), Amount(0), Amount(0), Amount(0), 0, 0)


def check_encounters(spec: EncounterSpec) -> None:
    """PlanError for terms that no contract would take, or that cannot be kept."""
    if spec == NO_ENCOUNTERS:
        return
    _within("own", spec.own, 1, 1_000_000)
    _within("bond", spec.bond, 1, 2**63)
    _within("prepayment", spec.prepayment, 1, spec.bond)
    _within("threshold", spec.threshold, 0, 2**63)
    _within("stake", spec.stake, max(spec.prepayment, spec.threshold), 2**63)
    _within("longest", spec.longest, 1, 30 * _DAY)
    _within("unbond_seconds", spec.unbond_seconds, spec.longest, 365 * _DAY)
    _within("share", spec.share, 1, MILLION)
    _within("size", spec.size, 1, MAX_SIZE)
    _within("tolerance", spec.tolerance, 0, MILLION)
    for name in ("open_seconds", "learn_seconds", "vote_seconds"):
        _within(name, getattr(spec, name), 1, _MOST_SECONDS)
    _within("margin_seconds", spec.margin_seconds, 1, spec.learn_seconds - 1)
    if spec.rule not in RULES:
        raise PlanError(f"encounters.rule is {spec.rule[:40]!r}", f"there are {', '.join(RULES)}")
    lasts = spec.open_seconds + spec.learn_seconds + 2 * spec.vote_seconds
    if lasts > spec.longest:
        raise PlanError(
            f"encounters would last {lasts} seconds, and encounters.longest is {spec.longest}",
            "shorten open_seconds, learn_seconds or vote_seconds",
        )


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        shown = value if value.bit_length() <= 64 else f"a number of {value.bit_length()} bits"
        raise PlanError(f"encounters.{name} is {shown}", f"it must lie between {low} and {high}")
