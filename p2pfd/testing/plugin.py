"""For pytest: ``pytest --p2pfd-adapter=my_package.mine:Mine`` adds one test for each law that the adapter has to keep.

pytest loads this module wherever p2pfd is installed, so it imports nothing else until it is asked to.
"""

from __future__ import annotations

from typing import Any

import pytest

HELP = "hold this learning adapter (an installed name, or module:Class) to p2pfd's kit; several times"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option."""
    group = parser.getgroup("p2pfd")
    group.addoption("--p2pfd-adapter", action="append", default=[], metavar="ADAPTER", help=HELP)


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the laws to whatever else was collected."""
    for text in config.getoption("--p2pfd-adapter"):
        items += _laws(session, text)


class LawItem(pytest.Item):
    """One law as a test."""

    def __init__(self, *, check: Any, adapter: str, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._check = check
        self._adapter = adapter

    def runtest(self) -> None:
        """Hold the adapter to the law."""
        self._check()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The sentence that says what was not kept; a traceback only for what the kit did not expect."""
        if isinstance(excinfo.value, AssertionError):
            return f"{self._adapter}: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where it stands in a report."""
        return self.path, None, f"{self._adapter}: {self.name}"


def _laws(session: pytest.Session, text: str) -> list[pytest.Item]:
    from p2pfd import plugins
    from p2pfd.errors import P2pfdError
    from p2pfd.testing.adapter import laws
    from p2pfd.testing.materials import small_task

    try:
        factory = plugins.load_or_import("p2pfd.adapters", text)
        task, shards = small_task(text.rpartition(":")[2])
    except P2pfdError as error:
        raise pytest.UsageError(f"--p2pfd-adapter={text}: {error}") from error
    return [
        LawItem.from_parent(session, name=law.name, nodeid=f"{text}::{law.name}", check=law.check, adapter=text)
        for law in laws(factory, task, shards)
    ]
