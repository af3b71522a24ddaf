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
from p2pfd.learning.data.partition import FILES, check, partition
from p2pfd.learning.data.public import public_samples
from p2pfd.learning.data.sets import Loaded, open_set


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
    check(spec.partition)
    found = open_set(spec.name, cache)
    if spec.sha256 != found.sha256:
        raise PlanError(
            f"the task's {spec.name} has the hash {spec.sha256.hex()}, the one here {found.sha256.hex()}",
            "write the hash of the one here into data.sha256, or get what the task was made with",
        )
    if spec.classes != found.classes:
        raise PlanError(f"data.classes is {spec.classes}", f"{spec.name} has {found.classes}")
    rng = Rng(spec.seed).split("deal", spec.name)
    test, validation, public, private = _parts(spec, found, rng)

    def split(places: list[int]) -> Split:
        return Split(x=found.scale(found.x[places]), y=found.y[places].astype(np.int64))

    seen = public_samples(spec, found, rng.split("public"), cache) if spec.public_from else split(public).x
    if spec.partition == FILES:
        hands = _of_files(spec, found, shards)
    else:
        hands = _shared(spec, found, private, shards, rng, split)
    return Deal(public=seen, shards=hands, validation=split(validation), test=split(test))


def _shared(
    spec: DataSpec, found: Loaded, private: list[int], shards: int, rng: Rng, split: Callable[[list[int]], Split]
) -> Shards:
    """The private samples, divided among the shards."""
    if len(private) < shards:
        raise PlanError(
            f"{spec.name} has {len(found.x)} samples: none are left for {shards} shards",
            "make data.public, data.validation or data.test smaller",
        )
    hands = partition(spec.partition, found.y[private].tolist(), shards, rng.split("shards", shards))
    return Shards(shards, lambda at: split([private[place] for place in hands[at]]))


def _of_files(spec: DataSpec, found: Loaded, shards: int) -> Shards:
    """Each node's own files: only the node that has them can ask for its shard."""
    more = found.more
    if more is None:
        raise PlanError(
            f"data.partition is {FILES!r}, and {spec.name} is known to all",
            "name your own files: docs/howto/your-own-data.md",
        )
    if spec.private:
        raise PlanError(f"data.private is {spec.private}", f"with the partition {FILES!r} every node has what it has")

    def read(at: int) -> Split:
        x, y = more(at)
        return Split(x=found.scale(x), y=y.astype(np.int64))

    return Shards(shards, read)


def _parts(spec: DataSpec, found: Loaded, rng: Rng) -> tuple[list[int], list[int], list[int], list[int]]:
    """The places that are test, validation, public and private."""
    count, held_out = len(found.x), 0 if spec.public_from else spec.public
    order = list(range(count - found.test))
    rng.split("order").shuffle(order)
    if found.test:
        if spec.test > found.test:
            raise PlanError(f"data.test is {spec.test}", f"the test part of {spec.name} has {found.test} samples")
        official = list(range(count - found.test, count))
        rng.split("test").shuffle(official)
        parts = [official[: spec.test], *_cut(order, spec.validation, held_out)]
    else:
        parts = _cut(order, spec.test, spec.validation, held_out)
    test, validation, public, private = parts
    if len(test) < spec.test or len(validation) < spec.validation or len(public) < held_out:
        raise PlanError(
            f"{spec.name} has {count} samples: none are left for the shards",
            "make data.public, data.validation or data.test smaller",
        )
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
