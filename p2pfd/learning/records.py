"""Named arrays as safetensors, and back with every check that does not need to know what they mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from p2pfd.errors import DecodeError

Arrays = Mapping[str, npt.NDArray[np.generic]]


def pack(arrays: Arrays) -> bytes:
    """The arrays' one form in bytes."""
    out: bytes = safetensors.numpy.save({name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)})
    return out


def unpack(raw: bytes, kinds: Mapping[str, tuple[type[np.generic], int]], limit: int) -> Arrays:
    """Arrays of these names, types and numbers of dimensions, all finite; DecodeError for anything else."""
    if len(raw) > limit:
        raise DecodeError(f"{len(raw)} bytes of weights, at most {limit} are taken")
    try:
        arrays: Arrays = safetensors.numpy.load(raw)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"not safetensors: {error}") from error
    found = {name: (array.dtype, array.ndim) for name, array in arrays.items()}
    if found != {name: (np.dtype(kind), dimensions) for name, (kind, dimensions) in kinds.items()}:
        raise DecodeError("the weights are not those of this learner")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise DecodeError("the weights are not all finite")
    if pack(arrays) != raw:
        raise DecodeError("the weights are not written in the one canonical way")
    return arrays
