"""Public samples from elsewhere than the task's own data: another set, made to fit, or pictures made from a seed.

All of it is in whole numbers, so that every machine makes the same.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from p2pfd.core.rng import Rng
from p2pfd.core.spec import DataSpec
from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Array
from p2pfd.learning.data.sets import Loaded, open_set
from p2pfd.learning.data.source import Brightness, Bytes

RECIPES = ("noise", "shapes", "mixtures")
_SYNTHETIC = "synthetic:"
_MOST_SHAPES = 4
_AT_ONCE = 256


def public_samples(spec: DataSpec, own: Loaded, rng: Rng, cache: Path | None) -> Array:
    """As many public samples as the task wants, in the shape of its own; PlanError when that cannot be."""
    name = spec.public_from
    shape = own.x.shape[1:]
    if name.startswith(_SYNTHETIC):
        if spec.public_sha256:
            raise PlanError("data.public_sha256 is given", f"{name} is made from the seed and has none: leave it out")
        return _synthetic(name, spec.public, shape, rng)
    other = open_set(name, cache)
    if other.sha256 != spec.public_sha256:
        told = spec.public_sha256.hex() or "none"
        raise PlanError(
            f"the public set {name} has the hash {other.sha256.hex()}, the task says {told}",
            "write the hash into data.public_sha256",
        )
    order = list(range(len(other.x) - other.test))
    if spec.public > len(order):
        raise PlanError(f"data.public is {spec.public}", f"{name} has {len(order)} samples to train on")
    rng.shuffle(order)
    x = other.x[order[: spec.public]]
    if x.shape[1:] == shape:
        return other.scale(x)
    if x.dtype != np.uint8 or own.x.dtype != np.uint8:
        raise PlanError(
            f"{name} has samples of shape {x.shape[1:]}", f"{spec.name} has {shape}, and a table is not resized"
        )
    brightest = 255 if not isinstance(other.scale, Brightness) else other.scale.brightest
    return Brightness(brightest)(fitted(x.astype(np.uint8), shape))


def fitted(x: Bytes, shape: tuple[int, ...]) -> Bytes:
    """Pictures in another shape: colours become grey or grey colours, and each pixel is the mean of what it covers."""
    channels, height, width = shape
    if x.shape[1] == 3 and channels == 1:
        weights = np.array([299, 587, 114], dtype=np.int64)
        grey = (x.astype(np.int64) * weights[:, None, None]).sum(axis=1, keepdims=True)
        x = ((grey + 500) // 1000).astype(np.uint8)
    elif x.shape[1] == 1 and channels == 3:
        x = np.repeat(x, 3, axis=1)
    rows, columns = _covers(x.shape[2], height), _covers(x.shape[3], width)
    whole = x.shape[2] * x.shape[3]
    parts = []
    for start in range(0, len(x), _AT_ONCE):
        sums = rows @ x[start : start + _AT_ONCE].astype(np.int64) @ columns.T
        parts.append(((sums + whole // 2) // whole).astype(np.uint8))
    return np.concatenate(parts) if parts else np.empty((0, *shape), dtype=np.uint8)


def _covers(before: int, after: int) -> npt.NDArray[np.int64]:
    """How much of each old pixel a new one covers, in units of one over ``before · after`` of the side."""
    old, new = np.arange(before), np.arange(after)[:, None]
    shared = np.minimum((new + 1) * before, (old + 1) * after) - np.maximum(new * before, old * after)
    covers: npt.NDArray[np.int64] = np.maximum(shared, 0).astype(np.int64)
    return covers


def _synthetic(name: str, count: int, shape: tuple[int, ...], rng: Rng) -> Array:
    recipe = name.removeprefix(_SYNTHETIC)
    if recipe not in RECIPES:
        raise PlanError(
            f"data.public_from is {name!r}", f"the recipes are {', '.join(_SYNTHETIC + one for one in RECIPES)}"
        )
    if len(shape) != 3 and recipe != "noise":
        raise PlanError(f"data.public_from is {name!r}", "of a table's samples only synthetic:noise can be made")
    if recipe == "noise":
        return Brightness(255)(_noise(count, shape, rng))
    return Brightness(255)(np.stack([_picture(recipe, shape, rng.split(place)) for place in range(count)]))


def _noise(count: int, shape: tuple[int, ...], rng: Rng) -> Bytes:
    size = count * int(np.prod(shape))
    return np.frombuffer(rng.bytes(size), dtype=np.uint8).reshape(count, *shape)


def _picture(recipe: str, shape: tuple[int, ...], rng: Rng) -> Bytes:
    if recipe == "shapes":
        return _shapes(shape, rng)
    parts = [
        _shapes(shape, rng.split("first")),
        _shapes(shape, rng.split("second")),
        _clouds(shape, rng.split("clouds")),
    ]
    shares = [1 + rng.below(8) for _ in parts]
    mixed = sum(part.astype(np.int64) * share for part, share in zip(parts, shares, strict=True))
    return np.asarray(mixed // sum(shares)).astype(np.uint8)


def _shapes(shape: tuple[int, ...], rng: Rng) -> Bytes:
    """Boxes and ellipses, one over the other, each in a colour of its own."""
    channels, height, width = shape
    out = np.empty(shape, dtype=np.uint8)
    out[:] = np.frombuffer(rng.bytes(channels), dtype=np.uint8)[:, None, None]
    rows, columns = np.arange(height)[:, None], np.arange(width)
    for _ in range(rng.between(1, _MOST_SHAPES)):
        middle_y, middle_x = rng.below(2 * height), rng.below(2 * width)  # in half pixels
        half_y, half_x = rng.between(1, max(1, height - 1)), rng.between(1, max(1, width - 1))
        away_y, away_x = np.abs(2 * rows + 1 - middle_y), np.abs(2 * columns + 1 - middle_x)
        if rng.chance(1, 2):
            inside = (away_y <= half_y) & (away_x <= half_x)
        else:
            inside = away_y**2 * half_x**2 + away_x**2 * half_y**2 <= half_x**2 * half_y**2
        colour = np.frombuffer(rng.bytes(channels), dtype=np.uint8)
        out[:, inside] = colour[:, None]
    return out


def _clouds(shape: tuple[int, ...], rng: Rng) -> Bytes:
    """A few random pixels, blown up without edges."""
    few = _noise(1, (shape[0], 4, 4), rng)
    clouds: Bytes = fitted(fitted(few, (shape[0], 5, 5)), shape)[0]
    return clouds
