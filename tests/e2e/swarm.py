"""Many nodes in processes of their own, what they see, and networks for them that lose and delay packets."""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 1, 0x1000, 0x40000000


@dataclass
class Seen:
    """One node, as it was when it last said something."""

    peer: str = ""
    pid: int = 0
    address: str = ""
    peers: set[str] = field(default_factory=set)
    said: int = 0
    heard: dict[str, int] = field(default_factory=dict)
    drops: dict[str, int] = field(default_factory=dict)
    alive: bool = True


class Swarm:
    """The nodes."""

    def __init__(self, home: Path, pause: float) -> None:
        self._home = home
        self._pause = pause
        self.nodes: dict[int, Seen] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "swarm_node"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, number: int, listen: str, bootstrap: list[str], namespace: str = "-") -> Seen:
        """Start a node, and wait until it listens."""
        self.nodes[number] = Seen()
        words = [str(number), namespace, str(self._home / str(number)), str(self._pause), listen, *bootstrap]
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        until(lambda: bool(self.nodes[number].peer), 60)
        return self.nodes[number]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            node = self.nodes[said.pop("node")]
            for name, value in said.items():
                setattr(node, name, set(value) if name == "peers" else value)

    def alive(self) -> list[Seen]:
        """Those that were not killed."""
        return [node for node in self.nodes.values() if node.alive]

    def kill(self, node: Seen) -> None:
        """Without a word."""
        node.alive = False
        os.kill(node.pid, signal.SIGKILL)

    def hush(self) -> None:
        """Nobody says anything any more."""
        for node in self.alive():
            os.kill(node.pid, signal.SIGUSR1)

    def hangs_together(self) -> bool:
        """Whether all that live are one mesh."""
        links = {node.peer: node.peers for node in self.alive()}
        reached = waiting = {next(iter(links))}
        while waiting:
            waiting = {other for peer in waiting for other in links[peer] if other in links} - reached
            reached = reached | waiting
        return len(reached) == len(links)

    def missing(self) -> int:
        """How many messages of the living have not reached somebody living, counted for each listener."""
        alive = self.alive()
        return sum(a.said - b.heard.get(a.peer, 0) for a in alive for b in alive if a is not b)

    def end(self) -> None:
        """No process is left."""
        for node in self.nodes.values():
            if node.alive and node.pid:
                self.kill(node)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def until(holds: Callable[[], bool], patience: float) -> float:
    """Wait until it is so; how long that took."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() < begin + patience, "still not so"
        time.sleep(0.05)
    return time.monotonic() - begin


def ip(*words: str) -> None:
    """Set something up; CalledProcessError where that is not allowed."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Air:
    """Networks of one machine each, and what carries their packets: late, and not all of them."""

    def __init__(self, count: int, loss: float, seconds: float) -> None:
        self.names = [f"p2pfd-{os.getpid()}-air{number}" for number in range(count)]
        self.loss = loss
        self.seconds = seconds
        self.carried = self.lost = 0
        self.parted = False
        """Nothing passes between those with even numbers and those with odd ones."""
        self._rng = random.Random(7)
        self._over = False
        self._files: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._carry, daemon=True)

    @staticmethod
    def place(number: int) -> str:
        """The address of one of them."""
        return f"10.79.0.{number + 1}"

    def build(self) -> None:
        """Make them."""
        for number, name in enumerate(self.names):
            ip("netns", "add", name)
            maker = threading.Thread(target=self._tun, args=(number, name))  # of its own: it changes its network
            maker.start()
            maker.join()
            if self.place(number) not in self._files:
                raise OSError("no TUN device here")
            ip("-n", name, "address", "add", f"{self.place(number)}/24", "dev", "air")
            for link in ("lo", "air"):
                ip("-n", name, "link", "set", link, "up")
        self._thread.start()

    def _tun(self, number: int, name: str) -> None:
        here = os.open(f"/run/netns/{name}", os.O_RDONLY)
        if ctypes.CDLL(None).setns(here, CLONE_NEWNET) == 0:
            file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH", b"air", IFF_TUN | IFF_NO_PI))
            self._files[self.place(number)] = file
        os.close(here)

    def _carry(self) -> None:
        due: list[tuple[float, int, bytes]] = []
        while not self._over:
            pause = 0.05 if not due else max(0.0, min(0.05, due[0][0] - time.monotonic()))
            for file in select.select(list(self._files.values()), [], [], pause)[0]:
                packet = os.read(file, 65536)
                if self._rng.random() < self.loss or (self.parted and (packet[15] ^ packet[19]) & 1):
                    self.lost += 1
                else:
                    self.carried += 1
                    heapq.heappush(due, (time.monotonic() + self.seconds, self.carried, packet))
            while due and due[0][0] <= time.monotonic():
                packet = heapq.heappop(due)[2]
                target = self._files.get(".".join(map(str, packet[16:20]))) if packet[0] >> 4 == 4 else None
                if target is not None:
                    os.write(target, packet)

    def remove(self) -> None:
        """Make them go."""
        self._over = True
        if self._thread.is_alive():
            self._thread.join()
        for file in self._files.values():
            os.close(file)
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@contextmanager
def swarm_in(home: Path, pause: float = 1.0) -> Iterator[Swarm]:
    """Nodes for as long as the context lasts, each of which says something after every so many seconds."""
    swarm = Swarm(home, pause)
    try:
        yield swarm
    finally:
        swarm.end()
