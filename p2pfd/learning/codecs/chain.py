"""`TensorChain`: tensors through at most one memory, one stage for what is sent, one for how exactly, and deflate.

The memory is what makes losses harmless. With ``delta`` both ends hold the last array as the receiver has it, and the
sender sends the difference to that: what one frame loses is in the next one's difference. With ``feedback`` the sender
alone remembers what was lost and adds it to the next frame: for updates, that receivers add up.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence

import numpy as np

from p2pfd.errors import DecodeError, PlanError
from p2pfd.learning.adapter import Array, Payload, Tensors
from p2pfd.learning.codecs.api import MOST_AGE, CodecState, Form, TensorForm, check_payload
from p2pfd.learning.codecs.frame import (
    TAG,
    most_bytes,
    read_arrays,
    read_head,
    read_safetensors,
    write_arrays,
    write_head,
    write_safetensors,
)
from p2pfd.learning.codecs.stages import Arrays, Stage

MEMORIES = ("", "delta", "feedback")
_LEVEL = 9


class TensorChain:
    """Float32 arrays, as a chain of links says."""

    def __init__(self, memory: str = "", stages: Sequence[Stage] = (), *, deflate: bool = False) -> None:
        if memory not in MEMORIES:
            raise ValueError(f"no memory is called {memory!r}")
        self._memory = memory
        self._stages = tuple(stages)
        self._deflate = deflate
        self._dense = all(stage.dense for stage in self._stages)
        names = [memory, *(stage.name for stage in self._stages), "deflate" if deflate else ""]
        self.name = "+".join(name for name in names if name) or "raw"
        self.lossless = not memory and not self._stages

    def takes(self, form: Form) -> bool:
        """Tensors only."""
        return isinstance(form, TensorForm)

    def most(self, form: Form) -> int:
        """Two floats a number, and room for names."""
        assert isinstance(form, TensorForm)
        return most_bytes(form)

    def encode(self, payload: Payload, form: Form, state: CodecState) -> tuple[bytes, CodecState]:
        """A frame that builds on the memory, and the memory after it."""
        check_payload(payload, form)
        assert isinstance(payload, Tensors)
        assert isinstance(form, TensorForm)
        if not 0 <= payload.age <= MOST_AGE:
            raise ValueError(f"an age of {payload.age}")
        wanted: Arrays = [np.asarray(payload.arrays[name]) for name, _ in form.shapes]
        held = _held(state, form) if self._memory else None
        sent: Arrays = list(wanted)
        if held is not None:
            sign = np.float32(-1 if self._memory == "delta" else 1)
            with np.errstate(over="ignore"):
                sent = [np.asarray(new + sign * old) for new, old in zip(wanted, held, strict=True)]
            if not all(np.isfinite(array).all() for array in sent):
                raise PlanError("the weights moved too far for a float", "lower settings.rate")
        small = sent
        for stage in self._stages:
            small = stage.apply(small, state.frames)
        arrived = self._undo(small, form)
        tag = _tag(state, held) if held is not None and self._memory == "delta" else b""
        body = write_safetensors(small, form) if self._dense else write_arrays(small)
        raw = write_head(payload.age, tag) + (zlib.compress(body, _LEVEL) if self._deflate else body)
        if len(raw) > self.most(form):
            raise ValueError(f"a frame of {len(raw)} bytes, at most {self.most(form)} are taken")
        memory: Arrays | None = None
        if self._memory == "delta":
            memory = arrived if held is None else [np.asarray(a + b) for a, b in zip(arrived, held, strict=True)]
        elif self._memory == "feedback":
            memory = [np.asarray(a - b) for a, b in zip(sent, arrived, strict=True)]
        return raw, self._after(raw, tag, state, _named(memory, form, payload.age))

    def decode(self, raw: bytes, form: Form, state: CodecState) -> tuple[Tensors, CodecState]:
        """The arrays of a frame, all finite, and the memory after it."""
        assert isinstance(form, TensorForm)
        if len(raw) > self.most(form):
            raise DecodeError(f"{len(raw)} bytes of arrays, at most {self.most(form)} are taken")
        age, tag, body = read_head(raw)
        if self._deflate:
            body = _inflate(body, self.most(form))
        arrays = self._undo(read_safetensors(body, form) if self._dense else read_arrays(body), form)
        if tag:
            held = _held(state, form) if self._memory == "delta" else None
            if held is None or tag != _tag(state, held):
                raise DecodeError("arrays that build on a frame which is not here")
            with np.errstate(over="ignore"):
                arrays = [np.asarray(new + old) for new, old in zip(arrays, held, strict=True)]
        if not all(np.isfinite(array).all() for array in arrays):
            raise DecodeError("arrays that are not all finite")
        out = _named(arrays, form, age)
        assert out is not None
        return out, self._after(raw, tag, state, out if self._memory == "delta" else None)

    def _after(self, raw: bytes, tag: bytes, state: CodecState, memory: Tensors | None) -> CodecState:
        name = hashlib.sha256(tag + raw).digest()[:TAG] if self._memory == "delta" else b""
        return CodecState(state.frames + 1, memory, name)

    def _undo(self, arrays: Arrays, form: TensorForm) -> Arrays:
        shapes = [shape for _, shape in form.shapes]
        for stage in reversed(self._stages):
            arrays = stage.undo(arrays, shapes)
        if [array.shape for array in arrays] != shapes or any(array.dtype != np.float32 for array in arrays):
            raise DecodeError("arrays of other shapes or types than expected")
        return arrays


def _held(state: CodecState, form: TensorForm) -> list[Array] | None:
    memory = state.memory
    if not isinstance(memory, Tensors) or {n: a.shape for n, a in memory.arrays.items()} != dict(form.shapes):
        return None
    return [memory.arrays[name].astype(np.float32) for name, _ in form.shapes]


def _tag(state: CodecState, held: Sequence[Array]) -> bytes:
    """Names the frame that the next one builds on; a memory that no frame brought is named by its numbers."""
    if state.tag:
        return state.tag
    digest = hashlib.sha256()
    for array in held:
        digest.update(array.astype("<f4").tobytes())
    return digest.digest()[:TAG]


def _named(arrays: Arrays | None, form: TensorForm, age: int) -> Tensors | None:
    if arrays is None:
        return None
    return Tensors({name: array for (name, _), array in zip(form.shapes, arrays, strict=True)}, age)


def _inflate(raw: bytes, most: int) -> bytes:
    """What deflate made small, if that is not more than `most`."""
    reader = zlib.decompressobj()
    try:
        body = reader.decompress(raw, most)
    except zlib.error as error:
        raise DecodeError(f"not deflated: {error}") from error
    if not reader.eof or reader.unused_data:
        raise DecodeError("deflated bytes that are cut off, go on, or become too many")
    return body
