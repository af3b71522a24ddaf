"""A network that is cut in two, silently, and mended: real interfaces, and the settings that nodes run with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LEFT, MIDDLE, RIGHT = (f"p2pfd-{os.getpid()}-{side}" for side in ("left", "middle", "right"))
NOTICED, BACK = 10.0, 15.0


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def wire() -> Iterator[None]:
    """Two network namespaces, and a third one between them that forwards."""
    try:
        for name in (LEFT, MIDDLE, RIGHT):
            ip("netns", "add", name)
        for number, side in enumerate((LEFT, RIGHT), 1):
            wire = f"wire{number}"
            ip("link", "add", wire, "netns", MIDDLE, "type", "veth", "peer", "name", "wire", "netns", side)
            for where, link, last in ((MIDDLE, wire, 254), (side, "wire", 1)):
                ip("-n", where, "address", "add", f"10.77.{number}.{last}/24", "dev", link)
                ip("-n", where, "link", "set", link, "up")
            ip("-n", side, "link", "set", "lo", "up")
            ip("-n", side, "route", "add", "default", "via", f"10.77.{number}.254")
        forward(True)
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


def forward(carry: bool) -> None:
    """Carry packets from side to side; or drop every one, and tell nobody."""
    setting = f"net.ipv4.ip_forward={int(carry)}"
    ip("netns", "exec", MIDDLE, "sysctl", "-q", "-w", setting)


class Node:
    def __init__(self, number: int, side: str, *bootstrap: str) -> None:
        place = 1 if side == LEFT else 2
        words = ["-m", "lone_node", str(number), f"/ip4/10.77.{place}.1/tcp/0", *bootstrap]
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", side, sys.executable, *words],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        first = json.loads(self.process.stdout.readline())
        self.peer, self.address, self.peers = first["peer"], first["address"], set[str]()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.peers = set(json.loads(line)["peers"])

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.mark.long
@pytest.mark.parametrize("seconds", [5, 40])
def test_a_partition_is_noticed_and_mended_in_time(wire: None, seconds: int) -> None:
    nodes: list[Node] = []

    def until(holds, patience: float) -> float:
        begin = time.monotonic()
        while not holds():
            assert time.monotonic() < begin + patience, [len(node.peers) for node in nodes]
            time.sleep(0.05)
        return time.monotonic() - begin

    try:
        for number in range(6):
            bootstrap = [nodes[0].address] if nodes else []
            nodes.append(Node(number + 1, LEFT if number % 2 == 0 else RIGHT, *bootstrap))
        left, right = nodes[::2], nodes[1::2]
        theirs = {node.peer for node in right}
        until(lambda: all(len(node.peers) >= 4 for node in nodes), 20)
        forward(False)
        noticed = until(lambda: not any(node.peers & theirs for node in left), NOTICED)
        until(lambda: not any(node.peers - theirs for node in right), 1 + NOTICED - noticed)
        time.sleep(seconds)
        forward(True)
        back = until(lambda: any(node.peers & theirs for node in left), BACK)
        print(f"{seconds} s apart: noticed after {noticed:.1f} s, back after {back:.1f} s")
        until(lambda: all(len(node.peers) >= 4 for node in nodes), BACK)
    finally:
        for node in nodes:
            node.end()
