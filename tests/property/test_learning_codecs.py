"""Codecs over everything that could be sent: what comes out, how far off it is, and what it costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from p2pfd.core.rng import Rng
from p2pfd.errors import DecodeError
from p2pfd.learning.adapter import Labels, SoftLabels, Tensors
from p2pfd.learning.codecs import CodecState, LabelForm, SoftForm, TensorForm, form_of, parse, quantise, shares_of
from p2pfd.learning.codecs.bits import pack_ints, read_length, read_places, unpack_ints, write_length, write_places
from p2pfd.learning.codecs.rangecoder import Counts, Decoder, Encoder
from p2pfd.learning.codecs.stages import Fp16, Int8, Svd, TopK

FLOATS = st.floats(-1e6, 1e6, width=32)
MATRICES = hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3, max_side=8), elements=FLOATS)


@given(st.integers(2, 20), st.lists(st.integers(0, 19), max_size=400), st.integers(0, 2**32))
def test_the_range_coder_gives_back_what_it_got(size: int, symbols: list[int], seed: int) -> None:
    symbols = [symbol % size for symbol in symbols]
    rng = Rng(seed)
    widths = [rng.below(17) for _ in symbols]
    loose = [rng.bits(width) if width else 0 for width in widths]
    out, counts = Encoder(), Counts(size)
    for symbol, width, bits in zip(symbols, widths, loose, strict=True):
        out.put(counts, symbol, without=(symbol + 1) % size)
        out.put_bits(bits, width)
    back, counts = Decoder(out.bytes()), Counts(size)
    for symbol, width, bits in zip(symbols, widths, loose, strict=True):
        assert back.get(counts, without=(symbol + 1) % size) == symbol
        assert back.get_bits(width) == bits
    back.finish()


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.97, 0.01, 0.01, 0.01], [0.1] * 10, [0.7, 0.3]])
def test_the_range_coder_is_within_two_percent_of_the_entropy(shares: list[float]) -> None:
    draw = np.random.default_rng(4).choice(len(shares), size=20_000, p=shares)
    out, counts = Encoder(), Counts(len(shares))
    for symbol in draw.tolist():
        out.put(counts, symbol)
    entropy = -sum(share * math.log2(share) for share in shares) * len(draw)
    assert 8 * len(out.bytes()) < 1.02 * entropy + 64


def test_carries_run_back_through_what_is_written() -> None:
    """The highest symbol of a flat alphabet, again and again, keeps the interval at its upper end."""
    for lead in range(40):
        out, counts = Encoder(), Counts(4)
        symbols = [3] * 200 + [0] * lead + [3, 2, 1, 3]
        for symbol in symbols:
            out.put(counts, symbol)
            out.put_bits(65535, 16)
        back, counts = Decoder(out.bytes()), Counts(4)
        for symbol in symbols:
            assert back.get(counts) == symbol
            assert back.get_bits(16) == 65535


@given(st.integers(1, 300), st.integers(2, 15), st.floats(0, 1), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_labels_come_back_and_cost_no_more_than_packed(samples: int, classes: int, moved: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    form = LabelForm(samples, classes)
    row = draw.integers(0, classes, samples)
    codec, here, there = parse("delta+labels"), CodecState(), CodecState()
    for _ in range(3):
        payload = Labels(row.astype(np.uint8).tobytes())
        raw, here = codec.encode(payload, form, here)
        heard, there = codec.decode(raw, form, there)
        assert heard == payload
        assert 8 * (len(raw) - 1) <= 8 * math.ceil(samples * (classes - 1).bit_length() / 8)
        row = np.where(draw.random(samples) < moved, draw.integers(0, classes, samples), row)


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(2, 6)), elements=st.floats(1e-6, 1)))
def test_quantised_shares_are_nearest_by_brute_force(rows: np.ndarray) -> None:
    for bits in (1, 2):
        whole = (1 << bits) - 1
        found = quantise(rows, bits).units
        assert (found.sum(axis=1) == whole).all()
        wanted = rows / rows.sum(axis=1, keepdims=True) * whole
        best = np.array([_least(row, whole) for row in wanted])
        assert np.allclose(np.abs(found - wanted).sum(axis=1), best, atol=1e-6)


def _least(row: np.ndarray, whole: int) -> float:
    def ways(places: int, left: int) -> list[tuple[int, ...]]:
        if places == 1:
            return [(left,)]
        return [(first, *rest) for first in range(left + 1) for rest in ways(places - 1, left - first)]

    return min(float(np.abs(np.array(way) - row).sum()) for way in ways(len(row), whole))


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(2, 12)), elements=st.floats(0, 1)),
    st.integers(1, 16),
)
def test_shares_are_off_by_less_than_a_unit(rows: np.ndarray, bits: int) -> None:
    rows = rows + 1e-9
    got = quantise(rows, bits)
    wanted = rows / rows.sum(axis=1, keepdims=True)
    assert (np.abs(shares_of(got) - wanted) <= 1 / ((1 << bits) - 1) + 1e-6).all()
    assert np.allclose(shares_of(got).sum(axis=1), 1, atol=1e-5)


def test_ties_go_to_the_lowest_class_and_one_bit_is_the_largest() -> None:
    assert quantise(np.array([[0.25, 0.25, 0.25, 0.25]]), 1).units.tolist() == [[1, 0, 0, 0]]
    assert quantise(np.array([[0.25, 0.25, 0.25, 0.25]]), 2).units.tolist() == [[1, 1, 1, 0]]
    rows = np.random.default_rng(1).dirichlet([0.5] * 10, 500)
    assert (quantise(rows, 1).units.argmax(axis=1) == rows.argmax(axis=1)).all()


@given(st.integers(1, 30), st.integers(2, 12), st.integers(1, 16), st.integers(0, 2**32))
def test_soft_labels_come_back(samples: int, classes: int, bits: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    form = SoftForm(samples, classes, bits)
    codec, here, there = parse("delta+soft"), CodecState(), CodecState()
    rows = draw.dirichlet([0.3] * classes, samples) + 1e-12
    for _ in range(2):
        payload = quantise(rows, bits)
        raw, here = codec.encode(payload, form, here)
        heard, there = codec.decode(raw, form, there)
        assert isinstance(heard, SoftLabels)
        assert np.array_equal(heard.units, payload.units)
        rows[: samples // 3] = draw.dirichlet([0.3] * classes, samples // 3) + 1e-12


@given(MATRICES)
def test_bytes_are_off_by_half_a_step_and_half_floats_by_their_precision(array: np.ndarray) -> None:
    shapes = [array.shape]
    [near] = Int8().undo(Int8().apply([array], 0), shapes)
    step = np.abs(array).max(initial=0) / 127
    assert (np.abs(near - array) <= step * 0.5001 + 1e-30).all()
    [half] = Fp16().undo(Fp16().apply([array], 0), shapes)
    held = np.clip(array, -65504, 65504)
    assert (np.abs(half - held) <= np.abs(held) * 2.0**-11 + 2.0**-25).all()


@given(MATRICES, st.sampled_from(["0.01", "0.3", "1"]))
def test_top_k_keeps_the_largest(array: np.ndarray, share: str) -> None:
    stage = TopK(share)
    [back] = stage.undo(stage.apply([array], 0), [array.shape])
    count = math.ceil(float(share) * array.size)
    kept = back != 0
    assert (back[kept] == array[kept]).all()
    left_out = np.sort(np.abs(array - back).ravel())[-1] if array.size else 0
    assert left_out <= np.sort(np.abs(array).ravel())[-count]


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(2, 20), st.integers(2, 20)), elements=st.floats(-9, 9, width=32)),
    st.sampled_from(["0.5", "0.9", "0.99"]),
)
@settings(deadline=None)
def test_svd_keeps_its_share_of_the_energy_and_is_never_longer(array: np.ndarray, share: str) -> None:
    stage = Svd(share)
    small = stage.apply([array], 0)
    [back] = stage.undo(small, [array.shape])
    assert sum(part.size for part in small) <= array.size
    lost = float(((back.astype(np.float64) - array) ** 2).sum())
    assert lost <= (1 - float(share)) * float((array.astype(np.float64) ** 2).sum()) + 1e-3


def test_svd_of_a_matrix_of_low_rank_is_short_and_moves_its_share() -> None:
    draw = np.random.default_rng(0)
    kernel = (draw.normal(size=(32, 2)) @ draw.normal(size=(2, 9 * 16))).astype(np.float32).reshape(32, 16, 3, 3)
    stage = Svd("0.999")
    small = stage.apply([kernel], 0)
    assert [part.shape for part in small] == [(32, 2), (2,), (2, 144)]
    [back] = stage.undo(small, [kernel.shape])
    assert np.allclose(back, kernel, atol=1e-4)
    moving = Svd("0.9:0.98:4")
    assert [round(moving.energy(frame), 3) for frame in range(6)] == [0.9, 0.92, 0.94, 0.96, 0.98, 0.98]


@given(st.integers(1, 500), st.floats(0, 1), st.integers(0, 2**32))
def test_places_come_back(size: int, share: float, seed: int) -> None:
    places = np.flatnonzero(np.random.default_rng(seed).random(size) < share).astype(np.int64)
    raw = write_places(places, size)
    assert np.array_equal(read_places(raw, len(places), size), places)
    assert len(raw) <= 1 + math.ceil(size / 8)
    for cut in (raw[:-1], raw + b"\0"):
        with pytest.raises(DecodeError):
            read_places(cut, len(places), size)


@given(st.integers(1, 17), st.lists(st.integers(0, 2**17 - 1), max_size=50), st.integers(0, 2**62))
def test_numbers_of_one_width_and_of_any_length_come_back(width: int, values: list[int], length: int) -> None:
    row = np.array(values, dtype=np.int64) & ((1 << width) - 1)
    raw = pack_ints(row, width)
    assert len(raw) == math.ceil(len(row) * width / 8)
    assert np.array_equal(unpack_ints(raw, len(row), width), row)
    written = write_length(length)
    assert read_length(written, 0) == (length, len(written))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["raw", "topk:0.5+int8", "delta+svd:0.9", "fp16+deflate"]))
def test_no_bytes_do_more_than_fail(raw: bytes, text: str) -> None:
    form = TensorForm((("a", (3,)), ("b", (4, 5))))
    try:
        heard, _ = parse(text).decode(raw, form, CodecState())
    except DecodeError:
        return
    assert isinstance(heard, Tensors)
    assert form_of(heard, 2) == form


@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_fail_for_labels(raw: bytes) -> None:
    for text, form in (("delta+labels", LabelForm(20, 5)), ("delta+soft", SoftForm(6, 4, 3))):
        try:
            parse(text).decode(raw, form, CodecState())
        except DecodeError:
            continue
