"""`FedAvg`: the mean of all nodes' weights, by how much each trained, becomes everyone's next start.

From McMahan, Moore, Ramage, Hampson, Agüera y Arcas, "Communication-efficient learning of deep networks from
decentralized data" (AISTATS 2017). What differs: there is no server. Every node hears every other node's weights and
computes the mean itself, so all have the same one; where only neighbours are heard this is decentralised SGD with a
plain mean over the neighbourhood. All nodes take part in every round. The logit adjustment of the local descent, which
is on by default, is from Menon et al., "Long-tail learning via logit adjustment" (ICLR 2021).

A payload's age is the number of private samples behind it: the weight that it asks for. Nobody can check it, and so
``cap`` bounds it in terms of the median.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.learning.adapter import Budget, Contribution, Split, Task, Tensors
from p2pfd.learning.knobs import Decimal, Knob, decimal, defaults
from p2pfd.learning.local import LOCAL
from p2pfd_adapters._net import NetAdapter, descend, heard_from, mean_of, said, shapes_of, weights_of
from p2pfd_adapters._records import NetState

KNOBS: Mapping[str, Knob] = MappingProxyType({**LOCAL, "cap": Decimal("10", "1", "1000000")})


class FedAvg(NetAdapter):
    """Federated averaging without a server."""

    name = "fedavg"
    knobs = KNOBS
    defaults = defaults(KNOBS)

    def train(self, state: NetState, shard: Split, budget: Budget, rng: Rng) -> NetState:
        """Descend on the shard; the age becomes the shard's size."""
        return replace(descend(state, shard, budget, rng), age=len(shard))

    def share(self, state: NetState, task: Task, rnd: RoundId) -> Tensors:
        """The weights, and how many samples they are to count for."""
        return said(state)

    def absorb(self, state: NetState, heard: Sequence[Contribution], rnd: RoundId, rng: Rng) -> NetState:
        """The mean of what was heard, by the samples behind it; where nobody has samples, the plain mean."""
        model = state.model
        kept = heard_from(heard, shapes_of(model))
        if not kept:
            return state
        sizes = np.array([one.payload.age for one in kept if isinstance(one.payload, Tensors)], dtype=np.float64)
        present = sizes[sizes > 0]
        if len(present):
            sizes = np.minimum(sizes, decimal(KNOBS, state.settings, "cap") * float(np.median(present)))
        else:
            sizes += 1
        return replace(state, weights=mean_of([weights_of(model, one.payload) for one in kept], sizes.tolist()))

    def student(self, state: NetState) -> bytes:
        """The common weights as safetensors: the same bytes on every node that absorbed the same contributions."""
        return state.model.to_bytes(state.weights)

    def adopt(self, state: NetState, student: bytes) -> NetState:
        """Take over another node's weights; DecodeError when the bytes are not weights of this net."""
        return replace(state, weights=state.model.from_bytes(student))

    def parameters(self, state: NetState) -> int:
        """How many numbers the weights are."""
        return state.model.parameters
