"""Many nodes that learn nothing, forked from one process that has imported everything: they find each other and speak.

Lines on standard input start nodes: a number, a network namespace or "-", a folder, the seconds between two things that
it says, an address to listen on, and addresses to begin with. Each node writes what it sees, one JSON object a line.
SIGUSR1 makes a node silent, not deaf.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections import Counter

import trio

from p2pfd.core.verdict import Accept
from p2pfd.network.api import Topic
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.settings import NetworkSettings
from p2pfd.node.clock import SystemClock

TOPIC = Topic("p2pfd/swarm")
TELL_SECONDS = 0.25
CLONE_NEWNET = 0x40000000


def enter(namespace: str) -> None:
    """This process is in that network from here on."""
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    os.close(handle)


class Node:
    def __init__(self, number: int, pause: float) -> None:
        self.number = number
        self.pause = pause
        self.said = 0
        self.heard: dict[str, set[bytes]] = {}
        self.cut = 0

    async def run(self, folder: str, listen: str, bootstrap: list[str]) -> None:
        settings = NetworkSettings(discover=True, state_directory=folder)
        seed = (self.number + 1).to_bytes(32, "big")
        async with (
            open_transport(seed, listen, settings, bootstrap, clock=SystemClock()) as node,
            trio.open_nursery() as nursery,
        ):
            self.say(peer=node.peer, pid=os.getpid(), address=node.addresses[0])
            nursery.start_soon(self.listen, node)
            nursery.start_soon(self.speak, node)
            told: dict[str, object] = {}
            while True:
                drops = Counter({reason.label: count for reason, count in node.counters.drops.items() if count})
                heard = {sender: len(bodies) for sender, bodies in self.heard.items()}
                seen = {"peers": node.peers(), "said": self.said, "heard": heard, "drops": drops}
                if seen != told:
                    self.say(**seen)
                told = seen
                await trio.sleep(TELL_SECONDS)

    def say(self, **what: object) -> None:
        os.write(1, json.dumps({"node": self.number, **what}).encode() + b"\n")

    async def listen(self, node: Libp2pTransport) -> None:
        async with node.heard(TOPIC) as deliveries:
            async for delivery in deliveries:
                delivery.answer(Accept())
                self.heard.setdefault(delivery.sender, set()).add(delivery.raw)

    async def speak(self, node: Libp2pTransport) -> None:
        with trio.open_signal_receiver(signal.SIGUSR1) as signals:
            while True:
                await node.publish(TOPIC, f"{self.number} of {os.getpid()}: {self.said}".encode())
                self.said += 1
                with trio.move_on_after(self.pause):
                    await anext(signals)
                    return


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        number, namespace, folder, pause, listen, *bootstrap = line.split()
        if os.fork() == 0:
            try:
                if namespace != "-":
                    enter(namespace)
                trio.run(Node(int(number), float(pause)).run, folder, listen, bootstrap)
            finally:
                os._exit(1)


if __name__ == "__main__":
    main()
