"""The chain's door for nodes on other machines: an address they reach, for whoever knows its secret path.

A chain of throw-away funds listens on loopback only, and does there whatever it is asked. Here it is asked by `POST` on
one path that nobody can guess; that path is in the settings of the nodes and in no log.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import trio

from p2pfd.node.scrape import address_of, open_listener

SECRET_BYTES = 32
HEAD_BYTES = 8 * 1024
BODY_BYTES = 4 * 1024 * 1024
SECONDS = 30.0
_CHUNK = 64 * 1024
_END = b"\r\n\r\n"
_REFUSED = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@asynccontextmanager
async def door(chain_url: str, host: str) -> AsyncIterator[str]:
    """Serve the chain at an address of this machine; the whole address, with its secret, which the nodes are told."""
    parts = urlsplit(chain_url)
    path = f"/{secrets.token_urlsafe(SECRET_BYTES)}"
    listener = await open_listener(f"[{host}]:0" if ":" in host else f"{host}:0", "the chain")

    async def attend(stream: trio.SocketStream) -> None:
        try:
            async with stream, await trio.open_tcp_stream(parts.hostname or "", parts.port or 80) as chain:
                stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
                chain.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_answers, chain, stream)
                    await _requests(stream, chain, path.encode())
                    nursery.cancel_scope.cancel()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            pass  # either side went away, or stopped in the middle of a request

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, attend, [listener])
        yield address_of(listener, path)
        nursery.cancel_scope.cancel()


async def _answers(chain: trio.SocketStream, stream: trio.SocketStream) -> None:
    async for raw in chain:
        await stream.send_all(raw)
    await stream.aclose()


async def _requests(stream: trio.SocketStream, chain: trio.SocketStream, path: bytes) -> None:
    """Pass requests on, each looked at; the first that may not be ends it."""
    rest = b""
    while True:
        head, rest = await _head(stream, rest)
        if not head:
            return
        size = body_size(head, path)
        if size is None:
            await stream.send_all(_REFUSED)
            return
        await chain.send_all(head.replace(path, b"/", 1) + rest[:size])
        size, rest = size - len(rest[:size]), rest[size:]
        with trio.fail_after(SECONDS):
            while size:
                raw = await stream.receive_some(min(size, _CHUNK))
                if not raw:
                    return
                await chain.send_all(raw)
                size -= len(raw)


async def _head(stream: trio.SocketStream, rest: bytes) -> tuple[bytes, bytes]:
    """A request's lines, with their end, and what came after them; nothing when there is none."""
    while _END not in rest:
        raw = await stream.receive_some(_CHUNK)
        if not raw or len(rest) > HEAD_BYTES:
            return b"", b""
        rest += raw
    head, _, after = rest.partition(_END)
    return head + _END, after


def body_size(head: bytes, path: bytes) -> int | None:
    """How long the body of a request is that may pass; None of any other."""
    first, *lines = head.removesuffix(_END).split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or words[0] != b"POST" or not hmac.compare_digest(words[1], path):
        return None
    sizes = [value.strip() for name, _, value in (line.partition(b":") for line in lines) if name.lower() == _LENGTH]
    coded = any(line.lower().startswith(b"transfer-encoding") for line in lines)
    if coded or len(sizes) != 1 or not sizes[0].isdigit() or len(sizes[0]) > 8 or int(sizes[0]) > BODY_BYTES:
        return None
    return int(sizes[0])


_LENGTH = b"content-length"
