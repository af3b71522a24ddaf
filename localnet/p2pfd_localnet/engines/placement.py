"""Which node runs on which machine: drawn up before anything starts, and kept in the mesh's directory."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pfd.cluster import Machine
from p2pfd.errors import EnvironmentProblem, StorageError
from p2pfd_localnet.cost import estimate
from p2pfd_localnet.plan import Plan
from p2pfd_localnet.state import write

FILE = "cluster.json"


@dataclass(frozen=True)
class Placement:
    """A mesh on a cluster."""

    mesh: str
    """The name by which the cluster knows it."""
    address: str
    folder: str
    """What its directory is called on each machine."""
    seed: int
    here: str
    """The machine of the supervisor, by Ray's id."""
    machines: tuple[Machine, ...]
    nodes: Mapping[str, str]
    """By the name of a node, the id of its machine."""

    def machine(self, name: str) -> Machine:
        """Where a node runs."""
        return next(one for one in self.machines if one.id == self.nodes[name])

    def on(self, machine: Machine) -> tuple[str, ...]:
        """The nodes of a machine."""
        return tuple(name for name, place in self.nodes.items() if place == machine.id)

    @property
    def home(self) -> Machine:
        """The supervisor's machine."""
        return next(one for one in self.machines if one.id == self.here)

    def save(self, folder: Path) -> None:
        """Write it down in a mesh's directory."""
        plain = dataclasses.asdict(self)
        write(folder / FILE, {"schema": 1, **plain, "nodes": dict(self.nodes)})

    def to_plain(self) -> list[dict[str, Any]]:
        """The machines as `localnet up --dry-run --json` has them."""
        return [
            {
                "machine": one.label,
                "cpus": one.cpus,
                "free_mb": one.free_mb,
                "supervisor": one.id == self.here,
                "nodes": list(self.on(one)),
            }
            for one in self.machines
        ]


def place(names: Sequence[str], machines: Sequence[Machine]) -> dict[str, str]:
    """Each node where there are then fewest for each CPU; of equals the first, so that it is always the same."""
    count = {one.id: 0 for one in machines}
    found = {}
    for name in names:
        best = min(machines, key=lambda one: (count[one.id] + 1) / one.cpus)
        count[best.id] += 1
        found[name] = best.id
    return found


def check_memory(plan: Plan, placement: Placement) -> None:
    """EnvironmentProblem for a machine that has no room for its nodes, as far as it told."""
    for one in placement.machines:
        names = placement.on(one)
        if not names or one.free_mb is None:
            continue
        need = estimate(dataclasses.replace(plan, nodes=len(names), attack={}, spare=0)).memory_mb
        shares = sum(other.address == one.address for other in placement.machines)
        if need > one.free_mb // shares:
            raise EnvironmentProblem(
                f"{len(names)} nodes need about {need} MB of memory on {one.label}, and {one.free_mb // shares} MB are "
                "free for them",
                "take fewer nodes with -n, or one more machine: ray start --address HOST:PORT",
            )


def load(folder: Path) -> Placement | None:
    """Who runs where; None of a mesh whose nodes are all on this machine."""
    try:
        value = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StorageError(f"{folder / FILE} is damaged: {error}", "start anew: localnet up --fresh") from error
    try:
        machines = tuple(Machine(**one) for one in value["machines"])
        texts = {key: str(value[key]) for key in ("mesh", "address", "folder", "here")}
        return Placement(**texts, seed=int(value["seed"]), machines=machines, nodes=dict(value["nodes"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{folder / FILE} is damaged: {error!r}", "start anew: localnet up --fresh") from error


def machines_of(folder: Path) -> dict[str, str]:
    """By the name of a node, what people call its machine; nothing of a mesh whose nodes are all on this one."""
    found = load(folder)
    return {} if found is None else {name: found.machine(name).label for name in found.nodes}
