"""`NetworkSettings`: every number that shapes a node's network, with its legal range, checked in one place."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from p2pfd.errors import PlanError

KIB = 1024
MIB = 1024 * KIB


def _number(default: float, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How a node behaves on the network. PlanError names the field and its range when a value lies outside.

    Gossip
        ``mesh_nodes`` 0–100000: how many nodes the mesh has, 0 when nobody knows; sizes the degrees, see `degrees`.
        ``heartbeat_seconds`` 0.05–60: how often gossipsub mends its mesh and tells what it has.
        ``message_bytes`` 256–524288: the longest message; anything bigger is a blob.
        ``messages_per_second`` 1–100000: what one neighbour may hand over on one topic.
    Queues
        ``outbound_queue`` 1–4096: messages that wait for one neighbour before `publish` waits.
        ``stall_seconds`` 0.1–300: a neighbour that takes nothing for so long is disconnected.
        ``inbound_queue`` 1–65536: messages of one topic that wait for a verdict; what comes on top is not forwarded.
        ``answer_seconds`` 0.01–300: a message without a verdict by then is ignored.
        ``remembered`` 1–1000000: contents remembered, so that an author cannot say the same thing twice.
    Conduct
        ``rejects`` 1–10000: so many rejected messages and the peer is disconnected.
        ``refuse_seconds`` 0–86400: and refused for so long.
        ``forgive_seconds`` 1–31536000: what an offence weighs is halved in this time.
    Connections
        ``connections`` 1–4096: the most at one time, both directions together.
        ``streams_per_peer`` 8–4096: the most streams one peer may hold open to us.
        ``connections_per_host`` 1–4096: the most that come in from one IP address.
        ``peer_window_bytes`` 0–1073741824: what all streams of a connection may hold above the first 256 KiB of each.
        ``memory_bytes`` 1048576–2**50: what all connections may hold that came in and was not read; when it is more,
        the one that holds the most ends.
        ``connect_seconds`` 0.1–300: bounds a dial with its handshake, an inbound one, and the choice of a protocol.
        ``redial_first_seconds`` 0.01–3600 and ``redial_max_seconds`` 0.01–86400: the pause before a kept address is
        dialled again; it doubles from the first to the last.
        ``keepalive_seconds`` 0.1–3600: a peer that is silent for so long is pinged, and cut off after as long again.
    Private meshes
        ``network_key``: the file with the key that all members share; empty for a mesh that is open.
    Finding others
        ``discover``: look for peers while fewer than the target degree are connected: known ones, and theirs.
        ``mdns``: be found on the LAN without any address, and find others so; needs ``discover``.
        ``state_directory``: where addresses and offences are kept across restarts; empty forgets them.
    Relays
        ``relay``: carry connections between peers that cannot reach each other, within these limits:
        ``relay_reservations`` 1–4096: peers that may be reached through this one; ``relay_circuits`` 1–4096:
        connections carried at one time, and ``relay_circuits_per_peer`` 1–4096 of one peer; ``relay_seconds``
        1–86400 and ``relay_bytes`` 65536–2**50: what one of them may last and carry, both ways together, and
        ``relay_bytes_per_second`` 0–2**40: how quickly; 0 is without limit.
        ``via``: relays to be reached through, each an address with its peer.
        ``upnp``: ask the router for a port, and tell others that one too.
    Blobs and requests
        ``blob_quota`` 65536–2**50: bytes of blobs kept; the least recently used go first.
        ``blob_directory``: where blobs are kept on disk; empty keeps them in memory.
        ``blob_seconds`` 0.1–86400: bounds one piece (1 MiB) from one peer. ``blob_pulls`` 1–64: blobs fetched at one
        time, each from ``blob_providers`` 1–64 peers.
        ``request_seconds`` 0.05–3600: bounds one request with its answer, on both sides.
        ``services`` 1–4096: blobs and requests served at one time; ``services_per_peer`` 1–4096: to one peer.
        ``requests_per_second`` 1–1000000: streams, questions for blobs and pings of one peer; what is above waits.
        ``serve_bytes_per_second`` 0–2**40: bytes of blobs and answers served to one peer; 0 is without limit.
    Other
        ``announce``: addresses to tell others instead of the one listened on, each without the ``/p2p/`` part.
        ``debug``: let libp2p log; otherwise it is silent.
    """

    mesh_nodes: int = _number(0, 0, 100_000)
    heartbeat_seconds: float = _number(1.0, 0.05, 60)
    message_bytes: int = _number(64 * KIB, 256, 512 * KIB)
    messages_per_second: int = _number(1000, 1, 100_000)
    outbound_queue: int = _number(256, 1, 4096)
    stall_seconds: float = _number(5.0, 0.1, 300)
    inbound_queue: int = _number(1024, 1, 65_536)
    answer_seconds: float = _number(2.0, 0.01, 300)
    remembered: int = _number(4096, 1, 1_000_000)
    rejects: int = _number(16, 1, 10_000)
    refuse_seconds: float = _number(60.0, 0, 86_400)
    forgive_seconds: float = _number(600.0, 1, 31_536_000)
    connections: int = _number(256, 1, 4096)
    streams_per_peer: int = _number(64, 8, 4096)
    connections_per_host: int = _number(128, 1, 4096)
    peer_window_bytes: int = _number(16 * MIB, 0, 1024 * MIB)
    memory_bytes: int = _number(256 * MIB, MIB, 2**50)
    connect_seconds: float = _number(10.0, 0.1, 300)
    redial_first_seconds: float = _number(0.5, 0.01, 3600)
    redial_max_seconds: float = _number(8.0, 0.01, 86_400)
    keepalive_seconds: float = _number(3.5, 0.1, 3600)
    network_key: str = ""
    discover: bool = False
    mdns: bool = False
    state_directory: str = ""
    relay: bool = False
    relay_reservations: int = _number(128, 1, 4096)
    relay_circuits: int = _number(128, 1, 4096)
    relay_circuits_per_peer: int = _number(16, 1, 4096)
    relay_seconds: float = _number(3600.0, 1, 86_400)
    relay_bytes: int = _number(256 * MIB, 64 * KIB, 2**50)
    relay_bytes_per_second: int = _number(MIB, 0, 2**40)
    via: tuple[str, ...] = ()
    upnp: bool = False
    blob_quota: int = _number(256 * MIB, 64 * KIB, 2**50)
    blob_directory: str = ""
    blob_seconds: float = _number(60.0, 0.1, 86_400)
    blob_pulls: int = _number(2, 1, 64)
    blob_providers: int = _number(4, 1, 64)
    request_seconds: float = _number(10.0, 0.05, 3600)
    services: int = _number(32, 1, 4096)
    services_per_peer: int = _number(8, 1, 4096)
    requests_per_second: int = _number(256, 1, 1_000_000)
    serve_bytes_per_second: int = _number(0, 0, 2**40)
    announce: tuple[str, ...] = ()
    debug: bool = False

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            if entry.metadata:
                _check_number(entry, value)
            elif entry.name in ("announce", "via"):
                if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
                    raise PlanError(f"network.{entry.name} is {value!r}", "write a list of multiaddrs")
            elif type(value) is not type(entry.default):
                kind = type(entry.default).__name__
                raise PlanError(f"network.{entry.name} is {value!r}", f"it must be of type {kind}")
        if self.mdns and not self.discover:
            raise PlanError("network.mdns without network.discover", "nobody would dial whom it finds: set both")
        if self.redial_max_seconds < self.redial_first_seconds:
            raise PlanError(
                f"network.redial_max_seconds is {self.redial_max_seconds}",
                f"it must be at least redial_first_seconds, {self.redial_first_seconds}",
            )


def _check_number(entry: dataclasses.Field[Any], value: object) -> None:
    low, high = entry.metadata["low"], entry.metadata["high"]
    whole = entry.type == "int"
    kinds = (int,) if whole else (int, float)
    # A NaN compares false with everything, so the range check below refuses it too.
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise PlanError(f"network.{entry.name} is {value!r}", f"it must be {kind} from {low} to {high}")


@dataclass(frozen=True, slots=True)
class Degrees:
    """How many neighbours gossipsub forwards to: it aims at `target`, mends below `low`, prunes above `high`."""

    target: int
    low: int
    high: int


def degrees(mesh_nodes: int) -> Degrees:
    """The degrees for a mesh of so many nodes (0: unknown).

    Four, three and six carry 100 nodes; fewer than three below is fragile, because a pruned neighbour may not come back
    for a minute. A mesh of up to seven nodes is complete within `high`, so nobody is ever pruned there, and the target
    shrinks to the neighbours that exist: asking for more would make every heartbeat look for them in vain.
    """
    others = max(1, mesh_nodes - 1) if mesh_nodes else 6
    return Degrees(target=min(4, others), low=min(3, others), high=max(min(6, others), 1))
