"""What an aggregator is: `Aggregator`, what it `Need`s, and which contributions count at all."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from p2pfd.core.rng import Rng
from p2pfd.learning.adapter import Contribution, Payload
from p2pfd.learning.codecs.api import Form, fault_of


class Need(Enum):
    """What an aggregator asks for beyond the contributions."""

    BOUND = "a bound on the share of bad peers"
    PROBE = "labelled samples of its own"
    HISTORIES = "what peers sent before"


class Aggregator(Protocol):
    """Many contributions to one. What is not of the task's form is left out, and never raises."""

    @property
    def name(self) -> str:
        """The text that `parse` reads."""
        ...

    @property
    def needs(self) -> frozenset[Need]:
        """What a task that uses it must provide."""
        ...

    def takes(self, form: Form) -> bool:
        """Whether contributions of this form can be combined."""
        ...

    def combine(self, own: Payload, heard: Sequence[Contribution], rng: Rng) -> Payload:
        """All that was heard, one's own among it, as one; ``own`` says what is well formed, and is what is left when
        nothing of the form was heard. The order of the contributions does not matter."""
        ...

    def tolerates(self, n: int) -> int:
        """How many of `n` contributions may be anything at all while the result stays among the honest ones."""
        ...


def usable(form: Form, heard: Sequence[Contribution]) -> list[Payload]:
    """The first contribution of each sender that is of the form, in the order of the senders' names."""
    kept: dict[str, Payload] = {}
    for said in heard:
        if said.sender not in kept and fault_of(said.payload, form) is None:
            kept[said.sender] = said.payload
    return [kept[sender] for sender in sorted(kept)]
