"""The peer truth serum, in integers: what a worker's labels are worth, judged by what all the others say.

For worker i with the label x on a sample, the other workers who say the same are counted and weighed by how rare x is
among all labels of the others. A constant answer, a random one and one drawn from the prior earn nothing in
expectation; agreement on what is rare earns most, up to a cap. The peer is all peers: the expectation of drawing one,
with less variance. Contracts compute the same numbers to the last unit (`contracts/vyper/serum.vy`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

SCALE = 10**6
"""Scores are millionths: to agree with all others on a label that half of theirs are scores 2 − 1 = 1, or 10**6."""
KAPPA = 3
"""The reward for agreement on one sample is capped at KAPPA times the number of classes."""


def scores(labels: Sequence[bytes], classes: int) -> tuple[int, ...]:
    """Each worker's score, summed over the samples. One byte a label; a byte of ``classes`` or more says nothing."""
    workers = len(labels)
    samples = len(labels[0]) if workers else 0
    if any(len(own) != samples for own in labels):
        raise ValueError("all workers label the same samples")
    if workers < 2:
        return (0,) * workers  # nobody to agree with
    own = [[row.count(c) for c in range(classes)] for row in labels]
    said = [sum(counts[c] for counts in own) for c in range(classes)]
    votes = [Counter(column) for column in zip(*labels, strict=True)]
    return tuple(
        _weighed(row, votes, worth(said, counts, classes), classes) // (workers - 1) - samples * SCALE
        for row, counts in zip(labels, own, strict=True)
    )


def worth(said: Sequence[int], own: Sequence[int], classes: int) -> list[int]:
    """What one agreeing peer is worth, by class: the inverse of its share among the others, smoothed and capped."""
    others = [said[c] - own[c] + 1 for c in range(classes)]
    total = sum(others)
    cap = KAPPA * classes * SCALE
    return [min(cap, SCALE * total // count) for count in others]


def _weighed(row: bytes, votes: Sequence[Counter[int]], worth: Sequence[int], classes: int) -> int:
    return sum((vote[label] - 1) * worth[label] for label, vote in zip(row, votes, strict=True) if label < classes)


def means(totals: Sequence[int], samples: int) -> tuple[int, ...]:
    """The mean score a sample in millionths, and nothing for whoever scored below zero."""
    return tuple(max(0, total) // samples for total in totals)


def pay(pot: int, rate: int, mean_scores: Sequence[int], bonds: Sequence[int] | None = None) -> tuple[int, ...]:
    """What each worker earns: ``rate`` for a mean score of one, in proportion where that exceeds the pot.

    The rest of the pot, with what rounding leaves, is the requester's. A mean below zero costs, though no more than
    the worker's bond where bonds are told.
    """
    due = [rate * mean // SCALE for mean in mean_scores]
    if bonds is not None:
        due = [max(amount, -bond) for amount, bond in zip(due, bonds, strict=True)]
    total = sum(due)
    if total <= pot:
        return tuple(due)
    return tuple(pot * amount // total for amount in due)
