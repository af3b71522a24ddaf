"""What a node knows of others, kept on disk: addresses and offences, each in a file of its own."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Protocol

import trio

from p2pfd.core import boundedjson
from p2pfd.errors import DecodeError, StorageError
from p2pfd.network.addressbook import AddressBook
from p2pfd.network.conduct import Conduct
from p2pfd.network.statefile import LIMIT, StateFile

PEERS = "peers.json"
OFFENCES = "offences.json"
SETTLE_SECONDS = 1.0
"""How much a kill can cost, and how often at most something is written."""
RETRY_SECONDS = 30.0

log = logging.getLogger("p2pfd.network")


class Kept(Protocol):
    """Something with a state."""

    changed: bool

    def dump(self) -> object:
        """The state as a plain value; what has changed is taken care of."""
        ...

    def restore(self, value: object) -> None:
        """Take a state over; DecodeError when it is none."""
        ...


def known_peers(folder: Path) -> list[list[str]]:
    """Where each peer may be dialled that a node keeps in this folder, who answered last first; nothing is changed.

    StorageError or DecodeError when that cannot be read.
    """
    try:
        with (folder / PEERS).open("rb") as file:
            raw = file.read(LIMIT + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot read {folder / PEERS}: {error.strerror}", "check its owner and mode") from error
    book = AddressBook(lambda: math.inf)
    try:
        if len(raw) > LIMIT:
            raise DecodeError(f"it has more than {LIMIT} bytes")
        book.restore(boundedjson.loads(raw))
    except (DecodeError, ValueError, RecursionError) as error:
        why = error.what if isinstance(error, DecodeError) else str(error)
        fix = "nothing need be done: a node puts it aside when it starts, and asks others again"
        raise DecodeError(f"{folder / PEERS} is damaged: {why}", fix) from error
    return book.by_date()


class Remembrance:
    """Reads both when a node starts, and writes them as they change."""

    def __init__(self, folder: Path, book: AddressBook, conduct: Conduct) -> None:
        self._kept: tuple[tuple[StateFile, Kept], ...] = (
            (StateFile(folder / PEERS), book),
            (StateFile(folder / OFFENCES), conduct),
        )

    async def read(self) -> None:
        """Know what was known; a damaged file is put aside, and costs what was in it."""
        for file, kept in self._kept:
            value = await trio.to_thread.run_sync(file.load)
            if value is not None:
                try:
                    kept.restore(value)
                except DecodeError as error:
                    file.put_aside(error.what)

    async def run(self) -> None:
        """Write what has changed until cancelled."""
        while True:
            await trio.sleep(SETTLE_SECONDS)
            for file, kept in self._kept:
                if kept.changed:
                    try:
                        await trio.to_thread.run_sync(file.save, kept.dump(), file.ticket())
                    except StorageError as error:  # a full disk is no reason to leave the network
                        log.warning("what is known of peers is not kept: %s", error)
                        await trio.sleep(RETRY_SECONDS)

    def write(self) -> None:
        """Write what has changed, now."""
        for file, kept in self._kept:
            if kept.changed:
                try:
                    file.save(kept.dump(), file.ticket())
                except StorageError as error:
                    log.warning("what is known of peers is not kept: %s", error)
