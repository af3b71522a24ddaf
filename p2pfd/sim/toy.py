"""A toy learner for simulations of many nodes: two classes, no model, and yet it learns from its peers.

The truth is a string of bits. A node labels each sample rightly with a chance that grows with what it has learnt; it
learns the majority of the labels that it absorbs. Labels are bytes of 0 or 1, and all work on them is on whole
integers, so that a label costs nanoseconds and a simulation measures the protocol.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from p2pfd.core.effects import Work
from p2pfd.core.events import Outcome
from p2pfd.core.ids import Digest
from p2pfd.core.rng import Rng
from p2pfd.roles.work import Absorb, Absorbed, Adopt, Adopted, Conclude, Concluded, Studied, Study

SAMPLES = 32
CLASSES = 2
_PARTS = 256
_LEAST_SKILL, _MOST_SKILL = 150, 190
"""Of 256: how often a node is right before it has learnt anything from others."""
_FIRMEST = 250


@lru_cache(maxsize=_PARTS)
def _errors(skill: int) -> bytes:
    """A table from a uniform byte to 1 where a node of this skill errs."""
    return bytes(int(draw >= skill) for draw in range(_PARTS))


@lru_cache(maxsize=_PARTS)
def _majority(voters: int) -> bytes:
    """A table from the number of ones among so many votes to the majority's label; a tie is a zero."""
    return bytes(int(2 * ones > voters) for ones in range(_PARTS))


class ToyLearner:
    """One node's private skill and the labels that it believes in."""

    __slots__ = ("_seed", "_truth", "believes", "right", "skill")

    def __init__(self, rng: Rng, truth: bytes) -> None:
        self._seed = rng.seed
        self._truth = int.from_bytes(truth, "big")
        self.skill = rng.split("skill").between(_LEAST_SKILL, _MOST_SKILL)
        self.believes = b""
        self.right = 0

    @property
    def alone(self) -> float:
        """How often it is right before it has learnt anything from others."""
        return self.skill / _PARTS

    @property
    def held(self) -> int:
        """How much it has to teach."""
        return self.skill

    @staticmethod
    def truth(rng: Rng) -> bytes:
        """What the labels of all samples really are."""
        return bytes(rng.below(CLASSES) for _ in range(SAMPLES))

    def do(self, work: Work) -> Outcome:
        """The outcome of a work, at once."""
        if isinstance(work, Study):
            return Studied(self._label(work.round))
        if isinstance(work, Absorb):
            return self._absorb(work)
        if isinstance(work, Adopt):
            return Adopted(work.weights)
        if isinstance(work, Conclude):
            return Concluded(self._digest(), {"accuracy": self.right * 1_000_000 // SAMPLES})
        raise TypeError(f"a toy cannot do {type(work).__name__}")

    def _label(self, rnd: int) -> bytes:
        draws = hashlib.blake2b(self._seed, digest_size=SAMPLES, salt=rnd.to_bytes(8, "big")).digest()
        # What it has learnt makes it surer, by half of what is missing at most.
        skill = self.skill + (_FIRMEST - self.skill) * self.right // (2 * SAMPLES)
        wrong = int.from_bytes(draws.translate(_errors(skill)), "big")
        return (wrong ^ self._truth).to_bytes(SAMPLES, "big")

    def _absorb(self, work: Absorb) -> Absorbed:
        voters = len(work.votes)
        if voters < _PARTS:
            # Every byte counts its own ones, and none carries.
            ones = sum(int.from_bytes(labels, "big") for _, labels in work.votes)
            self.believes = ones.to_bytes(SAMPLES, "big").translate(_majority(voters))
        else:  # a hub with hundreds of neighbours
            said = zip(*(labels for _, labels in work.votes), strict=True)
            self.believes = bytes(int(2 * sum(column) > voters) for column in said)
        self.right = (int.from_bytes(self.believes, "big") ^ self._truth).to_bytes(SAMPLES, "big").count(0)
        return Absorbed(self._digest(), {"accuracy": self.right * 1_000_000 // SAMPLES})

    def _digest(self) -> Digest:
        return Digest(hashlib.sha256(self.believes).digest())
