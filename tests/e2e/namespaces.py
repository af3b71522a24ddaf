"""Two networks of one machine each, a third one in between, and nodes in them: real interfaces, nobody's mock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .swarm import ip

HERE = Path(__file__).parent
LEFT, MIDDLE, RIGHT = "left", "middle", "right"
PORT = 4001


class Networks:
    """The three of them, and the wires from the outer ones to the one in the middle."""

    def __init__(self, net: int) -> None:
        self._net = net
        self._names = {side: f"p2pfd-{os.getpid()}-{net}-{side}" for side in (LEFT, MIDDLE, RIGHT)}

    def place(self, side: str) -> str:
        """Where a node listens: in the middle on both wires."""
        return "0.0.0.0" if side == MIDDLE else f"10.{self._net}.{1 if side == LEFT else 2}.1"

    def middle(self, side: str) -> str:
        """The middle's address on the wire to that side."""
        return f"10.{self._net}.{1 if side == LEFT else 2}.254"

    def build(self) -> None:
        """Make them; OSError or CalledProcessError where that is not allowed."""
        for name in self._names.values():
            ip("netns", "add", name)
        middle = self._names[MIDDLE]
        for number, side in enumerate((LEFT, RIGHT), 1):
            name, wire = self._names[side], f"wire{number}"
            ip("link", "add", wire, "netns", middle, "type", "veth", "peer", "name", "wire", "netns", name)
            for where, link, address in ((middle, wire, self.middle(side)), (name, "wire", self.place(side))):
                ip("-n", where, "address", "add", f"{address}/24", "dev", link)
                ip("-n", where, "link", "set", link, "up")
            ip("-n", name, "route", "add", "default", "via", self.middle(side))
        for name in self._names.values():
            ip("-n", name, "link", "set", "lo", "up")
        self.forward(False)

    def forward(self, carry: bool) -> None:
        """Carry packets from side to side; or drop every one, and tell nobody."""
        ip("netns", "exec", self._names[MIDDLE], "sysctl", "-q", "-w", f"net.ipv4.ip_forward={int(carry)}")

    def remove(self) -> None:
        """Make them go."""
        for name in self._names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def start(self, module: str, side: str, *words: str) -> subprocess.Popen[str]:
        """A Python module of this folder as a process in one of them."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self._names[side], sys.executable, "-m", module, *words],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])},
            stdout=subprocess.PIPE,
            text=True,
        )


class Node:
    """A `lone_node` in one of the networks: it tells its addresses first, and then its peers and whom it hears."""

    def __init__(self, networks: Networks, number: int, side: str, role: str, *addresses: str) -> None:
        listen = f"/ip4/{networks.place(side)}/tcp/{PORT + number}"
        self.side = side
        self.process = networks.start("lone_node", side, str(number), listen, role, *addresses)
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
        """Without a word."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def networks(net: int) -> Iterator[Networks]:
    """10.``net``.1 and .2, and nothing that is carried between them; the test is skipped where they cannot be made."""
    made = Networks(net)
    try:
        try:
            made.build()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no network namespaces here: {error}")
        yield made
    finally:
        made.remove()
