"""Who dials whom: a ring, so that the mesh hangs together, and random chords, so that it is not a long one."""

from __future__ import annotations

from collections.abc import Sequence

from p2pfd.core.rng import Rng

DEGREE = 3


def dials(names: Sequence[str], rng: Rng, degree: int = DEGREE) -> dict[str, list[str]]:
    """For each node the nodes that it dials; every node ends up with at least `degree` neighbours, or all there are."""
    count = len(names)
    edges: set[tuple[int, int]] = set()
    if count > 1:
        edges = {_edge(place, (place + 1) % count) for place in range(count)}
    want = min(degree, count - 1)
    for place in range(count):
        while (have := _neighbours(edges, place)) and len(have) < want:
            strangers = [other for other in range(count) if other != place and other not in have]
            # Those with the fewest neighbours first, so that nobody becomes a hub.
            fewest = min(len(_neighbours(edges, other)) for other in strangers)
            edges.add(_edge(place, rng.choice([o for o in strangers if len(_neighbours(edges, o)) == fewest])))
    plan: dict[str, list[str]] = {name: [] for name in names}
    for low, high in sorted(edges):
        plan[names[high]].append(names[low])
    return plan


def _edge(one: int, other: int) -> tuple[int, int]:
    return (min(one, other), max(one, other))


def _neighbours(edges: set[tuple[int, int]], place: int) -> set[int]:
    return {a if b == place else b for a, b in edges if place in (a, b)}
