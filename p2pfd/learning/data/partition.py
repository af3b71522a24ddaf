"""How private samples are divided among shards. Whole numbers only, so that every machine deals the same hands."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError

FLOOR = 3
"""No shard has fewer samples than this, or than an equal share where that is less."""
FILES = "files"
"""Not a way to divide: each node brings samples of its own, and the set's private ones go to nobody."""
_SMALLEST, _LARGEST = Fraction(1, 1000), Fraction(1000)


def partition(text: str, labels: Sequence[int], shards: int, rng: Rng) -> list[list[int]]:
    """The places in `labels` that each shard holds, in rising order: every place in exactly one shard.

    ``iid`` deals shuffled samples in turn. ``dirichlet:α`` gives each class its own proportions over the shards, drawn
    from a symmetric Dirichlet distribution: the smaller α, the more a class belongs to a few shards. ``quantity:α``
    draws the shards' sizes so, whatever the classes. The proportions are never computed: Pólya's urn, which puts a
    sample into shard k with probability (α + what k has) / (K·α + what all have), has the same distribution and needs
    no floats. ``labels:k`` gives each shard k classes, each class to as many shards as any other, give or take one.
    """
    kind, number = _parsed(text)
    if not 1 <= shards <= len(labels):
        raise PlanError(f"{len(labels)} private samples cannot make {shards} shards", "leave more samples private")
    match kind:
        case "iid":
            hands = _in_turn(len(labels), shards, rng)
        case "dirichlet":
            hands = _by_urn(labels, shards, number, rng)
        case "quantity":
            hands = _by_urn([0] * len(labels), shards, number, rng)
        case _:
            hands = _by_label(labels, shards, int(number), rng)
    _fill_up(hands, min(FLOOR, len(labels) // shards))
    return [sorted(hand) for hand in hands]


def check(text: str) -> None:
    """PlanError unless the text names a partition."""
    if text != FILES:
        _parsed(text)


def _parsed(text: str) -> tuple[str, Fraction]:
    kind, _, written = text.partition(":")
    if text == "iid":
        return kind, Fraction(0)
    number = None
    try:
        if kind in ("dirichlet", "quantity") and "/" not in written and len(written) <= 12:
            number = Fraction(written)
            number = number if _SMALLEST <= number <= _LARGEST else None
        elif kind == "labels" and written.isascii() and written.isdigit() and len(written) <= 3:
            number = Fraction(int(written)) if int(written) else None
    except ValueError:
        number = None
    if number is None:
        raise PlanError(
            f"data.partition is {text[:40]!r}",
            'it must be "iid", "dirichlet:" or "quantity:" with a number from 0.001 to 1000 such as "dirichlet:0.5", '
            '"labels:" with a whole number such as "labels:2", or "files"',
        )
    return kind, number


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


def _by_label(labels: Sequence[int], shards: int, each: int, rng: Rng) -> list[list[int]]:
    kinds = sorted(set(labels))
    if each > len(kinds) or each * shards < len(kinds):
        raise PlanError(
            f"data.partition is 'labels:{each}' with {shards} shards and {len(kinds)} classes",
            f"take a number from {-(-len(kinds) // shards)} to {len(kinds)}: every class needs a shard",
        )
    owners: dict[int, list[int]] = {kind: [] for kind in kinds}
    draw = rng.split("owners")
    for shard in range(shards):
        turn = list(kinds)
        draw.shuffle(turn)
        for kind in sorted(turn, key=lambda one: len(owners[one]))[:each]:  # the sort keeps the order among equals
            owners[kind].append(shard)
    hands: list[list[int]] = [[] for _ in range(shards)]
    for kind in kinds:
        members = [place for place, label in enumerate(labels) if label == kind]
        rng.split("class", kind).shuffle(members)
        for turn_of, place in enumerate(members):
            hands[owners[kind][turn_of % len(owners[kind])]].append(place)
    return hands


def _fill_up(hands: list[list[int]], floor: int) -> None:
    """The largest shard gives its latest sample to the first that has too few, until none has."""
    for hand in hands:
        while len(hand) < floor:
            hand.append(max(hands, key=len).pop())
