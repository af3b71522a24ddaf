"""A task's data, dealt: what all nodes see, what each keeps to itself, and what nobody trains on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from p2pfd.core.rng import Rng
from p2pfd.core.spec import DataSpec
from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Array, Split
from p2pfd.learning.data.partition import partition
from p2pfd.learning.data.sets import read_set, scaled, source_of
from p2pfd.learning.data.source import Source


class Shards(Sequence[Split]):
    """Shards that are made when they are asked for, and then kept: a node needs but one of them."""

    def __init__(self, count: int, make: Callable[[int], Split]) -> None:
        self._count, self._make = count, make
        self._made: dict[int, Split] = {}

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Split: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Split]: ...
    def __getitem__(self, place: int | slice) -> Split | Sequence[Split]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(self._count))]
        at = range(self._count)[place]
        if at not in self._made:
            self._made[at] = self._make(at)
        return self._made[at]


@dataclass(frozen=True)
class Deal:
    """Disjoint parts of one data set; the public samples are here without their labels."""

    public: Array
    shards: Sequence[Split]
    validation: Split
    test: Split


def deal(spec: DataSpec, shards: int, cache: Path | None = None) -> Deal:
    """Deal a data set as its spec says; the same bytes in every process and on every machine.

    The seed alone decides what is test, validation, public and private, so these do not depend on how many shards
    there are. A set with an official test part is tested on that part alone, and everything else comes from the rest.
    """
    source = source_of(spec.name)
    if spec.sha256 != source.sha256:
        raise PlanError(
            f"the task's {spec.name} has the hash {spec.sha256.hex()}, the known one is {source.sha256.hex()}",
            "write the known hash into data.sha256, or use the release that the task was made with",
        )
    if spec.classes != source.classes:
        raise PlanError(f"data.classes is {spec.classes}", f"{spec.name} has {source.classes}")
    pixels, labels = read_set(source, cache)
    rng = Rng(spec.seed).split("deal", spec.name)
    test, validation, public, private = _parts(spec, source, len(pixels), rng)
    if len(private) < shards:
        raise PlanError(
            f"{spec.name} has {len(pixels)} samples: none are left for {shards} shards",
            "make data.public, data.validation or data.test smaller",
        )
    hands = partition(spec.partition, labels[private].tolist(), shards, rng.split("shards", shards))

    def split(places: list[int]) -> Split:
        return Split(x=scaled(pixels[places], source.brightest), y=labels[places].astype(np.int64))

    return Deal(
        public=scaled(pixels[public], source.brightest),
        shards=Shards(shards, lambda at: split([private[place] for place in hands[at]])),
        validation=split(validation),
        test=split(test),
    )


def _parts(spec: DataSpec, source: Source, count: int, rng: Rng) -> tuple[list[int], list[int], list[int], list[int]]:
    """The places that are test, validation, public and private."""
    order = list(range(count - source.test))
    rng.split("order").shuffle(order)
    if source.test:
        if spec.test > source.test:
            raise PlanError(f"data.test is {spec.test}", f"the test part of {spec.name} has {source.test} samples")
        official = list(range(count - source.test, count))
        rng.split("test").shuffle(official)
        test = official[: spec.test]
        validation, public, private = _cut(order, spec.validation, spec.public)
    else:
        test, validation, public, private = _cut(order, spec.test, spec.validation, spec.public)
    if spec.private:
        if spec.private > len(private):
            raise PlanError(f"data.private is {spec.private}", f"{spec.name} has {len(private)} samples left for that")
        private = private[: spec.private]
    return test, validation, public, private


def _cut(order: list[int], *sizes: int) -> list[list[int]]:
    parts, start = [], 0
    for size in sizes:
        parts.append(order[start : start + size])
        start += size
    return [*parts, order[start:]]
