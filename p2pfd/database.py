"""SQLite files of one process, which lose nothing that they acknowledged; what to do when one cannot be used."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from p2pfd.errors import EnvironmentProblem, StorageError

_NO_ROOM = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_TRUNCATE")
_BARRED = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")
_TAKEN = ("SQLITE_BUSY", "SQLITE_LOCKED")


@dataclass(frozen=True, slots=True)
class Advice:
    """What a user is to do about a file that another process has open, that cannot be written, or that is damaged."""

    taken: str
    barred: str
    damaged: str


@contextmanager
def opening(
    path: Path | None, advice: Advice, *, patience: float = 0, threads: bool = False
) -> Iterator[sqlite3.Connection]:
    """A database with a write-ahead log, this process's alone; None is one in memory. What the block does to it, such
    as making its tables, is done whole or not at all, and where the block fails the file is closed again. The folder
    of the file is made where there is none.

    ``patience`` is how many seconds another process has to let go of it; with ``threads`` several may use it.
    """
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=patience, check_same_thread=not threads)
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {path}: {error.strerror}", advice.barred) from error
    except sqlite3.DatabaseError as error:
        raise problem(path, error, advice) from error
    try:
        db.execute("pragma locking_mode = exclusive")
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        db.execute("begin immediate")  # takes the lock, and with it the file, until it is closed
        yield db
        db.execute("commit")
    except sqlite3.DatabaseError as error:
        db.close()
        raise problem(path, error, advice) from error
    except BaseException:
        db.close()
        raise


def problem(path: Path | None, error: sqlite3.DatabaseError, advice: Advice) -> StorageError | EnvironmentProblem:
    """What an error of a database means to its user."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(_TAKEN):
        return EnvironmentProblem(f"{path} is in use by another process", advice.taken)
    if name in _NO_ROOM or "disk is full" in str(error):
        return EnvironmentProblem(f"no room to write {path}", "free some disk space and start again")
    if name.startswith(_BARRED):
        return EnvironmentProblem(f"cannot write {path}: {error}", advice.barred)
    return StorageError(f"{path}: {error}", advice.damaged)
