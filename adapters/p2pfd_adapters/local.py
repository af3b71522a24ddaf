"""`Local`: every node learns alone, and tells nobody anything. What an algorithm is worth is what it adds to this.

From no paper. It differs from the baseline ``alone`` in its learning rate, which falls to nothing once a round instead
of once.
"""

from __future__ import annotations

from collections.abc import Sequence

from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.learning.adapter import Contribution, Task, Tensors
from p2pfd.learning.knobs import defaults
from p2pfd.learning.local import LOCAL
from p2pfd_adapters._net import NetAdapter
from p2pfd_adapters._records import NetState


class Local(NetAdapter):
    """No exchange at all."""

    name = "local"
    knobs = LOCAL
    defaults = defaults(LOCAL)

    def share(self, state: NetState, task: Task, rnd: RoundId) -> Tensors:
        """Nothing, of no age."""
        return Tensors({})

    def absorb(self, state: NetState, heard: Sequence[Contribution], rnd: RoundId, rng: Rng) -> NetState:
        """Nothing that is heard changes anything."""
        return state
