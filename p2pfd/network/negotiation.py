"""Which protocol a stream speaks: multistream-select, in one message either way where it can be.

py-libp2p 0.8.1 says what it speaks, waits, asks for the protocol, waits again, and reads the answers byte by byte. The
header and the first choice can go together, as other makes of libp2p send them, and so can the answers to both: one
round trip instead of two, and half of the frames, for every stream that is opened.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.io.exceptions import IncompleteReadError
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.protocol_muxer.exceptions import MultiselectError
from libp2p.protocol_muxer.generic_selector import GenericMultistreamSelector

from p2pfd.network.quicklock import quicken

HEADER = "/multistream/1.0.0"
NONE = "na"
LONGEST = 1024
"""Of a line. The longest name that is spoken here has some eighty bytes."""
ATTEMPTS = 32
SECONDS = 30.0
"""For what a connection speaks; whoever dials or accepts it has less patience."""


class NegotiationError(BaseLibp2pError):  # type: ignore[misc]
    """The two sides agree on no protocol."""


def line(text: str) -> bytes:
    """A line on the wire: its length, at most two bytes of it, and the text with a line's end."""
    raw = text.encode() + b"\n"
    size = len(raw)
    return (bytes([size]) if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])) + raw


async def choose(stream: INetStream, protocols: Sequence[TProtocol], early: bytes = b"") -> TProtocol:
    """Ask for one of these, the best first; NegotiationError when the other side speaks none of them.

    Where there is no choice, what is to be said can go along: who speaks something else ends the stream.
    """
    quicken(stream)
    first, *others = protocols
    await stream.write(line(HEADER) + line(first) + (b"" if others else early))
    if (said := await _read(stream)) != HEADER:
        raise NegotiationError(f"{said[:40]!r} instead of {HEADER}")
    wanted = first
    while (said := await _read(stream)) != wanted:
        if said != NONE:
            raise NegotiationError(f"{said[:40]!r} in answer to {wanted}")
        if not others:
            raise NegotiationError(f"{', '.join(protocols)} is not spoken there")
        wanted = others.pop(0)
        await stream.write(line(wanted))
    return wanted


async def agree(stream: INetStream, spoken: Container[TProtocol | None]) -> TProtocol:
    """Answer whoever opened the stream until it asks for something spoken here; NegotiationError when it does not."""
    quicken(stream)
    answer = line(HEADER)
    mux: Any = getattr(stream, "muxed_stream", None)
    if mux is None:  # a whole connection: a stranger who cannot read our header, nor we his, goes at once
        await stream.write(answer)
        answer = b""
    if (said := await _read(stream)) != HEADER:
        raise NegotiationError(f"{said[:40]!r} instead of {HEADER}")
    # Some say what they want only once they have heard that they are understood.
    if answer and not mux.held:
        await stream.write(answer)
        answer = b""
    for _ in range(ATTEMPTS):
        wanted = TProtocol(await _read(stream))
        if wanted in spoken:
            await stream.write(answer + line(wanted))
            return wanted
        await stream.write(answer + line(NONE))
        answer = b""
    raise NegotiationError(f"{ATTEMPTS} protocols, and none of them spoken here")


class QuickSelector(GenericMultistreamSelector[Any]):  # type: ignore[misc]
    """The same for what a whole connection speaks, its cipher and its multiplexer, in the place of the library's."""

    def __init__(self, handlers: Mapping[TProtocol, Any]) -> None:
        super().__init__()
        for protocol, handler in handlers.items():
            self.add_handler(protocol, handler)

    async def select(self, conn: Any, is_initiator: bool, negotiate_timeout: float = SECONDS) -> tuple[TProtocol, Any]:
        """What is agreed on, and what goes by that name."""
        try:
            with trio.fail_after(negotiate_timeout):
                if is_initiator:
                    protocol = await choose(conn, list(self.handlers))
                else:
                    protocol = await agree(conn, self.handlers)
        except NegotiationError as error:
            raise MultiselectError(str(error)) from error
        except trio.TooSlowError as error:
            raise MultiselectError("no protocol was agreed on in time") from error
        return protocol, self.handlers[protocol]


async def _read(stream: INetStream) -> str:
    size = (await _exactly(stream, 1))[0]
    if size & 0x80:
        size = size & 0x7F | (await _exactly(stream, 1))[0] << 7
    if not 0 < size <= LONGEST:
        raise NegotiationError(f"a line of {size} bytes")
    raw = await _exactly(stream, size)
    if raw[-1:] != b"\n":
        raise NegotiationError("a line without an end")
    try:
        return raw[:-1].decode()
    except UnicodeDecodeError as error:
        raise NegotiationError("a line that is no text") from error


async def _exactly(stream: INetStream, count: int) -> bytes:
    raw = b""
    while len(raw) < count:
        try:
            part = await stream.read(count - len(raw))
        except StreamEOF:
            part = b""
        if not part:
            end = IncompleteReadError("the other side hung up", expected_bytes=count, received_bytes=len(raw))
            raise NegotiationError("the stream ended before a protocol was agreed on") from end
        raw += part
    return raw
