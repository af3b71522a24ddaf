"""Claims as calls of our contracts, and our contracts' logs as chain events."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache
from typing import Any

from p2pfd.core import claims
from p2pfd.core.claims import (
    Advance,
    ChainEvent,
    Claim,
    CommitLabels,
    Deposit,
    Enrol,
    MarketTerms,
    OpenTask,
    RevealLabels,
    SettleRound,
    Unstake,
    Withdraw,
)
from p2pfd.core.ids import Amount, TaskId, account
from p2pfd.core.labels import SALT_BYTES
from p2pfd.errors import ChainError
from p2pfd.incentives.market import MAX_SAMPLES
from p2pfd.settlement.abi import Interface
from p2pfd.settlement.artifacts import artifact

MAX_LABELS_BYTES = MAX_SAMPLES // 2
_WORD = 2**256
# The terms that the label market's contract takes, in its order: those of other modes come last and are not for it.
_TERMS = [entry.name for entry in dataclasses.fields(MarketTerms)][1:13]
_EVENTS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        claims.TaskOpened,
        claims.Enrolled,
        claims.RoundOpened,
        claims.LabelsCommitted,
        claims.RevealsOpened,
        claims.LabelsRevealed,
        claims.RevealsClosed,
        claims.WorkerPaid,
        claims.BondForfeited,
        claims.WorkerSuspended,
        claims.RoundSettled,
        claims.TaskClosed,
    )
}


@cache
def token() -> Interface:
    """The token's interface."""
    return Interface.of(artifact("Token"))


@cache
def market() -> Interface:
    """The label market's interface, staking included."""
    return Interface.of(artifact("LabelMarket"))


def check(claim: Claim) -> None:
    """ChainError for a claim with a value that no contract call can carry; the same on every settlement."""

    def need(holds: bool, what: str) -> None:
        if not holds:
            raise ChainError(what, "mend the claim: it was not sent")

    for entry in dataclasses.fields(claim):
        value = getattr(claim, entry.name)
        if isinstance(value, int):
            need(0 <= value < _WORD, f"{entry.name} is {value}: not a whole number of 256 bits")
    match claim:
        case OpenTask(terms):
            for name in _TERMS:
                need(
                    0 <= getattr(terms, name) < _WORD,
                    f"{name} is {getattr(terms, name)}: not a whole number of 256 bits",
                )
            need(len(terms.task) == 32, f"a task's name is 32 bytes, not {len(terms.task)}")
            need(terms.mode == "onchain", f"this market is onchain, not {terms.mode}")
        case Enrol(task) | CommitLabels(task) | RevealLabels(task) | Advance(task) | SettleRound(task):
            need(len(task) == 32, f"a task's name is 32 bytes, not {len(task)}")
        case _:
            return
    match claim:
        case CommitLabels(commitment=bound):
            need(len(bound) == 32, f"a commitment is 32 bytes, not {len(bound)}")
        case RevealLabels(salt=salt, labels=labels):
            need(len(salt) == SALT_BYTES, f"a salt is {SALT_BYTES} bytes, not {len(salt)}")
            need(len(labels) <= MAX_LABELS_BYTES, f"{len(labels)} bytes of labels, at most {MAX_LABELS_BYTES}")
        case _:
            return


def call_of(claim: Claim) -> bytes:
    """The market call that carries a claim. A deposit's needs an allowance or a permit first."""
    check(claim)
    of = market()
    match claim:
        case Deposit(amount):
            return of["deposit"].call(amount)
        case Unstake(amount):
            return of["unstake"].call(amount)
        case Withdraw():
            return of["withdraw"].call()
        case OpenTask(terms):
            return of["open_task"].call(terms.task, tuple(getattr(terms, name) for name in _TERMS))
        case Enrol(task):
            return of["enrol"].call(task)
        case CommitLabels(task, rnd, bound):
            return of["commit"].call(task, rnd, bound)
        case RevealLabels(task, rnd, salt, labels):
            return of["reveal"].call(task, rnd, salt, labels)
        case Advance(task):
            return of["advance"].call(task)
        case SettleRound(task, rnd):
            return of["settle"].call(task, rnd)


def gas_for(claim: Claim) -> int:
    """A gas limit that no valid call of this kind reaches, whatever the number of seats: unused gas costs nothing.

    Where gas is paid for, an account must still have the coins for all of it: see `EvmDesk`.
    """
    match claim:
        case Deposit() | Unstake() | Withdraw() | Enrol() | CommitLabels() | RevealLabels():
            return 1_000_000
        case OpenTask():
            return 1_000_000
        case Advance():
            return 5_000_000
        case SettleRound():
            return 2**24  # chains take no transaction with more (EIP-7825)


def event_of(topics: Sequence[bytes], data: bytes) -> ChainEvent | None:
    """The chain event that a market log tells; None for one that concerns no task."""
    shape = market().events.get(topics[0]) if topics else None
    kind = _EVENTS.get(shape.name) if shape is not None else None
    if shape is None or kind is None:
        return None
    values = shape.values(topics, data)
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = account(value)
        elif isinstance(value, (tuple, list)):
            values[name] = tuple(account(member) for member in value)
    event: ChainEvent = kind(**values)
    return event


def terms_of(task: TaskId, answer: Sequence[int]) -> MarketTerms | None:
    """A task's terms as the market tells them; None where there is no such task."""
    values = dict(zip(_TERMS, answer, strict=True))
    return MarketTerms(task=task, **values) if values["seats"] else None  # type: ignore[arg-type]


def amount(value: int) -> Amount:
    """A number of the token's smallest unit."""
    return Amount(value)
