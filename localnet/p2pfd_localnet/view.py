"""What is known of a mesh: the nodes' events folded into one picture. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from p2pfd_localnet.events import NodeEvent


class Life(StrEnum):
    """How a node is."""

    STARTING = "starting"
    LISTENING = "listening"
    READY = "ready"
    FINISHED = "finished"
    FAILED = "failed"
    """It said why it cannot go on."""
    LOST = "lost"
    """Its process ended without a word."""


GONE = (Life.FAILED, Life.LOST)


@dataclass
class NodeView:
    """What is known of a node."""

    name: str
    life: Life = Life.STARTING
    peer: str = ""
    account: str = ""
    pid: int = 0
    addresses: tuple[str, ...] = ()
    device: str = ""
    """On what it trains on its own samples."""
    rounds: int = 0
    """How many rounds it has seen open, or encounters of its own."""
    accuracy: dict[int, float] = field(default_factory=dict)
    paid: dict[int, int] = field(default_factory=dict)
    learnt: list[str] = field(default_factory=list)
    """The encounters of its own from which it has learnt."""
    weights: str = ""
    alone: float | None = None
    together: float | None = None
    sent: int = 0
    received: int = 0
    label_bytes: int = 0
    fedavg_bytes: int = 0
    error: str = ""
    fix: str = ""
    kind: str = ""
    """Which class of `p2pfd.errors` its failure was."""
    exit: int | None = None
    paused: bool = False
    """Its process stands still, because somebody wanted it so."""
    since: int = 0
    """When its present process said that it runs; what was said before was said by another one."""
    machine: str = ""
    """On which machine of a cluster it runs; empty where there is only one."""
    stranded: bool = False
    """Whether it was lost with its machine."""
    earlier: Mapping[str, int] = field(default_factory=dict)
    """What its earlier processes sent and received: each counts from zero."""


@dataclass(frozen=True, slots=True)
class Phase:
    """How many of a round's workers have committed, revealed or offered something, as far as anybody saw."""

    workers: int = 0
    committed: int = 0
    revealed: int = 0
    offered: int = 0


