"""Two nets that descend together on the same samples, each drawn to what the other says of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from p2pfd.core.rng import Rng
from p2pfd.learning._torch import nn, torch
from p2pfd.learning.adapter import Array, Split
from p2pfd.learning.model import Fit, Model, Replay, Weights, as_array, noisy, shuffled

_LEAST = 1e-3
"""The least divisor: where both nets are sure and right, they are not taught without bounds."""


@dataclass(frozen=True)
class Pupil:
    """A net and the weights that it starts from."""

    model: Model
    weights: Weights


class _Descent:
    """One net's weights on their way down."""

    def __init__(self, pupil: Pupil) -> None:
        self.net, self._flat, self._gradient = pupil.model.scratch(pupil.weights)
        self._velocity = torch.zeros_like(self._flat)

    def forget(self) -> None:
        self._gradient.zero_()

    def step(self, plan: Fit, left: float) -> None:
        self._velocity.mul_(plan.momentum).add_(self._gradient).add_(self._flat, alpha=plan.decay)
        self._flat.sub_(self._velocity, alpha=plan.rate * left)

    def weights(self) -> Weights:
        return as_array(self._flat)


def descend_both(
    mentor: Pupil,
    mentee: Pupil,
    shard: Split,
    plan: Fit,
    rng: Rng,
    *,
    bias: Array | None,
    replay: Replay | None,
    teach: float,
) -> tuple[Weights, Weights]:
    """The weights of both after descending on the shard; ``teach`` is the weight of the divergence in each loss.

    ``bias`` is added to the logits in the cross-entropies only. With ``replay`` each step also sees public samples.
    """
    pair = (_Descent(mentor), _Descent(mentee))
    inputs, goals = torch.from_numpy(np.ascontiguousarray(shard.x)), torch.from_numpy(np.ascontiguousarray(shard.y))
    offset = torch.zeros(1) if bias is None else torch.from_numpy(bias)
    again = None if replay is None else (torch.from_numpy(replay.x), torch.from_numpy(replay.targets))
    steps = plan.epochs * -(-len(shard) // plan.batch)
    step = 0
    for epoch in range(plan.epochs):
        draw = rng.split("epoch", epoch)
        order = shuffled(draw.split("order"), len(shard))
        second = shuffled(draw.split("replay"), len(replay.x), at_least=len(shard)) if replay else []
        grain = draw.split("noise")
        for start in range(0, len(shard), plan.batch):
            picked = order[start : start + plan.batch]
            loss = _mutual(pair, noisy(inputs[picked], plan.noise, grain), goals[picked], offset, teach)
            if again is not None and replay is not None:
                drawn = second[start : start + plan.batch]
                loss = loss + replay.weight * _taught(pair, noisy(again[0][drawn], plan.noise, grain), again[1][drawn])
            for one in pair:
                one.forget()
            loss.backward()  # type: ignore[no-untyped-call]
            for one in pair:
                one.step(plan, 1 - step / steps)
            step += 1
    return pair[0].weights(), pair[1].weights()


def _mutual(
    pair: tuple[_Descent, _Descent], x: torch.Tensor, y: torch.Tensor, offset: torch.Tensor, teach: float
) -> torch.Tensor:
    """Both cross-entropies, and both divergences over their sum. The nets share no weights: one sum serves both."""
    logits = [one.net(x) for one in pair]
    own = [nn.functional.cross_entropy(one + offset, y) for one in logits]
    logs = [torch.log_softmax(one, 1) for one in logits]
    divisor = (own[0] + own[1]).detach().clamp(min=_LEAST)
    apart = _divergence(logs[1].detach(), logs[0]) + _divergence(logs[0].detach(), logs[1])
    return own[0] + own[1] + teach * apart / divisor


def _taught(pair: tuple[_Descent, _Descent], x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    losses = [-(targets * torch.log_softmax(one.net(x), 1)).sum(1).mean() for one in pair]
    return losses[0] + losses[1]


def _divergence(teacher: torch.Tensor, pupil: torch.Tensor) -> torch.Tensor:
    """Kullback–Leibler, from logarithms of shares."""
    return (teacher.exp() * (teacher - pupil)).sum(1).mean()
