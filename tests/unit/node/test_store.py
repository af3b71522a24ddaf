"""The node's database: what it says it has written is there after a crash, and damage is told, not guessed over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from p2pfd.core.ids import TaskId
from p2pfd.errors import StorageError
from p2pfd.node.store import Saved, Store
from p2pfd.settlement.api import GENESIS, Cursor

TASK, OTHER = TaskId(b"\1" * 32), TaskId(b"\2" * 32)


def test_a_snapshot_is_replaced_and_tasks_are_kept_apart(tmp_path: Path):
    with Store(tmp_path / "node.db") as store:
        assert store.load(TASK) is None
        store.save(TASK, Saved(b"one", b"", GENESIS))
        store.save(TASK, Saved(b"two", b"model", Cursor(5, 2)))
        store.save(OTHER, Saved(b"else", b"", GENESIS))
    with Store(tmp_path / "node.db") as store:
        assert store.load(TASK) == Saved(b"two", b"model", Cursor(5, 2))
        assert store.load(OTHER) == Saved(b"else", b"", GENESIS)


def test_an_intent_is_begun_once_and_its_reference_is_kept(tmp_path: Path):
    with Store(tmp_path / "node.db") as store:
        assert store.intend(TASK, "commit/0/1") is None
        assert store.intend(TASK, "commit/0/1") == ""
        store.sent(TASK, "commit/0/1", "0xabc")
        assert store.intend(OTHER, "commit/0/1") is None
    with Store(tmp_path / "node.db") as store:
        assert store.intend(TASK, "commit/0/1") == "0xabc"


WRITER = """
import sys
from pathlib import Path
from p2pfd.core.ids import TaskId
from p2pfd.node.store import Saved, Store
from p2pfd.settlement.api import Cursor
with Store(Path(sys.argv[1])) as store:
    for number in range(10**9):
        store.save(TaskId(b"\\1" * 32), Saved(str(number).encode(), b"x" * 5000, Cursor(number, 0)))
        print(number, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path):
    path = tmp_path / "node.db"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) == 40:
                break
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged = [int(line) for line in writer.stdout.read().split("\n")[:-1]] or [40]
    with Store(path) as store:
        saved = store.load(TASK)
    assert saved is not None
    assert int(saved.machine) >= acknowledged[-1]
    assert saved.cursor == Cursor(int(saved.machine), 0)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    (tmp_path / "node.db").write_bytes(b"not a database, and long enough to be sure of it" * 100)
    with pytest.raises(StorageError, match=r"node\.db"):
        Store(tmp_path / "node.db")


def test_a_later_schema_is_refused(tmp_path: Path):
    with Store(tmp_path / "node.db") as store:
        store._db.execute("pragma user_version=99")
    with pytest.raises(StorageError, match="schema 99"):
        Store(tmp_path / "node.db")
