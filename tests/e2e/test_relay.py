"""Two networks that no packet crosses, and a relay that is in both: real interfaces, with the nodes' own settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LEFT, MIDDLE, RIGHT = (f"p2pfd-{os.getpid()}-{side}" for side in ("west", "relay", "east"))
PLACES = {LEFT: "10.78.1.1", MIDDLE: "0.0.0.0", RIGHT: "10.78.2.1"}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def wires() -> Iterator[None]:
    try:
        for name in (LEFT, MIDDLE, RIGHT):
            ip("netns", "add", name)
        for number, side in enumerate((LEFT, RIGHT), 1):
            wire = f"wire{number}"
            ip("link", "add", wire, "netns", MIDDLE, "type", "veth", "peer", "name", "wire", "netns", side)
            for where, link, last in ((MIDDLE, wire, 254), (side, "wire", 1)):
                ip("-n", where, "address", "add", f"10.78.{number}.{last}/24", "dev", link)
                ip("-n", where, "link", "set", link, "up")
            ip("-n", side, "link", "set", "lo", "up")
            ip("-n", side, "route", "add", "default", "via", f"10.78.{number}.254")
        ip("-n", MIDDLE, "link", "set", "lo", "up")
        ip("netns", "exec", MIDDLE, "sysctl", "-q", "-w", "net.ipv4.ip_forward=0")
    except (OSError, subprocess.CalledProcessError) as error:
        remove()
        pytest.skip(f"no network namespaces here: {error}")
    try:
        yield
    finally:
        remove()


def remove() -> None:
    for name in (LEFT, MIDDLE, RIGHT):
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


class Node:
    """A process in one of the networks: it says its addresses first, and from then on its peers and whom it hears."""

    def __init__(self, number: int, side: str, *words: str) -> None:
        command = [sys.executable, "-m", "relayed_node", str(number), f"/ip4/{PLACES[side]}/tcp/4001", *words]
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", side, *command],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        first = json.loads(self.process.stdout.readline())
        self.peer, self.addresses = first["peer"], first["addresses"]
        self.peers: set[str] = set()
        self.heard: set[str] = set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            self.peers = set(said["peers"])
            self.heard |= set(said["heard"])

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def until(holds: Callable[[], bool], patience: float) -> float:
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() < begin + patience
        time.sleep(0.05)
    return time.monotonic() - begin


@pytest.mark.long
def test_two_networks_meet_through_a_relay_and_again_when_it_was_killed(wires: None) -> None:
    nodes: list[Node] = []
    try:
        relay = Node(1, MIDDLE, "relay")
        nodes.append(relay)
        ways = {side: f"/ip4/10.78.{number}.254/tcp/4001/p2p/{relay.peer}" for number, side in ((1, LEFT), (2, RIGHT))}
        west, east = Node(2, LEFT, "via", ways[LEFT]), Node(3, RIGHT, "via", ways[RIGHT])
        nodes += [west, east]
        met = until(lambda: west.peer in east.peers and east.peer in west.peers, 30)
        until(lambda: west.peer in east.heard and east.peer in west.heard, 10)
        relay.end()
        until(lambda: not west.peers and not east.peers, 10)
        nodes[0] = relay = Node(1, MIDDLE, "relay")
        back = until(lambda: west.peer in east.peers and east.peer in west.peers, 30)
        print(f"met after {met:.1f} s, and again {back:.1f} s after the relay was back")
    finally:
        for node in nodes:
            node.end()
