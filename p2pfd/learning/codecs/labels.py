"""`LabelCodec`: hard labels in the fewest bytes, as a whole or as what changed since the sender's last frame.

A frame is a byte that says how it is written, and then one of

- ``packed``: so many bits a label;
- ``coded``: every label, entropy coded;
- ``map``: for each sample whether its label changed, entropy coded, and the new one where it did;
- ``gaps``: how far it is from one change to the next, and the new labels; cheaper where little changed.

The last two stand behind four bytes that name the frame they build on. The shortest is sent.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

from p2pfd.errors import DecodeError
from p2pfd.learning.adapter import Labels, Payload
from p2pfd.learning.codecs.api import CodecState, Form, LabelForm, check_payload
from p2pfd.learning.codecs.bits import pack_ints, packed_bytes, unpack_ints
from p2pfd.learning.codecs.rangecoder import Counts, Decoder, Encoder

_PACKED, _CODED, _MAP, _GAPS = range(4)
_TAG = 4
_WIDE = 16


class LabelCodec:
    """Labels; with ``delta`` against the last frame, with ``coded`` through the range coder."""

    lossless = True

    def __init__(self, *, delta: bool = False, coded: bool = True) -> None:
        self._delta = delta
        self._coded = coded
        self.name = "packed" if not coded else "delta+labels" if delta else "labels"

    def takes(self, form: Form) -> bool:
        """Labels only."""
        return isinstance(form, LabelForm)

    def most(self, form: Form) -> int:
        """No frame is longer than the packed labels."""
        assert isinstance(form, LabelForm)
        return 1 + packed_bytes(form.samples, (form.classes - 1).bit_length())

    def encode(self, payload: Payload, form: Form, state: CodecState) -> tuple[bytes, CodecState]:
        """The shortest frame that says these labels."""
        check_payload(payload, form)
        assert isinstance(payload, Labels)
        assert isinstance(form, LabelForm)
        labels = payload.classes
        frames = [_packed(labels, form)]
        base = state.memory.classes if self._delta and isinstance(state.memory, Labels) else b""
        if self._coded:
            frames += _tries(labels, base, form)
        return min(frames, key=len), CodecState(state.frames + 1, payload if self._delta else None)

    def decode(self, raw: bytes, form: Form, state: CodecState) -> tuple[Labels, CodecState]:
        """The labels of a frame."""
        assert isinstance(form, LabelForm)
        if len(raw) > self.most(form) or not raw:
            raise DecodeError(f"{len(raw)} bytes of labels, 1 to {self.most(form)} expected")
        how, body = raw[0], raw[1:]
        if how == _PACKED:
            labels = _read_packed(body, form)
        elif how == _CODED and self._coded:
            labels = _read_whole(body, form)
        elif how in (_MAP, _GAPS) and self._delta:
            base = state.memory.classes if isinstance(state.memory, Labels) else b""
            if len(base) != form.samples or body[:_TAG] != _tag(base):
                raise DecodeError("labels that build on a frame which is not here")
            read = _read_map if how == _MAP else _read_gaps
            labels = read(body[_TAG:], base, form)
        else:
            raise DecodeError("labels that are written in no way that is expected")
        payload = Labels(labels)
        return payload, CodecState(state.frames + 1, payload if self._delta else None)


def _tag(base: bytes) -> bytes:
    return hashlib.sha256(base).digest()[:_TAG]


def _tries(labels: bytes, base: bytes, form: LabelForm) -> list[bytes]:
    """Frames that may be the shortest. What is surely longer by a tenth is not tried, for that takes its time."""
    counts = np.bincount(np.frombuffer(labels, dtype=np.uint8), minlength=form.classes)
    whole = _entropy([int(count) for count in counts])
    if len(base) != form.samples or max(base) >= form.classes:
        return [bytes([_CODED]) + _write_whole(labels, form)]
    changed = np.flatnonzero(np.frombuffer(labels, np.uint8) != np.frombuffer(base, np.uint8)).tolist()
    moved = _entropy([len(changed), len(labels) - len(changed)]) + len(changed) * math.log2(form.classes - 1)
    tries = []
    if moved < 1.1 * whole + 64:
        if len(changed) < len(labels) // 8:
            tries.append(bytes([_GAPS]) + _tag(base) + _write_gaps(labels, base, changed, form))
        tries.append(bytes([_MAP]) + _tag(base) + _write_map(labels, base, form))
    if whole < 1.1 * moved + 64:
        tries.append(bytes([_CODED]) + _write_whole(labels, form))
    return tries


def _entropy(counts: list[int]) -> float:
    """The bits that so many of each symbol take, were their shares known."""
    total = sum(counts)
    return sum(count * math.log2(total / count) for count in counts if count)


def _packed(labels: bytes, form: LabelForm) -> bytes:
    values = np.frombuffer(labels, dtype=np.uint8).astype(np.int64)
    return bytes([_PACKED]) + pack_ints(values, (form.classes - 1).bit_length())


def _read_packed(body: bytes, form: LabelForm) -> bytes:
    values = unpack_ints(body, form.samples, (form.classes - 1).bit_length())
    if int(values.max()) >= form.classes:
        raise DecodeError(f"label {int(values.max())} is not one of {form.classes} classes")
    return values.astype(np.uint8).tobytes()


def _write_whole(labels: bytes, form: LabelForm) -> bytes:
    coder, counts = Encoder(), Counts(form.classes)
    for label in labels:
        coder.put(counts, label)
    return coder.bytes()


def _read_whole(body: bytes, form: LabelForm) -> bytes:
    coder, counts = Decoder(body), Counts(form.classes)
    labels = bytes([coder.get(counts) for _ in range(form.samples)])
    coder.finish()
    return labels


def _write_map(labels: bytes, base: bytes, form: LabelForm) -> bytes:
    coder, flags, counts = Encoder(), Counts(2), Counts(form.classes)
    for label, before in zip(labels, base, strict=True):
        if label == before:
            coder.put(flags, 0)
        else:
            coder.put(flags, 1)
            coder.put(counts, label, without=before)
    return coder.bytes()


def _read_map(body: bytes, base: bytes, form: LabelForm) -> bytes:
    coder, flags, counts = Decoder(body), Counts(2), Counts(form.classes)
    labels = bytes([coder.get(counts, without=before) if coder.get(flags) else before for before in base])
    coder.finish()
    return labels


def _write_gaps(labels: bytes, base: bytes, changed: list[int], form: LabelForm) -> bytes:
    """Gaps as the number of their bits, which is learned, and the bits below the highest, which are not."""
    coder, widths, counts = Encoder(), Counts((form.samples + 1).bit_length() + 1), Counts(form.classes)
    last = -1
    for place in [*changed, form.samples]:
        gap = place - last
        width = gap.bit_length()
        coder.put(widths, width)
        _put_wide(coder, gap - (1 << width - 1), width - 1)
        if place < form.samples:
            coder.put(counts, labels[place], without=base[place])
        last = place
    return coder.bytes()


def _read_gaps(body: bytes, base: bytes, form: LabelForm) -> bytes:
    """Changes up to the end of the samples, which is the last gap's."""
    coder, widths, counts = Decoder(body), Counts((form.samples + 1).bit_length() + 1), Counts(form.classes)
    labels, place = bytearray(base), -1
    while True:
        width = coder.get(widths)
        if not width:
            raise DecodeError("a gap of no length")
        place += (1 << width - 1) + _get_wide(coder, width - 1)
        if place >= form.samples:
            break
        labels[place] = coder.get(counts, without=base[place])
    if place > form.samples:
        raise DecodeError("a gap that leads out of the labels")
    coder.finish()
    return bytes(labels)


def _put_wide(coder: Encoder, value: int, width: int) -> None:
    if width > _WIDE:
        coder.put_bits(value >> _WIDE, width - _WIDE)
    coder.put_bits(value & ((1 << _WIDE) - 1), min(width, _WIDE))


def _get_wide(coder: Decoder, width: int) -> int:
    high = coder.get_bits(width - _WIDE) if width > _WIDE else 0
    return high << _WIDE | coder.get_bits(min(width, _WIDE))
