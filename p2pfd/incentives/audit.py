"""Was everybody paid what the rules say? Recomputes each payment of a task from what the chain shows.

In the optimistic mode the chain shows labels only where somebody contradicts, and then computes by itself; else it is
checked that what was claimed was paid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from p2pfd.core.claims import (
    Enrolled,
    LabelsRevealed,
    MarketTerms,
    RevealsClosed,
    RoundSettled,
    WorkerPaid,
    WorkerSuspended,
)
from p2pfd.core.ids import Account
from p2pfd.core.labels import PER_WORD, unpack
from p2pfd.core.modes import ModeEvent, ProofOpened, RoundClaimed, SamplesDrawn, WordsRevealed, WorkersPaid
from p2pfd.errors import DecodeError
from p2pfd.incentives import ptsc
from p2pfd.incentives.sampled import earned as earned_by_words
from p2pfd.incentives.sampled import picked_in
from p2pfd.incentives.sampling import draw

_ANY_NIBBLE = 16


@dataclass(frozen=True, slots=True)
class Audit:
    """What a task paid, how many payments were recomputed, and every one that is not as it should be."""

    earned: dict[Account, int]
    rounds: int
    payments: int
    problems: tuple[str, ...]
    claimed: int = 0
    """Payments that nobody contradicted, or that the chain computed: the optimistic mode's."""


@dataclass(slots=True)
class _Round:
    labels: dict[Account, bytes] = field(default_factory=dict)
    counted: tuple[Account, ...] = ()
    paid: dict[Account, tuple[int, int]] = field(default_factory=dict)
    words: dict[Account, tuple[int, tuple[bytes, ...]]] = field(default_factory=dict)
    """What was shown of drawn words, behind the counts of all."""
    seed: bytes = b""
    claim: tuple[int, tuple[int, ...]] | None = None
    by_seat: tuple[int, tuple[int, ...]] | None = None
    computed: bool = False
    """Whether the chain itself computed what was paid."""


def audit(terms: MarketTerms, events: Iterable[ModeEvent]) -> Audit:
    """Read a task's events from its beginning and check every payment, to the unit."""
    rounds: dict[int, _Round] = {}
    earned: dict[Account, int] = {}
    problems: list[str] = []
    settled = payments = claimed = 0
    seats: dict[int, Account] = {}
    for event in events:
        match event:
            case Enrolled(worker=worker):
                seats[next(number for number in count() if number not in seats)] = worker
            case WorkerSuspended(worker=worker):
                seats = {number: holder for number, holder in seats.items() if holder != worker}
            case SamplesDrawn(seed=seed):
                rounds.setdefault(event.round, _Round()).seed = seed
            case WordsRevealed(worker=worker, counts=counts, words=words):
                rounds.setdefault(event.round, _Round()).words[worker] = (counts, words)
            case RoundClaimed(counted=counted, amounts=amounts):
                rounds.setdefault(event.round, _Round()).claim = (counted, amounts)
            case ProofOpened():
                rounds.setdefault(event.round, _Round()).computed = True
            case WorkersPaid(counted=counted, amounts=amounts):
                rounds.setdefault(event.round, _Round()).by_seat = (counted, amounts)
                numbers = [number for number in range(counted.bit_length()) if counted >> number & 1]
                for number, amount in zip(numbers, amounts, strict=False):
                    if number in seats:
                        earned[seats[number]] = earned.get(seats[number], 0) + amount
                    else:
                        problems.append(f"round {event.round}: seat {number} was paid, and nobody holds it")
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
                claimed += 0 if held.by_seat is None else len(held.by_seat[1])
                problems += [f"round {event.round}: {problem}" for problem in _check(terms, held, event)]
            case RoundSettled():
                if rounds.get(event.round, _Round()).paid:
                    problems.append(f"round {event.round}: it does not count, and somebody was paid")
            case _:
                pass
    return Audit(earned, settled, payments, tuple(problems), claimed)


def _check(terms: MarketTerms, held: _Round, settled: RoundSettled) -> list[str]:
    if terms.mode == "optimistic":
        return _check_claim(terms, held, settled)
    shown = held.words if terms.mode == "sampled" else held.labels
    missing = [who for who in held.counted if who not in shown]
    if missing:
        return [f"{missing[0]} counts, and its labels are not shown"]
    try:
        scores, amounts = (_of_words if terms.mode == "sampled" else _of_labels)(terms, held)
    except DecodeError as error:
        return [f"labels that are none: {error.what}"]
    except ValueError as error:
        return [f"a draw that is none: {error}"]
    problems = []
    for who, score, amount in zip(held.counted, scores, amounts, strict=True):
        if held.paid.get(who) != (score, amount):
            found = "nothing" if who not in held.paid else "{1} for a score of {0}".format(*held.paid[who])
            problems.append(f"{who} was paid {found}; its labels earn {amount} for a score of {score}")
    problems += [f"{who} was paid and does not count" for who in held.paid if who not in held.counted]
    if settled.paid != sum(amounts):
        problems.append(f"the round says it paid {settled.paid}, its payments are {sum(amounts)}")
    return problems


def _of_labels(terms: MarketTerms, held: _Round) -> tuple[tuple[int, ...], tuple[int, ...]]:
    labels = [unpack(held.labels[who], terms.samples, _ANY_NIBBLE) for who in held.counted]
    scores = ptsc.scores(labels, terms.classes)
    return scores, ptsc.pay(terms.pot, terms.rate, ptsc.means(scores, terms.samples))


def _of_words(terms: MarketTerms, held: _Round) -> tuple[tuple[int, ...], tuple[int, ...]]:
    places = draw(held.seed, -(-terms.samples // PER_WORD), terms.picks)
    picked = [picked_in(terms, places, held.words[who][1]) for who in held.counted]
    return earned_by_words(terms, picked, [held.words[who][0] for who in held.counted])


def _check_claim(terms: MarketTerms, held: _Round, settled: RoundSettled) -> list[str]:
    if held.by_seat is None:
        return ["it counts, and nobody was paid"]
    problems = []
    if not held.computed and held.by_seat != held.claim:
        problems.append(f"{held.by_seat[1]} was paid, and {None if held.claim is None else held.claim[1]} was claimed")
    if not sum(held.by_seat[1]) == settled.paid <= terms.pot:
        problems.append(f"the round says it paid {settled.paid}, its payments are {sum(held.by_seat[1])}")
    return problems
