"""`Gossip`: merge, update, send. Each node mixes the models that it hears into its own, trains, and tells the result.

From Ormándi, Hegedűs, Jelasity, "Gossip learning with linear models on fully distributed data" (Concurrency and
Computation 25(4), 2013), and its sequels on limited merges and on averages that keep their variance. What differs:
rounds instead of each node's own clock; models are merged all at once instead of one by one, which for means by age
comes to the same; any net instead of linear models. Of an encounter's two ends the learner sends its model, and the
neighbor merges, updates and returns it.

Two things are added for shards that have few classes each. The logit adjustment of the local descent; and ``replay``:
the models that were heard vote on the public samples, and the mean of their shares is what the node's next descent
sees beside its own samples, so that it does not forget what only others know. Merged alone (``replay = "0"``), such
models lose most of what each of them knew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError
from p2pfd.learning.adapter import Budget, Contribution, Judgement, Payload, Split, Task, Tensors
from p2pfd.learning.knobs import Choice, Decimal, Flag, Knob, Whole, choice, decimal, defaults, flag, whole
from p2pfd.learning.local import LOCAL
from p2pfd.learning.model import Model, Weights
from p2pfd_adapters._merge import RULES, believed, merge, same_variance
from p2pfd_adapters._net import (
    NetAdapter,
    check_views,
    descend,
    distilled,
    distilling,
    heard_from,
    judged,
    keeps_public,
    replay_of,
    said,
    shapes_of,
    views,
    weights_of,
)
from p2pfd_adapters._records import NetState

KNOBS: Mapping[str, Knob] = MappingProxyType(
    {
        **LOCAL,
        "merge": Choice("age", RULES),
        "limit": Whole(1000, 0, 10**9),
        "variance": Flag(False),
        "replay": Decimal("1", "0", "10"),
        **distilling(0),
    }
)


class Gossip(NetAdapter):
    """Gossip learning, in rounds and in encounters."""

    name = "gossip"
    knobs = KNOBS
    defaults = defaults(KNOBS)

    def init(self, task: Task, rng: Rng) -> NetState:
        """The state before the first round, with the public samples if they are replayed."""
        state = super().init(task, rng)
        if not keeps_public(state, KNOBS):
            return state
        return replace(state, extra={"public": np.ascontiguousarray(task.public, dtype=np.float32)})

    def train(self, state: NetState, shard: Split, budget: Budget, rng: Rng) -> NetState:
        """Descend on the shard, and on public samples as those saw them who were heard last."""
        return descend(state, shard, budget, rng, replay=replay_of(state, KNOBS))

    def share(self, state: NetState, task: Task, rnd: RoundId) -> Tensors:
        """The model and its age."""
        return said(state)

    def absorb(self, state: NetState, heard: Sequence[Contribution], rnd: RoundId, rng: Rng) -> NetState:
        """Merge what was heard; remember how it sees the public samples, and learn that."""
        model = state.model
        kept = heard_from(heard, shapes_of(model))
        if not kept:
            return state
        rows = [weights_of(model, one.payload) for one in kept]
        ages = [one.payload.age for one in kept if isinstance(one.payload, Tensors)]
        merged = _merged(state, model, rows, ages)
        if not keeps_public(state, KNOBS):
            return merged
        public = state.extra["public"]
        shares = views(model, rows, public, decimal(KNOBS, state.settings, "sharpness"))
        weights = distilled(merged, KNOBS, model, merged.weights, shares, rng)
        return replace(merged, weights=weights, extra={"public": public, "shares": shares})

    def checked(self, state: NetState) -> NetState:
        """The state, if it has public samples exactly where they are replayed, and shares of them at most."""
        if set(state.extra) - {"public", "shares"}:
            raise DecodeError("a state of gossip with other arrays than it keeps")
        check_views(state, keeps_public(state, KNOBS))
        return state

    # -- encounters ----------------------------------------------------------------------------------------------------

    def request(self, state: NetState, task: Task) -> Tensors:
        """The learner's model and its age."""
        return said(state)

    def serve(self, state: NetState, request: Payload, shard: Split, budget: Budget, rng: Rng) -> Tensors:
        """The learner's model merged into the neighbor's, and trained on the neighbor's shard."""
        model = state.model
        theirs = weights_of(model, request)
        assert isinstance(request, Tensors)
        both = _merged(state, model, [state.weights, theirs], [state.age, request.age])
        return said(self.train(both, shard, budget, rng))

    def judge(self, state: NetState, before: Payload, after: Payload, probe: Split, tolerance: float) -> Judgement:
        """Whether the model that came back is not worse than the one that was sent, beyond the tolerance."""
        model = state.model
        try:
            was = weights_of(model, before)
        except DecodeError:
            return Judgement(None, 0.0, 0.0)
        try:
            now: Weights | None = weights_of(model, after)
        except DecodeError:
            now = None
        return judged(model, was, now, probe, tolerance)

    def accept(self, state: NetState, after: Payload) -> NetState:
        """The learner goes on from what came back: its own model is merged into that already."""
        weights = weights_of(state.model, after)
        assert isinstance(after, Tensors)
        return replace(state, weights=weights, age=max(state.age, after.age))


def _merged(state: NetState, model: Model, rows: Sequence[Weights], ages: Sequence[int]) -> NetState:
    """The rows as one, as old as the oldest that is believed; with ``variance`` as spread as the rows are."""
    rule, limit = choice(KNOBS, state.settings, "merge"), whole(KNOBS, state.settings, "limit")
    ages = believed(ages)
    weights = merge(rule, rows, ages, limit)
    if flag(KNOBS, state.settings, "variance"):
        weights = same_variance(model, weights, rows)
    return replace(state, weights=weights, age=max(ages))
