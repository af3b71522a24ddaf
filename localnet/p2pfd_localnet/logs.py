"""What processes print is kept short: a file that has become too long is put aside, its end kept, and goes on empty."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import trio

from p2pfd.node.telemetry import older
from p2pfd.settlement.local import LOG_FILE
from p2pfd_localnet.state import State

MOST_BYTES = 8 * 1024 * 1024
KEPT_BYTES = 1024 * 1024
SECONDS = 10.0


async def keep_short(state: State, names: Iterable[str]) -> None:
    """Look at every log from time to time, for ever. All of them are open for appending, so that they can be cut."""
    while True:
        await trio.sleep(SECONDS)
        for path in [*(state.node(name) / "output.log" for name in names), *of_mesh(state)]:
            shorten(path)


def of_mesh(state: State) -> tuple[Path, ...]:
    """The logs that are no node's."""
    return state.zygote_log, state.log, state.chain / LOG_FILE


def shorten(path: Path, most: int = MOST_BYTES, kept: int = KEPT_BYTES) -> bool:
    """Cut a log that is too long; its last words go to the file beside it. Whether it was."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return False
    if size <= most:
        return False
    with path.open("rb+") as file:
        file.seek(size - kept)
        older(path).write_bytes(file.read())
        file.truncate(0)
    return True
