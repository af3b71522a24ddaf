"""Who in a mesh misbehaves, and who belongs to whom."""

from __future__ import annotations

from dataclasses import dataclass

from p2pfd.behaviours import behaviour_class
from p2pfd.core.rng import Rng
from p2pfd.experiment.plan import Plan
from p2pfd.experiment.result import HONEST


@dataclass(frozen=True)
class Roles:
    """Who is what. ``owners`` says whose shard and dice each node works with: its own, but for one owner's accounts."""

    kinds: tuple[str, ...]
    owners: tuple[int, ...]


def roles_of(plan: Plan, rng: Rng) -> Roles:
    """Draw who misbehaves: nobody chooses its shard or its place in the graph."""
    kinds = [HONEST] * plan.nodes
    owners = list(range(plan.nodes))
    order = list(range(plan.nodes))
    rng.shuffle(order)
    for name, count in plan.counts().items():
        chosen, order = order[:count], order[count:]
        kind, _ = behaviour_class(name)
        for node in chosen:
            kinds[node] = name
            owners[node] = chosen[0] if kind.one_owner else node
    return Roles(tuple(kinds), tuple(owners))
