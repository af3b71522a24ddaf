"""What holds for all tests: properties are tried on the same examples every time, and a slow machine fails none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

MESHES = Path(__file__).parent / "e2e"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in several processes, meshes run one after another: two at once would wait for each other."""
    for item in items:
        if item.path.is_relative_to(MESHES):
            item.add_marker(pytest.mark.xdist_group("meshes"))
