"""What it takes that a file is there after a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, raw: bytes, mode: int = 0o666) -> None:
    """Put a file there, or another in its place; a reader, and a power cut, see what was before or this.

    Whoever calls must be the only one who writes it. What the umask forbids is not allowed by ``mode``.
    """
    part = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_directory(path.parent)


def sync_directory(folder: Path) -> None:
    """What was created, renamed or removed in the folder stays so."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
