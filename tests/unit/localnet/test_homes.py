"""What a node of a local mesh is given."""

from __future__ import annotations

from pathlib import Path

from p2pfd_localnet.homes import LIMITS, MOST_SECONDS, patience, settings_of
from p2pfd_localnet.plan import change
from p2pfd_localnet.presets import find
from p2pfd_localnet.state import State

from p2pfd.core.spec import MOST_NODES
from p2pfd.network.settings import NetworkSettings


def test_the_more_nodes_share_the_cores_the_later_one_is_taken_for_dead(tmp_path: Path) -> None:
    usual = NetworkSettings()

    def limits(nodes: int) -> list[float]:
        plan = change(find("digits"), nodes=nodes)
        settings = settings_of(plan, State(tmp_path), "node-0", 0, "").network_settings()
        return [getattr(settings, name) for name in LIMITS]

    as_usual = [getattr(usual, name) for name in LIMITS]
    assert limits(10) == limits(2) == as_usual
    assert limits(50) == [5 * seconds for seconds in as_usual]
    assert max(patience(MOST_NODES).values()) == MOST_SECONDS  # type: ignore[type-var]
