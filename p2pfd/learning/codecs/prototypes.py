"""`PrototypeCodec`: the mean feature of each class, and of how many samples it is the mean.

A frame is the counts, seven bits a byte, and the means of those classes that have samples, as float32.
"""

from __future__ import annotations

import numpy as np

from p2pfd.errors import DecodeError
from p2pfd.learning.adapter import Payload, Prototypes
from p2pfd.learning.codecs.api import MOST_COUNT, CodecState, Form, PrototypeForm, check_payload
from p2pfd.learning.codecs.bits import read_length, write_length

_MOST_LENGTH = 9


class PrototypeCodec:
    """Prototypes without loss. Classes without samples have no mean to send: it comes out as zeros."""

    name = "prototypes"
    lossless = True

    def takes(self, form: Form) -> bool:
        """Prototypes only."""
        return isinstance(form, PrototypeForm)

    def most(self, form: Form) -> int:
        """All classes with the largest counts."""
        assert isinstance(form, PrototypeForm)
        return form.classes * (_MOST_LENGTH + 4 * form.width)

    def encode(self, payload: Payload, form: Form, state: CodecState) -> tuple[bytes, CodecState]:
        """The counts, and the means that there are."""
        check_payload(payload, form)
        assert isinstance(payload, Prototypes)
        counts = b"".join(write_length(count) for count in payload.counts.tolist())
        return counts + payload.means[payload.counts > 0].astype("<f4").tobytes(), CodecState(state.frames + 1)

    def decode(self, raw: bytes, form: Form, state: CodecState) -> tuple[Prototypes, CodecState]:
        """The prototypes of a frame."""
        assert isinstance(form, PrototypeForm)
        if len(raw) > self.most(form):
            raise DecodeError(f"{len(raw)} bytes of prototypes, at most {self.most(form)} are taken")
        counts, at = np.zeros(form.classes, dtype=np.int64), 0
        for kind in range(form.classes):
            count, at = read_length(raw, at)
            if count > MOST_COUNT:
                raise DecodeError("a prototype of more samples than can be")
            counts[kind] = count
        present = counts > 0
        if len(raw) - at != 4 * form.width * int(present.sum()):
            raise DecodeError("means of another size than the counts say")
        means = np.zeros((form.classes, form.width), dtype=np.float32)
        means[present] = np.frombuffer(raw, dtype="<f4", offset=at).reshape(-1, form.width)
        if not np.isfinite(means).all():
            raise DecodeError("means that are not all finite")
        return Prototypes(counts, means), CodecState(state.frames + 1)
