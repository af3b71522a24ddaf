"""Who in a mesh misbehaves, and who belongs to whom: drawn by lot, so that nobody chooses its shard or its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from p2pfd.behaviours.names import behaviour_class
from p2pfd.core.rng import Rng
from p2pfd.errors import PlanError

HONEST = ""


@dataclass(frozen=True)
class Cast:
    """Who is what, an honest node being ``HONEST``.

    ``owners`` says whose shard and dice each node works with: its own, but for one owner's accounts.
    """

    kinds: tuple[str, ...]
    owners: tuple[int, ...]


def counts(wanted: Mapping[str, object], nodes: int, key: str = "behaviours") -> dict[str, int]:
    """How many of so many nodes have each behaviour, in the order of their names; those of nobody are left out.

    A behaviour is wanted for a number of nodes, or for a share of all, such as "40%"; PlanError names what is neither.
    """
    found = {name: _count(f"{key}.{name[:40]}", many, nodes) for name, many in sorted(wanted.items())}
    return {name: count for name, count in found.items() if count}


def _count(where: str, many: object, nodes: int) -> int:
    if isinstance(many, int) and not isinstance(many, bool) and 0 <= many <= nodes:
        return many
    if isinstance(many, str) and many.endswith("%") and len(many) <= 8 and many.isascii():
        try:
            share = float(many[:-1])
        except ValueError:
            share = -1.0
        if 0 <= share <= 100:
            return round(nodes * share / 100)
    shown = repr(many) if isinstance(many, (int, str)) and len(str(many)) <= 40 else f"a {type(many).__name__}"
    raise PlanError(
        f"{where} is {shown}",
        f'it must be a number of nodes from 0 to {nodes}, such as 2, or a share, such as "40%"',
    )


def cast(many: Mapping[str, int], nodes: int, rng: Rng) -> Cast:
    """Draw which nodes have these behaviours; PlanError where no honest one would be left."""
    if many and sum(many.values()) >= nodes:
        told = ", ".join(f"{name} {count}" for name, count in many.items())
        raise PlanError(f"{nodes} nodes, and behaviours for all of them ({told})", "leave one honest at least")
    kinds, owners, order = [HONEST] * nodes, list(range(nodes)), list(range(nodes))
    rng.shuffle(order)
    for name, count in many.items():
        chosen, order = order[:count], order[count:]
        kind, _ = behaviour_class(name)
        for node in chosen:
            kinds[node] = name
            owners[node] = chosen[0] if kind.one_owner else node
    return Cast(tuple(kinds), tuple(owners))
