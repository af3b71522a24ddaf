"""Randomness that is passed in: seeded, splittable, and the same stream on every machine.

A child is named, not drawn: ``rng.split("node", 3)`` depends on the parent's seed and the names alone, so adding a
draw somewhere never shifts the numbers anywhere else. Bits come from the Mersenne Twister, whose seeding by an integer
and whose ``getrandbits`` Python keeps stable; every derived draw is defined here on those bits, so that no change in
the standard library's algorithms can change a trace. It is not a source of secrets unless the seed is one.
"""

from __future__ import annotations

import hashlib
from collections.abc import MutableSequence, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")
Label = str | int | bytes


def _absorb(seed: bytes, labels: tuple[Label, ...]) -> bytes:
    state = hashlib.blake2b(seed, digest_size=32, person=b"p2pfd-rng")
    for label in labels:
        if isinstance(label, bool):
            raise TypeError("a label is a name, a number or bytes, not a truth value")
        if isinstance(label, int):
            kind, raw = b"i", str(label).encode()
        elif isinstance(label, str):
            kind, raw = b"s", label.encode()
        else:
            kind, raw = b"b", label
        state.update(kind + len(raw).to_bytes(8, "big") + raw)
    return state.digest()


class Rng:
    """A stream of random draws and the root of a tree of further streams."""

    __slots__ = ("_stream", "seed")

    def __init__(self, seed: int | bytes) -> None:
        self.seed: bytes = _absorb(str(seed).encode(), ()) if isinstance(seed, int) else _absorb(b"", (seed,))
        self._stream: Random | None = None

    @classmethod
    def _of(cls, seed: bytes) -> Rng:
        child = cls.__new__(cls)
        child.seed = seed
        child._stream = None
        return child

    def split(self, *labels: Label) -> Rng:
        """The child stream with this name; it does not matter what was drawn before."""
        return Rng._of(_absorb(self.seed, labels))

    def bits(self, count: int) -> int:
        """A uniform integer of `count` bits."""
        stream = self._stream
        if stream is None:  # seeding costs more than hashing: most nodes of the tree never draw
            stream = self._stream = Random(int.from_bytes(self.seed, "big"))  # noqa: S311 - not for secrets
        return stream.getrandbits(count)

    def below(self, limit: int) -> int:
        """A uniform integer from 0 to limit − 1, by rejection, without bias."""
        if limit < 1:
            raise ValueError(f"nothing lies below {limit}")
        width = (limit - 1).bit_length()
        if width == 0:
            return 0
        while True:
            value = self.bits(width)
            if value < limit:
                return value

    def between(self, low: int, high: int) -> int:
        """A uniform integer from low to high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, parts: int, of: int) -> bool:
        """True with probability parts/of, exactly."""
        return self.below(of) < parts

    def unit(self) -> float:
        """A uniform float in [0, 1) with 53 random bits."""
        return self.bits(53) * 2.0**-53

    def bytes(self, count: int) -> bytes:
        """Uniform bytes."""
        return self.bits(8 * count).to_bytes(count, "big") if count else b""

    def choice(self, items: Sequence[T]) -> T:
        """One item, uniformly."""
        return items[self.below(len(items))]

    def shuffle(self, items: MutableSequence[T]) -> None:
        """Fisher–Yates, in place."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items, in random order."""
        if not 0 <= count <= len(items):
            raise ValueError(f"cannot draw {count} from {len(items)}")
        pool = list(items)
        self.shuffle(pool)
        return pool[:count]
