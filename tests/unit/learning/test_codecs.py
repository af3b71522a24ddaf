"""Chains as text, memories that make losses harmless, and frames that tell what they build on."""

from __future__ import annotations

import time
import zlib

import numpy as np
import pytest
import safetensors.numpy

from p2pfd.core.canonical import decode, encode
from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Labels, Prototypes, SoftLabels, Tensors
from p2pfd.learning.codecs import (
    CodecState,
    LabelForm,
    PrototypeForm,
    SoftForm,
    TensorForm,
    dump_state,
    form_of,
    harden,
    load_state,
    parse,
    quantise,
)
from p2pfd.learning.codecs.frame import write_arrays, write_head

FORM = TensorForm((("bias", (4,)), ("weight", (20, 30))))


def net(seed: int, scale: float = 1.0) -> Tensors:
    draw = np.random.default_rng(seed)
    return Tensors({name: (draw.normal(size=shape) * scale).astype(np.float32) for name, shape in FORM.shapes}, seed)


def gap(one: Tensors, other: Tensors) -> float:
    return max(float(np.abs(one.arrays[name] - other.arrays[name]).max()) for name in one.arrays)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("raw", "raw"),
        ("topk:0.01", "feedback+topk:0.01"),
        ("delta+topk:0.01+int8", "delta+topk:0.01+int8"),
        ("svd:0.95:0.98:12+fp16+deflate", "svd:0.95:0.98:12+fp16+deflate"),
        ("delta", "delta"),
        ("delta+labels", "delta+labels"),
        ("packed", "packed"),
        ("soft", "soft"),
    ],
)
def test_a_chain_has_one_name(text: str, name: str) -> None:
    assert parse(text).name == name
    assert parse(name).name == name


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("zip", "no codec 'zip'"),
        ("", "no codec ''"),
        ("raw+int8", "no codec 'raw'"),
        ("int8+topk:0.1", "do not go together"),
        ("int8+fp16", "do not go together"),
        ("topk:0.1+svd:0.9", "do not go together"),
        ("int8:3", "'int8' takes nothing"),
        ("topk", "'topk' needs a number"),
        ("topk:0", "topk:0 is not a share"),
        ("topk:1.5", "at most 1"),
        ("topk:1e-2", "not a share"),
        ("topk:nan", "not a share"),
        ("topk:.", "not a share"),
        ("svd:0.9:0.95", "no such link"),
        ("svd:0.9:0.95:0", "svd over '0' frames"),
        ("svd:0.9:0.95:²", "svd over"),
        ("deflate+int8", "no codec 'deflate'"),
        ("delta+delta", "no codec 'delta'"),
        ("feedback+labels", "no codec 'labels'"),
    ],
)
def test_what_is_no_chain_is_explained(text: str, complaint: str) -> None:
    with pytest.raises(PlanError, match=complaint):
        parse(text)


def test_weights_are_safetensors_that_others_can_read() -> None:
    raw, _ = parse("raw").encode(net(1), FORM, CodecState())
    arrays = safetensors.numpy.load(raw[2:])
    assert np.array_equal(arrays["weight"], net(1).arrays["weight"])


def test_delta_makes_losses_harmless_where_the_weights_stay() -> None:
    codec, here, there = parse("delta+topk:0.1+int8"), CodecState(), CodecState()
    gaps = []
    for _ in range(30):
        raw, here = codec.encode(net(1), FORM, here)
        heard, there = codec.decode(raw, FORM, there)
        gaps.append(gap(heard, net(1)))
    assert gaps[0] > 0.5
    assert gaps[-1] < 0.01


def test_feedback_makes_the_sum_of_updates_right() -> None:
    codec, here = parse("topk:0.1"), CodecState()
    total = {name: np.zeros(shape) for name, shape in FORM.shapes}
    for number in range(50):
        raw, here = codec.encode(net(1), FORM, here)
        heard, _ = codec.decode(raw, FORM, CodecState())
        for name in total:
            total[name] += heard.arrays[name]
        off = max(float(np.abs(total[name] - (number + 1) * net(1).arrays[name]).max()) for name in total)
        assert off < 15  # what is still owed is bounded, though fifty times as much has been sent
    assert here.memory is not None


