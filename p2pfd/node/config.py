"""What one node process needs to know, as a value and as a JSON file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2pfd.core.spec import TaskSpec, from_plain, in_hex, unhex
from p2pfd.errors import PlanError
from p2pfd.learning.device import check
from p2pfd.network.settings import NetworkSettings
from p2pfd.node.manifest import MAX_TEXT
from p2pfd.node.scrape import parse_endpoint

FILE = "node.json"
PEERS_FOLDER = "peers"


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node. ``home`` is its directory; its keys are in ``home/keys``, its database, events and config beside them.

    ``shard`` of ``shards`` says which part of a partitioned data set is this node's own; ``bootstrap`` are addresses to
    dial at once, and ``task`` is the path of the task file, relative paths being relative to ``home``. ``metrics`` says
    where a monitoring system may read, as an address and a port; empty, it is nowhere. ``network`` has what is not as
    `NetworkSettings` has it by itself. ``paused`` are the seconds for which the mesh with its chain was stopped: its
    deadlines do not run while nobody can meet them.
    """

    name: str
    home: str
    shard: int
    shards: int
    seed: int
    listen: str
    bootstrap: tuple[str, ...]
    task: str
    chain_url: str
    data_dir: str
    metrics: str = ""
    network: Mapping[str, object] = field(default_factory=dict)
    max_gwei: int = 0
    """The most that is offered for a unit of gas; 0 leaves that to the chain's profile."""
    learner: str = ""
    """With what this node learns, where the adapter leaves that to each node; empty, with the task's net."""
    behaviour: str = ""
    """How this node misbehaves, for experiments on a mesh of one's own; only the process reads it (`fittings`)."""
    invitation: str = ""
    """The file with the task's invitation, which hangs on the node's notice board; empty where it came by none."""
    device: str = ""
    """On what it trains on its own samples, as `p2pfd.learning.device` reads it; empty, as the environment says."""
    paused: int = 0
    chaos: bool = False
    """Whether whoever started this node may make its network and its disk bad; only the process reads it, too."""

    def __post_init__(self) -> None:
        if not 0 <= self.shard < self.shards:
            raise PlanError(f"shard {self.shard} of {self.shards}", "shards are counted from 0")
        if self.paused < 0:
            raise PlanError(f"paused is {self.paused}", "a mesh stands still for 0 seconds or more")
        if self.metrics:
            parse_endpoint(self.metrics)
        if self.device:
            check(self.device)
        self.network_settings()

    def network_settings(self) -> NetworkSettings:
        """How this node behaves on the network; PlanError names what cannot be."""
        return network_settings(self.network, Path(self.home))

    def save(self, path: Path) -> None:
        """Write the config; a reader never sees half of it."""
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True) + "\n")
        draft.replace(path)

    def load_task(self) -> TaskSpec:
        """The task that this node takes part in."""
        return load_task(Path(self.home) / self.task)


def network_settings(changes: Mapping[str, object], home: Path) -> NetworkSettings:
    """How a node behaves that looks for peers and keeps whom it met; PlanError for a name or a value that cannot be."""
    names = [entry.name for entry in dataclasses.fields(NetworkSettings) if entry.name != "state_directory"]
    unknown = sorted(changes.keys() - set(names))
    if unknown:
        raise PlanError(f"network.{unknown[0]} is no setting of the network", f"they are {', '.join(names)}")
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()
    }
    for name in ("network_key", "blob_directory"):
        if known.get(name):
            known[name] = str(home / str(known[name]))
    return NetworkSettings(**{"discover": True, **known, "state_directory": str(home / PEERS_FOLDER)})


def load(path: Path) -> NodeConfig:
    """The config in a file; PlanError names what is wrong with it."""
    value = _json(path)
    fields = {entry.name: entry.type for entry in dataclasses.fields(NodeConfig)}
    unknown = sorted(value.keys() - fields.keys())
    needed = {entry.name for entry in dataclasses.fields(NodeConfig) if entry.default is dataclasses.MISSING}
    missing = sorted(needed - value.keys())
    if unknown or missing:
        raise PlanError(
            f"{path}: " + (f"unknown key {unknown[0]!r}" if unknown else f"{missing[0]!r} is missing"),
            f"the keys are {', '.join(fields)}",
        )
    for key in value:
        wanted = {"int": int, "str": str, "bool": bool, "tuple[str, ...]": list}.get(str(fields[key]), dict)
        if type(value[key]) is not wanted:
            raise PlanError(f"{path}: {key} is {value[key]!r}", f"it must be of type {wanted.__name__}")
    if not all(isinstance(address, str) for address in value["bootstrap"]):
        raise PlanError(f"{path}: bootstrap is not a list of addresses")
    return NodeConfig(**{**value, "bootstrap": tuple(value["bootstrap"])})


def invitation_of(config: NodeConfig) -> str:
    """The text of the invitation by which a node came; empty where it has none any more. Whoever uses it checks it."""
    if not config.invitation:
        return ""
    try:
        with (Path(config.home) / config.invitation).open("rb") as file:
            return file.read(MAX_TEXT).decode("ascii", "replace")
    except FileNotFoundError:
        return ""


def load_task(path: Path) -> TaskSpec:
    """The task in a JSON file, its data's hash as hexadecimal text."""
    value = _json(path)
    try:
        plain = unhex(value)
    except PlanError as error:
        raise PlanError(f"{path}: {error.what}", error.fix) from error
    return from_plain(plain)


def save_task(spec: TaskSpec, path: Path) -> None:
    """Write a task file; a reader never sees half of it."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(in_hex(spec), indent=2, sort_keys=True) + "\n")
    draft.replace(path)


def _json(path: Path) -> dict[str, Any]:  # the values are checked by the callers
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise PlanError(f"{path} does not exist", "check the path") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path} is not JSON: {error}", "write it anew") from error
    if not isinstance(value, dict):
        raise PlanError(f"{path} is not a table of keys and values")
    return value
