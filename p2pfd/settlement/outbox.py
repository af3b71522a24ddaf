"""What an account has asked of a chain, on disk before the chain hears of it, and until the chain will never undo it.

An intent is one thing that is to happen once, under a name that the caller chooses. It has a nonce, and attempts:
signed transactions with that nonce, of which the chain can include one at most. When a method here returns, what it
wrote survives a crash: an intent is written together with its first attempt, so that a process that dies at any moment
either never meant it or finds the very bytes that it may have sent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pfd.core.ids import Account
from p2pfd.database import Advice, opening, problem
from p2pfd.errors import StorageError

FILE = "outbox.db"
"""Its name in a node's home."""
_ADVICE = Advice(
    "let only one process use an account at a time",
    "name a file you can write to",
    "restore it from a copy: without it, payments may be made twice",
)
_SCHEMA = 1
_TABLES = """
create table if not exists intent (
    seq integer primary key, scope text not null, name text not null, claim blob not null, target text, data blob,
    gas integer not null, nonce integer not null, since integer not null,
    tx blob, block integer, success integer, cost integer, reason text, created text, unique (scope, name));
create table if not exists attempt (
    tx blob primary key, seq integer not null, nonce integer not null, raw blob, tip integer not null,
    fee integer not null);
create index if not exists unfinished on intent (scope, nonce) where tx is null;
create index if not exists of_intent on attempt (seq);
"""
_INTENT = "seq, name, claim, target, data, gas, nonce, since, tx, block, success, cost, reason, created"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A signed transaction: its hash, its bytes, and what it offers for the gas."""

    tx: bytes
    raw: bytes
    nonce: int
    tip: int
    fee: int


@dataclass(frozen=True, slots=True)
class Fate:
    """What an intent came to, for good: the transaction that was included, where, and what it said if it failed."""

    tx: bytes
    block: int
    success: bool
    cost: int
    reason: str
    created: Account | None = None
    """The contract, where it was a deployment."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to happen: a call, or a deployment where there is no target."""

    name: str
    target: Account | None
    data: bytes
    gas: int
    claim: bytes = b""
    """A digest of what the call means, where the same meaning may be called in several ways."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A wish with a nonce. `since` is a block that was there before any of its attempts was."""

    seq: int
    wish: Wish
    nonce: int
    since: int
    fate: Fate | None
    attempts: tuple[Attempt, ...]
    """Those with the present nonce, the oldest offer first."""


