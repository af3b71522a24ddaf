"""Who dials whom: a ring, so that the mesh hangs together, and random chords, so that it is not a long one."""

from __future__ import annotations

from collections.abc import Sequence

from p2pfd.core.rng import Rng

DEGREE = 3


def dials(names: Sequence[str], rng: Rng, degree: int = DEGREE) -> dict[str, list[str]]:
    """For each node the nodes that it dials: at least one, so that all know when to begin.

    Every node ends up with at least `degree` neighbours, or with all there are.
    """
    count = len(names)
    if count == 1:
        return {names[0]: []}
    calls = [[(place + 1) % count] for place in range(count)]
    links: list[set[int]] = [{(place + 1) % count, (place - 1) % count} for place in range(count)]
    for place in range(count):
        while len(links[place]) < min(degree, count - 1):
            strangers = [other for other in range(count) if other != place and other not in links[place]]
            # Those with the fewest neighbours first, so that nobody becomes a hub.
            fewest = min(len(links[other]) for other in strangers)
            chosen = rng.choice([other for other in strangers if len(links[other]) == fewest])
            calls[place].append(chosen)
            links[place].add(chosen)
            links[chosen].add(place)
    return {name: [names[other] for other in calls[place]] for place, name in enumerate(names)}
