"""Graphs: connected, of the degree that was asked for, and the same for the same seed."""

from __future__ import annotations

import pytest

from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError
from p2pfd.learning.topology import Topology, topology_of


def check(graph: Topology) -> None:
    for place, near in enumerate(graph):
        assert list(near) == sorted(set(near) - {place})
        assert all(place in graph[other] for other in near)
    reached = {0}
    for _ in graph:
        reached |= {other for place in reached for other in graph[place]}
    assert reached == set(range(len(graph)))


@pytest.mark.parametrize("nodes", [1, 2, 3, 10])
def test_complete_and_ring(nodes: int) -> None:
    for text, degree in (("complete", nodes - 1), ("ring", min(2, nodes - 1))):
        graph = topology_of(text, nodes, Rng(1))
        check(graph)
        assert {len(near) for near in graph} == {degree}


@pytest.mark.parametrize(("nodes", "degree"), [(20, 4), (7, 4), (10, 3), (5, 4), (3, 2), (64, 6)])
def test_regular_graphs(nodes: int, degree: int) -> None:
    graphs = [topology_of(f"regular:{degree}", nodes, Rng(seed)) for seed in range(5)]
    for graph in graphs:
        check(graph)
        assert {len(near) for near in graph} == {degree}
    assert graphs[3] == topology_of(f"regular:{degree}", nodes, Rng(3))
    if nodes > degree + 2:
        assert len(set(graphs)) > 1


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("star", 4),
        ("ring:2", 4),
        ("regular", 4),
        ("regular:x", 4),
        ("regular:3", 5),
        ("regular:4", 4),
        ("regular:1", 4),
    ],
)
def test_what_is_no_topology_is_explained(text: str, nodes: int) -> None:
    with pytest.raises(PlanError):
        topology_of(text, nodes, Rng(1))


def test_no_nodes_have_no_topology() -> None:
    with pytest.raises(PlanError, match="0 nodes"):
        topology_of("ring", 0, Rng(1))
