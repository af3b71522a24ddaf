"""The file with a private mesh's key, as every libp2p writes it. What is done with the key: `p2pfd.network.sealed`."""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path

from p2pfd.errors import PlanError, StorageError

KEY_BYTES = 32
FILE_BYTES = 4096
HEAD = "/key/swarm/psk/1.0.0/\n/base16/\n"
FORMAT = re.compile(rb"\s*/key/swarm/psk/1\.0\.0/\s+/base16/\s+([0-9a-fA-F]{64})\s*\Z")


def fresh_key() -> str:
    """The text of a file with a new key."""
    return f"{HEAD}{secrets.token_hex(KEY_BYTES)}\n"


def read_key(path: Path) -> bytes:
    """The key in a file as libp2p writes it; PlanError or StorageError says what is wrong with it."""
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise StorageError(f"others may read {path}", f"run: chmod 600 {path}")
            raw = file.read(FILE_BYTES)
    except OSError as error:
        raise StorageError(f"cannot read the network's key {path}: {error.strerror}", "check the path") from error
    found = FORMAT.match(raw)
    if found is None:
        how = "three lines: /key/swarm/psk/1.0.0/ then /base16/ then 64 hex digits"
        raise PlanError(f"{path} is no key of a private network", f"write {how}")
    return bytes.fromhex(found.group(1).decode())
