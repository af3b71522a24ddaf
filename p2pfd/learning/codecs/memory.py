"""The state of a codec as bytes, so that a node that starts again goes on where it stopped."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from p2pfd.core.canonical import Plain, decode, encode
from p2pfd.errors import DecodeError
from p2pfd.learning.adapter import Labels, Payload, SoftLabels, Tensors
from p2pfd.learning.codecs.api import (
    MOST_AGE,
    CodecState,
    Form,
    LabelForm,
    PrototypeForm,
    SoftForm,
    TensorForm,
    fault_of,
)
from p2pfd.learning.codecs.frame import TAG

_KIND = "codec-1"
_KEYS = {"kind", "frames", "memory", "tag"}
_SPARE = 4096


def dump_state(state: CodecState) -> bytes:
    """Canonical bytes: equal states give equal ones."""
    return encode({"kind": _KIND, "frames": state.frames, "memory": _plain(state.memory), "tag": state.tag})


def load_state(raw: bytes, form: Form) -> CodecState:
    """The state that `dump_state` wrote, of a stream of this form; DecodeError for anything else."""
    value = decode(raw, limit=_most(form))
    if not isinstance(value, Mapping) or set(value) != _KEYS or value["kind"] != _KIND:
        raise DecodeError("not a state of a codec")
    frames, tag = value["frames"], value["tag"]
    if not isinstance(frames, int) or isinstance(frames, bool) or frames < 0:
        raise DecodeError("a state of a codec without a number of frames")
    if not isinstance(tag, bytes) or len(tag) not in (0, TAG):
        raise DecodeError("a state of a codec whose tag is no tag")
    memory = None if value["memory"] is None else _payload(value["memory"], form)
    if memory is not None and (fault := fault_of(memory, form)):
        raise DecodeError(f"a state of a codec that remembers {fault}")
    return CodecState(frames, memory, tag)


def _plain(memory: Payload | None) -> Plain:
    match memory:
        case None:
            return None
        case Labels(classes=classes):
            return [classes]
        case SoftLabels(units=units):
            return [units.astype("<u4").tobytes()]
        case Tensors(arrays=arrays, age=age):
            return [age, *(arrays[name].astype("<f4").tobytes() for name in sorted(arrays))]
    raise TypeError(f"a codec remembers no {type(memory).__name__}")


def _payload(value: Plain, form: Form) -> Payload:
    if not isinstance(value, list):
        raise DecodeError("a state of a codec whose memory is no list")
    match form, value:
        case LabelForm(), [bytes(classes)]:
            return Labels(classes)
        case SoftForm(), [bytes(units)] if len(units) == 4 * form.samples * form.classes:
            table = np.frombuffer(units, dtype="<u4").astype(np.uint32)
            return SoftLabels(form.bits, table.reshape(form.samples, form.classes))
        case TensorForm(), [int(age), *raws] if len(raws) == len(form.shapes) and 0 <= age <= MOST_AGE:
            arrays = {}
            for (name, shape), raw in zip(form.shapes, raws, strict=True):
                if not isinstance(raw, bytes) or len(raw) != 4 * int(np.prod(shape, dtype=np.int64)):
                    raise DecodeError("a state of a codec whose arrays have other sizes")
                arrays[name] = np.frombuffer(raw, dtype="<f4").astype(np.float32).reshape(shape)
            return Tensors(arrays, age)
    raise DecodeError("a state of a codec that remembers something else")


def _most(form: Form) -> int:
    match form:
        case LabelForm():
            return form.samples + _SPARE
        case SoftForm():
            return 4 * form.samples * form.classes + _SPARE
        case PrototypeForm():
            return _SPARE
        case TensorForm():
            return 4 * form.numbers + 16 * len(form.shapes) + _SPARE
