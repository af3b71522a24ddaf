"""`FedKd`: a large mentor that stays at home, and a small mentee that travels; they teach one another.

From Wu, Wu, Lyu, Huang, Xie, "Communication-efficient federated learning via knowledge distillation" (Nature
Communications 13:2032, 2022). Mentor and mentee descend together on the shard. Each one's loss is its cross-entropy,
and its divergence from the other over the sum of both cross-entropies: what is not known yet is not taught yet. Only
the mentee is sent, with singular values cut at a share of their energy that grows over the rounds: the codec that
`codec_of` names. The mentor answers.

What differs: there is no server, so every node averages the mentees that it hears. The mentee's weights travel as the
difference to the frame before, so that what a cut loses is in the next difference. No hidden layers are compared, for
the two nets have none of the same width. The denominators and the teaching side are constants in each step; otherwise a
net could lower its divergence by raising its cross-entropy. Divergences are between the plain logits, while the
cross-entropy has the logit adjustment.

And something is added. Where a shard lacks classes, no mentee can teach them on its samples: with ``replay`` both also
learn how the mentees that were heard see the public samples, and with ``distil_epochs`` the mentor once more right
after hearing them, however small its shard. Without either mentors know their shard's classes only. The mean of mentees
that each know other classes sees next to nothing, and would teach that: the mean of what they say is the better
teacher.

In the paper the mentor answers. Where classes are spread evenly, an averaged mentee has learnt from all shards what a
mentor has from one, and their shares added up answer better: ``answer`` says who does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from p2pfd.core.ids import RoundId
from p2pfd.core.rng import Rng
from p2pfd.core.spec import TaskSpec
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Budget, Contribution, Metrics, Split, Task, Tensors
from p2pfd.learning.knobs import Choice, Decimal, Knob, choice, decimal, defaults
from p2pfd.learning.local import LOCAL, local_fit, log_shares
from p2pfd.learning.model import Model
from p2pfd.learning.models import NETS, model_of, require
from p2pfd_adapters._mutual import Pupil, descend_both
from p2pfd_adapters._net import (
    NetAdapter,
    check_views,
    distilled,
    distilling,
    heard_from,
    keeps_public,
    mean_of,
    replay_of,
    right,
    shapes_of,
    softened,
    steps,
    views,
    weights_of,
)
from p2pfd_adapters._records import MOST_AGE, NetState

KNOBS: Mapping[str, Knob] = MappingProxyType(
    {
        **LOCAL,
        "mentee": Choice("tiny8", tuple(sorted(NETS))),
        "answer": Choice("mentor", ("both", "mentee", "mentor")),
        "teach": Decimal("0.3", "0", "10"),
        "replay": Decimal("0.3", "0", "10"),
        "teacher": Choice("ensemble", ("average", "ensemble")),
        **distilling(10),
        "energy_first": Decimal("0.95", "0.1", "1"),
        "energy_last": Decimal("0.98", "0.1", "1"),
    }
)


class FedKd(NetAdapter):
    """Federated knowledge distillation between a mentor and a mentee."""

    name = "fedkd"
    knobs = KNOBS
    defaults = defaults(KNOBS)

    def init(self, task: Task, rng: Rng) -> NetState:
        """Both nets before the first round, and the public samples if they are replayed."""
        state = super().init(task, rng.split("mentor"))
        mentee = _mentee(state)
        require(mentee, task.public, state.classes)
        extra = {"mentee": mentee.init(rng.split("mentee"))}
        if keeps_public(state, KNOBS):
            extra["public"] = np.ascontiguousarray(task.public, dtype=np.float32)
        return replace(state, extra=extra)

    def train(self, state: NetState, shard: Split, budget: Budget, rng: Rng) -> NetState:
        """Both descend on the shard and teach one another; and on public samples, as the mentees saw them."""
        if not len(shard):
            return state
        settings = state.settings
        plan = local_fit(settings, budget.epochs)
        mentor, mentee = descend_both(
            Pupil(state.model, state.weights),
            Pupil(_mentee(state), state.extra["mentee"]),
            shard,
            plan,
            rng,
            bias=log_shares(settings, shard, state.classes),
            replay=replay_of(state, KNOBS),
            teach=decimal(KNOBS, settings, "teach"),
        )
        age = min(MOST_AGE, state.age + steps(plan, len(shard)))
        return replace(state, weights=mentor, age=age, extra={**state.extra, "mentee": mentee})

    def share(self, state: NetState, task: Task, rnd: RoundId) -> Tensors:
        """The mentee."""
        return Tensors(_mentee(state).named(state.extra["mentee"]), state.age)

    def absorb(self, state: NetState, heard: Sequence[Contribution], rnd: RoundId, rng: Rng) -> NetState:
        """The mean of all mentees becomes the mentee; what they say of the public samples, the mentor learns."""
        model = _mentee(state)
        kept = heard_from(heard, shapes_of(model))
        if not kept:
            return state
        rows = [weights_of(model, one.payload) for one in kept]
        mentee = mean_of(rows, [1.0] * len(rows))
        extra = {**state.extra, "mentee": mentee}
        if keeps_public(state, KNOBS):
            teachers = [mentee] if choice(KNOBS, state.settings, "teacher") == "average" else rows
            sharpness = decimal(KNOBS, state.settings, "sharpness")
            extra["shares"] = views(model, teachers, state.extra["public"], sharpness)
            mentor = distilled(state, KNOBS, state.model, state.weights, extra["shares"], rng)
            return replace(state, weights=mentor, extra=extra)
        return replace(state, extra=extra)

    def evaluate(self, state: NetState, split: Split) -> Metrics:
        """``accuracy`` of whoever answers, ``mentor_accuracy`` and ``mentee_accuracy``."""
        mentor = softened(state.model.logits(state.weights, split.x))
        mentee = softened(_mentee(state).logits(state.extra["mentee"], split.x))
        answers = {"mentor": mentor, "mentee": mentee, "both": mentor + mentee}
        found = {f"{who}_accuracy": right(answers[who], split.y) for who in ("mentor", "mentee")}
        return {"accuracy": right(answers[choice(KNOBS, state.settings, "answer")], split.y), **found}

    def checked(self, state: NetState) -> NetState:
        """The state, if it has a mentee, and public samples exactly where they are replayed."""
        if set(state.extra) - {"public", "shares"} != {"mentee"}:
            raise DecodeError("a state of fedkd with other arrays than it keeps")
        if state.extra["mentee"].shape != (_mentee(state).parameters,):
            raise DecodeError("a state of fedkd whose mentee is of another net")
        check_views(state, keeps_public(state, KNOBS))
        return state


def codec_of(spec: TaskSpec) -> str:
    """The codec for the mentees of a task: the share of the energy that is kept moves over the rounds."""
    first, last = (spec.settings.get(name, KNOBS[name].default) for name in ("energy_first", "energy_last"))
    for name, value in (("energy_first", first), ("energy_last", last)):
        if KNOBS[name].read(value) is None:
            raise PlanError(f"settings.{name} is {value!r}", f"it must be {KNOBS[name].legal}")
    return f"delta+svd:{first}:{last}:{max(1, spec.rounds - 1)}+int8"


def _mentee(state: NetState) -> Model:
    return model_of(choice(KNOBS, state.settings, "mentee"), state.classes)
