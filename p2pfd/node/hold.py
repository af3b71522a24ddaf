"""A node's directory is one process's: before it writes a line there, it makes sure that no other one does."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from p2pfd.errors import EnvironmentProblem

FILE = "lock"
_PID_BYTES = 20


@contextmanager
def holding(home: Path) -> Iterator[None]:
    """Hold the directory until the block ends, or the process does; EnvironmentProblem where another one holds it."""
    handle = os.open(home / FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.read(handle, _PID_BYTES).decode(errors="replace").strip()
            raise EnvironmentProblem(
                f"the node in {home} runs already, in the process {pid or '?'}",
                "a node runs once: stop that process first",
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)  # which lets go of it
