"""Private meshes: every byte of a connection enciphered with a key that all members share, as libp2p's pnet does it.

Whoever has not got the key does not even learn what is spoken. Each side sends a nonce of 24 bytes before its first
byte, and XSalsa20 from there on. The library's own layer uses Salsa20 with eight bytes of nonce, which no other make
of libp2p understands; here it is the cipher that the specification names. It hides and keeps out; it does not
authenticate: that is what Noise, inside, is for.
"""

from __future__ import annotations

import secrets
import struct

import trio
from Crypto.Cipher import Salsa20
from libp2p.io.exceptions import ConnectionClosedError

from p2pfd.network.sockets import CountedStream, Meter

NONCE = 24
GREETING = b"\x13/multistream/1.0.0\n"
"""What either side says first. Anything else, and it has another key or none: no need to wait for more."""
_SIGMA = struct.unpack("<4I", b"expand 32-byte k")
_ROUND = (  # columns, then rows: each quarter-round's four words
    (0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11),
    (0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14),
)  # fmt: skip


def hsalsa20(key: bytes, block: bytes) -> bytes:
    """A key of its own for each sixteen bytes of nonce: twenty rounds of Salsa20 without the sum at the end."""
    k, n = struct.unpack("<8I", key), struct.unpack("<4I", block)
    x = [_SIGMA[0], *k[:4], _SIGMA[1], *n, _SIGMA[2], *k[4:], _SIGMA[3]]
    for _ in range(10):
        for a, b, c, d in _ROUND:
            for target, one, other, turn in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
                total = (x[one] + x[other]) & 0xFFFFFFFF
                x[target] ^= (total << turn | total >> (32 - turn)) & 0xFFFFFFFF
    return struct.pack("<8I", *(x[place] for place in (0, 5, 10, 15, 6, 7, 8, 9)))


def cipher(key: bytes, nonce: bytes) -> Salsa20.Salsa20Cipher:
    """XSalsa20."""
    return Salsa20.new(key=hsalsa20(key, nonce[:16]), nonce=nonce[16:])


class SealedStream(CountedStream):
    """A TCP connection of a private network."""

    def __init__(self, stream: trio.SocketStream, meter: Meter, key: bytes) -> None:
        super().__init__(stream, meter)
        self._key = key
        self._out: Salsa20.Salsa20Cipher | None = None
        self._in: Salsa20.Salsa20Cipher | None = None
        self._expected = GREETING

    async def write(self, data: bytes) -> None:
        """All of the bytes, enciphered; nothing is awaited between that and their place in the socket's queue."""
        nonce = b""
        if self._out is None:
            nonce = secrets.token_bytes(NONCE)
            self._out = cipher(self._key, nonce)
        await super().write(nonce + self._out.encrypt(data))

    async def read(self, n: int | None = None) -> bytes:
        """At most `n` bytes; ConnectionClosedError as soon as it is clear that the other side has another key."""
        if self._in is None:
            self._in = cipher(self._key, await self._nonce())
        plain: bytes = self._in.decrypt(await super().read(n))
        if self._expected and plain:
            part, self._expected = self._expected[: len(plain)], self._expected[len(plain) :]
            if not plain.startswith(part):
                raise ConnectionClosedError("the other side has another network key", transport="tcp")
        return plain

    async def _nonce(self) -> bytes:
        nonce = b""
        while len(nonce) < NONCE:
            part = await super().read(NONCE - len(nonce))
            if not part:
                raise ConnectionClosedError("the other side hung up: has it another network key?", transport="tcp")
            nonce += part
            if nonce.startswith(GREETING):
                raise ConnectionClosedError("the other side has no network key", transport="tcp")
        return nonce
