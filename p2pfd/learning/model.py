"""Any `torch.nn.Module` as a function of its weights: seeded, single-threaded and the same in every process.

Weights are one flat float32 vector in the order of the parameters' names. Nothing here draws from a global generator:
initial weights, the order of samples and noise all come from the bits of an `Rng`, and so do not depend on torch's
version or the machine. The descent itself is in float32, and two kinds of processor may round it differently.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning._torch import nn, torch
from p2pfd.learning.adapter import Array
from p2pfd.learning.device import CPU, current
from p2pfd.learning.learner import Fit, Replay

__all__ = ["Fit", "Model", "Replay", "Weights"]

Weights = npt.NDArray[np.float32]
"""Flat: shape (number of parameters,)."""
_AT_ONCE = 128
"""So many samples are answered together: what lies between the layers then stays in the processor's cache."""


class Model:
    """A net without weights of its own: every method takes them and none keeps them."""

    def __init__(self, net: nn.Module) -> None:
        torch.set_num_threads(1)  # more threads add up in another order, and two nodes would disagree
        # The same as use_deterministic_algorithms(True), which also imports torch's compiler, for most of a second.
        torch.set_deterministic_debug_mode("error")
        if any(True for _ in net.buffers()):
            raise PlanError("a net with running statistics has state beside its weights", "use GroupNorm, or no norm")
        parameters = dict(net.named_parameters())
        self._net = net
        self._shapes = {name: tuple(parameters[name].shape) for name in sorted(parameters)}
        self._sizes = {name: math.prod(shape) for name, shape in self._shapes.items()}
        self.parameters = sum(self._sizes.values())
        """How many numbers the weights are."""

    # -- training and answering ----------------------------------------------------------------------------------------

    def init(self, rng: Rng) -> Weights:
        """Fresh weights: uniform within ± √(6 / fan-in) for matrices and kernels, ones for scales, zeros for biases."""
        out = []
        for name, shape in self._shapes.items():
            size = self._sizes[name]
            if len(shape) > 1:
                bound = np.float32(math.sqrt(6 / math.prod(shape[1:])))
                out.append(_uniform(rng.split(name), size) * bound)
            else:
                out.append(np.full(size, 1 if name.endswith("weight") else 0, dtype=np.float32))
        return np.concatenate(out)

    def fit(
        self,
        weights: Weights,
        x: Array,
        y: npt.NDArray[np.int64] | Array,
        plan: Fit,
        rng: Rng,
        *,
        bias: Array | None = None,
        replay: Replay | None = None,
    ) -> Weights:
        """New weights after descending the cross-entropy to hard labels (int64) or soft targets (float32 rows).

        ``bias`` is added to the logits in training only: the logarithm of the class shares there leaves the net itself
        free of them.
        """
        there = current()
        net, flat, gradient = self.scratch(weights, there)
        velocity = torch.zeros_like(flat)
        inputs, goals = _sent(there, x, y)
        offset = None if bias is None else _sent(there, bias)[0]
        again = None if replay is None else _sent(there, replay.x, replay.targets)
        steps = plan.epochs * -(-len(x) // plan.batch)
        step = 0
        for epoch in range(plan.epochs):
            draw = rng.split("epoch", epoch)
            order = shuffled(draw.split("order"), len(x))
            second = shuffled(draw.split("replay"), len(replay.x), at_least=len(x)) if replay else []
            grain = draw.split("noise")
            for start in range(0, len(x), plan.batch):
                picked = order[start : start + plan.batch]
                logits = net(noisy(inputs[picked], plan.noise, grain))
                if offset is not None:
                    logits = logits + offset
                gradient.zero_()
                _add_gradient(_cross_entropy(logits, goals[picked]))
                if again is not None and replay is not None:
                    drawn = second[start : start + plan.batch]
                    seen = net(noisy(again[0][drawn], plan.noise, grain))
                    _add_gradient(replay.weight * _cross_entropy(seen, again[1][drawn]))
                velocity.mul_(plan.momentum).add_(gradient).add_(flat, alpha=plan.decay)
                flat.sub_(velocity, alpha=plan.rate * (1 - step / steps))
                step += 1
        return as_array(flat)

    def logits(self, weights: Weights, x: Array) -> Array:
        """The net's answers, one row a sample."""
        net, _, _ = self.scratch(weights, current())
        (inputs,) = _sent(current(), x)
        with torch.no_grad():
            return np.concatenate(
                [as_array(net(inputs[start : start + _AT_ONCE])) for start in range(0, max(1, len(x)), _AT_ONCE)]
            )

    def classes(self, weights: Weights, x: Array) -> npt.NDArray[np.int64]:
        """The class of the highest logit, the lowest class among equals."""
        chosen: npt.NDArray[np.int64] = np.argmax(self.logits(weights, x), axis=1).astype(np.int64)
        return chosen

    def accuracy(self, weights: Weights, x: Array, y: npt.NDArray[np.int64]) -> float:
        """The share of samples that the net gets right; nothing right of no samples."""
        return float(np.mean(self.classes(weights, x) == y)) if len(x) else 0.0

    # -- weights as bytes ----------------------------------------------------------------------------------------------

    def to_bytes(self, weights: Weights) -> bytes:
        """Weights as safetensors; equal weights give equal bytes."""
        out: bytes = safetensors.numpy.save(self.named(weights))
        return out

    def from_bytes(self, raw: bytes) -> Weights:
        """Weights from safetensors; DecodeError for anything but finite float32 arrays of exactly this net's shapes."""
        most = len(self.to_bytes(np.zeros(self.parameters, dtype=np.float32)))
        if len(raw) != most:
            raise DecodeError(f"{len(raw)} bytes of weights, {most} expected")
        try:
            arrays = safetensors.numpy.load(raw)
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise DecodeError(f"not safetensors: {error}") from error
        flat = self.flat(arrays)
        if self.to_bytes(flat) != raw:
            raise DecodeError("the weights are not written in the one canonical way")
        return flat

    def named(self, weights: Weights) -> dict[str, npt.NDArray[np.float32]]:
        """The weights as arrays by name, in the order of the names."""
        out, start = {}, 0
        for name, shape in self._shapes.items():
            out[name] = weights[start : start + self._sizes[name]].reshape(shape)
            start += self._sizes[name]
        return out

    def flat(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Weights:
        """The inverse of `named`; DecodeError for anything but finite float32 arrays of exactly this net's shapes."""
        found = {name: (array.dtype, array.shape) for name, array in arrays.items()}
        if found != {name: (np.dtype(np.float32), shape) for name, shape in self._shapes.items()}:
            raise DecodeError("the weights are not those of this task's net")
        flat: Weights = np.concatenate([arrays[name].ravel() for name in self._shapes]).astype(np.float32)
        if not np.isfinite(flat).all():
            raise DecodeError("the weights are not all finite")
        return flat

    def scratch(self, weights: Weights, device: str = CPU) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
        """A copy of the net whose parameters and gradients are views of one vector each, which makes a step cheap."""
        if weights.shape != (self.parameters,):
            raise ValueError(f"weights of shape {weights.shape}, {self.parameters} numbers are needed")
        net = copy.deepcopy(self._net)
        parameters = dict(net.named_parameters())
        flat, gradient = torch.from_numpy(weights.copy()).to(device), torch.zeros(self.parameters, device=device)
        start = 0
        for name, shape in self._shapes.items():
            stop = start + self._sizes[name]
            parameters[name].data = flat[start:stop].view(shape)
            parameters[name].grad = gradient[start:stop].view(shape)
            start = stop
        return net, flat, gradient


def as_array(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    """A tensor's numbers, copied."""
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float32)


def _sent(device: str, *arrays: npt.NDArray[np.generic]) -> list[torch.Tensor]:
    """Arrays where they are computed with; on the processor they are not copied."""
    return [torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays]


def _uniform(rng: Rng, count: int) -> npt.NDArray[np.float32]:
    """Numbers in [−1, 1), multiples of 2⁻²³: exact in float32, so the same everywhere."""
    bits = np.frombuffer(rng.bytes(4 * count), dtype="<u4") >> np.uint32(8)
    return bits.astype(np.float32) * np.float32(2.0**-23) - np.float32(1)


def shuffled(rng: Rng, count: int, at_least: int = 0) -> list[int]:
    """Whole shuffles of 0 … count − 1, one after another until there are enough."""
    out: list[int] = []
    while len(out) < max(at_least, count):
        once = list(range(count))
        rng.shuffle(once)
        out += once
    return out


def noisy(x: torch.Tensor, width: float, rng: Rng) -> torch.Tensor:
    """Samples with uniform noise of this half-width on every pixel."""
    if not width:
        return x
    draws = np.frombuffer(rng.bytes(2 * x.numel()), dtype="<u2").astype(np.float32) * np.float32(2.0**-15)
    return x + torch.from_numpy((draws - np.float32(1)) * np.float32(width)).to(x.device).view(x.shape)


def _add_gradient(loss: torch.Tensor) -> None:
    """Add this loss to the gradient: one loss after another, while what lies between the layers is still near."""
    loss.backward()  # type: ignore[no-untyped-call]


def _cross_entropy(logits: torch.Tensor, goals: torch.Tensor) -> torch.Tensor:
    """Against hard labels or soft targets, by their type."""
    logs = torch.log_softmax(logits, 1)
    if goals.dtype == torch.int64:
        return torch.nn.functional.nll_loss(logs, goals)
    return -(goals * logs).sum(1).mean()
