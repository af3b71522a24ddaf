"""Aggregators of labels: one class a sample and peer in, shares of the classes out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Contribution, Labels, Payload, SoftLabels
from p2pfd.learning.aggregators.api import Need, usable
from p2pfd.learning.codecs.api import Form, LabelForm, form_of
from p2pfd.learning.codecs.quantise import quantise
from p2pfd.learning.votes import targets

BITS = 16
_TRUSTED = 3


class Vote:
    """One vote a peer, and each counts the same."""

    name = "vote"
    needs: frozenset[Need] = frozenset()
    _weigh = False
    _gated = False

    def __init__(self, argument: str = "", classes: int = 0) -> None:
        if argument:
            raise PlanError(f"{self.name}:{argument[:40]} is no aggregator", f'write "{self.name}"')
        self._classes = classes

    def takes(self, form: Form) -> bool:
        """Labels only."""
        return isinstance(form, LabelForm)

    def combine(self, own: Payload, heard: Sequence[Contribution], rng: Rng) -> SoftLabels:
        """The shares of the votes, in units of one over 65,535."""
        assert isinstance(own, Labels)
        said = [one.classes for one in usable(form_of(own, self._classes), heard) if isinstance(one, Labels)]
        rows = np.array([list(row) for row in said or [own.classes]], dtype=np.int64)
        wanted = targets(rows, self._classes, weigh=self._weigh, gated=self._gated, squared=False)
        return quantise(wanted, BITS)

    def tolerates(self, n: int) -> int:
        """Less than half, where the honest agree: the class of the most votes is theirs."""
        return max(0, (n - 1) // 2)


class WeightedVote(Vote):
    """A vote counts by its voter's recall of that class: of the others' votes for it, the part that the voter shares.

    Voters who agree with nobody weigh next to nothing, but so do honest ones whom a majority of liars denies.
    """

    name = "weighted"
    _weigh = True


class SerumVote(Vote):
    """Voters below 0.8 of the median peer truth serum are not heard, and the others count the same."""

    name = "serum"
    _gated = True

    def tolerates(self, n: int) -> int:
        """Less than half, and nobody among fewer than three, where there is no majority to compare with."""
        return super().tolerates(n) if n >= _TRUSTED else 0


class Votes(SerumVote):
    """The serum's gate, then votes by recall: what the adapter ``cfd`` does with its defaults."""

    name = "votes"
    _weigh = True
