"""What a whole mesh tells a monitoring system: the page's figures in Prometheus's text format, and where its nodes are.

`FAMILIES` is the whole list, as docs/reference/metrics.md has it. Both are made from what the page is told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from p2pfd.node.metrics import CONTENT_TYPE as CONTENT_TYPE
from p2pfd.node.metrics import Family, written
from p2pfd_localnet.plan import UNIT

PATH, TARGETS = "/metrics", "/targets"
Told = Mapping[str, Any]
Sample = tuple[Family, tuple[str, ...], float]

INFO = Family("localnet_info", "gauge", "1; the labels say what runs", ("plan", "adapter", "chain", "seed"))
NODES = Family("localnet_nodes", "gauge", "nodes by how they are", ("state",))
ROUND = Family("localnet_round", "gauge", "the latest round that was opened, from one")
ROUNDS = Family("localnet_rounds", "gauge", "how many rounds there will be")
WORKERS = Family("localnet_round_workers", "gauge", "workers of the latest round that have come so far", ("phase",))
MEAN = Family("localnet_accuracy", "gauge", "mean accuracy on the validation samples after the last round")
ACCURACY = Family("localnet_node_accuracy", "gauge", "a node's accuracy on the validation samples", ("node",))
SENT = Family("localnet_node_sent_bytes", "gauge", "bytes that a node has sent, all overhead included", ("node",))
RECEIVED = Family("localnet_node_received_bytes", "gauge", "bytes that a node has received", ("node",))
LABELS = Family("localnet_node_label_bytes", "gauge", "bytes of the labels that a node has sent", ("node",))
FEDAVG = Family("localnet_node_fedavg_bytes", "gauge", "bytes that its weights alone would have taken", ("node",))
PEERS = Family("localnet_node_peers", "gauge", "nodes of the mesh that a node is connected to", ("node",))
REFUSED = Family("localnet_node_refused_by", "gauge", "nodes that refuse a node for what it did", ("node",))
EARNED = Family("localnet_node_earned_tokens", "gauge", "what the chain paid a node, less what it took", ("node",))
STAKE = Family("localnet_node_stake_tokens", "gauge", "what a node has at stake", ("node",))
MET = Family("localnet_encounters", "gauge", "encounters by what became of them; the latest 600", ("state",))
BLOCK = Family("localnet_chain_block", "gauge", "the latest block in which something of the task happened")
VIEWERS = Family("localnet_viewers", "gauge", "pages that watch")

FAMILIES = (
    INFO, NODES, ROUND, ROUNDS, WORKERS, MEAN, ACCURACY, SENT, RECEIVED, LABELS, FEDAVG, PEERS, REFUSED, EARNED,
    STAKE, MET, BLOCK, VIEWERS,
)  # fmt: skip
_OF_NODES = ((SENT, "sent"), (RECEIVED, "received"), (LABELS, "labels"), (FEDAVG, "fedavg"))


def exposition(told: Told) -> str:
    """Every metric as it is now."""
    return written(FAMILIES, _samples(told))


def targets(told: Told) -> str:
    """Where each node serves metrics of its own, for Prometheus's discovery over HTTP."""
    mesh = told["about"]["plan"]["name"]
    found = [
        {"targets": [node["metrics"].removeprefix("http://").partition("/")[0]], "labels": {"node": name, "mesh": mesh}}
        for name, node in told["nodes"].items()
        if node["metrics"]
    ]
    return json.dumps(found) + "\n"


def _samples(told: Told) -> Iterator[Sample]:
    about, nodes, rounds = told["about"], told["nodes"], told.get("rounds", {})
    plan = about["plan"]
    yield INFO, (plan["name"], plan["adapter"], plan["chain"], str(plan["seed"])), 1
    for state, count in sorted(Counter(node["life"] for node in nodes.values()).items()):
        yield NODES, (state,), count
    yield ROUND, (), about["mesh"]["opened"]
    yield ROUNDS, (), plan["rounds"]
    yield from _of_rounds(rounds)
    refused = Counter(name for node in nodes.values() for name in node["refuses"])
    for name, node in nodes.items():
        accuracy = node["together"] if node["together"] is not None else node["accuracy"]
        if accuracy is not None:
            yield ACCURACY, (name,), accuracy
        for family, key in _OF_NODES:
            yield family, (name,), node[key]
        yield PEERS, (name,), len(node["links"])
        yield REFUSED, (name,), refused[name]
        yield EARNED, (name,), node["paid"] / UNIT
    for name, stake in told.get("stakes", {}).items():
        yield STAKE, (name,), stake["locked"] / UNIT
    for state, count in sorted(Counter(each["state"] for each in told.get("met", {}).values()).items()):
        yield MET, (state,), count
    if told.get("blocks"):
        yield BLOCK, (), max(map(int, told["blocks"]))
    yield VIEWERS, (), about.get("watching", {}).get("viewers", 0)


def _of_rounds(rounds: Mapping[str, Any]) -> Iterator[Sample]:
    known = [each["mean"] for each in rounds.values() if each["mean"] is not None]
    if known:
        yield MEAN, (), known[-1]
    if rounds:
        last = rounds[max(rounds, key=int)]
        for phase in ("workers", "committed", "revealed", "offered"):
            yield WORKERS, (phase,), last[phase]
        yield WORKERS, ("learned",), len(last["accuracy"])
