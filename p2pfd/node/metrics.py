"""What a node tells a monitoring system: every metric with its name, meaning and labels, in Prometheus's text format.

`FAMILIES` is the whole list, as `docs/reference/metrics.md` has it; `exposition` writes down what they are now.
"""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from p2pfd import __version__
from p2pfd.core.ids import PeerId
from p2pfd.network.api import Traffic
from p2pfd.network.counters import OTHER, Counters, Flow, PeerFlow
from p2pfd.node.scrape import PATH, TEXT, Page
from p2pfd.node.telemetry import Emitter

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATM = Path("/proc/self/statm")
Sample = tuple[tuple[str, ...], float]


class Observed(Protocol):
    """What is read of a transport; one without counters, or without a socket, is no network to watch."""

    @property
    def peer(self) -> PeerId:
        """Who this node is."""
        ...

    @property
    def counters(self) -> Counters:
        """What it counts."""
        ...

    def peers(self) -> tuple[PeerId, ...]:
        """The peers connected now."""
        ...

    def traffic(self) -> Traffic:
        """What went over the wire."""
        ...

    def waiting(self) -> Mapping[str, int]:
        """What stands in which kind of queue now."""
        ...


@dataclass(frozen=True, slots=True)
class Watch:
    """What there is to be read: a transport, and how often which event was emitted."""

    transport: Observed
    events: Counter[str] = field(default_factory=Counter)

    def counting(self, emit: Emitter) -> Emitter:
        """The emitter, with every event counted by its name."""

        def counted(name: str, fields: Mapping[str, object]) -> None:
            self.events[name] += 1
            emit(name, fields)

        return counted


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its name, its kind, what it means, and the names of its labels."""

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...] = ()


INFO = Family("p2pfd_info", "gauge", "1; the labels say who this is and what runs here", ("peer", "version"))
NETWORK_BYTES = Family(
    "p2pfd_network_bytes_total", "counter", "bytes at the sockets, all protocols and overhead above TCP", ("direction",)
)
PROTOCOL_BYTES = Family(
    "p2pfd_protocol_bytes_total", "counter", "bytes of a protocol's streams, without what is below them",
    ("protocol", "direction"),
)  # fmt: skip
PEERS = Family("p2pfd_network_peers", "gauge", "peers connected now")
WAITING = Family("p2pfd_network_waiting", "gauge", "what stands in queues and is being served now", ("queue",))
DROPS = Family("p2pfd_drops_total", "counter", "what did not go where it was going, by reason", ("reason",))
TOPIC_MESSAGES = Family(
    "p2pfd_topic_messages_total", "counter", "gossip messages, every copy counted", ("topic", "direction")
)
TOPIC_BYTES = Family(
    "p2pfd_topic_bytes_total",
    "counter",
    "bytes of what gossip messages say, every copy counted",
    ("topic", "direction"),
)
TOPIC_DUPLICATES = Family(
    "p2pfd_topic_duplicates_total", "counter", "copies of gossip messages that were here already", ("topic",)
)
TOPIC_VERDICTS = Family("p2pfd_topic_verdicts_total", "counter", "what the node said of messages", ("topic", "verdict"))
PEER_MESSAGES = Family(
    "p2pfd_peer_messages_total", "counter", "gossip messages of a neighbour, every copy counted", ("peer", "direction")
)
PEER_BYTES = Family(
    "p2pfd_peer_gossip_bytes_total", "counter", "bytes of gossip frames of a neighbour", ("peer", "direction")
)
PEER_DUPLICATES = Family(
    "p2pfd_peer_duplicates_total", "counter", "copies from a neighbour of messages that were here already", ("peer",)
)
PEER_VERDICTS = Family(
    "p2pfd_peer_verdicts_total", "counter", "what the node said of a neighbour's messages", ("peer", "verdict")
)
PEER_OFFENCES = Family("p2pfd_peer_offences_total", "counter", "what was held against a peer", ("peer",))
PEER_REQUESTS = Family(
    "p2pfd_peer_requests_total", "counter", "requests and questions for blobs that a peer asked", ("peer",)
)
PEER_SERVED = Family(
    "p2pfd_peer_served_bytes_total", "counter", "bytes of answers and blobs served to a peer", ("peer",)
)
PEER_DROPS = Family(
    "p2pfd_peer_drops_total", "counter", "as p2pfd_drops_total, where a peer is known", ("peer", "reason")
)
EVENTS = Family("p2pfd_events_total", "counter", "lines written to events.jsonl, by event", ("event",))
CPU = Family("process_cpu_seconds_total", "counter", "processor time of this process, user and system")
MEMORY = Family("process_resident_memory_bytes", "gauge", "resident memory of this process; not on every system")

FAMILIES = (
    INFO, NETWORK_BYTES, PROTOCOL_BYTES, PEERS, WAITING, DROPS,
    TOPIC_MESSAGES, TOPIC_BYTES, TOPIC_DUPLICATES, TOPIC_VERDICTS,
    PEER_MESSAGES, PEER_BYTES, PEER_DUPLICATES, PEER_VERDICTS, PEER_OFFENCES, PEER_REQUESTS, PEER_SERVED, PEER_DROPS,
    EVENTS, CPU, MEMORY,
)  # fmt: skip


ALIVE_PATH, READY_PATH = "/healthz", "/readyz"


def pages(watch: Watch) -> dict[str, Page]:
    """What a node serves: its metrics, that it lives, and whether it takes part."""
    return {
        PATH: lambda: (200, CONTENT_TYPE, exposition(watch)),
        ALIVE_PATH: lambda: (200, TEXT, "alive\n"),  # who answers has a loop that turns
        READY_PATH: lambda: _ready(watch),
    }


def _ready(watch: Watch) -> tuple[int, str, str]:
    if not watch.events["node.ready"]:
        return 503, TEXT, "not ready: it has not met its peers and its chain yet\n"
    return 200, TEXT, "ready\n"


def exposition(watch: Watch) -> str:
    """Every metric as it is now."""
    return written(FAMILIES, _samples(watch))


def written(families: Iterable[Family], samples: Iterable[tuple[Family, tuple[str, ...], float]]) -> str:
    """Samples in Prometheus's text format, in the order of the families."""
    found: dict[Family, list[Sample]] = {family: [] for family in families}
    for family, labels, value in samples:
        found[family].append((labels, value))
    return "".join(line for family, samples in found.items() for line in _lines(family, samples))


