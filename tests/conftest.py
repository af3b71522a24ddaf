"""What holds for all tests: properties are tried on the same examples every time, and a slow machine fails none."""

from __future__ import annotations

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

IN_TURNS = ("tests/e2e/", "tests/unit/network/test_mdns.py", "tests/unit/network/test_upnp.py")
"""Where tests run in several processes, these run in one of them: meshes would wait for each other, and what speaks to
everybody on the loopback, or on a port that is not its own to choose, would hear the others."""


class Turns(LoadScopeScheduling):
    """Every test goes to whoever has time, but those that take turns."""

    def _split_scope(self, nodeid: str) -> str:
        return next((place for place in IN_TURNS if nodeid.startswith(place)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """How pytest-xdist deals out the tests."""
    return Turns(config, log)
