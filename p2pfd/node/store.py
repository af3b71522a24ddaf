"""The node's database: its machine's last snapshot, what the chain has told it, and what it has asked of the chain."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p2pfd import __version__
from p2pfd.core.ids import Account, TaskId
from p2pfd.database import Advice, opening, problem
from p2pfd.errors import StorageError
from p2pfd.settlement.api import GENESIS, Cursor

FILE = "node.db"
AFRESH = "restore it from a copy, or remove it to start afresh"
_ADVICE = Advice("this node runs already: stop that process first", "check its directory's owner and mode", AFRESH)
_STEPS: tuple[tuple[str, ...], ...] = (
    (
        "create table snapshot (task blob primary key, machine blob not null, learner blob not null,"
        " block integer not null, idx integer not null)",
        "create table intent (task blob, name text, ref text not null, primary key (task, name))",
    ),
    (
        "alter table snapshot add column release text not null default ''",
        "create table owner (account text not null)",
    ),
)
"""What makes a file of each schema into one of the next; an empty file has schema 0. Steps are added, never changed."""
SCHEMA = len(_STEPS)


@dataclass(frozen=True, slots=True)
class Saved:
    """A machine and its learner, and up to where in the chain's history they have seen."""

    machine: bytes
    learner: bytes
    cursor: Cursor
    release: str = field(default="", compare=False)
    """Which release of p2pfd wrote it; empty where that was not written down yet."""


class Store(AbstractContextManager["Store"]):
    """SQLite with a write-ahead log, open in one process. When a method returns, what it wrote survives a crash."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with opening(path, _ADVICE, patience=1) as self._db:
            self._prepare()

    def _prepare(self) -> None:
        (version,) = self._db.execute("pragma user_version").fetchone()
        if version > SCHEMA:
            what = f"{self._path} has schema {version}, of a later release"
            raise StorageError(what, f"p2pfd {__version__} reads schemas up to {SCHEMA}: update p2pfd")
        for statements in _STEPS[version:]:
            for statement in statements:
                self._db.execute(statement)
        self._db.execute(f"pragma user_version = {SCHEMA}")

    def belongs_to(self, account: Account) -> None:
        """Be this account's from now on; StorageError where it is another's, whose machine would sign with our keys."""
        row = self._read("select account from owner", ())
        if row is None:
            self._write("insert into owner values (?)", (account,))
        elif row[0] != account:
            raise StorageError(
                f"{self._path} is of the account {row[0]}, and the keys beside it are of {account}",
                "restore the keys that belong to it, or give the new ones a directory of their own",
            )

    def save(self, task: TaskId, saved: Saved) -> None:
        """Replace a task's snapshot."""
        row = (task, saved.machine, saved.learner, saved.cursor.block, saved.cursor.index, __version__)
        self._write("insert or replace into snapshot values (?, ?, ?, ?, ?, ?)", row)

    def load(self, task: TaskId) -> Saved | None:
        """A task's snapshot, if there is one."""
        row = self._read("select machine, learner, block, idx, release from snapshot where task = ?", (task,))
        if row is None:
            return None
        machine, learner, block, index, release = row
        if not (isinstance(machine, bytes) and isinstance(learner, bytes) and {type(block), type(index)} == {int}):
            raise StorageError(f"{self._path}: a damaged snapshot", AFRESH)
        return Saved(machine, learner, Cursor(block, index) if block >= 0 else GENESIS, str(release))

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

    def trace(self, hear: Callable[[str], None] | None) -> None:
        """Have each statement told right before it is carried out; None ends that."""
        self._db.set_trace_callback(hear)

    def _write(self, statement: str, row: tuple[object, ...]) -> None:
        try:
            self._db.execute(statement, row)
        except sqlite3.DatabaseError as error:
            raise problem(self._path, error, _ADVICE) from error

    def _read(self, statement: str, row: tuple[object, ...]) -> tuple[Any, ...] | None:
        try:
            found: tuple[Any, ...] | None = self._db.execute(statement, row).fetchone()
        except sqlite3.DatabaseError as error:
            raise problem(self._path, error, _ADVICE) from error
        return found

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def __exit__(self, *exc: object) -> None:
        self.close()
