"""`quantise`: shares of classes in whole units, as near to the given ones as units allow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from p2pfd.errors import PlanError
from p2pfd.learning.adapter import Array, Labels, SoftLabels
from p2pfd.learning.codecs.api import MOST_BITS

_FINE = 40


def quantise(shares: npt.NDArray[np.floating] | npt.NDArray[np.int64], bits: int) -> SoftLabels:
    """Rows of shares, of any positive sum, in units of one over 2^bits − 1, by largest remainder.

    No other rows of units with that sum are nearer in the sum of absolute differences. Where remainders are equal the
    lower class gets the unit, so that everyone who quantises the same numbers has the same units; with one bit that is
    the class of the largest share.
    """
    if not 1 <= bits <= MOST_BITS:
        raise PlanError(f"shares of {bits} bits", f"1 to {MOST_BITS} bits are possible")
    rows = np.asarray(shares, dtype=np.float64)
    if rows.ndim != 2 or not np.isfinite(rows).all() or (rows < 0).any():
        raise PlanError("shares that are not rows of finite numbers from zero up", "quantise probabilities")
    sums = rows.sum(axis=1, keepdims=True)
    if not (sums > 0).all():
        raise PlanError("a row of shares that are all zero", "quantise probabilities")
    # From here in whole numbers: what is left over is then exactly a number of units.
    fine = np.rint(rows / sums * 2.0**_FINE).astype(np.int64)
    total = fine.sum(axis=1, keepdims=True)
    whole = (1 << bits) - 1
    units, rest = np.divmod(fine * whole, total)
    missing = whole - units.sum(axis=1)
    order = np.argsort(-rest, axis=1, kind="stable")
    gets = np.empty_like(order)
    np.put_along_axis(gets, order, np.arange(rows.shape[1])[None, :], axis=1)
    return SoftLabels(bits, (units + (gets < missing[:, None])).astype(np.uint32))


def shares_of(labels: SoftLabels) -> Array:
    """Units as float32 shares, rows summing to one."""
    out: Array = (labels.units / np.float64((1 << labels.bits) - 1)).astype(np.float32)
    return out


def harden(labels: SoftLabels) -> Labels:
    """The class of the most units, the lowest among equals."""
    return Labels(np.argmax(labels.units, axis=1).astype(np.uint8).tobytes())
