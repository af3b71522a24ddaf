"""Keccak-256, the hash of Ethereum, without the libraries around it: these take long to import."""

from __future__ import annotations

_BITS = 256


def keccak(data: bytes) -> bytes:
    """The 32 bytes of the hash."""
    from Crypto.Hash import keccak as library  # which compiles declarations of C when it is imported

    return library.new(data=data, digest_bits=_BITS).digest()
