"""What must not leave a mesh's directory: its keys are looked for, however spelt, before anything is given away."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from p2pfd.errors import P2pfdError, StorageError
from p2pfd.node import keys
from p2pfd_localnet.state import State

_SIX, _EIGHT = 6, 8


def secrets_of(state: State) -> list[bytes]:
    """Every secret of the mesh that is in a file of its directory."""
    found = []
    for name in state.names():
        try:
            held = keys.load(state.node(name) / "keys")
        except P2pfdError:
            continue  # no keys, or none that anybody can read
        found += [held.peer_private, held.account.private, keys.secret(held)]
    return [*found, *_token(state)]


def _token(state: State) -> Iterator[bytes]:
    """What opens the control of a mesh that runs."""
    try:
        token = json.loads((state.home / "control.json").read_text(encoding="utf-8"))["token"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if isinstance(token, str) and token:
        yield token.encode()


def spellings(secret: bytes) -> set[bytes]:
    """The ways in which a secret may stand in a file: as it is, in hex, and in base64 wherever in a text it begins."""
    number = str(int.from_bytes(secret, "big")).encode()
    found = {secret, secret[::-1], secret.hex().encode(), secret.hex().upper().encode(), number}
    for lead in range(3):
        text = base64.b64encode(bytes(lead) + secret)
        first = -(-lead * _EIGHT // _SIX)
        inner = text[first : (lead + len(secret)) * _EIGHT // _SIX]  # the characters that hang on nothing else
        found |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def check(folder: Path, secrets: Iterable[bytes]) -> None:
    """StorageError for the first file that holds a secret."""
    words = sorted({spelling for secret in secrets for spelling in spellings(secret)})
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            raw = path.read_bytes()
            if any(word in raw for word in words):
                raise StorageError(f"{path.name} holds a key", "nothing was written; please report this")
