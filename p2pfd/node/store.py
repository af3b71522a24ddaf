"""The node's database: its machine's last snapshot, what the chain has told it, and what it has asked of the chain."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pfd.core.ids import TaskId
from p2pfd.errors import EnvironmentProblem, StorageError
from p2pfd.settlement.api import GENESIS, Cursor

FILE = "node.db"
AFRESH = "restore it from a copy, or remove it to start afresh"
_SCHEMA = 1
_TABLES = """
create table if not exists snapshot (
    task blob primary key, machine blob not null, learner blob not null, block integer not null, idx integer not null);
create table if not exists intent (
    task blob, name text, ref text not null, primary key (task, name));
"""


@dataclass(frozen=True, slots=True)
class Saved:
    """A machine and its learner, and up to where in the chain's history they have seen."""

    machine: bytes
    learner: bytes
    cursor: Cursor


class Store(AbstractContextManager["Store"]):
    """SQLite with a write-ahead log. When a method returns, what it wrote survives a crash."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=5)
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=full")
            (version,) = self._db.execute("pragma user_version").fetchone()
            if version not in (0, _SCHEMA):
                raise StorageError(f"{path} has schema {version}", f"this release reads schema {_SCHEMA}; update p2pfd")
            self._db.executescript(_TABLES)
            self._db.execute(f"pragma user_version={_SCHEMA}")
        except sqlite3.DatabaseError as error:
            raise self._problem(error) from error

    def save(self, task: TaskId, saved: Saved) -> None:
        """Replace a task's snapshot."""
        row = (task, saved.machine, saved.learner, saved.cursor.block, saved.cursor.index)
        self._write("insert or replace into snapshot values (?, ?, ?, ?, ?)", row)

    def load(self, task: TaskId) -> Saved | None:
        """A task's snapshot, if there is one."""
        row = self._read("select machine, learner, block, idx from snapshot where task = ?", (task,))
        if row is None:
            return None
        machine, learner, block, index = row
        if not (isinstance(machine, bytes) and isinstance(learner, bytes) and {type(block), type(index)} == {int}):
            raise StorageError(f"{self._path}: a damaged snapshot", AFRESH)
        return Saved(machine, learner, Cursor(block, index) if block >= 0 else GENESIS)

    def intend(self, task: TaskId, name: str) -> str | None:
        """Remember that a claim is about to be sent. If it was before: its reference, empty when none came back."""
        row = self._read("select ref from intent where task = ? and name = ?", (task, name))
        if row is not None:
            return str(row[0])
        self._write("insert into intent values (?, ?, '')", (task, name))
        return None

    def sent(self, task: TaskId, name: str, ref: str) -> None:
        """Remember under which reference a claim was sent."""
        self._write("update intent set ref = ? where task = ? and name = ?", (ref, task, name))

    def _write(self, statement: str, row: tuple[object, ...]) -> None:
        try:
            self._db.execute(statement, row)
        except sqlite3.DatabaseError as error:
            raise self._problem(error) from error

    def _read(self, statement: str, row: tuple[object, ...]) -> tuple[Any, ...] | None:
        try:
            found: tuple[Any, ...] | None = self._db.execute(statement, row).fetchone()
        except sqlite3.DatabaseError as error:
            raise self._problem(error) from error
        return found

    def _problem(self, error: sqlite3.DatabaseError) -> StorageError | EnvironmentProblem:
        full = getattr(error, "sqlite_errorname", "") in ("SQLITE_FULL", "SQLITE_IOERR_WRITE")
        if full or "disk is full" in str(error):
            return EnvironmentProblem(f"no room to write {self._path}", "free some disk space and start again")
        return StorageError(f"{self._path}: {error}", AFRESH)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def __exit__(self, *exc: object) -> None:
        self.close()
