"""Two machines of a Ray cluster on this one: a network namespace each, with its own address, and a cable between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .swarm import ip

PORT = 6399
MEMORY = 80_000_000
AGENT_PORTS = ("dashboard-agent-listen", "dashboard-agent-grpc", "runtime-env-agent", "metrics-export")
ROOT = Path(__file__).resolve().parents[2]
HEAD, OTHER = "head", "other"
SIDES = (HEAD, OTHER)


class Cluster:
    """The two of them. Whatever runs in their namespaces is ours, and ends with them."""

    def __init__(self, folder: Path, net: int, cpus: Mapping[str, int]) -> None:
        self.folder = folder
        self._cpus = cpus
        self._names = {side: f"p2pfd-ray-{os.getpid()}-{side}" for side in SIDES}
        self.addresses = {side: f"10.{net}.0.{number}" for number, side in enumerate(SIDES, 1)}
        self.address = f"{self.addresses[HEAD]}:{PORT}"

    def build(self) -> None:
        """Make the namespaces; OSError or CalledProcessError where that is not allowed."""
        for name in self._names.values():
            ip("netns", "add", name)
        head, other = self._names.values()
        ip("link", "add", "wire", "netns", head, "type", "veth", "peer", "name", "wire", "netns", other)
        for side, name in self._names.items():
            ip("-n", name, "address", "add", f"{self.addresses[side]}/24", "dev", "wire")
            ip("-n", name, "link", "set", "wire", "up")
            ip("-n", name, "link", "set", "lo", "up")

    def start(self, side: str) -> None:
        """Begin the cluster, or join it."""
        words = ["start", "--node-ip-address", self.addresses[side], "--num-cpus", str(self._cpus[side])]
        words += ["--object-store-memory", str(MEMORY), "--temp-dir", f"/tmp/ray-{os.getpid()}-{side}"]
        words += ["--disable-usage-stats", "--include-log-monitor=false"]
        for number, what in enumerate(AGENT_PORTS, 1):  # a raylet that has to be told of them waits 15 s, and crashes
            words += [f"--{what}-port", str(PORT + number)]
        if side == HEAD:
            words += ["--head", "--port", str(PORT), "--include-dashboard=false"]
        else:
            words += ["--address", self.address]
        done = self.run(side, self.folder, str(Path(sys.executable).with_name("ray")), *words)
        assert done.returncode == 0, done.stdout + done.stderr

    def command(self, side: str, *words: str) -> list[str]:
        """What to type for something that is to run there."""
        return ["ip", "netns", "exec", self._names[side], *words]

    def environment(self, side: str) -> dict[str, str]:
        """That machine's own home, and no progress that is redrawn."""
        home = self.folder / f"home-{side}"
        home.mkdir(exist_ok=True)
        paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        patient = {"RAY_raylet_start_wait_time_s": "800", "RAY_agent_register_timeout_ms": "800000"}
        return {**os.environ, **patient, "HOME": str(home), "P2PFD_MESHES": str(home / "meshes"), "PATH": paths}

    def run(self, side: str, where: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run something there, to its end."""
        return subprocess.run(
            self.command(side, *words),
            cwd=where,
            env=self.environment(side),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )

    def localnet(self, side: str, where: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of localnet there."""
        return self.run(side, where, sys.executable, str(ROOT / "tests/e2e/localnet_command.py"), *words)

    def p2pfd(self, side: str, where: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of p2pfd there."""
        return self.run(side, where, sys.executable, str(ROOT / "tests/e2e/p2pfd_command.py"), *words)

    def up(self, side: str, where: Path, log: Path, *words: str) -> subprocess.Popen[bytes]:
        """Start `localnet up` there; the object that it ends with goes to the log."""
        with log.open("wb") as out, log.with_suffix(".err").open("wb") as err:
            return subprocess.Popen(
                self.command(side, sys.executable, str(ROOT / "tests/e2e/localnet_command.py"), "up", *words),
                cwd=where,
                env=self.environment(side),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def pids(self, side: str, words: str = "") -> list[int]:
        """The processes there whose command has these words in it."""
        told = subprocess.run(["ip", "netns", "pids", self._names[side]], capture_output=True, text=True, check=False)
        return [int(pid) for pid in told.stdout.split() if words in _command(int(pid))]

    def kill(self, side: str) -> None:
        """End that machine as a power cut would."""
        for pid in self.pids(side):
            _kill(pid)

    def remove(self) -> None:
        """Make it all go."""
        for side in SIDES:
            while self.pids(side):
                self.kill(side)
                time.sleep(0.05)
            subprocess.run(["ip", "netns", "delete", self._names[side]], check=False, capture_output=True)
            subprocess.run(["rm", "-rf", f"/tmp/ray-{os.getpid()}-{side}"], check=False)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def cluster(folder: Path, net: int, cpus: Mapping[str, int]) -> Iterator[Cluster]:
    """A cluster that runs; the test is skipped where there can be no namespaces, or is no Ray."""
    pytest.importorskip("ray")
    made = Cluster(folder, net, cpus)
    try:
        try:
            made.build()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no network namespaces here: {error}")
        for side in SIDES:
            made.start(side)
        yield made
    finally:
        made.remove()


def last(text: str) -> dict[str, Any]:
    """The object on the last line."""
    found: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return found


def until(holds: Any, seconds: float, of: Sequence[Any] = ()) -> None:
    """Look again until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {[one() for one in of]}"
        time.sleep(0.2)
