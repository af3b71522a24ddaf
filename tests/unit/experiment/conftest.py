"""One small experiment that was run, for all tests that look at results."""

from __future__ import annotations

import pytest

from p2pfd.core.tables import Text
from p2pfd.experiment.grid import Experiment, read
from p2pfd.experiment.result import Result
from p2pfd.experiment.stage import Stage

TINY = """
name = "tiny"
about = "small <enough> to run in every test"
seeds = [1, 2]
nodes = 8
rounds = 2

[data]
partition = "quantity:1"
public = 64
validation = 20
test = 100
private = 300

[settings]
epochs = 3
distil_epochs = 5

[[cases]]
name = "all honest"

[[cases]]
name = "some lie & some sleep"
behaviours = { constant = 1, withhold = 1 }
"""


@pytest.fixture(scope="session")
def tiny() -> Experiment:
    return read(Text("tiny.toml", TINY), "tiny")


@pytest.fixture(scope="session")
def found(tiny: Experiment) -> dict[str, list[Result]]:
    return {
        row.title: [Stage(row.plan, seed).run(lambda: 0.0, lambda rnd, of: None) for seed in tiny.seeds]
        for row in tiny.rows
    }
