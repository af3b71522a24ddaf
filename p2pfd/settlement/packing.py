"""gzip on the way from a chain: answers are mostly hexadecimal digits and names that repeat."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

_ACCEPT = b"accept-encoding"
GZIP = (b"content-encoding", b"gzip")
LEAST = 512
"""Shorter bodies are sent as they are: they fit into one packet anyway."""
_WINDOW = 31  # gzip's frame, and the largest window
_QUICK = 1

Headers = Iterable[tuple[bytes, bytes]]


def packed(out: bytes, asked: Headers) -> bytes | None:
    """The body, packed; None where it is to be sent as it is."""
    if len(out) < LEAST or not any(name == _ACCEPT and b"gzip" in value.lower() for name, value in asked):
        return None
    packer = zlib.compressobj(_QUICK, zlib.DEFLATED, _WINDOW)
    return packer.compress(out) + packer.flush()


class UnreadableError(ValueError):
    """A body is not what its headers say."""


class Body:
    """A body as it comes in, unpacked if it has to be; UnreadableError where that cannot be done.

    Nothing is unpacked beyond ``limit`` bytes: `full` says that there was more.
    """

    def __init__(self, headers: Headers, limit: int) -> None:
        codings = [value.strip().lower() for name, value in headers if name == GZIP[0]]
        if codings not in ([], [b"identity"], [GZIP[1]]):
            raise UnreadableError(f"a body coded as {codings}")
        self._packer = zlib.decompressobj(_WINDOW) if codings == [GZIP[1]] else None
        self._parts: list[bytes] = []
        self._room = limit
        self.full = False

    def add(self, raw: bytes) -> None:
        """The next part."""
        if self.full:
            return
        part = raw
        if self._packer is not None:
            try:
                part = self._packer.decompress(raw, self._room + 1)
            except zlib.error as error:
                raise UnreadableError(f"a body that is not packed as it says: {error}") from error
        self._room -= len(part)
        self.full = self._room < 0
        self._parts.append(part)

    def whole(self) -> bytes:
        """All of it, when the last part is there."""
        if self._packer is not None and (not self._packer.eof or self._packer.unused_data):
            raise UnreadableError("a packed body that ends elsewhere")
        return b"".join(self._parts)
