"""The task among p2pfl nodes that speak gRPC, each a process of its own: ``python p2pfl_grpc.py FOLDER``.

It starts the nodes, kills those that are to die, and waits. A node trains in its own process, without Ray: a Ray
cluster for each node would be what a simulation needs, and not a machine with one node. The nodes are forked from a
process that has imported p2pfl, as p2pfd's are from one that has imported p2pfd: else most of the time would be
imports.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import p2pfl_first
import task

FIRST_PORT = 41_000
"""Free in a network namespace that nobody else is in."""
PAUSE = 0.2
GOODBYE = 5.0
"""Seconds that a node has to stop, when all are done."""


def address(number: int) -> str:
    """Where a node listens."""
    return f"127.0.0.1:{FIRST_PORT + number}"


def said(folder: Path, word: str) -> int:
    """How many nodes have said this."""
    return sum(word in line for line in task.heard(folder))


def wait_for(folder: Path, word: str, many: int) -> None:
    """Until so many have said it."""
    while said(folder, word) < many:
        time.sleep(PAUSE)


def run_node(folder: Path, number: int) -> None:
    """One node, from its start to the end of all."""
    from p2pfl_parts import Watch, keep, node_of

    told = task.terms(folder)
    node = node_of(folder, number, addr=address(number))
    node.start()
    task.say(folder, up=number)
    wait_for(folder, "up", told.nodes)
    for other in range(number + 1, told.nodes):
        node.connect(address(other))
        time.sleep(0.1)  # as its own TopologyFactory does
    while len(node.get_neighbors(only_direct=False)) < told.nodes - 1:
        time.sleep(PAUSE)
    task.say(folder, met=number)
    wait_for(folder, "met", told.nodes)
    if number == 0:
        node.set_start_learning(rounds=told.rounds, epochs=told.epochs, trainset_size=told.nodes)
    watch = Watch(node, told.rounds)
    while watch.working():
        time.sleep(PAUSE)
    if watch.finished:
        keep(folder, number, node)
    task.say(folder, done=number)
    wait_for(folder, "done", told.nodes - len(told.dying))
    stopping = threading.Thread(target=node.stop, daemon=True)
    stopping.start()
    stopping.join(GOODBYE)  # where it waits for others that have gone it does not come back


def forked(folder: Path, number: int) -> int:
    """The process of a node."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        log = os.open(folder / f"node{number}.log", os.O_WRONLY | os.O_CREAT, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        run_node(folder, number)
        code = 0
    except Exception:  # noqa: BLE001 - the log has it, and nobody above a forked process could
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # its threads are not all daemons


def main(folder: Path) -> int:
    """All nodes; the worst of their codes."""
    told = task.terms(folder)
    p2pfl_first.first(ray=False)
    from p2pfl_parts import settle

    settle(told)
    children = {forked(folder, number): number for number in range(told.nodes)}
    killed = not told.dying
    worst = 0
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid and children.pop(pid) not in told.dying:
            worst = max(worst, abs(os.waitstatus_to_exitcode(status)))
        if not killed and sum(line.get("node") == "node-0" for line in task.heard(folder)) > told.dies_at:
            for child, number in children.items():
                if number in told.dying:
                    os.kill(child, signal.SIGKILL)
            killed = True
        time.sleep(PAUSE)
    return worst


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
