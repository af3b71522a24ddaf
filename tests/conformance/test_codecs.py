"""Every codec keeps the promises of `p2pfd.learning.codecs`, and the kit notices one that does not."""

from __future__ import annotations

import numpy as np
import pytest

from p2pfd.errors import DecodeError
from p2pfd.learning.adapter import Payload, Tensors
from p2pfd.learning.codecs import CodecState, Form, LabelForm, PrototypeForm, SoftForm, TensorForm, parse
from p2pfd.learning.codecs.chain import TensorChain
from p2pfd.testing.codec import check_codec

NET = TensorForm((("0.bias", (6,)), ("0.weight", (6, 1, 3, 3)), ("1.bias", (4,)), ("1.weight", (4, 40)), ("one", ())))
CHAINS = (
    "raw", "fp16", "int8", "topk:0.05", "svd:0.9", "delta", "delta+topk:0.1+int8", "svd:0.5:0.9:3+fp16+deflate",
    "delta+svd:0.6+int8", "feedback+svd:0.5", "delta+int8+deflate", "topk:1+fp16",
)  # fmt: skip


@pytest.mark.parametrize("text", CHAINS)
def test_chains_for_tensors_conform(text: str) -> None:
    check_codec(parse(text), NET)


@pytest.mark.parametrize("text", ["packed", "labels", "delta+labels"])
@pytest.mark.parametrize(("samples", "classes"), [(1, 2), (200, 10), (70, 15), (33, 256)])
def test_codecs_for_labels_conform(text: str, samples: int, classes: int) -> None:
    check_codec(parse(text), LabelForm(samples, classes))


@pytest.mark.parametrize("text", ["soft", "delta+soft"])
@pytest.mark.parametrize(("samples", "classes", "bits"), [(1, 2, 1), (40, 10, 3), (20, 15, 16)])
def test_codecs_for_soft_labels_conform(text: str, samples: int, classes: int, bits: int) -> None:
    check_codec(parse(text), SoftForm(samples, classes, bits))


@pytest.mark.parametrize(("classes", "width"), [(2, 1), (10, 32)])
def test_prototypes_conform(classes: int, width: int) -> None:
    check_codec(parse("prototypes"), PrototypeForm(classes, width))


class Wasteful(TensorChain):
    """Says less than it sends."""

    def most(self, form: Form) -> int:
        return 100


class Lossy(TensorChain):
    """Rounds, and says that it does not."""

    def encode(self, payload: Payload, form: Form, state: CodecState) -> tuple[bytes, CodecState]:
        assert isinstance(payload, Tensors)
        rounded = {name: np.round(array.astype(np.float32), 1) for name, array in payload.arrays.items()}
        return super().encode(Tensors(rounded, payload.age), form, state)


class Careless(TensorChain):
    """Looks at bytes before it counts them."""

    def decode(self, raw: bytes, form: Form, state: CodecState) -> tuple[Tensors, CodecState]:
        if raw[200] == 0:
            raise DecodeError("a zero")
        return super().decode(raw, form, state)


class Hopeful(TensorChain):
    """Gives on what is not finite."""

    def decode(self, raw: bytes, form: Form, state: CodecState) -> tuple[Tensors, CodecState]:
        try:
            return super().decode(raw, form, state)
        except DecodeError:
            if len(raw) < 10:
                raise
            return Tensors({"a": np.full(3, np.nan, dtype=np.float32)}), state


@pytest.mark.parametrize(
    ("codec", "complaint"),
    [(Wasteful(), "most"), (Lossy(), "lost something"), (Careless(), "IndexError"), (Hopeful(), "takes garbage")],
)
def test_the_kit_notices(codec: TensorChain, complaint: str) -> None:
    with pytest.raises((AssertionError, ValueError), match=complaint):
        check_codec(codec, NET)
