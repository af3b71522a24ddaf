"""`SoftCodec`: shares of classes in units, in the fewest bytes.

The last class of a row is what the others leave, and once nothing is left the rest of a row is zeros: neither is sent.
A coded number is how many bits it has, which the coder learns for each number of bits that what is left has, and then
the bits below the highest. With ``delta`` a row that is as it was costs one learned flag.
"""

from __future__ import annotations

import hashlib

import numpy as np

from p2pfd.errors import DecodeError
from p2pfd.learning.adapter import Payload, SoftLabels
from p2pfd.learning.codecs.api import CodecState, Form, SoftForm, check_payload
from p2pfd.learning.codecs.bits import Ints, pack_ints, packed_bytes, unpack_ints
from p2pfd.learning.codecs.rangecoder import Counts, Decoder, Encoder

_PACKED, _CODED, _CHANGED = range(3)
_TAG = 4


class SoftCodec:
    """Soft labels; with ``delta`` rows that did not change are not repeated."""

    lossless = True

    def __init__(self, *, delta: bool = False) -> None:
        self._delta = delta
        self.name = "delta+soft" if delta else "soft"

    def takes(self, form: Form) -> bool:
        """Soft labels only."""
        return isinstance(form, SoftForm)

    def most(self, form: Form) -> int:
        """No frame is longer than the packed units."""
        assert isinstance(form, SoftForm)
        return 1 + packed_bytes(form.samples * (form.classes - 1), form.bits)

    def encode(self, payload: Payload, form: Form, state: CodecState) -> tuple[bytes, CodecState]:
        """The shortest frame that says these shares."""
        check_payload(payload, form)
        assert isinstance(payload, SoftLabels)
        assert isinstance(form, SoftForm)
        rows = payload.units.astype(np.int64)
        frames = [
            bytes([_PACKED]) + pack_ints(rows[:, :-1].ravel(), form.bits),
            bytes([_CODED]) + _write(rows, None, form),
        ]
        base = self._base(state, form)
        if base is not None:
            frames.append(bytes([_CHANGED]) + _tag(base) + _write(rows, base, form))
        return min(frames, key=len), CodecState(state.frames + 1, payload if self._delta else None)

    def decode(self, raw: bytes, form: Form, state: CodecState) -> tuple[SoftLabels, CodecState]:
        """The shares of a frame."""
        assert isinstance(form, SoftForm)
        if len(raw) > self.most(form) or not raw:
            raise DecodeError(f"{len(raw)} bytes of shares, 1 to {self.most(form)} expected")
        how, body = raw[0], raw[1:]
        if how == _PACKED:
            rows = _read_packed(body, form)
        elif how == _CODED:
            rows = _read(body, None, form)
        elif how == _CHANGED and self._delta:
            base = self._base(state, form)
            if base is None or body[:_TAG] != _tag(base):
                raise DecodeError("shares that build on a frame which is not here")
            rows = _read(body[_TAG:], base, form)
        else:
            raise DecodeError("shares that are written in no way that is expected")
        payload = SoftLabels(form.bits, rows.astype(np.uint32))
        return payload, CodecState(state.frames + 1, payload if self._delta else None)

    def _base(self, state: CodecState, form: SoftForm) -> Ints | None:
        last = state.memory
        if not self._delta or not isinstance(last, SoftLabels) or last.bits != form.bits:
            return None
        return last.units.astype(np.int64) if last.units.shape == (form.samples, form.classes) else None


def _tag(base: Ints) -> bytes:
    return hashlib.sha256(base.astype("<i8").tobytes()).digest()[:_TAG]


def _read_packed(body: bytes, form: SoftForm) -> Ints:
    first = unpack_ints(body, form.samples * (form.classes - 1), form.bits).reshape(form.samples, form.classes - 1)
    last = (1 << form.bits) - 1 - first.sum(axis=1)
    if (last < 0).any():
        raise DecodeError("a row of shares that add up to more than there is")
    return np.concatenate([first, last[:, None]], axis=1)


def _write(rows: Ints, base: Ints | None, form: SoftForm) -> bytes:
    coder, flags = Encoder(), Counts(2)
    widths = [Counts(left + 1) for left in range(form.bits + 1)]
    same = None if base is None else (rows == base).all(axis=1).tolist()
    for place, row in enumerate(rows.tolist()):
        if same is not None:
            coder.put(flags, not same[place])
            if same[place]:
                continue
        left = (1 << form.bits) - 1
        for units in row[:-1]:
            if not left:
                break
            width = units.bit_length()
            coder.put(widths[left.bit_length()], width)
            if width > 1:
                coder.put_bits(units - (1 << width - 1), width - 1)
            left -= units
    return coder.bytes()


def _read(body: bytes, base: Ints | None, form: SoftForm) -> Ints:
    coder, flags = Decoder(body), Counts(2)
    widths = [Counts(left + 1) for left in range(form.bits + 1)]
    rows = np.zeros((form.samples, form.classes), dtype=np.int64)
    for place in range(form.samples):
        if base is not None and not coder.get(flags):
            rows[place] = base[place]
            continue
        left = (1 << form.bits) - 1
        for kind in range(form.classes - 1):
            if not left:
                break
            width = coder.get(widths[left.bit_length()])
            units = (1 << width - 1) + (coder.get_bits(width - 1) if width > 1 else 0) if width else 0
            if units > left:
                raise DecodeError("a row of shares that add up to more than there is")
            rows[place, kind] = units
            left -= units
        rows[place, -1] = left
    coder.finish()
    return rows
