"""How private samples are divided among shards. Whole numbers only, so that every machine deals the same hands."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError

FLOOR = 3
"""No shard has fewer samples than this, or than an equal share where that is less."""
_SMALLEST, _LARGEST = Fraction(1, 1000), Fraction(1000)


def partition(text: str, labels: Sequence[int], shards: int, rng: Rng) -> list[list[int]]:
    """The places in `labels` that each shard holds, in rising order: every place in exactly one shard.

    ``iid`` deals shuffled samples in turn. ``dirichlet:α`` gives each class its own proportions over the shards, drawn
    from a symmetric Dirichlet distribution: the smaller α, the more a class belongs to a few shards. The proportions
    are never computed: Pólya's urn, which puts a sample into shard k with probability (α + what k has) / (K·α + what
    all have), has the same distribution and needs no floats.
    """
    if not 1 <= shards <= len(labels):
        raise PlanError(f"{len(labels)} private samples cannot make {shards} shards", "leave more samples private")
    hands = _in_turn(len(labels), shards, rng) if text == "iid" else _by_urn(labels, shards, _alpha(text), rng)
    _fill_up(hands, min(FLOOR, len(labels) // shards))
    return [sorted(hand) for hand in hands]


def _alpha(text: str) -> Fraction:
    kind, _, number = text.partition(":")
    try:
        alpha = Fraction(number) if kind == "dirichlet" and "/" not in number and len(number) <= 12 else None
    except ValueError:
        alpha = None
    if alpha is None or not _SMALLEST <= alpha <= _LARGEST:
        raise PlanError(
            f"data.partition is {text[:40]!r}",
            'it must be "iid" or "dirichlet:" and a number from 0.001 to 1000, such as "dirichlet:0.5"',
        )
    return alpha


def _in_turn(count: int, shards: int, rng: Rng) -> list[list[int]]:
    order = list(range(count))
    rng.shuffle(order)
    return [order[shard::shards] for shard in range(shards)]


def _by_urn(labels: Sequence[int], shards: int, alpha: Fraction, rng: Rng) -> list[list[int]]:
    hands: list[list[int]] = [[] for _ in range(shards)]
    for kind in sorted(set(labels)):
        members = [place for place, label in enumerate(labels) if label == kind]
        draw = rng.split("class", kind)
        draw.shuffle(members)
        held = [alpha.numerator] * shards  # α + count, times α's denominator
        total = alpha.numerator * shards
        for place in members:
            ball = draw.below(total)
            shard = 0
            while ball >= held[shard]:
                ball -= held[shard]
                shard += 1
            hands[shard].append(place)
            held[shard] += alpha.denominator
            total += alpha.denominator
    return hands


def _fill_up(hands: list[list[int]], floor: int) -> None:
    """The largest shard gives its latest sample to the first that has too few, until none has."""
    for hand in hands:
        while len(hand) < floor:
            hand.append(max(hands, key=len).pop())
