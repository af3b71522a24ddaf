"""The tables that scikit-learn ships, found without importing it: that would cost each node a second and 70 MB."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from p2pfd.errors import EnvironmentProblem


def bundled(name: str) -> Path:
    """Where scikit-learn keeps this table; EnvironmentProblem when it is not installed."""
    package = importlib.util.find_spec("sklearn")
    for place in (package.submodule_search_locations or []) if package else []:
        path = Path(place, "datasets", "data", name)
        if path.is_file():
            return path
    raise EnvironmentProblem(f"scikit-learn and its {name} are not installed", "pip install 'scikit-learn>=1.5,<2'")
