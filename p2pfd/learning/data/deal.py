"""A task's data, dealt: what all nodes see, what each keeps to itself, and what nobody trains on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from p2pfd.core.rng import Rng
from p2pfd.core.spec import DataSpec
from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Array, Split
from p2pfd.learning.data.partition import partition
from p2pfd.learning.data.sets import load_set, source_of


@dataclass(frozen=True)
class Deal:
    """Disjoint parts of one data set; the public samples are here without their labels."""

    public: Array
    shards: tuple[Split, ...]
    validation: Split
    test: Split


def deal(spec: DataSpec, shards: int, cache: Path | None = None) -> Deal:
    """Deal a data set as its spec says; the same bytes in every process and on every machine.

    The seed alone decides what is test, validation and public, so these do not depend on how many shards there are.
    """
    source = source_of(spec.name)
    if spec.sha256 != source.sha256:
        raise PlanError(
            f"the task's {spec.name} has the hash {spec.sha256.hex()}, the known one is {source.sha256.hex()}",
            "write the known hash into data.sha256, or use the release that the task was made with",
        )
    if spec.classes != source.classes:
        raise PlanError(f"data.classes is {spec.classes}", f"{spec.name} has {source.classes}")
    x, y = load_set(spec.name, cache)
    rest = len(x) - spec.test - spec.validation - spec.public
    if rest < shards:
        raise PlanError(
            f"{spec.name} has {len(x)} samples: none are left for {shards} shards",
            "make data.public, data.validation or data.test smaller",
        )
    rng = Rng(spec.seed).split("deal", spec.name)
    order = list(range(len(x)))
    rng.split("order").shuffle(order)
    test, validation, public, private = _cut(order, spec.test, spec.validation, spec.public)
    hands = partition(spec.partition, [int(y[place]) for place in private], shards, rng.split("shards", shards))

    def split(places: list[int]) -> Split:
        return Split(x=x[places], y=y[places])

    return Deal(
        public=x[public],
        shards=tuple(split([private[place] for place in hand]) for hand in hands),
        validation=split(validation),
        test=split(test),
    )


def _cut(order: list[int], *sizes: int) -> list[list[int]]:
    parts, start = [], 0
    for size in sizes:
        parts.append(order[start : start + size])
        start += size
    return [*parts, order[start:]]
