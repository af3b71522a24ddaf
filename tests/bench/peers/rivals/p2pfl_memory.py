"""The task in p2pfl's simulation: all nodes in one process, Ray's actors train. ``python p2pfl_memory.py FOLDER``."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import p2pfl_first
import task


def main(folder: Path) -> None:
    """As its example does it."""
    told = task.terms(folder)
    p2pfl_first.first(ray=True)
    from p2pfl.communication.protocols.protobuff.memory import MemoryCommunicationProtocol
    from p2pfl.utils.topologies import TopologyFactory, TopologyType
    from p2pfl.utils.utils import wait_convergence
    from p2pfl_parts import Watch, keep, node_of, settle

    settle(told)
    nodes = [
        node_of(folder, number, protocol=MemoryCommunicationProtocol(), addr=f"node-{number}")
        for number in range(told.nodes)
    ]
    for node in nodes:
        node.start()
    TopologyFactory.connect_nodes(TopologyFactory.generate_matrix(TopologyType.FULL, told.nodes), nodes)
    wait_convergence(nodes, told.nodes - 1, only_direct=False, wait=60)
    nodes[0].set_start_learning(rounds=told.rounds, epochs=told.epochs, trainset_size=told.nodes)
    dead: set[int] = set()
    watches = [Watch(node, told.rounds) for node in nodes]
    at_work = list(range(told.nodes))
    while at_work:
        if told.dying and not dead:
            rounds = sum(line.get("node") == "node-0" for line in task.heard(folder))
            if rounds > told.dies_at:
                dead = set(told.dying)
                for place in dead:
                    nodes[place].stop()
        time.sleep(0.2)
        at_work = [place for place, watch in enumerate(watches) if watch.working() and place not in dead]
    for place, node in enumerate(nodes):
        if place not in dead and watches[place].finished:
            keep(folder, place, node)
    sys.stdout.flush()
    os._exit(0)  # threads of stopped nodes linger


if __name__ == "__main__":
    main(Path(sys.argv[1]))
