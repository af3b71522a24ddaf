"""Scores from k of n samples that a seed picks after the labels are bound, and how far they stray from the whole.

``draw`` is fixed to the bit, so that a contract can do the same with whole numbers, SHA-256 and a bit for each sample:

    for j = n − k, …, n − 1:
        t = SHA-256(domain ‖ seed ‖ j) mod (j + 1)        domain, seed and j a 32-byte word each, big-endian
        take t, or j if t is taken

Every set of k different samples is equally likely, but for a bias below 2⁻²²⁴ in each step. The seed must come to be
after the last reveal can no longer change, or a worker labels well only what is scored.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from p2pfd.incentives import ptsc

MAX_SAMPLES = 2**32
_DOMAIN = b"p2pfd-sampling-1".ljust(32, b"\0")


def draw(seed: bytes, samples: int, count: int) -> tuple[int, ...]:
    """``count`` different numbers below ``samples``, in rising order."""
    if len(seed) != 32:
        raise ValueError(f"a seed is 32 bytes, not {len(seed)}")
    if not 1 <= count <= samples <= MAX_SAMPLES:
        raise ValueError(f"cannot draw {count} of {samples} samples")
    taken: set[int] = set()
    for last in range(samples - count, samples):
        word = hashlib.sha256(_DOMAIN + seed + last.to_bytes(32, "big")).digest()
        place = int.from_bytes(word, "big") % (last + 1)
        taken.add(last if place in taken else place)
    return tuple(sorted(taken))


def scores(labels: Sequence[bytes], classes: int, picked: Sequence[int]) -> tuple[int, ...]:
    """Each worker's score, summed over the picked samples, from these samples alone: what a contract can compute.

    How rare a label is, is estimated from the same samples, so the mean score has a bias of the order 1/k.
    """
    return ptsc.scores([bytes(row[place] for place in picked) for row in labels], classes)


def scores_by_known_shares(labels: Sequence[bytes], classes: int, picked: Sequence[int]) -> tuple[int, ...]:
    """The same with the shares of all labels: a sum over the picked samples, and so without bias."""
    per_sample = _agreed(labels, classes)
    return tuple(
        sum(row[place] for place in picked) // (len(labels) - 1) - len(picked) * ptsc.SCALE for row in per_sample
    )


def scores_by_counts(
    picked: Sequence[bytes], counts: Sequence[Sequence[int]], classes: int, samples: int
) -> tuple[int, ...]:
    """Each worker's score over the picked labels, ``samples`` of them, with the shares that counts of all labels say.

    ``picked`` may hold blanks beyond those samples. A worker's own counts do not enter its own score.
    """
    if len(picked) < 2:
        return (0,) * len(picked)
    said = [sum(own[c] for own in counts) for c in range(classes)]
    votes = [Counter(column) for column in zip(*picked, strict=True)]
    found = []
    for row, own in zip(picked, counts, strict=True):
        worth = ptsc.worth(said, own, classes)
        earned = sum((vote[x] - 1) * worth[x] for x, vote in zip(row, votes, strict=True) if x < classes)
        found.append(earned // (len(picked) - 1) - samples * ptsc.SCALE)
    return tuple(found)


def variance_by_words(labels: Sequence[bytes], classes: int, words: int, per_word: int) -> tuple[float, ...]:
    """The variance of each mean score a sample where whole words are drawn and the shares are known, in units of one.

    It is M² (1 − m/M) S²/m for the sum, with S² the variance of a worker's score from word to word, by M − 1.
    """
    samples = len(labels[0])
    found = []
    for row in _agreed(labels, classes):
        each = [value / ((len(labels) - 1) * ptsc.SCALE) - 1 for value in row]
        sums = [sum(each[at : at + per_word]) for at in range(0, samples, per_word)]
        found.append(_of_mean(sums, words) * (len(sums) / samples) ** 2)
    return tuple(found)


def variance_by_known_shares(labels: Sequence[bytes], classes: int, count: int) -> tuple[float, ...]:
    """The variance of each mean score a sample under `scores_by_known_shares`, over all draws, in units of one.

    It is (1 − k/n) S²/k, with S² the variance of the worker's score from sample to sample, by n − 1.
    """
    others = (len(labels) - 1) * ptsc.SCALE
    return tuple(_of_mean([value / others for value in row], count) for row in _agreed(labels, classes))


def variance(labels: Sequence[bytes], classes: int, count: int) -> tuple[float, ...]:
    """The variance of each mean score a sample under `scores`, to first order, over all draws, in units of one.

    As with known shares, but of what is left of each sample's score once the part is taken off by which the sample
    itself moves the shares: a sample on which many say x makes x less rare, and takes a little from all who say x.
    """
    samples, others = len(labels[0]), len(labels) - 1
    votes = [Counter(column) for column in zip(*labels, strict=True)]
    said = [sum(row.count(c) for row in labels) for c in range(classes)]
    found = []
    for row, agreed in zip(labels, _agreed(labels, classes), strict=True):
        own = [row.count(c) for c in range(classes)]
        worth = ptsc.worth(said, own, classes)
        total = sum(said) - sum(own)
        earned = [0.0] * classes
        for label, value in zip(row, agreed, strict=True):
            if label < classes:
                earned[label] += value / (others * ptsc.SCALE) / samples
        # By how much the mean score falls where the share of a class rises by one; not at all at the cap.
        cap = ptsc.KAPPA * classes * ptsc.SCALE
        slope = [earned[c] * worth[c] / ptsc.SCALE if worth[c] < cap else 0.0 for c in range(classes)]
        share = [(said[c] - own[c]) / total if total else 0.0 for c in range(classes)]
        left = []
        for label, value, vote in zip(row, agreed, votes, strict=True):
            counts = [vote[c] - (label == c) for c in range(classes)]
            spoken = sum(counts)
            moved = sum(slope[c] * (counts[c] - share[c] * spoken) for c in range(classes)) * samples
            left.append(value / (others * ptsc.SCALE) - (moved / total if total else 0.0))
        found.append(_of_mean(left, count))
    return tuple(found)


def _agreed(labels: Sequence[bytes], classes: int) -> list[list[int]]:
    """For each worker and sample how many agree, times what one who agrees is worth."""
    if len(labels) < 2:
        raise ValueError("a score needs a peer")
    said = [sum(row.count(c) for row in labels) for c in range(classes)]
    votes = [Counter(column) for column in zip(*labels, strict=True)]
    table = []
    for row in labels:
        worth = ptsc.worth(said, [row.count(c) for c in range(classes)], classes)
        table.append(
            [(vote[label] - 1) * worth[label] if label < classes else 0 for label, vote in zip(row, votes, strict=True)]
        )
    return table


def _of_mean(values: Sequence[float], count: int) -> float:
    """The variance of the mean of ``count`` of these values, drawn without replacement."""
    size = len(values)
    if not 1 <= count <= size:
        raise ValueError(f"cannot draw {count} of {size} samples")
    if size == 1:
        return 0.0
    mean = sum(values) / size
    spread = sum((value - mean) ** 2 for value in values) / (size - 1)
    return (1 - count / size) * spread / count
