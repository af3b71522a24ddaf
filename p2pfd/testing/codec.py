"""`check_codec`: what every `Codec` has to do. Run it on yours:

    def test_my_codec():
        check_codec(MyCodec(), TensorForm((("bias", (10,)), ("weight", (10, 30)))))

It sends a stream of payloads of the form from one end to another, then everything that a stranger might send instead.
AssertionError names what was not kept.

PYTEST_DONT_REWRITE: what was not kept is said in words; a diff of two states would take minutes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Labels, Payload, Prototypes, SoftLabels, Tensors
from p2pfd.learning.codecs import (
    Codec,
    CodecState,
    Form,
    LabelForm,
    PrototypeForm,
    SoftForm,
    TensorForm,
    dump_state,
    load_state,
)
from p2pfd.learning.codecs.api import fault_of
from p2pfd.learning.codecs.quantise import quantise

_FRAMES = 4
_GARBAGE = 300


def check_codec(codec: Codec, form: Form) -> None:
    """Hold a codec to the laws of its interface, for payloads of one form that it takes."""
    assert codec.name, "name is not empty"
    assert codec.takes(form), "the codec does not take the form that it is tried with"
    frames = _check_stream(codec, form)
    _check_strangers(codec, form, frames)
    _check_refusals(codec, form)


def stream(form: Form, rng: Rng, count: int = _FRAMES) -> Iterator[Payload]:
    """Payloads that resemble one another, as those of successive rounds do; the last one repeats the one before."""
    draw = np.random.default_rng(int.from_bytes(rng.bytes(8), "big"))
    match form:
        case LabelForm():
            row = draw.integers(0, form.classes, form.samples)
            for number in range(count):
                if number < count - 1:
                    moved = draw.random(form.samples) < 0.1
                    row = np.where(moved, draw.integers(0, form.classes, form.samples), row)
                yield Labels(row.astype(np.uint8).tobytes())
        case SoftForm():
            logits = draw.normal(size=(form.samples, form.classes))
            for number in range(count):
                if number < count - 1:
                    logits = logits + draw.normal(size=logits.shape) * (draw.random((form.samples, 1)) < 0.3)
                yield quantise(np.exp(logits), form.bits)
        case TensorForm():
            arrays = {name: np.asarray(draw.normal(size=shape), dtype=np.float32) for name, shape in form.shapes}
            for number in range(count):
                if number < count - 1:
                    for name in arrays:
                        step = draw.normal(size=arrays[name].shape) / 10
                        arrays[name] = np.asarray(arrays[name] + step, dtype=np.float32)
                yield Tensors(dict(arrays), number)
        case PrototypeForm():
            for _ in range(count):
                counts = draw.integers(0, 300, form.classes) * (draw.random(form.classes) < 0.7)
                means = draw.normal(size=(form.classes, form.width)).astype(np.float32)
                yield Prototypes(counts, np.where((counts > 0)[:, None], means, np.float32(0)))


def same(one: Payload, other: Payload) -> bool:
    """Whether two payloads say the same, to the bit."""
    match one, other:
        case Labels(), Labels():
            return one.classes == other.classes
        case SoftLabels(), SoftLabels():
            return one.bits == other.bits and np.array_equal(one.units, other.units)
        case Tensors(), Tensors():
            names = sorted(one.arrays) == sorted(other.arrays) and one.age == other.age
            return names and all(one.arrays[name].tobytes() == other.arrays[name].tobytes() for name in one.arrays)
        case Prototypes(), Prototypes():
            return np.array_equal(one.counts, other.counts) and one.means.tobytes() == other.means.tobytes()
    return False


def _check_stream(codec: Codec, form: Form) -> list[bytes]:
    here = there = CodecState()
    frames = []
    for payload in stream(form, Rng(1)):
        raw, after = codec.encode(payload, form, here)
        assert isinstance(raw, bytes), "encode gives no bytes"
        assert len(raw) <= codec.most(form), "a frame is longer than `most` says"
        assert codec.encode(payload, form, here)[0] == raw, "the same payload twice gives two frames"
        before = dump_state(there)
        heard, there = codec.decode(raw, form, there)
        fault = fault_of(heard, form)
        assert fault is None, f"decode gives {fault}"
        assert not codec.lossless or same(payload, heard), "a codec without loss lost something"
        if isinstance(payload, Tensors):
            assert isinstance(heard, Tensors), "tensors went in, and something else came out"
            assert heard.age == payload.age, "the age did not arrive"
        again, _ = codec.decode(raw, form, load_state(before, form))
        assert same(again, heard), "a state that was dumped and loaded decodes otherwise"
        stored = dump_state(after)
        assert dump_state(load_state(stored, form)) == stored, "a state does not come back from its bytes"
        here = after
        frames.append(raw)
    return frames


def _check_strangers(codec: Codec, form: Form, frames: list[bytes]) -> None:
    """Nothing but a DecodeError, or a payload of the form: whatever arrives, at whichever receiver."""
    rng = Rng(2)
    fresh = CodecState()
    _, known = codec.decode(frames[0], form, fresh)
    for state in (fresh, known):
        for garbage in _garbage(frames, codec.most(form), rng.split("garbage")):
            try:
                heard, _ = codec.decode(garbage, form, state)
            except DecodeError:
                continue
            except Exception as error:
                raise AssertionError(f"decode answers garbage with {type(error).__name__}, not DecodeError") from error
            fault = fault_of(heard, form)
            assert fault is None, f"decode takes garbage for {fault}"
    long = b"\0" * (codec.most(form) + 1)
    try:
        codec.decode(long, form, fresh)
    except DecodeError:
        return
    raise AssertionError("decode takes more bytes than `most` says")


def _garbage(frames: list[bytes], most: int, rng: Rng) -> Iterator[bytes]:
    yield from (b"", b"\0", b"\xff", b"\0" * min(most, 1000), b"\xff" * min(most, 1000))
    for raw in frames:
        yield from (raw[:-1], raw + b"\0", raw + b"\1", raw[1:], raw[: len(raw) // 2])
        for _ in range(_GARBAGE // len(frames)):
            # Most of what can go wrong is at the beginning, where a frame says what it is.
            at = rng.below(min(len(raw), 64) if rng.chance(1, 2) else len(raw))
            yield raw[:at] + bytes([raw[at] ^ 1 << rng.below(8)]) + raw[at + 1 :]
    for _ in range(_GARBAGE // 4):
        yield rng.bytes(1 + rng.below(min(most, 200)))


def _check_refusals(codec: Codec, form: Form) -> None:
    """What is not of the form is not sent, and a form of another kind is not taken."""
    others: list[Form] = [LabelForm(4, 3), SoftForm(4, 3, 2), TensorForm((("a", (2,)),)), PrototypeForm(3, 2)]
    for other in others:
        if isinstance(other, type(form)):
            continue
        assert not codec.takes(other), f"takes says yes to a {type(other).__name__}"
        _must_refuse(codec, form, next(stream(other, Rng(3))))
    wrong: Payload
    match form:
        case LabelForm():
            wrong = Labels(bytes(form.samples + 1))
        case SoftForm():
            wrong = SoftLabels(form.bits, np.zeros((form.samples, form.classes), dtype=np.uint32))
        case PrototypeForm():
            wrong = Prototypes(np.full(form.classes, -1), np.zeros((form.classes, form.width), dtype=np.float32))
        case TensorForm():
            wrong = Tensors({name: np.full(shape, np.nan, dtype=np.float32) for name, shape in form.shapes})
    _must_refuse(codec, form, wrong)


def _must_refuse(codec: Codec, form: Form, payload: Payload) -> None:
    try:
        codec.encode(payload, form, CodecState())
    except PlanError:
        return
    raise AssertionError(f"encode takes a {type(payload).__name__} that is not of the form")
