"""What the chain writes to disk: the present state, and every block with its transaction, receipt and logs.

One SQLite file. A block and the state it leaves are one transaction, synced before the caller goes on; the file is
locked for as long as the chain runs, so that no second process writes to it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from p2pfd.database import Advice, opening
from p2pfd.errors import StorageError
from p2pfd.settlement.embedded.state import Account, Changes, World

VERSION = 1
_ADVICE = Advice(
    "stop that chain, or name another directory",
    "name a directory you can write to",
    "this is no chain's state that can be used: name another directory",
)
_SCHEMA = """
create table meta (name text primary key, value blob not null) without rowid;
create table account (
    address blob primary key, nonce integer not null, balance blob not null, code_hash blob not null
) without rowid;
create table code (hash blob primary key, code blob not null);
create table slot (address blob, slot blob, value blob not null, primary key (address, slot)) without rowid;
create table block (
    number integer primary key, hash blob not null unique, parent blob not null, timestamp integer not null,
    digest blob not null, tx_hash blob unique, raw blob, sender blob, target blob, created blob,
    gas_used integer not null, success integer not null, output blob not null
);
create table log (
    block integer, position integer, address blob not null, topics blob not null, data blob not null,
    primary key (block, position)
) without rowid;
"""
WORD = 32


@dataclass(frozen=True, slots=True)
class Log:
    """What a contract told while a block's transaction ran."""

    block: int
    position: int
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """A block: none or one transaction, and what became of it."""

    number: int
    hash: bytes
    parent: bytes
    timestamp: int
    digest: bytes
    """The running digest of all changes of state, up to and with this block's."""
    tx_hash: bytes | None = None
    raw: bytes | None = None
    sender: bytes | None = None
    target: bytes | None = None
    created: bytes | None = None
    gas_used: int = 0
    success: bool = True
    output: bytes = b""
    """What a failed transaction returned: its reason."""


class Store:
    """The chain's file."""

    def __init__(self, path: Path | None) -> None:
        """Open or create it; None keeps everything in memory."""
        with opening(path, _ADVICE) as self._db:
            self._migrate(path)

    def _migrate(self, path: Path | None) -> None:
        version = self._db.execute("pragma user_version").fetchone()[0]
        if version == 0:
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"pragma user_version = {VERSION}")
        elif version != VERSION:
            raise StorageError(f"{path} has schema {version}, this release reads {VERSION}", _ADVICE.damaged)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # -- settings --

    def setting(self, name: str) -> bytes | None:
        """A value that was kept under a name."""
        row = self._db.execute("select value from meta where name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def keep(self, name: str, value: bytes) -> None:
        """Keep a value under a name."""
        self._db.execute("insert or replace into meta values (?, ?)", (name, value))

    # -- writing --

    def write(self, block: Block, logs: Sequence[Log], changes: Changes) -> None:
        """Put a block and the state it leaves on disk, both or neither."""
        self._db.execute("begin")
        try:
            self._write(block, logs, changes)
            self._db.execute("commit")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise StorageError(f"block {block.number} could not be written: {error}", "is the disk full?") from error

    def _write(self, block: Block, logs: Sequence[Log], changes: Changes) -> None:
        for address, account in changes.accounts.items():
            if account is None:
                self._db.execute("delete from account where address = ?", (address,))
            else:
                row = (address, account.nonce, account.balance.to_bytes(WORD, "big"), account.code_hash)
                self._db.execute("insert or replace into account values (?, ?, ?, ?)", row)
        self._db.executemany("insert or replace into code values (?, ?)", changes.code.items())
        for (address, slot), value in changes.slots.items():
            key = (address, slot.to_bytes(WORD, "big"))
            if value:
                self._db.execute("insert or replace into slot values (?, ?, ?)", (*key, value.to_bytes(WORD, "big")))
            else:
                self._db.execute("delete from slot where address = ? and slot = ?", key)
        self._db.execute(
            "insert into block values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                block.number,
                block.hash,
                block.parent,
                block.timestamp,
                block.digest,
                block.tx_hash,
                block.raw,
                block.sender,
                block.target,
                block.created,
                block.gas_used,
                int(block.success),
                block.output,
            ),
        )
        self._db.executemany(
            "insert into log values (?, ?, ?, ?, ?)",
            [(log.block, log.position, log.address, b"".join(log.topics), log.data) for log in logs],
        )

    # -- reading --

    def world(self) -> World:
        """The present state, read whole."""
        world = World()
        for address, nonce, balance, code_hash in self._db.execute("select * from account"):
            world.accounts[address] = Account(nonce, int.from_bytes(balance, "big"), code_hash)
        world.code.update(self._db.execute("select * from code"))
        for address, slot, value in self._db.execute("select * from slot"):
            world.storage.setdefault(address, {})[int.from_bytes(slot, "big")] = int.from_bytes(value, "big")
        return world

    def head(self) -> Block | None:
        """The newest block; None on a chain without a genesis."""
        return self._block("order by number desc limit 1")

    def block(self, number: int) -> Block | None:
        """The block of this number."""
        return self._block("where number = ?", number)

    def block_by_hash(self, block_hash: bytes) -> Block | None:
        """The block of this hash."""
        return self._block("where hash = ?", block_hash)

    def block_of(self, tx_hash: bytes) -> Block | None:
        """The block that holds this transaction."""
        return self._block("where tx_hash = ?", tx_hash)

    def _block(self, which: str, *values: int | bytes) -> Block | None:
        row = self._db.execute(f"select * from block {which}", values).fetchone()  # noqa: S608 - the text is ours
        if row is None:
            return None
        found = Block(*row)
        return replace(found, success=bool(found.success))  # the file keeps truth values as numbers

    def hashes(self, count: int) -> list[bytes]:
        """The newest blocks' hashes, newest first."""
        rows = self._db.execute("select hash from block order by number desc limit ?", (count,))
        return [row[0] for row in rows]

    def logs(self, first: int, last: int, limit: int) -> list[Log]:
        """What contracts told in these blocks, in order, at most so many."""
        rows = self._db.execute(
            "select * from log where block between ? and ? order by block, position limit ?", (first, last, limit)
        )
        return [
            Log(block, position, address, tuple(topics[at : at + WORD] for at in range(0, len(topics), WORD)), data)
            for block, position, address, topics, data in rows
        ]
