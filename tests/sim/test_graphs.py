"""Graphs of simulated networks: connected, mutual, as dense as was asked for, and the same for a seed."""

from __future__ import annotations

import pytest

from p2pfd.core.ids import Account, RoundId
from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError
from p2pfd.roles.work import Absorb
from p2pfd.sim.graphs import GRAPHS, graph_of, parts
from p2pfd.sim.run import SimPlan, simulate
from p2pfd.sim.toy import SAMPLES, ToyLearner
from p2pfd.sim.world import WorldPlan


@pytest.mark.parametrize("name", list(GRAPHS))
@pytest.mark.parametrize(("nodes", "degree"), [(20, 3), (61, 4), (300, 3), (300, 8)])
def test_each_graph_is_connected_mutual_and_decided_by_its_seed(name: str, nodes: int, degree: int):
    graph = graph_of(name, Rng(4), nodes, degree)
    assert len(parts(graph)) == 1
    for node, near in enumerate(graph):
        assert node not in near
        assert list(near) == sorted(set(near))
        assert all(node in graph[other] for other in near)
    assert graph == graph_of(name, Rng(4), nodes, degree)
    if name != "ring":
        assert graph != graph_of(name, Rng(5), nodes, degree)
        average = sum(map(len, graph)) / nodes
        assert 0.85 * degree <= average <= 1.15 * degree


@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "regular"])
def test_the_smallest_meshes_have_a_graph(name: str):
    for nodes in (1, 2, 3):
        graph = graph_of(name, Rng(1), nodes, 2)
        assert len(graph) == nodes
        assert len(parts(graph)) == 1


def test_what_cannot_be_regular_says_so():
    with pytest.raises(PlanError, match="2 nodes cannot have 2 neighbours each"):
        graph_of("regular", Rng(1), 2, 2)


def test_only_preferential_attachment_makes_hubs():
    most = {name: max(map(len, graph_of(name, Rng(2), 400, 4))) for name in GRAPHS}
    assert most["ring"] == 2
    assert most["regular"] == 4
    assert most["erdos-renyi"] < 15
    assert most["barabasi-albert"] > 30


def test_a_graph_that_falls_apart_is_mended():
    assert all(len(parts(graph_of("erdos-renyi", Rng(seed), 50, 1))) == 1 for seed in range(20))


def test_an_unknown_graph_is_named_with_all_that_there_are():
    with pytest.raises(PlanError, match="barabasi-albert"):
        WorldPlan(nodes=10, graph="star")


@pytest.mark.parametrize("name", list(GRAPHS))
def test_a_mesh_learns_on_every_graph(name: str):
    report = simulate(SimPlan(WorldPlan(nodes=40, degree=4, graph=name), rounds=5, seed=2))
    assert report.finished == 40
    assert report.accuracy_together > report.accuracy_alone + 0.1


def test_a_hub_may_have_more_neighbours_than_a_byte_can_count():
    toy = ToyLearner(Rng(1), bytes(SAMPLES))
    ones, zeroes = b"\1" * SAMPLES, b"\0" * SAMPLES
    voters = [Account(f"0x{number:040x}") for number in range(601)]
    toy.do(Absorb(RoundId(0), tuple((who, ones if place < 301 else zeroes) for place, who in enumerate(voters))))
    assert toy.believes == ones
    toy.do(Absorb(RoundId(0), tuple((who, ones if place < 300 else zeroes) for place, who in enumerate(voters))))
    assert toy.believes == zeroes
