"""Commands as users run them: processes of their own, in a directory of their own, that can be found again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from p2pfd_localnet.program import PROGRAM

HERE = Path(__file__).parent
MARK = "P2PFD_TEST_MARK"
PATIENCE = 60.0
Answer = Callable[..., dict[str, Any]]


class Bench:
    """A directory, an environment that marks every process started from here, and commands run in both."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.temp = home / "temp"
        self.temp.mkdir()
        self.mark = uuid.uuid4().hex
        self.env = {
            **os.environ,
            MARK: self.mark,
            "TMPDIR": str(self.temp),
            "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        self.env.pop("NO_COLOR", None)
        self._started: list[subprocess.Popen[str]] = []

    @property
    def state(self) -> Path:
        return self.home / ".localnet" / "default"

    def start(self, module: str, *words: str, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=self.home,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def run(self, module: str, *words: str, patience: float = PATIENCE, **env: str) -> subprocess.CompletedProcess[str]:
        process = self.start(module, *words, **env)
        out, err = process.communicate(timeout=patience)
        return subprocess.CompletedProcess(list(words), process.returncode, out, err)

    def fakes(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """`localnet up` with nodes that learn nothing."""
        return self.run("fakes", "up", "--chain", "none", *words, **env)

    def localnet(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run("localnet_command", *words, **env)

    def processes(self) -> dict[int, str]:
        """Every process that descends from this bench, by its marked environment."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it ended while we looked
        return found

    def wait_for(self, holds: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """The first true answer; the test fails when none comes in time."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            answer = holds()
            if answer:
                return answer
            time.sleep(0.02)
        raise AssertionError(f"still not so after {patience} s; running: {self.processes()}")

    def wait_gone(self, patience: float) -> None:
        self.wait_for(lambda: not self.processes(), patience)

    def mesh(self) -> dict[str, Any]:
        path = self.state / "mesh.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def wait_status(self, status: str) -> None:
        self.wait_for(lambda: self.mesh().get("status") == status)

    def names(self) -> list[str]:
        """The nodes that have a directory."""
        nodes = self.state / "nodes"
        return sorted(entry.name for entry in nodes.iterdir()) if nodes.exists() else []

    def events(self, node: str) -> list[dict[str, Any]]:
        path = self.state / "nodes" / node / "events.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]]

    @contextmanager
    def taken_port(self) -> Iterator[int]:
        """A port of loopback on which somebody else listens."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            yield taken.getsockname()[1]

    def end(self) -> None:
        for pid in self.processes():
            with suppress(ProcessLookupError):  # it may end between being seen and being killed
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            if process.stdout is not None and not process.stdout.closed:
                process.communicate()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def answer(bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Answer:
    """What a command of `localnet` answers. It runs in this process: for those that start none."""
    monkeypatch.chdir(bench.home)

    def ask(*words: object, code: int = 0) -> dict[str, Any]:
        assert PROGRAM.main([*map(str, words), "--json"]) == code
        value: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert value["schema"] == 1
        return value

    return ask
