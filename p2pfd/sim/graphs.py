"""Who hears whom in a simulated network: five kinds of graph, each connected, and each decided by its seed alone.

All take the number of neighbours that a node is to have on average, so that they can be compared; a ring has two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError
from p2pfd.learning import topology
from p2pfd.learning.topology import Topology

CIRCLE = "circle"


def graph_of(name: str, rng: Rng, nodes: int, degree: int) -> Topology:
    """The graph of this name; PlanError where there is none, or where so many nodes cannot make one."""
    make = GRAPHS.get(name)
    if make is None:
        raise PlanError(f"there is no graph {name[:40]!r}", f"the choice is {', '.join(GRAPHS)}")
    return make(rng, nodes, degree)


def circle_with_chords(rng: Rng, nodes: int, degree: int) -> Topology:
    """A ring, so that all are connected, and random chords up to about `degree` neighbours."""
    links = _no_links(nodes)
    if nodes > 1:
        for node in range(nodes):
            _join(links, node, (node + 1) % nodes)
    wanted = min(degree, nodes - 1)
    order = list(range(nodes))
    rng.shuffle(order)
    for node in order:
        tries = 0
        while len(links[node]) < wanted and tries < 16 * degree:
            other = rng.below(nodes)
            tries += 1
            if other != node and len(links[other]) < wanted:
                _join(links, node, other)
    return _sorted(links)


def ring(rng: Rng, nodes: int, degree: int) -> Topology:
    """Each hears the one before and the one after, whatever `degree` says."""
    return topology.ring(nodes)


def regular(rng: Rng, nodes: int, degree: int) -> Topology:
    """Everyone has exactly `degree` neighbours, and they are random."""
    return topology.regular(nodes, degree, rng)


def erdos_renyi(rng: Rng, nodes: int, degree: int) -> Topology:
    """So many links that nodes have `degree` on average, each between a random pair.

    Such a graph may fall apart. A part that is on its own gets one more link, from a random node of it to one outside.
    """
    links = _no_links(nodes)
    left = min(nodes * degree // 2, nodes * (nodes - 1) // 2)
    while left:
        one, other = rng.below(nodes), rng.below(nodes)
        if one != other and other not in links[one]:
            _join(links, one, other)
            left -= 1
    _mend(links, rng)
    return _sorted(links)


def barabasi_albert(rng: Rng, nodes: int, degree: int) -> Topology:
    """Nodes come one by one, and link to those that have many links already: a few become hubs.

    A newcomer brings half of `degree` links; where that is no whole number, every second one brings one more.
    """
    links = _no_links(nodes)
    ends: list[int] = [0]  # every node as often as it has links; the first one once more, or nobody could begin
    for newcomer in range(1, nodes):
        brings = max(1, (degree + newcomer % 2) // 2)
        chosen: set[int] = set()
        while len(chosen) < min(brings, newcomer):
            chosen.add(ends[rng.below(len(ends))] if len(chosen) < 16 else rng.below(newcomer))
        for other in sorted(chosen):
            _join(links, newcomer, other)
            ends += (newcomer, other)
    return _sorted(links)


Make = Callable[[Rng, int, int], Topology]
GRAPHS: Mapping[str, Make] = MappingProxyType(
    {
        CIRCLE: circle_with_chords,
        "ring": ring,
        "regular": regular,
        "erdos-renyi": erdos_renyi,
        "barabasi-albert": barabasi_albert,
    }
)


def _no_links(nodes: int) -> list[set[int]]:
    return [set() for _ in range(nodes)]


def _join(links: list[set[int]], one: int, other: int) -> None:
    links[one].add(other)
    links[other].add(one)


def _sorted(links: list[set[int]]) -> Topology:
    return tuple(tuple(sorted(near)) for near in links)


def parts(links: list[set[int]] | Topology) -> list[list[int]]:
    """The nodes by which part of the graph they are in, the largest part first."""
    found: list[list[int]] = []
    seen = [False] * len(links)
    for start in range(len(links)):
        if seen[start]:
            continue
        seen[start] = True
        part = [start]
        for node in part:
            for other in links[node]:
                if not seen[other]:
                    seen[other] = True
                    part.append(other)
        found.append(sorted(part))
    return sorted(found, key=len, reverse=True)


def _mend(links: list[set[int]], rng: Rng) -> None:
    if not links:
        return
    whole, *others = parts(links)
    for part in others:
        _join(links, part[rng.below(len(part))], whole[rng.below(len(whole))])
        whole += part
