"""What is kept of runs, a file for each; and which of several runs of a kind counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.scale.cells import Cell

FORMAT = 1
"""Of what is kept of a run; another one is measured anew."""
Outcome = Mapping[str, Any]


def path_of(folder: Path, cell: Cell, nth: int = 1) -> Path:
    """The file of the first, second, ... run of a kind."""
    return folder / f"{cell.name}{f'.{nth}' if nth > 1 else ''}.json"


def known(folder: Path, cell: Cell) -> list[Outcome]:
    """What is kept of the runs of a kind, as far as they were measured in today's way."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob(f"{cell.name}.*json"))]
    return [outcome for outcome in found if outcome.get("format") == FORMAT]


def is_whole(folder: Path, cell: Cell, nth: int) -> bool:
    """Whether this run is kept, and came to a good end."""
    path = path_of(folder, cell, nth)
    if not path.exists():
        return False
    outcome = json.loads(path.read_text())
    return outcome.get("format") == FORMAT and not outcome["problem"]


def best(found: Sequence[Outcome]) -> Outcome:
    """The run that took the least processor time: other work can only add to it. With the number of good runs, and by
    which share the dearest of them took more."""
    good = sorted((outcome for outcome in found if not outcome["problem"]), key=lambda one: one["cpu"])
    if not good:
        return {**found[-1], "runs": 0, "spread": 0.0}
    return {**good[0], "runs": len(good), "spread": good[-1]["cpu"] / good[0]["cpu"] - 1}
