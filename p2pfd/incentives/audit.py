"""Was everybody paid what the rules say? Recomputes each payment of a task from the labels that the chain shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from p2pfd.core.claims import (
    ChainEvent,
    LabelsRevealed,
    MarketTerms,
    RevealsClosed,
    RoundSettled,
    WorkerPaid,
)
from p2pfd.core.ids import Account
from p2pfd.core.labels import unpack
from p2pfd.errors import DecodeError
from p2pfd.incentives import ptsc

_ANY_NIBBLE = 16


@dataclass(frozen=True, slots=True)
class Audit:
    """What a task paid, how many payments were recomputed, and every one that is not as it should be."""

    earned: dict[Account, int]
    rounds: int
    payments: int
    problems: tuple[str, ...]


@dataclass(slots=True)
class _Round:
    labels: dict[Account, bytes] = field(default_factory=dict)
    counted: tuple[Account, ...] = ()
    paid: dict[Account, tuple[int, int]] = field(default_factory=dict)


def audit(terms: MarketTerms, events: Iterable[ChainEvent]) -> Audit:
    """Read a task's events from its beginning and check every payment, to the unit."""
    rounds: dict[int, _Round] = {}
    earned: dict[Account, int] = {}
    problems: list[str] = []
    settled = payments = 0
    for event in events:
        match event:
            case LabelsRevealed():
                rounds.setdefault(event.round, _Round()).labels[event.worker] = event.labels
            case RevealsClosed():
                rounds.setdefault(event.round, _Round()).counted = event.counted
            case WorkerPaid():
                rounds.setdefault(event.round, _Round()).paid[event.worker] = (event.score, event.amount)
                earned[event.worker] = earned.get(event.worker, 0) + event.amount
            case RoundSettled(counted=True):
                settled += 1
                held = rounds.get(event.round, _Round())
                payments += len(held.paid)
                problems += [f"round {event.round}: {problem}" for problem in _check(terms, held, event)]
            case RoundSettled():
                if rounds.get(event.round, _Round()).paid:
                    problems.append(f"round {event.round}: it does not count, and somebody was paid")
            case _:
                pass
    return Audit(earned, settled, payments, tuple(problems))


def _check(terms: MarketTerms, held: _Round, settled: RoundSettled) -> list[str]:
    missing = [who for who in held.counted if who not in held.labels]
    if missing:
        return [f"{missing[0]} counts, and its labels are not shown"]
    try:
        labels = [unpack(held.labels[who], terms.samples, _ANY_NIBBLE) for who in held.counted]
    except DecodeError as error:
        return [f"labels that are none: {error.what}"]
    scores = ptsc.scores(labels, terms.classes)
    amounts = ptsc.pay(terms.pot, terms.rate, ptsc.means(scores, terms.samples))
    problems = []
    for who, score, amount in zip(held.counted, scores, amounts, strict=True):
        if held.paid.get(who) != (score, amount):
            found = "nothing" if who not in held.paid else "{1} for a score of {0}".format(*held.paid[who])
            problems.append(f"{who} was paid {found}; its labels earn {amount} for a score of {score}")
    problems += [f"{who} was paid and does not count" for who in held.paid if who not in held.counted]
    if settled.paid != sum(amounts):
        problems.append(f"the round says it paid {settled.paid}, its payments are {sum(amounts)}")
    return problems
