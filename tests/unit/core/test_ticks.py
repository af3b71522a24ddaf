"""Time is whole microseconds."""

from __future__ import annotations

import pytest

from p2pfd.core.ticks import MICROSECOND, MILLISECOND, SECOND, Tick, after, seconds


def test_units() -> None:
    assert (MICROSECOND, MILLISECOND, SECOND) == (1, 1_000, 1_000_000)


@pytest.mark.parametrize(
    ("length", "ticks"), [(0, 0), (1, 1_000_000), (0.5, 500_000), (1e-6, 1), (4e-7, 0), (6e-7, 1), (-1.5, -1_500_000)]
)
def test_seconds_are_rounded_to_ticks(length: float, ticks: int) -> None:
    assert seconds(length) == ticks
    assert type(seconds(length)) is int


def test_after_adds() -> None:
    assert after(Tick(5), seconds(2)) == 2_000_005


@pytest.mark.parametrize("length", [float("nan"), float("inf")])
def test_no_length_of_time(length: float) -> None:
    with pytest.raises((ValueError, OverflowError)):
        seconds(length)
