"""A mesh as its page shows it: the view, the events and the chain, put on a board piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from p2pfd.core.ticks import Clock
from p2pfd_localnet.board import Board, Patch
from p2pfd_localnet.encounters import KEPT, STEPS, Encounters, end_plain, key_of
from p2pfd_localnet.events import NodeEvent
from p2pfd_localnet.plan import UNIT, Plan
from p2pfd_localnet.summary import Summary, rounded
from p2pfd_localnet.view import MeshView, NodeView

LOG = 3_000
LOG_AT_ONCE = 600
ROUNDS = 400
BLOCKS = 120
ACTS = 500
"""So much of what was done to the mesh is remembered."""
WHYS = 5_000
"""So many payments are explained; those of the first rounds are forgotten first."""
TEXT = 240
FIELDS = 12

_ALIKE = ("round.opened", "round.committed", "round.revealed", "round.offered", "round.settled", "round.short")
"""What all nodes report alike; the page's log has what is new in it, once."""
_TROUBLE = ("failed", "exited")
"""What comes by the status pipe and may come by the file too."""


class Picture:
    """What there is to see of a mesh, for any number of readers.

    Events only mark what they change; it is put on the board when somebody looks, so that a mesh that nobody watches
    pays next to nothing for its page.
    """

    def __init__(self, plan: Plan, view: MeshView, clock: Clock) -> None:
        self._view = view
        self._clock = clock
        self.run = f"{clock.now():x}"
        """Names this run: what is known of another one is worth nothing."""
        self.over = False
        """Nothing more will happen."""
        self.watched = False
        self.on_watched: Callable[[], None] = lambda: None
        self._acts = 0
        self._board = Board(LOG, LOG_AT_ONCE)
        self._nodes = set(view.nodes)
        self._rounds: set[int] = set()
        self._met: set[str] = set()
        self._encounters = Encounters(plan.encounters.size)
        self._earned: dict[str, int] = {}
        self._metrics: dict[str, str] = {}
        self._paid_for: set[str] = set()
        self._network: dict[str, dict[str, Any]] = {name: {} for name in view.nodes}
        self._began: dict[int, dict[str, int]] = {}
        self._payments: dict[int, dict[str, tuple[int, int]]] = {}
        self._ended: set[tuple[str, str]] = set()
        self._mesh: dict[str, Any] = {"status": "starting", "error": "", "fix": ""}
        self._board.put("about", "plan", _about(plan))
        self._board.put("about", "began", clock.now() // 1000)
        self._board.put("about", "keep", {"log": LOG, "rounds": ROUNDS, "blocks": BLOCKS, "whys": WHYS, "met": KEPT})

    # -- what happens --------------------------------------------------------------------------------------------------

    def status(self, status: str, error: str = "", fix: str = "") -> None:
        """How the whole mesh is."""
        self._mesh = {"status": status, "error": error[:TEXT], "fix": fix[:TEXT]}
        self._board.touch()

    def take(self, event: NodeEvent) -> None:
        """An event, once the view has taken it: from a node's file, or without a time from its status pipe."""
        if event.name.startswith("chaos.") and "by" in event.fields:
            self._acts += 1
            self._board.put("acts", str(self._acts), {"t": event.t // 1000, "node": event.node, "event": event.name,
                                                      "fields": _trimmed(event.fields)})  # fmt: skip
            self._board.keep("acts", ACTS)
        if event.node not in self._view.nodes:
            if event.name.startswith("chaos."):  # of the whole mesh
                self._line(event, event.name)
            return
        self._nodes.add(event.node)
        name = event.name.removeprefix("node.")
        if name == "network":
            self._hear(event)
        elif name == "listening":
            self._metrics[event.node] = event.text("metrics")[:TEXT] or self._metrics.get(event.node, "")
        elif name.startswith("round."):
            rnd = event.whole("round")
            self._rounds.add(rnd)
            if event.t:
                self._began.setdefault(rnd, {}).setdefault(name.removeprefix("round."), event.t // 1000)
            if name == "round.paid":
                self._pay(event, rnd)
        elif "part" in event.fields:
            self._meet(event, name)
        if (event.t or name in _TROUBLE) and self._is_new(event, name):
            self._line(event, name)
        self._board.touch()

    def _line(self, event: NodeEvent, name: str) -> None:
        at = (event.t or self._clock.now()) // 1000
        self._board.log({"t": at, "node": event.node, "event": name, "fields": _trimmed(event.fields)})

    def join(self, name: str) -> None:
        """There is one more node in the view."""
        self._network[name] = {}
        self._nodes.add(name)

    def chaos(self, state: Mapping[str, Any]) -> None:
        """What is wrong with the mesh at present, on purpose."""
        self._board.put("about", "chaos", state)

    def _meet(self, event: NodeEvent, name: str) -> None:
        key = self._encounters.take(event, self._accounts())
        if key:
            self._met.add(key)
        if name == "learner.learnt":
            self._rounds.add(len(self._view.nodes[event.node].learnt) - 1)
        if name == "member.balance":
            self.stake(event.node, event.whole("free") + event.whole("seats"), suspended=False)

    def _accounts(self) -> dict[str, str]:
        return {node.account: node.name for node in self._view.nodes.values() if node.account}

    def _pay(self, event: NodeEvent, rnd: int) -> None:
        for node in self._view.nodes.values():
            if node.account and node.account == event.text("account"):
                paid = self._payments.setdefault(rnd, {})
                paid[node.name] = event.whole("amount"), event.whole("score")

    def _is_new(self, event: NodeEvent, name: str) -> bool:
        """Whether it is worth a line: of what all report alike, the first report."""
        if name == "round.paid":
            return self._view.nodes[event.node].account == event.text("account")
        if name in _TROUBLE:
            new = (event.node, name) not in self._ended
            self._ended.add((event.node, name))
            return new
        if name not in _ALIKE:
            return True
        told = self._began.setdefault(event.whole("round"), {})
        key = f"{name} seen"
        have = event.whole("have") or 1
        if have <= told.get(key, 0):
            return False
        told[key] = have
        return True

    def _hear(self, event: NodeEvent) -> None:
        """Peers by the names of their nodes; peers that are no node of this mesh are only counted."""
        names = {node.peer: node.name for node in self._view.nodes.values() if node.peer}
        known = self._network[event.node]
        known["sent"], known["received"] = event.whole("bytes_sent"), event.whole("bytes_received")
        known["weights"] = event.whole("weights_bytes") or known.get("weights", 0)
        known["labels"] = event.whole("label_bytes") or known.get("labels", 0)
        peers = event.fields.get("peers")
        if isinstance(peers, list):
            known["links"] = sorted(names[peer] for peer in peers if isinstance(peer, str) and peer in names)
        heard = event.fields.get("heard")
        if isinstance(heard, dict):
            total = dict(known.get("heard", {}))
            for peer, count in heard.items():
                if peer in names and isinstance(count, int):
                    total[names[peer]] = total.get(names[peer], 0) + count
            known["heard"] = total
            known["hears"] = known.get("hears", set()) | {names[peer] for peer in heard if peer in names}
        if isinstance(peers, list) or isinstance(heard, dict):
            known["hears"] = known.get("hears", set()) & set(known.get("links", ()))
        offences = event.fields.get("offences")
        if isinstance(offences, dict):
            known["offences"] = {
                names[peer]: count for peer, count in offences.items() if peer in names and isinstance(count, int)
            }
        refused = event.fields.get("refused")
        if isinstance(refused, list):
            known["refuses"] = sorted(names[peer] for peer in refused if isinstance(peer, str) and peer in names)

    # -- what the chain tells ------------------------------------------------------------------------------------------

    def stake(self, node: str, locked: int, *, suspended: bool) -> None:
        """What a node has at stake."""
        self._board.put("stakes", node, {"locked": locked, "suspended": suspended})

    def block(self, number: int, lines: list[str]) -> None:
        """What happened in a block."""
        self._board.put("blocks", str(number), lines)
        self._board.keep("blocks", BLOCKS)

    def pay(self, key: str, plain: Mapping[str, Any]) -> None:
        """What an encounter paid, and why; told again it changes nothing."""
        if key in self._paid_for:
            return
        self._paid_for.add(key)
        self._board.put("pays", key, plain)
        self._board.keep("pays", KEPT)
        sides = zip((plain["neighbor"], plain["learner"]), plain["paid"], strict=True)
        for node, units in [*sides, *((judge["node"], judge["change"]) for judge in plain["judges"])]:
            self._earned[node] = self._earned.get(node, 0) + units
            if node in self._view.nodes:
                self._nodes.add(node)

    def explain(self, rnd: int, node: str, why: Mapping[str, Any]) -> None:
        """Why a node was paid what it was paid in a round."""
        self._board.put("whys", f"{rnd} {node}", why)
        self._board.keep("whys", WHYS)

    def chain_note(self, text: str) -> None:
        """What is the matter with reading the chain; empty when nothing is."""
        self._board.put("about", "chain_note", text[:TEXT])

    # -- what is read --------------------------------------------------------------------------------------------------

    def end(self, summary: Summary) -> None:
        """The figures of the whole run."""
        for ended in summary.ends:  # whoever did not watch the chain hears of them now
            self.pay(key_of(ended), end_plain(ended, self._accounts()))
        plain = summary.to_plain()
        told = {key: plain[key] for key in ("seconds", "bytes_per_node", "fedavg_bytes_per_node", "audit", "report")}
        told["alone"], told["together"] = plain["accuracy"]["alone"], plain["accuracy"]["together"]
        told["payouts"] = {node.name: summary.payout(node) for node in summary.nodes}
        self._board.put("about", "end", told)

    def viewers(self, count: int, dropped: int) -> None:
        """How many watch; the first of them sets going what is only done for them."""
        self._board.put("about", "watching", {"viewers": count, "dropped": dropped})
        if count and not self.watched:
            self.watched = True
            self.on_watched()

    def since(self, version: int) -> tuple[int, Patch]:
        """What changed since a version, and the version that this is."""
        self._flush()
        return self._board.version, self._board.since(version)

    async def news(self) -> None:
        """Wait until something happens."""
        await self._board.news()

    def close(self) -> None:
        """Nothing more will happen: readers that have all may go."""
        self.over = True
        self._board.touch()

    def _flush(self) -> None:
        nodes, self._nodes = self._nodes, set()
        rounds, self._rounds = self._rounds, set()
        for name in nodes:
            self._board.put("nodes", name, self._node(self._view.nodes[name]))
        for rnd in sorted(rounds):
            self._board.put("rounds", str(rnd), self._round(rnd))
        self._board.keep("rounds", ROUNDS)
        met, self._met = self._met, set()
        for key in met:
            meeting = self._encounters.get(key)
            if meeting is not None:
                self._board.put("met", key, meeting.to_plain())
        self._board.keep("met", KEPT)
        self._board.put("about", "mesh", {**self._mesh, "opened": self._view.opened})
        for old in sorted(self._began)[: -ROUNDS or None]:
            self._began.pop(old, None)
            self._payments.pop(old, None)

    def _node(self, node: NodeView) -> dict[str, Any]:
        network = self._network[node.name]
        last = max(node.accuracy, default=-1)
        return {
            "life": "paused" if node.paused else node.life.value,
            "peer": node.peer,
            "account": node.account,
            "address": node.addresses[0].split("/p2p/")[0][:TEXT] if node.addresses else "",
            "round": node.rounds,
            "accuracy": node.accuracy.get(last),
            "alone": node.alone,
            "together": node.together,
            "weights": node.weights[:16],
            "sent": node.sent or network.get("sent", 0),
            "received": node.received or network.get("received", 0),
            "labels": node.label_bytes or network.get("labels", 0),
            "fedavg": node.fedavg_bytes or network.get("weights", 0) * len(node.accuracy),
            "links": network.get("links", []),
            "heard": network.get("heard", {}),
            "hears": len(network.get("hears", ())),
            "offences": network.get("offences", {}),
            "refuses": network.get("refuses", []),
            "metrics": self._metrics.get(node.name, ""),
            "paid": sum(node.paid.values()) + self._earned.get(node.name, 0),
            "error": node.error[:TEXT],
            "fix": node.fix[:TEXT],
        }

    def _round(self, rnd: int) -> dict[str, Any]:
        view, phase, settled = self._view, self._view.phases.get(rnd), self._view.settled.get(rnd)
        learned = {node.name: node.accuracy[rnd] for node in view.nodes.values() if rnd in node.accuracy}
        times = self._began.get(rnd, {})
        return {
            "workers": phase.workers if phase else 0,
            "committed": phase.committed if phase else 0,
            "revealed": phase.revealed if phase else 0,
            "offered": phase.offered if phase else 0,
            "short": rnd in view.short,
            "settled": None if settled is None else {"counted": settled.counted, "paid": settled.paid,
                                                     "refunded": settled.refunded},
            "mean": rounded(view.accuracy(rnd)),
            "accuracy": learned,
            "payments": {name: list(pay) for name, pay in self._payments.get(rnd, {}).items()},
            "times": {key: at for key, at in times.items() if not key.endswith(" seen")},
        }  # fmt: skip


def _about(plan: Plan) -> dict[str, Any]:
    return {
        "name": plan.name,
        "nodes": plan.nodes,
        "rounds": plan.rounds,
        "seed": plan.seed,
        "adapter": plan.adapter,
        "chain": plan.chain,
        "command": plan.command(),
        "unit": UNIT,
        "bond": 0 if plan.chain == "none" else plan.stake(),
        "rate": plan.money.rate,
        "pot": plan.money.pot,
        "meets": plan.meets,
        "wanted": plan.nodes * plan.encounters.own,
        "validators": plan.encounters.size,
        "steps": list(STEPS) if plan.meets else [],
    }


def _trimmed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What fits on a line; a node may write what it likes."""
    return {str(key)[:TEXT]: _short(value) for key, value in list(fields.items())[:FIELDS]}


def _short(value: Any) -> Any:
    if isinstance(value, (bool, float)) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)[:TEXT]  # a browser's numbers end there
    if isinstance(value, str):
        return value[:TEXT]
    if isinstance(value, dict):
        return f"{len(value)}"
    if isinstance(value, list):
        return (", ".join(str(each)[:80] for each in value[:4]) + (" …" if len(value) > 4 else ""))[:TEXT]
    return str(value)[:TEXT]