def _lines(family: Family, samples: list[Sample]) -> Iterator[str]:
    yield f"# HELP {family.name} {_escaped(family.meaning, quote=False)}\n"
    yield f"# TYPE {family.name} {family.kind}\n"
    for values, number in samples:
        labels = ",".join(f'{label}="{_escaped(value)}"' for label, value in zip(family.labels, values, strict=True))
        yield f"{family.name}{{{labels}}} {number!r}\n" if labels else f"{family.name} {number!r}\n"


def _escaped(text: str, *, quote: bool = True) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text


def _samples(watch: Watch) -> Iterator[tuple[Family, tuple[str, ...], float]]:
    transport, counters = watch.transport, watch.transport.counters
    traffic = transport.traffic()
    yield INFO, (transport.peer, __version__), 1
    yield NETWORK_BYTES, ("in",), traffic.received
    yield NETWORK_BYTES, ("out",), traffic.sent
    for protocol, volume in sorted(counters.protocols.items()):
        yield PROTOCOL_BYTES, (protocol, "in"), volume.bytes_in
        yield PROTOCOL_BYTES, (protocol, "out"), volume.bytes_out
    yield PEERS, (), len(transport.peers())
    for queue, count in transport.waiting().items():
        yield WAITING, (queue,), count
    for reason, count in counters.drops.items():
        yield DROPS, (reason.label,), count
    for topic, flow in (*counters.topics.items(), (OTHER, counters.other_topics)):
        families = TOPIC_MESSAGES, TOPIC_BYTES, TOPIC_DUPLICATES, TOPIC_VERDICTS
        yield from _of_flow(families, topic, flow)
    for peer, row in (*counters.peers.items(), (OTHER, counters.other_peers)):
        yield from _of_flow((PEER_MESSAGES, PEER_BYTES, PEER_DUPLICATES, PEER_VERDICTS), peer, row)
        yield from _of_peer(peer, row)
    for event, count in sorted(watch.events.items()):
        yield EVENTS, (event,), count
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield CPU, (), usage.ru_utime + usage.ru_stime
    if STATM.exists():
        yield MEMORY, (), int(STATM.read_text().split()[1]) * resource.getpagesize()


def _of_flow(
    families: tuple[Family, Family, Family, Family], name: str, flow: Flow
) -> Iterator[tuple[Family, tuple[str, ...], float]]:
    messages, size, duplicates, verdicts = families
    yield messages, (name, "in"), flow.messages_in
    yield messages, (name, "out"), flow.messages_out
    yield size, (name, "in"), flow.bytes_in
    yield size, (name, "out"), flow.bytes_out
    yield duplicates, (name,), flow.duplicates
    yield verdicts, (name, "accept"), flow.accepted
    yield verdicts, (name, "ignore"), flow.ignored
    yield verdicts, (name, "reject"), flow.rejected


def _of_peer(peer: str, row: PeerFlow) -> Iterator[tuple[Family, tuple[str, ...], float]]:
    yield PEER_OFFENCES, (peer,), row.offences
    yield PEER_REQUESTS, (peer,), row.requests
    yield PEER_SERVED, (peer,), row.served
    for reason, count in row.drops.items():
        yield PEER_DROPS, (peer, reason.label), count