@dataclass
class Meetings:
    """Encounters that were opened, by what became of them, and each of them once, whoever tells of it."""

    opened: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    """Without votes: by default, or because too few could be drawn."""

    @property
    def over(self) -> int:
        """How many have an end."""
        return len(self.accepted | self.refused | self.ended)


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What the chain says of a round that is over."""

    counted: bool
    paid: int
    refunded: int


class MeshView:
    """The whole mesh. `take` is idempotent: the same event by file and by pipe, or twice, changes nothing."""

    def __init__(self, names: Iterable[str], rounds: int) -> None:
        self.nodes = {name: NodeView(name) for name in names}
        self.rounds = rounds
        self.phases: dict[int, Phase] = {}
        self.settled: dict[int, RoundResult] = {}
        self.short: set[int] = set()
        self.meetings = Meetings()

    def take(self, event: NodeEvent) -> None:
        """Fold an event in; names of nodes or events that nobody knows are passed over."""
        node = self.nodes.get(event.node)
        name = event.name.removeprefix("node.")
        handler = _HANDLERS.get(name)
        if node is None or handler is None or (name in _OF_A_PROCESS and 0 < event.t < node.since):
            return
        handler(self, node, event)

    @property
    def opened(self) -> int:
        """How many rounds were opened, which is also the latest one's number for people: the chain counts from zero."""
        return max(self.phases, default=-1) + 1

    def how_far(self) -> str:
        """The latest round, or how many encounters are over, of how many there will be."""
        if self.meetings.opened:
            return f"encounter {self.meetings.over}/{self.rounds * len(self.nodes)}"
        return f"round {self.opened}/{self.rounds}"

    def living(self) -> list[NodeView]:
        """The nodes that neither failed nor were lost."""
        return [node for node in self.nodes.values() if node.life not in GONE]

    def gone(self) -> list[NodeView]:
        """The others."""
        return [node for node in self.nodes.values() if node.life in GONE]

    def over(self) -> bool:
        """Whether every node has finished or is gone."""
        return all(node.life is Life.FINISHED for node in self.living())

    def accuracy(self, rnd: int) -> float | None:
        """The mean validation accuracy after a round, over the nodes that reported it."""
        return mean(node.accuracy[rnd] for node in self.nodes.values() if rnd in node.accuracy)

    def absorbed(self, rnd: int) -> int:
        """How many nodes have learned from a round."""
        return sum(rnd in node.accuracy for node in self.nodes.values())

    def exchanges(self) -> bool:
        """Whether the nodes offer contributions, and do not vote."""
        return any(phase.offered for phase in self.phases.values())

    def bury(self, names: Iterable[str]) -> None:
        """These have no process any more. One that was killed could write nothing of its end."""
        for name in names:
            node = self.nodes[name]
            if node.life is not Life.FINISHED:
                node.life, node.error = Life.LOST, "its process is gone"

    def rest(self, now: int) -> None:
        """All processes have ended, and new ones are about to be started."""
        for node in self.nodes.values():
            self._again(node, now)

    @staticmethod
    def _again(node: NodeView, since: int) -> None:
        node.since, node.life = since, Life.STARTING
        node.error, node.fix, node.kind, node.exit, node.pid, node.addresses = "", "", "", None, 0, ()
        node.paused, node.stranded = False, False
        node.earlier = {"sent": node.sent, "received": node.received, "labels": node.label_bytes}

    # -- one method per event ------------------------------------------------------------------------------------------

    def _started(self, node: NodeView, event: NodeEvent) -> None:
        if event.t > node.since:
            if node.pid:
                self._again(node, event.t)
            node.since = event.t
        node.pid = event.whole("pid")
        node.peer = event.text("peer") or node.peer
        node.account = event.text("account") or node.account

    def _listening(self, node: NodeView, event: NodeEvent) -> None:
        node.addresses = tuple(text for text in event.fields.get("addresses", ()) if isinstance(text, str))
        node.peer = event.text("peer") or node.peer
        node.account = event.text("account") or node.account
        node.device = event.text("device") or node.device
        if node.life is Life.STARTING:
            node.life = Life.LISTENING

    def _ready(self, node: NodeView, _event: NodeEvent) -> None:
        if node.life in (Life.STARTING, Life.LISTENING):
            node.life = Life.READY

    def _opened(self, node: NodeView, event: NodeEvent) -> None:
        rnd = event.whole("round")
        node.rounds = max(node.rounds, rnd + 1)
        self._progress(rnd, Phase(workers=event.whole("workers")))

    def _committed(self, _node: NodeView, event: NodeEvent) -> None:
        self._progress(event.whole("round"), Phase(event.whole("of"), event.whole("have")))

    def _revealed(self, _node: NodeView, event: NodeEvent) -> None:
        self._progress(event.whole("round"), Phase(0, 0, event.whole("have")))

    def _offered(self, _node: NodeView, event: NodeEvent) -> None:
        self._progress(event.whole("round"), Phase(event.whole("of"), offered=event.whole("have")))

    def _progress(self, rnd: int, new: Phase) -> None:
        old = self.phases.get(rnd, Phase())
        self.phases[rnd] = Phase(
            max(old.workers, new.workers),
            max(old.committed, new.committed),
            max(old.revealed, new.revealed),
            max(old.offered, new.offered),
        )

    def _absorbed(self, node: NodeView, event: NodeEvent) -> None:
        accuracy = event.fraction("accuracy")
        if accuracy is not None:
            node.accuracy[event.whole("round")] = accuracy
        node.weights = event.text("weights") or node.weights

    def _paid(self, _node: NodeView, event: NodeEvent) -> None:
        """Every node sees every payment; the one with that account got it."""
        for node in self.nodes.values():
            if node.account and node.account == event.text("account"):
                node.paid[event.whole("round")] = event.whole("amount")

    def _settled(self, _node: NodeView, event: NodeEvent) -> None:
        counted = event.fields.get("counted") is not False
        self.settled[event.whole("round")] = RoundResult(counted, event.whole("paid"), event.whole("refunded"))

    def _short(self, _node: NodeView, event: NodeEvent) -> None:
        self.short.add(event.whole("round"))

    def _met(self, node: NodeView, event: NodeEvent) -> None:
        part = event.text("part")
        if part not in self.meetings.opened:
            self.meetings.opened.add(part)
            node.rounds += 1

    def _judged(self, _node: NodeView, event: NodeEvent) -> None:
        accepted = event.fields.get("accepted") is True
        (self.meetings.accepted if accepted else self.meetings.refused).add(event.text("part"))

    def _parted(self, _node: NodeView, event: NodeEvent) -> None:
        part = event.text("part")
        if part in self.meetings.opened and part not in self.meetings.accepted | self.meetings.refused:
            self.meetings.ended.add(part)

    def _learnt(self, node: NodeView, event: NodeEvent) -> None:
        """What a node is worth after each encounter that was accepted, in their order."""
        accuracy, part = event.fraction("accuracy"), event.text("part")
        if accuracy is not None and part not in node.learnt:
            node.learnt.append(part)
            node.accuracy[len(node.learnt) - 1] = accuracy
        node.weights = event.text("weights") or node.weights

    def _finished(self, node: NodeView, event: NodeEvent) -> None:
        if node.life not in GONE:
            node.life = Life.FINISHED
        if "accuracy_together" not in event.fields:
            return  # the status pipe says only that; the file has the figures
        node.weights = event.text("weights") or node.weights
        node.together = event.fraction("accuracy_together")
        node.alone = event.fraction("accuracy_alone")
        node.fedavg_bytes = event.whole("fedavg_bytes")
        self._network(node, event)

    def _network(self, node: NodeView, event: NodeEvent) -> None:
        """Counted by the process; the node has sent what its earlier ones sent, too."""
        sums = node.earlier.get
        node.sent = sums("sent", 0) + event.whole("bytes_sent")
        node.received = sums("received", 0) + event.whole("bytes_received")
        node.label_bytes = max(node.label_bytes, sums("labels", 0) + event.whole("label_bytes"))

    def _failed(self, node: NodeView, event: NodeEvent) -> None:
        node.life = Life.FAILED
        node.error = event.text("error") or node.error
        node.fix, node.kind = event.text("fix") or node.fix, event.text("kind") or node.kind

    def _lost(self, node: NodeView, event: NodeEvent) -> None:
        node.paused = False
        if node.life not in (Life.FINISHED, Life.FAILED):
            node.life, node.stranded = Life.LOST, True
            node.error = event.text("error")

    def _paused(self, node: NodeView, _event: NodeEvent) -> None:
        node.paused = True

    def _resumed(self, node: NodeView, _event: NodeEvent) -> None:
        node.paused = False

    def _exited(self, node: NodeView, event: NodeEvent) -> None:
        node.paused = False
        code, signal = event.whole("code"), event.whole("signal")
        node.exit = -signal if signal else code
        if node.life in (Life.FINISHED, Life.FAILED):
            return
        node.life = Life.LOST
        node.error = f"its process was ended by signal {signal}" if signal else f"its process ended with code {code}"


_OF_A_PROCESS = ("started", "listening", "ready", "network", "finished", "failed", "exited", "lost")
"""What is true of the process that said it, and not of the next one."""
_HANDLERS: Mapping[str, Any] = MappingProxyType(
    {
        "started": MeshView._started,
        "listening": MeshView._listening,
        "ready": MeshView._ready,
        "round.opened": MeshView._opened,
        "round.committed": MeshView._committed,
        "round.revealed": MeshView._revealed,
        "round.offered": MeshView._offered,
        "round.absorbed": MeshView._absorbed,
        "round.paid": MeshView._paid,
        "round.settled": MeshView._settled,
        "round.short": MeshView._short,
        "learner.opened": MeshView._met,
        "learner.settled": MeshView._judged,
        "learner.learnt": MeshView._learnt,
        "learner.over": MeshView._parted,
        "network": MeshView._network,
        "finished": MeshView._finished,
        "failed": MeshView._failed,
        "exited": MeshView._exited,
        "lost": MeshView._lost,
        "chaos.paused": MeshView._paused,
        "chaos.resumed": MeshView._resumed,
    }
)


def mean(values: Iterable[float]) -> float | None:
    """The mean; None of nothing."""
    found = list(values)
    return sum(found) / len(found) if found else None
