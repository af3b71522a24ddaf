"""Who in a mesh misbehaves, and who belongs to whom."""

from __future__ import annotations

from dataclasses import dataclass

from p2pfd.behaviours.cast import cast
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
    drawn = cast(plan.counts(), plan.nodes, rng)
    return Roles(tuple(kind or HONEST for kind in drawn.kinds), drawn.owners)
