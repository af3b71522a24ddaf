"""One process a directory: a second one is told, and has written nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from p2pfd.errors import EnvironmentProblem
from p2pfd.node import keys, process
from p2pfd.node.config import FILE, NodeConfig
from p2pfd.node.hold import holding

HOLDER = """
import sys, time
from pathlib import Path
from p2pfd.node.hold import holding
with holding(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_directory_is_held_once_and_let_go_of_by_the_dead(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(EnvironmentProblem, match=f"runs already, in the process {other.pid}:"), holding(tmp_path):
            raise AssertionError
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    with holding(tmp_path), pytest.raises(EnvironmentProblem, match=str(os.getpid())), holding(tmp_path):
        raise AssertionError
    with holding(tmp_path):
        pass


def test_a_second_process_of_a_node_says_so_and_writes_nothing_into_the_firsts_files(tmp_path: Path) -> None:
    home = tmp_path / "home"
    keys.save(keys.throwaway(1, "one"), home / "keys")
    NodeConfig("one", str(home), 0, 1, 1, "/ip4/127.0.0.1/tcp/0", (), "task.json", "", "").save(home / FILE)
    reader, status = os.pipe()
    with holding(home):
        before = sorted(path.name for path in home.iterdir())
        assert process.run(home / FILE, 0, status) == process.FAILED
        assert sorted(path.name for path in home.iterdir()) == before, "no line in its events, nothing in its database"
    os.close(status)
    with os.fdopen(reader) as said:
        line = said.read()
    assert "runs already" in line
    assert '"kind": "EnvironmentProblem"' in line