class Outbox(AbstractContextManager["Outbox"]):
    """The outboxes of any number of accounts on any number of chains, in one file that one process may have open."""

    def __init__(self, path: Path | None) -> None:
        """Open or create it; None keeps everything in memory, for funds that are thrown away with the process."""
        self._path = path
        with opening(path, _ADVICE, threads=True) as self._db:
            self._prepare()

    def _prepare(self) -> None:
        (version,) = self._db.execute("pragma user_version").fetchone()
        if version not in (0, _SCHEMA):
            what = f"{self._path} has schema {version}"
            raise StorageError(what, f"this release reads schema {_SCHEMA}; update p2pfd")
        for statement in _TABLES.split(";"):
            self._db.execute(statement)
        self._db.execute(f"pragma user_version = {_SCHEMA}")

    def find(self, scope: str, name: str) -> Intent | None:
        """The intent of this name."""
        return self._one("scope = ? and name = ?", (scope, name))

    def of_transaction(self, scope: str, tx: bytes) -> Intent | None:
        """The intent that this transaction was once an attempt at."""
        return self._one("scope = ? and seq = (select seq from attempt where tx = ?)", (scope, tx))

    def unfinished(self, scope: str, limit: int = -1) -> list[Intent]:
        """What has no fate yet, in the order of the nonces; the first so many."""
        with self._guarded():
            found = f"select {_INTENT} from intent where scope = ? and tx is null order by nonce limit ?"  # noqa: S608 - our own columns
            return [self._intent(row) for row in self._db.execute(found, (scope, limit)).fetchall()]

    def count(self, scope: str) -> int:
        """How many have no fate yet."""
        with self._guarded():
            found = "select count(*) from intent where scope = ? and tx is null"
            (number,) = self._db.execute(found, (scope,)).fetchone()
        return int(number)

    def last_nonce(self, scope: str) -> int:
        """The highest nonce that was ever given to an intent that still stands; −1 where there is none."""
        with self._guarded():
            (found,) = self._db.execute("select max(nonce) from intent where scope = ?", (scope,)).fetchone()
        return -1 if found is None else int(found)

    def last_block(self, scope: str) -> int:
        """The highest block that holds something final of this account; 0 where there is none."""
        with self._guarded():
            (found,) = self._db.execute("select max(block) from intent where scope = ?", (scope,)).fetchone()
        return 0 if found is None else int(found)

    def add(self, scope: str, wish: Wish, since: int, attempt: Attempt) -> Intent:
        """A new intent with its first attempt."""
        row = (scope, wish.name, wish.claim, wish.target, wish.data, wish.gas, attempt.nonce, since)
        with self._written():
            columns = "scope, name, claim, target, data, gas, nonce, since"
            done = self._db.execute(f"insert into intent ({columns}) values (?, ?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608 - our own columns
            assert done.lastrowid is not None
            self._attempt(done.lastrowid, attempt)
        return Intent(done.lastrowid, wish, attempt.nonce, since, None, (attempt,))

    def add_attempt(self, intent: Intent, attempt: Attempt) -> None:
        """Another offer for the same nonce."""
        with self._written():
            self._attempt(intent.seq, attempt)

    def move(self, intent: Intent, since: int, attempt: Attempt) -> None:
        """Begin anew with another nonce: only when no earlier attempt can ever be included."""
        with self._written():
            change = "update intent set nonce = ?, since = ? where seq = ?"
            self._db.execute(change, (attempt.nonce, since, intent.seq))
            self._attempt(intent.seq, attempt)

    def forget(self, intent: Intent) -> None:
        """An intent that the chain did not take at all: as if it had never been."""
        with self._written():
            self._db.execute("delete from attempt where seq = ?", (intent.seq,))
            self._db.execute("delete from intent where seq = ?", (intent.seq,))

    def finish(self, fates: Sequence[tuple[Intent, Fate]]) -> None:
        """Intents that are over; what they were made of is needed no more, their names are."""
        with self._written():
            for intent, fate in fates:
                self._db.execute(
                    "update intent set tx = ?, block = ?, success = ?, cost = ?, reason = ?, created = ?, data = null "
                    "where seq = ?",
                    (fate.tx, fate.block, fate.success, fate.cost, fate.reason, fate.created, intent.seq),
                )
                self._db.execute("update attempt set raw = null where seq = ?", (intent.seq,))

    def _attempt(self, seq: int, attempt: Attempt) -> None:
        row = (attempt.tx, seq, attempt.nonce, attempt.raw, attempt.tip, attempt.fee)
        self._db.execute("insert or ignore into attempt values (?, ?, ?, ?, ?, ?)", row)

    def _one(self, condition: str, values: tuple[object, ...]) -> Intent | None:
        with self._guarded():
            row = self._db.execute(f"select {_INTENT} from intent where {condition}", values).fetchone()  # noqa: S608 - our own words
            return None if row is None else self._intent(row)

    def _intent(self, row: tuple[Any, ...]) -> Intent:
        seq, name, claim, target, data, gas, nonce, since, tx, block, success, cost, reason, created = row
        wish = Wish(name, None if target is None else Account(target), data or b"", gas, claim)
        found = "select tx, raw, nonce, tip, fee from attempt where seq = ? and nonce = ? order by fee, tip"
        rows = self._db.execute(found, (seq, nonce)).fetchall()
        attempts = tuple(Attempt(each[0], each[1] or b"", *each[2:]) for each in rows)
        if not attempts:
            raise StorageError(f"{self._path}: the intent {name!r} has no transaction", "restore it from a copy")
        made = None if created is None else Account(created)
        fate = None if tx is None else Fate(tx, block, bool(success), cost, reason, made)
        return Intent(seq, wish, nonce, since, fate, attempts)

    @contextmanager
    def _written(self) -> Iterator[None]:
        with self._guarded():
            self._db.execute("begin")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise problem(self._path, error, _ADVICE) from error

    def close(self) -> None:
        """Close the file; what is unfinished is gone on with when it is opened again."""
        self._db.close()

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_db"):
            self._db.close()  # one in memory goes with its last user, and nobody needs to say so