def test_a_frame_that_builds_on_what_is_not_here_says_so() -> None:
    for text, first, second, form in (
        ("delta+int8", net(1), net(2), FORM),
        ("delta+labels", Labels(bytes(range(10)) * 30), Labels(bytes(range(10)) * 29 + bytes(10)), LabelForm(300, 10)),
        ("delta+soft", quantise(np.eye(9), 3), quantise(np.eye(9)[[1, 0, *range(2, 9)]], 3), SoftForm(9, 9, 3)),
    ):
        codec = parse(text)
        full, state = codec.encode(first, form, CodecState())
        raw, _ = codec.encode(second, form, state)
        with pytest.raises(DecodeError, match="not here"):
            codec.decode(raw, form, CodecState())
        _, there = codec.decode(full, form, CodecState())
        codec.decode(raw, form, there)
        with pytest.raises(DecodeError, match="not here"):
            codec.decode(raw, form, codec.decode(raw, form, there)[1])


def test_weights_that_jump_beyond_floats_are_a_mistake_of_the_sender() -> None:
    far = {name: np.full(shape, 3e38, dtype=np.float32) for name, shape in FORM.shapes}
    _, state = parse("delta").encode(Tensors(far), FORM, CodecState())
    with pytest.raises(PlanError, match="too far"):
        parse("delta").encode(Tensors({name: -array for name, array in far.items()}), FORM, state)


def test_a_stream_may_begin_with_what_both_ends_know() -> None:
    codec = parse("delta+int8")
    common = CodecState(memory=net(1))
    near = Tensors({name: array + np.float32(1e-3) for name, array in net(1).arrays.items()}, 5)
    raw, _ = codec.encode(near, FORM, common)
    heard, _ = codec.decode(raw, FORM, common)
    assert isinstance(heard, Tensors)
    assert gap(heard, near) < 1e-4
    assert heard.age == 5


def test_five_thousand_labels_take_less_than_twenty_milliseconds() -> None:
    draw = np.random.default_rng(0)
    first = draw.integers(0, 10, 5000).astype(np.uint8)
    second = np.where(draw.random(5000) < 0.05, draw.integers(0, 10, 5000), first).astype(np.uint8)
    form, codec = LabelForm(5000, 10), parse("delta+labels")
    _, state = codec.encode(Labels(first.tobytes()), form, CodecState())
    best = []
    for _ in range(5):
        start = time.process_time()
        raw, _ = codec.encode(Labels(second.tobytes()), form, state)
        middle = time.process_time()
        codec.decode(raw, form, state)
        best.append((middle - start, time.process_time() - middle))
    assert min(one for one, _ in best) < 0.02
    assert min(two for _, two in best) < 0.02
    assert len(raw) < 350


def test_labels_take_the_least_of_their_ways() -> None:
    form, codec = LabelForm(1000, 10), parse("delta+labels")
    rng = Rng(1)
    base = bytes(rng.below(10) for _ in range(1000))
    _, state = codec.encode(Labels(base), form, CodecState())
    first = {}
    for changes in (0, 3, 300, 1000):
        labels = bytes((label + 1 + rng.below(9)) % 10 if at < changes else label for at, label in enumerate(base))
        raw, _ = codec.encode(Labels(labels), form, state)
        first[changes] = (raw[0], len(raw))
        assert codec.decode(raw, form, state)[0] == Labels(labels)
    assert first[0][1] <= 8
    assert first[3][0] == 3  # gaps
    assert first[300][0] == 2  # map
    assert parse("packed").encode(Labels(base), form, CodecState())[0][1:] != base
    skewed = Labels(bytes(999) + b"\1")
    assert len(parse("labels").encode(skewed, form, CodecState())[0]) < 20


@pytest.mark.parametrize(
    ("shapes", "complaint"),
    [
        ([(20, 30)], "missing"),
        ([(4,), (20, 2), (2,)], "missing"),
        ([(4,), (20, 2), (3,), (2, 30)], "make no array"),
        ([(4,), (20, 19), (19,), (19, 30)], "longer"),
        ([(4,), (20, 30), (1,)], "behind the last"),
    ],
)
def test_factors_that_are_none_are_refused(shapes: list[tuple[int, ...]], complaint: str) -> None:
    arrays = [np.zeros(shape, np.float32) for shape in shapes]
    with pytest.raises(DecodeError, match=complaint):
        parse("svd:0.9").decode(write_head(0, b"") + write_arrays(list(arrays)), FORM, CodecState())


