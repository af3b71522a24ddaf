"""What a blob is called, and the list of its pieces by which each of them can be checked as it comes in.

A blob of up to one piece is called by its SHA-256. A larger one is called by the SHA-256 of its manifest: a mark, the
size, and the SHA-256 of each piece. So that no manifest can ever pass for a blob, a small blob that begins with the
mark is called by its manifest too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from p2pfd.errors import DecodeError
from p2pfd.network.api import Cid

PIECE = 1024 * 1024
MARK = b"p2pfd-blob-manifest-1".ljust(32, b"\0")
SIZE_BYTES = 8
HASH_BYTES = 32


def count_of(size: int) -> int:
    """How many pieces a blob of this size has; the empty one has one, which is empty."""
    return max(1, -(-size // PIECE))


@dataclass(frozen=True, slots=True)
class Manifest:
    """A blob's size, and what its pieces hash to."""

    size: int
    pieces: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.pieces) != count_of(self.size) or any(len(p) != HASH_BYTES for p in self.pieces):
            raise DecodeError(f"a manifest of {len(self.pieces)} pieces for {self.size} bytes")

    def length(self, index: int) -> int:
        """How long a piece is."""
        return min(PIECE, self.size - index * PIECE)

    def rooted(self) -> Cid:
        """The name that a blob of this manifest has when it has more than one piece, or begins with the mark."""
        return Cid(hashlib.sha256(MARK + self.size.to_bytes(SIZE_BYTES, "big") + b"".join(self.pieces)).digest())

    def may_be(self, cid: Cid) -> bool:
        """Whether a blob of this manifest can have this name; with a single piece only its bytes can tell."""
        return len(self.pieces) == 1 or cid == self.rooted()

    def is_piece(self, cid: Cid, index: int, parts: Iterable[bytes]) -> bool:
        """Whether these bytes are that piece of the blob of this name."""
        digest = hashlib.sha256()
        start = b""
        for part in parts:
            digest.update(part)
            start = start if len(start) >= len(MARK) else start + part[: len(MARK)]
        if len(self.pieces) > 1:
            return digest.digest() == self.pieces[index]
        return name_of(Manifest(self.size, (digest.digest(),)), start) == cid  # the only piece's hash is not told


def describe(blob: bytes) -> Manifest:
    """The manifest of a blob."""
    whole = memoryview(blob)
    hashes = (hashlib.sha256(whole[at * PIECE : (at + 1) * PIECE]).digest() for at in range(count_of(len(whole))))
    return Manifest(len(whole), tuple(hashes))


def name_of(manifest: Manifest, start: bytes) -> Cid:
    """The name of a blob of this manifest that begins with these bytes."""
    if len(manifest.pieces) == 1 and not start.startswith(MARK):
        return Cid(manifest.pieces[0])
    return manifest.rooted()


def named(blob: bytes) -> tuple[Cid, Manifest]:
    """A blob's name and its manifest."""
    manifest = describe(blob)
    return name_of(manifest, blob[: len(MARK)]), manifest


def cid_of(blob: bytes) -> Cid:
    """A blob's name."""
    return named(blob)[0]
