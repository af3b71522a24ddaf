"""Why a worker's score is what it is: the sums behind the serum, class by class, and the pay that follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from p2pfd.incentives import ptsc


@dataclass(frozen=True, slots=True)
class ClassPart:
    """What a worker's labels of one class brought: how often it said so, who agreed, what an agreement was worth."""

    label: int
    said: int
    agreements: int
    worth: int
    """Millionths for each peer that agrees: the inverse of the label's share among the others, smoothed and capped."""


@dataclass(frozen=True, slots=True)
class Why:
    """The way from labels to a payment."""

    peers: int
    samples: int
    parts: tuple[ClassPart, ...]
    score: int
    mean: int
    due: int
    all_due: int
    amount: int


def why(labels: Sequence[bytes], classes: int, pot: int, rate: int, place: int) -> Why:
    """The worker at this place among those who counted; its score and amount are `ptsc`'s, to the unit."""
    scores = ptsc.scores(labels, classes)
    samples = len(labels[place])
    means = ptsc.means(scores, samples)
    due = [rate * mean // ptsc.SCALE for mean in means]
    return Why(
        peers=len(labels) - 1,
        samples=samples,
        parts=_parts(labels, classes, place),
        score=scores[place],
        mean=means[place],
        due=due[place],
        all_due=sum(due),
        amount=ptsc.pay(pot, rate, means)[place],
    )


def _parts(labels: Sequence[bytes], classes: int, place: int) -> tuple[ClassPart, ...]:
    own = labels[place]
    others = [row for number, row in enumerate(labels) if number != place]
    if not others:
        return ()
    counts = [own.count(label) for label in range(classes)]
    said = [sum(row.count(label) for row in labels) for label in range(classes)]
    worth = ptsc.worth(said, counts, classes)
    agreements: Counter[int] = Counter()
    for row in others:
        agreements.update(mine for mine, theirs in zip(own, row, strict=True) if mine == theirs)
    return tuple(
        ClassPart(label, counts[label], agreements[label], worth[label]) for label in range(classes) if counts[label]
    )
