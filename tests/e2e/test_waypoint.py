"""`p2pfd relay` as a process of its own: others meet through it, it says so, and ends well when it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import trio

from p2pfd.network.api import Topic
from p2pfd.network.libp2p import open_transport
from p2pfd.network.settings import NetworkSettings
from p2pfd.node.clock import SystemClock

TOPIC = Topic("p2pfd/waypoint")
ROOT = Path(__file__).parents[2]


class Waypoint:
    """The process, and what it said so far."""

    def __init__(self, home: Path) -> None:
        words = ["relay", "--home", str(home), "--listen", "/ip4/127.0.0.1/tcp/0", "--metrics", "127.0.0.1:0"]
        command = [sys.executable, "-m", "tests.e2e.p2pfd_command", *words, "--json"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ, text=True
        )
        self.address = self.line("address ").split()[1]
        self.metrics = self.line("metrics ").split()[1]

    def line(self, start: str) -> str:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith(start):
                return line
        raise AssertionError(f"it ended before it said {start!r}")

    def end(self) -> dict[str, object]:
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0
        return json.loads(out)


def status_of(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:
        status: int = answer.status
        return status


@pytest.fixture
def waypoint(tmp_path):
    made = Waypoint(tmp_path / "relay")
    yield made
    made.process.kill()
    made.process.communicate()


async def test_others_meet_through_it_and_it_ends_when_it_is_told_to(waypoint):
    way = (waypoint.address,)
    settings = NetworkSettings(discover=True, via=way)
    async with (
        open_transport(b"a" * 32, "/ip4/127.0.0.1/tcp/0", settings, way, clock=SystemClock()) as one,
        open_transport(b"b" * 32, "/ip4/127.0.0.1/tcp/0", settings, way, clock=SystemClock()) as other,
    ):
        async with one.heard(TOPIC), other.heard(TOPIC):
            with trio.fail_after(60):
                await one.wait_for_subscribers(TOPIC, 1)
            assert other.peer in one.peers()
        assert await trio.to_thread.run_sync(status_of, waypoint.metrics.replace("/metrics", "/readyz")) == 200
    told = waypoint.end()
    assert waypoint.address.endswith(str(told["peer"]))
    assert told["full"] == 0
    assert {"carried", "most_circuits"} < told.keys()
    assert waypoint.address.startswith("/ip4/127.0.0.1/tcp/")


@pytest.mark.long
def test_it_is_the_same_peer_when_it_comes_back(tmp_path):
    peers = []
    for _ in range(2):
        made = Waypoint(tmp_path / "relay")
        peers.append(made.end()["peer"])
    assert peers[0] == peers[1]