def test_numbers_that_are_none_are_refused() -> None:
    weight = np.zeros((20, 30), np.float32)
    for first, complaint in ((np.zeros(4, np.int8), "missing"), (np.full(4, np.inf, np.float32), "finite")):
        with pytest.raises(DecodeError, match=complaint):
            parse("svd:0.9").decode(write_head(0, b"") + write_arrays([first, weight]), FORM, CodecState())


def test_a_deflated_bomb_stays_small() -> None:
    bomb = write_head(0, b"") + zlib.compress(bytes(50_000_000), 9)
    with pytest.raises(DecodeError, match="too many"):
        parse("int8+deflate").decode(bomb[: parse("int8+deflate").most(FORM)], FORM, CodecState())
    small = write_head(0, b"") + zlib.compress(bytes(100_000), 9)
    with pytest.raises(DecodeError, match="too many"):
        parse("int8+deflate").decode(small, FORM, CodecState())


def test_states_come_back_and_damaged_ones_do_not() -> None:
    _, state = parse("delta+int8").encode(net(1), FORM, CodecState())
    raw = dump_state(state)
    assert dump_state(load_state(raw, FORM)) == raw
    value = decode(raw, limit=10**6)
    assert isinstance(value, dict)
    for change, complaint in (
        ({"kind": "codec-0"}, "not a state"),
        ({"frames": -1}, "number of frames"),
        ({"frames": True}, "number of frames"),
        ({"memory": 3}, "no list"),
        ({"memory": [1, b"", b""]}, "other sizes"),
        ({"memory": [1, b"\xff" * 16, bytes(2400)]}, "not finite"),
        ({"tag": b"123"}, "no tag"),
        ({"memory": [b"123"]}, "something else"),
    ):
        with pytest.raises(DecodeError, match=complaint):
            load_state(encode({**value, **change}), FORM)
    with pytest.raises(DecodeError):
        load_state(raw, LabelForm(4, 3))


def test_forms_say_what_is_possible() -> None:
    assert form_of(net(1), 10) == FORM
    assert form_of(Labels(b"\1\2"), 10) == LabelForm(2, 10)
    assert form_of(quantise(np.eye(3), 2), 3) == SoftForm(3, 3, 2)
    assert form_of(Prototypes(np.zeros(2, np.int64), np.zeros((2, 3), np.float32)), 2) == PrototypeForm(2, 3)
    for wrong in (
        lambda: LabelForm(0, 10),
        lambda: LabelForm(1, 1),
        lambda: SoftForm(1, 2, 17),
        lambda: PrototypeForm(2, 0),
        lambda: TensorForm((("b", ()), ("a", ()))),
        lambda: TensorForm((("a", (2**20, 2**10)),)),
    ):
        with pytest.raises(PlanError):
            wrong()


@pytest.mark.parametrize("rows", [np.array([[np.nan, 1]]), np.array([[-1.0, 2]]), np.zeros((1, 2)), np.zeros(3)])
def test_what_are_no_shares_is_not_quantised(rows: np.ndarray) -> None:
    with pytest.raises(PlanError):
        quantise(rows, 3)
    with pytest.raises(PlanError, match="bits"):
        quantise(np.eye(2), 0)


def test_hard_labels_of_soft_ones_are_their_largest() -> None:
    assert harden(SoftLabels(2, np.array([[1, 2, 0], [1, 1, 1]], dtype=np.uint32))) == Labels(b"\1\0")


def test_prototypes_of_classes_that_are_not_there_cost_a_byte() -> None:
    counts = np.array([3, 0, 200, 0])
    means = np.arange(20, dtype=np.float32).reshape(4, 5) * (counts > 0)[:, None]
    raw, _ = parse("prototypes").encode(Prototypes(counts, means), PrototypeForm(4, 5), CodecState())
    assert len(raw) == 1 + 1 + 2 + 1 + 2 * 5 * 4
    for wrong in (raw[:-1], raw + b"\0", b"\0\0\0\0" + raw[5:], b"\xff" * 8 + b"\x7f" + raw[1:]):
        with pytest.raises(DecodeError):
            parse("prototypes").decode(wrong, PrototypeForm(4, 5), CodecState())
    with pytest.raises(PlanError, match="mean of no samples"):
        parse("prototypes").encode(Prototypes(counts * 0, means), PrototypeForm(4, 5), CodecState())
