"""From votes to targets, in whole numbers: every machine that counts the same labels gets the same targets.

Nothing here is told by the voters but their labels. How far a voter is trusted follows from how it agrees with the
others, so that there is nothing to lie about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from p2pfd.learning.adapter import Array

Labels = npt.NDArray[np.int64]
"""Shape (voters, samples)."""
Whole = npt.NDArray[np.int64]

ONE = 1 << 10
"""A full weight. With at most 64 voters and 8,192 samples every product below stays under 2⁶³."""
_MILLION = 1_000_000
_ITERATIONS = 4
_FINE = 1 << 16
"""A full weight of `surplus`, whose shares may be small."""
_CHANCE = 25
"""A fair share over this is what counts differ by chance."""


def one_hot(labels: Labels, classes: int) -> Whole:
    """Shape (voters, samples, classes): one where a voter chose a class."""
    votes: Whole = (labels[:, :, None] == np.arange(classes)).astype(np.int64)
    return votes


def serum(labels: Labels, classes: int, weights: Whole) -> Whole:
    """Peer truth serum of each voter in millionths, its peers weighted.

    For every class: the weight of the peers that agree with the voter, over the weight that all votes of the peers for
    that class have. Agreement on a rare answer counts for more; a class that peers never name counts for nothing.
    """
    votes = one_hot(labels, classes)
    everyone = np.einsum("k,knc->nc", weights, votes)
    scores = np.zeros(len(labels), dtype=np.int64)
    for voter in range(len(labels)):
        peers = everyone - weights[voter] * votes[voter]
        agreed = (votes[voter] * peers).sum(axis=0)
        scores[voter] = (agreed * _MILLION // (peers.sum(axis=0) + ONE)).sum() - _MILLION
    return scores


def gate(labels: Labels, classes: int) -> npt.NDArray[np.bool_]:
    """Who is heard: voters with at least 0.8 of the median score, once peers are weighted by their own scores.

    With fewer than three voters there is no majority to compare with, and all are heard.
    """
    count = len(labels)
    if count < 3:
        return np.ones(count, dtype=np.bool_)
    weights = np.full(count, ONE, dtype=np.int64)
    scores = np.zeros(count, dtype=np.int64)
    for _ in range(_ITERATIONS):
        scores = serum(labels, classes, weights)
        best = int(scores.max())
        if best <= 0:
            return np.ones(count, dtype=np.bool_)
        shares = np.maximum(scores, 0) * ONE // best
        weights = shares * shares // ONE
    ordered = np.sort(scores)
    middles = int(ordered[(count - 1) // 2] + ordered[count // 2])
    heard: npt.NDArray[np.bool_] = scores * 10 >= middles * 4
    return heard if middles > 0 else np.ones(count, dtype=np.bool_)


def recall(labels: Labels, classes: int) -> Whole:
    """How well each voter knows each class, 1 to `ONE`: of the others' votes for it, the share it shares."""
    votes = one_hot(labels, classes)
    everyone = votes.sum(axis=0)
    out = np.zeros((len(labels), classes), dtype=np.int64)
    for voter in range(len(labels)):
        peers = everyone - votes[voter]
        agreed = (votes[voter] * peers).sum(axis=0)
        out[voter] = (agreed + 1) * ONE // (peers.sum(axis=0) + 2)
    return np.maximum(out, 1)


def surplus(labels: Labels, classes: int) -> Whole:
    """What a vote counts, from how often its voter names the class: up to `_FINE`, shape (voters, classes).

    A model forgets the classes that its shard lacks, and names them less; so who names a class more often than the
    median voter has learnt it from samples of its own, even where nobody else agrees. The cube lets holders of a class
    outvote the many who only repeat what they were told, and its floor keeps chance from deciding where all know
    alike. Who names a class for more samples than a fair share of all names it for many that it does not know, and
    each of these votes says the less.
    """
    counts = one_hot(labels, classes).sum(axis=1)
    fair = max(1, labels.shape[1] // classes)
    ordered = np.sort(counts, axis=0)
    median = (ordered[(len(counts) - 1) // 2] + ordered[len(counts) // 2]) // 2
    more = np.clip(counts - median, 0, fair) ** 3 + max(1, fair // _CHANCE) ** 3
    shares = more * _FINE // more.sum(axis=0)
    out: Whole = np.maximum(shares * fair // np.maximum(counts, fair), 1)
    return out


def _by_recall(labels: Labels, classes: int) -> Whole:
    trust = recall(labels, classes)
    out: Whole = np.maximum(trust * ONE // trust.sum(axis=0), 1)
    return out


TRUST: Mapping[str, Callable[[Labels, int], Whole]] = MappingProxyType({"recall": _by_recall, "surplus": surplus})
"""By its name, what each voter's vote for each class counts."""


def targets(
    labels: Labels,
    classes: int,
    *,
    weigh: bool,
    gated: bool,
    squared: bool,
    trust: str = "recall",
    shares: Whole | None = None,
) -> Array:
    """Soft targets, shape (samples, classes), rows summing to one.

    ``weigh`` counts a vote as `TRUST` says: by the voter's `recall` of that class over all voters' recall of it, or by
    its `surplus`; ``gated`` leaves out who fails the `gate`; ``squared`` sharpens. A vote is all for one class, unless
    ``shares`` says how it is divided, in parts of `ONE`: shape (voters, samples, classes). Who is trusted is up to the
    labels even then.
    """
    votes = one_hot(labels, classes) if shares is None else shares
    if gated:
        heard = gate(labels, classes)
        labels, votes = labels[heard], votes[heard]
    sums = (votes * TRUST[trust](labels, classes)[:, None, :]).sum(axis=0) if weigh else votes.sum(axis=0)
    if squared:
        sums = sums * sums
    sums[sums.sum(axis=1) == 0] = 1  # shares so small that they were cut to nothing: all classes alike
    out: Array = (sums / sums.sum(axis=1, keepdims=True)).astype(np.float32)  # one division of exact numbers
    return out
