"""The meshes of a cluster, by name: an actor of Ray that outlives whoever entered them, beside the cluster's head."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from p2pfd.errors import NotRunningError, PlanError, UsageError

ACTOR = "p2pfd-meshes"
HEAD = "node:__internal_head__"
SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a mesh is."""

    mesh: str
    machine: str
    """Its supervisor's, by Ray's id."""
    home: str
    """Its directory there."""
    folder: str
    """What its directory is called on each machine that runs its nodes."""


class Register:
    """Keeps entries; all that it is given and gives are plain tables."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, str]] = {}

    def enter(self, entry: dict[str, str]) -> dict[str, str] | None:
        """Put an entry in, in the place of an earlier one of the same directory; what stands there already, if not."""
        held = self._entries.get(entry["mesh"])
        if held is not None and (held["machine"], held["home"]) != (entry["machine"], entry["home"]):
            return held
        self._entries[entry["mesh"]] = entry
        return None

    def all(self) -> list[dict[str, str]]:
        """All entries, in the order of their names."""
        return [self._entries[name] for name in sorted(self._entries)]

    def drop(self, mesh: str, folder: str) -> int:
        """Take an entry out, if it is still that one; how many are left."""
        if self._entries.get(mesh, {}).get("folder") == folder:
            del self._entries[mesh]
        return len(self._entries)


def enter(ray: Any, entry: Entry) -> None:
    """Make a mesh known to its cluster; PlanError when another one has that name."""
    options = {"name": ACTOR, "lifetime": "detached", "get_if_exists": True, "num_cpus": 0, "resources": {HEAD: 0.001}}
    actor = ray.remote(Register).options(**options).remote()
    held = ray.get(actor.enter.remote(dataclasses.asdict(entry)), timeout=SECONDS)
    if held is not None:
        raise PlanError(
            f"the cluster has a mesh {entry.mesh!r} already, in {held['home']}",
            f"call this one otherwise with --name, or end that one: localnet down {entry.mesh} --address HOST:PORT",
        )


def entries(ray: Any) -> tuple[Entry, ...]:
    """The meshes of a cluster."""
    actor = _actor(ray)
    return () if actor is None else tuple(Entry(**one) for one in ray.get(actor.all.remote(), timeout=SECONDS))


def drop(ray: Any, mesh: str, folder: str) -> None:
    """Make the cluster forget a mesh."""
    actor = _actor(ray)
    if actor is not None and not ray.get(actor.drop.remote(mesh, folder), timeout=SECONDS):
        ray.kill(actor)


def _actor(ray: Any) -> Any:
    try:
        return ray.get_actor(ACTOR)
    except ValueError:
        return None  # there is none of that name


def choose(found: Sequence[Entry], mesh: str) -> Entry:
    """The mesh of that name, or, without one, the only one."""
    names = [one.mesh for one in found]
    if not found:
        raise NotRunningError("the cluster knows no mesh", "start one: localnet up --engine ray --address HOST:PORT")
    if not mesh and len(found) > 1:
        raise UsageError(f"the cluster has {len(found)} meshes", f"name one of them: {', '.join(names)}")
    if mesh and mesh not in names:
        raise NotRunningError(f"the cluster knows no mesh {mesh!r}", f"it knows {', '.join(names)}")
    return next(one for one in found if mesh in ("", one.mesh))
