"""A plugin for pytest that writes which test runs which lines, and how long each takes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from pathlib import Path

import coverage
import pytest


class Covering:
    """Switches the context of the measurement from test to test."""

    def __init__(self, target: Path, source: list[str]) -> None:
        """Measure these packages and write to this file."""
        self.target = target
        self.measured = coverage.Coverage(data_file=None, source_pkgs=source, config_file=False, branch=False)
        self.measured.set_option("run:disable_warnings", ["module-not-imported"])  # by this folder's tests
        self.measured.start()
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Everything until this test's end is run by it."""
        self.measured.switch_context(item.nodeid)
        begun = time.perf_counter()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = round(time.perf_counter() - begun, 3)
            self.measured.switch_context("")

    def pytest_sessionfinish(self) -> None:
        """Write the lines of every file with the tests that run them, and the lines that could be run."""
        self.measured.stop()
        data = self.measured.get_data()
        files = {}
        for name in sorted(data.measured_files()):
            _, statements, _, missing, _ = self.measured.analysis2(name)
            by_line = {str(line): sorted(tests) for line, tests in sorted(data.contexts_by_lineno(name).items())}
            files[name] = {"tests": by_line, "statements": len(statements), "missing": missing}
        self.target.write_text(json.dumps({"seconds": self.seconds, "files": files}))


COVERING = Covering(Path(os.environ["COVERING_TO"]), os.environ["COVERING_OF"].split())
"""Begins as this module is loaded, and so before other plugins import what is measured."""


def pytest_configure(config: pytest.Config) -> None:
    """Have it told of tests."""
    config.pluginmanager.register(COVERING)
