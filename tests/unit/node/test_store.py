"""The node's database: what it says it has written is there after a crash, and damage is told, not guessed over."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from p2pfd import __version__
from p2pfd.core.ids import Account, TaskId
from p2pfd.errors import EnvironmentProblem, StorageError
from p2pfd.node import store as store_module
from p2pfd.node.store import Saved, Store
from p2pfd.settlement.api import GENESIS, Cursor

TASK, OTHER = TaskId(b"\1" * 32), TaskId(b"\2" * 32)
WHO = Account("0x" + "11" * 20)


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


def test_a_later_schema_is_refused_and_left_as_it_is(tmp_path: Path):
    path = tmp_path / "node.db"
    with Store(path) as store:
        store.save(TASK, Saved(b"one", b"", GENESIS))
        store._db.execute("pragma user_version=99")
    before = path.read_bytes()
    with pytest.raises(StorageError, match="schema 99, of a later release") as refused:
        Store(path)
    assert "update p2pfd" in refused.value.fix
    assert path.read_bytes() == before


def first_schema(path: Path) -> None:
    """What the first release left: written out here, for the code that made it is gone."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("pragma journal_mode=wal")
    db.executescript("""
        create table snapshot (task blob primary key, machine blob not null, learner blob not null,
            block integer not null, idx integer not null);
        create table intent (task blob, name text, ref text not null, primary key (task, name));
        pragma user_version=1;
    """)
    db.execute("insert into snapshot values (?, ?, ?, ?, ?)", (TASK, b"machine", b"model", 7, 3))
    db.execute("insert into intent values (?, ?, ?)", (TASK, "commit/0/1", "0xabc"))
    db.close()


def test_what_an_earlier_release_kept_is_taken_over(tmp_path: Path):
    first_schema(tmp_path / "node.db")
    for _ in range(2):  # and is as good when it is opened again
        with Store(tmp_path / "node.db") as store:
            assert store.load(TASK) == Saved(b"machine", b"model", Cursor(7, 3))
            assert store.intend(TASK, "commit/0/1") == "0xabc"
            store.belongs_to(WHO)
    with Store(tmp_path / "node.db") as store:
        store.save(TASK, Saved(b"next", b"", GENESIS))
        found = store.load(TASK)
    assert found is not None
    assert found.release == __version__


def test_a_step_that_fails_leaves_the_file_of_the_earlier_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "node.db"
    first_schema(path)
    broken = (*store_module._STEPS, ("create table half (x)", "create table half (x)"))
    monkeypatch.setattr(store_module, "_STEPS", broken)
    with pytest.raises(StorageError, match="half"):
        Store(path)
    db = sqlite3.connect(path)
    assert db.execute("pragma user_version").fetchone() == (1,)
    assert {name for (name,) in db.execute("select name from sqlite_master where type = 'table'")} == {
        "snapshot",
        "intent",
    }
    db.close()


def test_one_process_has_it_at_a_time(tmp_path: Path):
    path = tmp_path / "node.db"
    command = [sys.executable, "-c", WRITER, str(path)]
    with Store(path) as store:
        store.save(TASK, Saved(b"mine", b"", GENESIS))
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "in use by another process" in second.stderr
        assert store.load(TASK) == Saved(b"mine", b"", GENESIS)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(EnvironmentProblem, match="in use by another process"):
            Store(path)
        os.kill(writer.pid, signal.SIGKILL)
        writer.stdout.read()
    with Store(path) as store:  # a process that died holds nothing
        assert store.load(TASK) is not None


def test_it_is_not_handed_from_one_account_to_another(tmp_path: Path):
    with Store(tmp_path / "node.db") as store:
        store.belongs_to(WHO)
        store.belongs_to(WHO)
    with (
        Store(tmp_path / "node.db") as store,
        pytest.raises(StorageError, match=f"is of the account {WHO}, and the keys beside it are of 0x22"),
    ):
        store.belongs_to(Account("0x" + "22" * 20))
