"""Every number has a range, and the error names both."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from p2pfd.errors import PlanError
from p2pfd.network.settings import NetworkSettings, degrees

NUMBERS = [entry for entry in dataclasses.fields(NetworkSettings) if entry.metadata]


@pytest.mark.parametrize("entry", NUMBERS, ids=lambda entry: entry.name)
def test_a_number_outside_its_range_is_refused_by_name(entry: dataclasses.Field[object]) -> None:
    low, high = entry.metadata["low"], entry.metadata["high"]
    wrong: list[object] = [low - 1, high + 1, "1", True, None]
    wrong += [math.nan, math.inf] if entry.type == "float" else [float(high)]
    for value in wrong:
        with pytest.raises(PlanError) as caught:
            NetworkSettings(**{entry.name: value})
        assert f"network.{entry.name}" in caught.value.what
        assert str(low) in caught.value.fix
        assert str(high) in caught.value.fix


@pytest.mark.parametrize("entry", NUMBERS, ids=lambda entry: entry.name)
def test_the_ends_of_a_range_belong_to_it(entry: dataclasses.Field[object]) -> None:
    for end in ("low", "high"):
        value = entry.metadata[end]
        others = {"redial_max_seconds": 3600.0} if entry.name == "redial_first_seconds" else {}
        others |= {"redial_first_seconds": 0.01} if entry.name == "redial_max_seconds" else {}
        assert getattr(NetworkSettings(**others, **{entry.name: value}), entry.name) == value


@pytest.mark.parametrize("entry", NUMBERS, ids=lambda entry: entry.name)
def test_the_documentation_states_the_range(entry: dataclasses.Field[object]) -> None:
    assert f"``{entry.name}``" in (NetworkSettings.__doc__ or "")


@pytest.mark.parametrize("entry", NUMBERS, ids=lambda entry: entry.name)
def test_the_reference_states_the_default_and_the_range(entry: dataclasses.Field[object]) -> None:
    page = (Path(__file__).parents[3] / "docs/reference/network.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{entry.name}` |")]
    _, _, default, span, *_ = [cell.strip() for cell in row.split("|")]
    low, high = (2 ** int(end[3:]) if end.startswith("2**") else float(end) for end in span.split("–"))
    assert (float(default), low, high) == (entry.default, entry.metadata["low"], entry.metadata["high"])


def test_other_fields_are_checked_too() -> None:
    for wrong in ({"debug": 1}, {"blob_directory": 5}, {"announce": "/ip4/1.2.3.4/tcp/1"}, {"announce": (1,)}):
        with pytest.raises(PlanError) as caught:
            NetworkSettings(**wrong)  # type: ignore[arg-type]
        assert f"network.{next(iter(wrong))}" in caught.value.what
    with pytest.raises(PlanError, match="redial_max_seconds"):
        NetworkSettings(redial_first_seconds=10.0, redial_max_seconds=1.0)


def test_degrees_fit_the_mesh() -> None:
    for nodes in (0, 7, 8, 100, 100_000):
        degree = degrees(nodes)
        assert (degree.target, degree.low, degree.high) == (4, 3, 6)
    for nodes in range(1, 7):
        degree = degrees(nodes)
        assert 1 <= degree.low <= degree.target <= degree.high
        assert degree.high >= nodes - 1, "a tiny mesh is complete: nobody is pruned from it"
        assert degree.target <= max(1, nodes - 1)
