"""Files that only their owner may read: written whole or not at all, and on disk before anybody relies on them."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from p2pfd.durable import sync_directory
from p2pfd.errors import StorageError

MAX_BYTES = 4096


def damaged(path: Path, why: str) -> StorageError:
    """The error for a key file that cannot be what was written."""
    return StorageError(f"{path} is damaged: {why}", "restore it from a copy; nobody can compute it again")


def read(path: Path) -> bytes:
    """A private file's bytes; StorageError when it is missing, no file, too large, or readable by others."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in its place must not block us
        with os.fdopen(handle, "rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise StorageError(f"{path} is not a file", "move it away and restore the key file")
            if state.st_mode & 0o077:
                raise StorageError(f"others may read {path}", f"run: chmod 600 {path}")
            if state.st_size > MAX_BYTES:
                raise damaged(path, f"it has {state.st_size} bytes")
            return file.read(MAX_BYTES)
    except FileNotFoundError as error:
        raise StorageError(f"there are no keys in {path.parent}", "make them first, or name another folder") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", "check the folder's owner and mode") from error


def create(path: Path, text: str) -> bool:
    """Write a new file; False when the name was taken, and then nothing was written."""
    part = _written(path, text)
    try:
        os.link(part, path)  # unlike a rename, it never replaces
    except FileExistsError:
        return False
    finally:
        part.unlink()
    sync_directory(path.parent)
    return True


def replace(path: Path, text: str) -> None:
    """Put another text in a file's place; a reader, and a power cut, see the old one or the new one."""
    part = _written(path, text)
    try:
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def make_directory(directory: Path) -> None:
    """A folder that only its owner may enter; one that is there already is closed to others."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if directory.stat().st_mode & 0o077:
        directory.chmod(0o700)


def _written(path: Path, text: str) -> Path:
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask is
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        part.unlink()
        raise
    return part
