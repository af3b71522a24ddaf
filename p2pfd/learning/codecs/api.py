"""What a codec is: `Codec`, the `Form` that a receiver expects, and the state that two ends keep in step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Labels, Payload, Prototypes, SoftLabels, Tensors

Shape = tuple[int, ...]

MOST_SAMPLES = 1 << 20
MOST_CLASSES = 256
MOST_BITS = 16
MOST_NUMBERS = 1 << 28
MOST_AGE = 1 << 53
MOST_COUNT = 1 << 53


@dataclass(frozen=True, slots=True)
class LabelForm:
    """One of so many classes for each of so many samples."""

    samples: int
    classes: int

    def __post_init__(self) -> None:
        _samples(self.samples, self.classes)


@dataclass(frozen=True, slots=True)
class SoftForm:
    """Shares of so many classes, in so many bits each."""

    samples: int
    classes: int
    bits: int

    def __post_init__(self) -> None:
        _samples(self.samples, self.classes)
        if not 1 <= self.bits <= MOST_BITS:
            raise PlanError(f"shares of {self.bits} bits", f"1 to {MOST_BITS} bits are possible")


@dataclass(frozen=True, slots=True)
class TensorForm:
    """The names and shapes of float32 arrays, in the order of their names."""

    shapes: tuple[tuple[str, Shape], ...]

    def __post_init__(self) -> None:
        if [name for name, _ in self.shapes] != sorted({name for name, _ in self.shapes}):
            raise PlanError("names of arrays that are not in order", "sort them, and name each once")
        if self.numbers > MOST_NUMBERS:
            raise PlanError(f"{self.numbers} numbers to send", f"at most {MOST_NUMBERS} are taken")

    @property
    def numbers(self) -> int:
        """How many numbers all arrays have together."""
        return sum(math.prod(shape) for _, shape in self.shapes)


@dataclass(frozen=True, slots=True)
class PrototypeForm:
    """A mean feature of so many numbers for each of so many classes."""

    classes: int
    width: int

    def __post_init__(self) -> None:
        _samples(1, self.classes)
        if not 1 <= self.width <= MOST_NUMBERS // self.classes:
            raise PlanError(f"features of {self.width} numbers", f"1 to {MOST_NUMBERS // self.classes} are possible")


Form = LabelForm | SoftForm | TensorForm | PrototypeForm
"""What a payload must look like. The receiver knows it from the task, and so need not be told by a sender."""


@dataclass(frozen=True)
class CodecState:
    """What one end of a stream of frames remembers.

    ``memory`` is the last frame as the other end has it (delta), or what could not be sent yet (feedback). A stream
    may begin with a memory that both ends know, such as the common first weights. ``tag`` names the frames so far,
    by their bytes: two ends that heard the same have the same tag, even where their floats differ in the last bit.
    """

    frames: int = 0
    memory: Payload | None = None
    tag: bytes = b""


class Codec(Protocol):
    """Payloads to bytes and back. What is sent is exactly the bytes that `encode` returns: eight bits each."""

    @property
    def name(self) -> str:
        """The text that `parse` reads."""
        ...

    @property
    def lossless(self) -> bool:
        """Whether what comes out is what went in."""
        ...

    def takes(self, form: Form) -> bool:
        """Whether payloads of this form can be sent."""
        ...

    def most(self, form: Form) -> int:
        """The most bytes that a frame may have; longer ones are refused before they are looked at."""
        ...

    def encode(self, payload: Payload, form: Form, state: CodecState) -> tuple[bytes, CodecState]:
        """A frame, and the state after it; PlanError for a payload that is not of the form, or not finite."""
        ...

    def decode(self, raw: bytes, form: Form, state: CodecState) -> tuple[Payload, CodecState]:
        """What a frame says, and the state after it; DecodeError for anything that is no frame of the form."""
        ...


def form_of(payload: Payload, classes: int) -> Form:
    """The form of a payload of one's own, which is the form that the others' must have."""
    match payload:
        case Labels():
            return LabelForm(len(payload.classes), classes)
        case SoftLabels():
            return SoftForm(len(payload.units), classes, payload.bits)
        case Tensors():
            return TensorForm(tuple((name, tuple(payload.arrays[name].shape)) for name in sorted(payload.arrays)))
        case Prototypes():
            return PrototypeForm(len(payload.counts), payload.means.shape[-1])


def fault_of(payload: Payload, form: Form) -> str | None:
    """Why a payload is not one of the form, in words; None where it is."""
    match form, payload:
        case LabelForm(), Labels(classes=classes):
            if len(classes) != form.samples:
                return f"{len(classes)} labels, {form.samples} expected"
            return (
                f"label {max(classes)} of {form.classes} classes" if max(classes, default=0) >= form.classes else None
            )
        case SoftForm(), SoftLabels():
            return _soft_fault(payload, form)
        case TensorForm(), Tensors(age=age) if not 0 <= age <= MOST_AGE:
            return f"an age of {age.bit_length()} bits" if age > MOST_AGE else "an age below nothing"
        case TensorForm(), Tensors(arrays=arrays):
            return _tensors_fault(arrays, form)
        case PrototypeForm(), Prototypes():
            return _prototypes_fault(payload, form)
    return f"{type(payload).__name__} instead of what a {type(form).__name__} describes"


def check_payload(payload: Payload, form: Form) -> None:
    """PlanError where a payload of one's own is not what the form says."""
    fault = fault_of(payload, form)
    if fault is not None:
        raise PlanError(f"this cannot be sent: {fault}", "look at the settings of the adapter, above all its rate")


def _soft_fault(payload: SoftLabels, form: SoftForm) -> str | None:
    if payload.bits != form.bits:
        return f"{payload.bits} bits, {form.bits} expected"
    if payload.units.shape != (form.samples, form.classes):
        return f"shares of shape {payload.units.shape}, {(form.samples, form.classes)} expected"
    whole = (1 << form.bits) - 1
    sums = payload.units.astype(np.uint64).sum(axis=1)
    return None if (sums == whole).all() else f"shares that do not add up to {whole}"


def _tensors_fault(arrays: Mapping[str, npt.NDArray[np.generic]], form: TensorForm) -> str | None:
    found = tuple((name, tuple(arrays[name].shape)) for name in sorted(arrays))
    if found != form.shapes:
        return "arrays of other names or shapes than expected"
    if any(array.dtype != np.float32 for array in arrays.values()):
        return "arrays that are not of float32"
    return None if all(np.isfinite(array).all() for array in arrays.values()) else "numbers that are not finite"


def _prototypes_fault(payload: Prototypes, form: PrototypeForm) -> str | None:
    if payload.counts.shape != (form.classes,) or payload.means.shape != (form.classes, form.width):
        return f"means of shape {payload.means.shape}, {(form.classes, form.width)} expected"
    if payload.counts.dtype.kind != "i" or (payload.counts < 0).any() or (payload.counts > MOST_COUNT).any():
        return "counts that are none"
    if payload.means.dtype != np.float32 or not np.isfinite(payload.means).all():
        return "means that are not finite numbers of float32"
    return "a mean of no samples" if payload.means[payload.counts == 0].any() else None


def _samples(samples: int, classes: int) -> None:
    if not 1 <= samples <= MOST_SAMPLES:
        raise PlanError(f"{samples} samples", f"1 to {MOST_SAMPLES} can be sent")
    if not 2 <= classes <= MOST_CLASSES:
        raise PlanError(f"{classes} classes", f"2 to {MOST_CLASSES} are possible")
