"""Whether a stopped mesh is whole: every file without which it cannot go on as the same is there and can be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from p2pfd.errors import P2pfdError, StorageError
from p2pfd.node import keys
from p2pfd.node.config import load_task
from p2pfd.node.store import FILE as STORE_FILE
from p2pfd.node.telemetry import FILE as EVENTS_FILE
from p2pfd.node.telemetry import older
from p2pfd.settlement.outbox import FILE as OUTBOX_FILE
from p2pfd_localnet.plan import Plan, is_url
from p2pfd_localnet.state import State

_CHAIN_DATABASE = "chain.sqlite"
_CHAIN_FILES = {"embedded": _CHAIN_DATABASE, "ganache": "ganache"}
Look = Callable[[Path], object]


def was_up(home: State) -> bool:
    """Whether any node was ever ready: before that none has done anything, and all have been given what they need."""
    nodes = [home.node(name) for name in home.names()]
    told = [path for node in nodes for path in (older(node / EVENTS_FILE), node / EVENTS_FILE) if path.exists()]
    return any(b'"node.ready"' in path.read_bytes() for path in told) or any(_has_snapshot(node) for node in nodes)


def _has_snapshot(node: Path) -> bool:
    path = node / STORE_FILE
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(path)) as db:
            return bool(db.execute("select 1 from snapshot limit 1").fetchone())
    except sqlite3.OperationalError:
        return False  # it has not even that table
    except sqlite3.DatabaseError:
        return True  # whatever was in it: that is not for throwing away


def check(home: State, plan: Plan) -> None:
    """StorageError for the first file that is missing or damaged."""
    for path, look in _needed(home, plan):
        if not path.exists():
            raise StorageError(f"{path} is missing: this mesh cannot go on as the same", home.anew)
        try:
            look(path)
        except (P2pfdError, sqlite3.DatabaseError) as error:
            told = error.what if isinstance(error, P2pfdError) else str(error)
            what = told if str(path) in told else f"{path} is damaged: {told}"
            raise StorageError(f"{what}: this mesh cannot go on as the same", home.anew) from error


def _needed(home: State, plan: Plan) -> Iterator[tuple[Path, Look]]:
    yield home.task, load_task
    for name in (name for name in plan.everybody() if home.node(name).exists()):
        node = home.node(name)
        yield node / "keys" / keys.FILE, lambda path: keys.load(path.parent)
        if (node / "peers").exists():  # it has been up
            yield node / STORE_FILE, _database
        if (node / OUTBOX_FILE).exists():
            yield node / OUTBOX_FILE, _database
    missing = next((name for name in plan.names() if not home.node(name).exists()), None)
    if missing is not None and home.names():
        yield home.node(missing), load_task
    if plan.chain != "none" and not is_url(plan.chain):
        file = home.chain / _CHAIN_FILES.get(plan.chain, "anvil.json")
        yield file, _database if file.name == _CHAIN_DATABASE else _anything


def _database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("pragma quick_check").fetchone()
        tables = db.execute("select count(*) from sqlite_master").fetchone()
    if found != ("ok",) or tables == (0,):
        raise sqlite3.DatabaseError("its pages do not fit together" if tables != (0,) else "it is empty")


def _anything(path: Path) -> None:
    """A file or a directory of another maker's, who knows what is wrong with it."""
    if path.is_file() and not path.stat().st_size:
        raise StorageError(f"{path} is empty", "")
