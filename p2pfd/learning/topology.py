"""Who hears whom: everybody, a ring, or a random graph in which all have equally many neighbours."""

from __future__ import annotations

from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError

Topology = tuple[tuple[int, ...], ...]
"""The neighbours of each place, in ascending order. Whoever is a neighbour's neighbour is one."""

_SWAPS = 20
_TRIES = 100


def topology_of(text: str, nodes: int, rng: Rng) -> Topology:
    """``complete``, ``ring`` or ``regular:4``; PlanError for anything else, and for what so many nodes cannot be."""
    if nodes < 1:
        raise PlanError(f"{nodes} nodes", "there must be one at least")
    name, _, argument = text.partition(":")
    match name, argument:
        case "complete", "":
            return complete(nodes)
        case "ring", "":
            return ring(nodes)
        case "regular", degree if degree.isascii() and degree.isdecimal() and len(degree) < 5:
            return regular(nodes, int(degree), rng)
    raise PlanError(f"there is no topology {text[:40]!r}", 'write "complete", "ring" or "regular:4"')


def complete(nodes: int) -> Topology:
    """Everybody hears everybody."""
    return tuple(tuple(other for other in range(nodes) if other != place) for place in range(nodes))


def ring(nodes: int) -> Topology:
    """Each hears the one before and the one after."""
    return tuple(tuple(sorted({(place - 1) % nodes, (place + 1) % nodes} - {place})) for place in range(nodes))


def regular(nodes: int, degree: int, rng: Rng) -> Topology:
    """A connected graph in which each has so many neighbours: a ring of chords, its edges swapped at random."""
    if not 2 <= degree < nodes or degree * nodes % 2:
        raise PlanError(
            f"{nodes} nodes cannot have {degree} neighbours each",
            "take 2 neighbours or more, fewer than there are nodes, and an even number of one or the other",
        )
    for attempt in range(_TRIES):
        links = _swapped(_chords(nodes, degree), rng.split("regular", attempt))
        graph = tuple(tuple(sorted(near)) for near in links)
        if _connected(graph):
            return graph
    raise PlanError(f"no connected graph of {nodes} nodes with {degree} neighbours was found", "take another seed")


def _chords(nodes: int, degree: int) -> list[set[int]]:
    links: list[set[int]] = [set() for _ in range(nodes)]
    steps = [*range(1, degree // 2 + 1), *([nodes // 2] if degree % 2 else [])]
    for place in range(nodes):
        for step in steps:
            other = (place + step) % nodes
            links[place].add(other)
            links[other].add(place)
    return links


def _swapped(links: list[set[int]], rng: Rng) -> list[set[int]]:
    """Pairs of edges a–b, c–d become a–d, c–b wherever that is no loop and no second edge: all keep their number."""
    edges = [(one, two) for one, near in enumerate(links) for two in sorted(near) if one < two]
    for _ in range(_SWAPS * len(edges)):
        first, second = rng.below(len(edges)), rng.below(len(edges))
        (a, b), (c, d) = edges[first], edges[second]
        if rng.chance(1, 2):
            c, d = d, c
        if len({a, b, c, d}) < 4 or d in links[a] or b in links[c]:
            continue
        for one, two in ((a, b), (c, d)):
            links[one].discard(two)
            links[two].discard(one)
        for one, two in ((a, d), (c, b)):
            links[one].add(two)
            links[two].add(one)
        edges[first], edges[second] = (a, d), (c, b)
    return links


def _connected(graph: Topology) -> bool:
    reached, edge = {0}, [0]
    while edge:
        near = [other for other in graph[edge.pop()] if other not in reached]
        reached.update(near)
        edge += near
    return len(reached) == len(graph)
