"""`check_learner`: what every `Learner` has to do. Run it on yours:

    def test_my_net():
        check_learner(model_of("my28", 10), shape=(1, 28, 28), classes=10)

It teaches the learner easy samples, with everything that an adapter may ask for, and then shows it bytes that a
stranger might send. AssertionError names what was not kept.

PYTEST_DONT_REWRITE: what was not kept is said in words; a diff of two states would take minutes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError
from p2pfd.learning.adapter import Array, Split
from p2pfd.learning.learner import AnyLearner, Fit, Replay

PLAN = Fit(epochs=8, batch=16, rate=0.02)
_EACH = 30
_GARBAGE = 200


def easy_samples(shape: tuple[int, ...], classes: int, rng: Rng, each: int = _EACH) -> Split:
    """So many samples of each class, which lie around a point of their class's own."""
    draw = np.random.default_rng(int.from_bytes(rng.bytes(8), "big"))
    y = np.arange(classes * each, dtype=np.int64) % classes
    middles = draw.choice([-0.7, 0.7], size=(classes, *shape))
    x = middles[y] + draw.normal(scale=0.2, size=(len(y), *shape))
    return Split(x.astype(np.float32), y)


def check_learner(learner: AnyLearner, shape: tuple[int, ...], classes: int) -> None:
    """Hold a learner to the laws of its interface, on samples of this shape."""
    shard = easy_samples(shape, classes, Rng(1))
    _check_start(learner, shard, classes)
    weights = _check_fit(learner, shard, classes)
    _check_answers(learner, weights, shard, classes)
    _check_bytes(learner, weights, shard, classes)


def _check_start(learner: AnyLearner, shard: Split, classes: int) -> None:
    start = learner.to_bytes(learner.init(Rng(3)))
    assert start == learner.to_bytes(learner.init(Rng(3))), "init with the same rng gives other weights"
    answers = learner.classes(learner.from_bytes(start), shard.x)
    assert set(answers.tolist()) <= set(range(classes)), "what has learned nothing names a class that there is not"


def _check_fit(learner: AnyLearner, shard: Split, classes: int) -> object:
    soft: Array = np.full((len(shard), classes), 0.1 / classes, dtype=np.float32)
    soft[np.arange(len(shard)), shard.y] += np.float32(0.9)
    bias = np.linspace(-1, 0, classes, dtype=np.float32)
    start = learner.init(Rng(3))
    before, given = learner.to_bytes(start), (shard.x.tobytes(), shard.y.tobytes(), soft.tobytes(), bias.tobytes())
    weights: object = None
    for what, y, more in (
        ("soft targets", soft, {}),
        ("a bias", shard.y, {"bias": bias}),
        ("replay", shard.y, {"bias": bias, "replay": Replay(shard.x[::2], soft[::2], 0.5)}),
        ("hard labels", shard.y, {}),
    ):
        weights = learner.fit(start, shard.x, y, PLAN, Rng(4), **more)
        states = _global_states()  # not before: what the first fit imports may draw something
        again = learner.fit(start, shard.x, y, PLAN, Rng(4), **more)
        assert _global_states() == states, "fit draws from a global generator: all chance comes from rng"
        assert learner.to_bytes(weights) == learner.to_bytes(again), f"two fits with {what} and the same rng differ"
        right = learner.accuracy(weights, shard.x, shard.y)
        assert right > 0.8, f"easy samples with {what} are not learned: {right:.2f} of them are right"
    assert learner.to_bytes(start) == before, "fit changes the weights that it is given"
    after = (shard.x.tobytes(), shard.y.tobytes(), soft.tobytes(), bias.tobytes())
    assert after == given, "fit changes the samples that it is given"
    return weights


def _check_answers(learner: AnyLearner, weights: object, shard: Split, classes: int) -> None:
    answers = learner.classes(weights, shard.x)
    assert answers.dtype == np.int64, "classes are not int64"
    assert answers.shape == (len(shard),), "classes are not one for each sample"
    assert set(answers.tolist()) <= set(range(classes)), "a class that there is not"
    assert np.array_equal(answers, learner.classes(weights, shard.x)), "the same question is answered in two ways"
    assert learner.accuracy(weights, shard.x, shard.y) == float(np.mean(answers == shard.y)), (
        "accuracy is another share"
    )
    assert learner.classes(weights, shard.x[:0]).shape == (0,), "no samples are not answered with no classes"
    assert learner.accuracy(weights, shard.x[:0], shard.y[:0]) == 0.0, "of no samples not nothing is right"


def _check_bytes(learner: AnyLearner, weights: object, shard: Split, classes: int) -> None:
    raw = learner.to_bytes(weights)
    again = learner.from_bytes(raw)
    assert learner.to_bytes(again) == raw, "weights do not survive their bytes"
    assert np.array_equal(learner.classes(again, shard.x), learner.classes(weights, shard.x)), "bytes lose something"
    for garbage in _garbage(raw):
        try:
            taken = learner.from_bytes(garbage)
            answers = learner.classes(taken, shard.x[:3])
        except DecodeError:
            continue
        assert learner.to_bytes(taken) == garbage, "bytes are taken that are not the one form of what they mean"
        assert set(answers.tolist()) <= set(range(classes)), "bytes from elsewhere lead to a class that there is not"


def _garbage(raw: bytes) -> Iterator[bytes]:
    yield from (b"", b"x", raw[:-1], raw[: len(raw) // 2], raw + b"\0", bytes(len(raw)), b"\x80\x04K\x01.")
    draw = np.random.default_rng(1)
    for _ in range(_GARBAGE):
        spoiled = bytearray(raw)
        for place in draw.integers(0, len(raw), draw.integers(1, 5)):
            spoiled[place] = draw.integers(0, 256)
        if bytes(spoiled) != raw:
            yield bytes(spoiled)


def _global_states() -> tuple[object, ...]:
    legacy = np.random.get_state(legacy=True)
    return (random.getstate(), legacy[1].tobytes(), legacy[2])  # type: ignore[index]
