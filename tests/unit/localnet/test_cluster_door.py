"""The chain's door: who knows the path gets an answer, nobody else does, and nothing else passes."""

from __future__ import annotations

import json

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from p2pfd_localnet.engines.door import BODY_BYTES, HEAD_BYTES, body_size, door

from p2pfd.errors import ChainError
from p2pfd.settlement.embedded import server
from p2pfd.settlement.rpc import Rpc

HOST = "127.0.0.1"
PATH = b"/secret"


def head(*lines: bytes, first: bytes = b"POST /secret HTTP/1.1") -> bytes:
    return b"\r\n".join([first, *lines]) + b"\r\n\r\n"


async def test_requests_pass_one_after_another_and_the_chain_sees_no_secret(nursery: trio.Nursery) -> None:
    def answer(body: bytes) -> bytes:
        asked = json.loads(body)
        return json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": asked["params"]}).encode()

    listener = await server.listen(0)
    nursery.start_soon(server.serve, answer, listener)
    port = listener.socket.getsockname()[1]
    async with door(f"http://{HOST}:{port}", HOST) as url:
        rpc = Rpc(url, patience=0.0)
        for size in (1, 1_000_000):
            assert await rpc.call("echo", "x" * size) == ["x" * size]
        wrong = Rpc(url[:-1] + ("a" if url[-1] != "a" else "b"), patience=0.0)
        with pytest.raises(ChainError, match="status 404"):
            await wrong.call("echo", 1)
        await wrong.aclose()
        await rpc.aclose()
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("lines", "first"),
    [
        ((b"content-length: 3",), b"GET /secret HTTP/1.1"),
        ((b"content-length: 3",), b"POST /secret"),
        ((b"content-length: 3",), b"POST /secre HTTP/1.1"),
        ((b"content-length: 3",), b"POST / HTTP/1.1"),
        ((), b"POST /secret HTTP/1.1"),
        ((b"content-length: 3", b"Content-Length: 4"), b"POST /secret HTTP/1.1"),
        ((b"content-length: -3",), b"POST /secret HTTP/1.1"),
        ((b"content-length: 3", b"Transfer-Encoding: chunked"), b"POST /secret HTTP/1.1"),
        ((b"content-length: %d" % (BODY_BYTES + 1),), b"POST /secret HTTP/1.1"),
        ((b"content-length: 999999999999999999",), b"POST /secret HTTP/1.1"),
    ],
    ids=["get", "short", "path", "root", "none", "two", "negative", "chunked", "large", "huge"],
)
def test_what_may_not_pass(lines: tuple[bytes, ...], first: bytes) -> None:
    assert body_size(head(*lines, first=first), PATH) is None


def test_what_may_pass() -> None:
    assert body_size(head(b"Host: x", b"Content-Length:  12 "), PATH) == 12


@given(st.binary(max_size=200))
def test_no_bytes_make_it_stumble(raw: bytes) -> None:
    assert body_size(raw + b"\r\n\r\n", PATH) is None or raw.startswith(b"POST /secret ")


async def test_a_head_without_an_end_is_hung_up_on(nursery: trio.Nursery) -> None:
    listener = await server.listen(0)
    nursery.start_soon(server.serve, lambda body: body, listener)
    async with door(f"http://{HOST}:{listener.socket.getsockname()[1]}", HOST) as url:
        port = int(url.split(":")[2].split("/")[0])
        async with await trio.open_tcp_stream(HOST, port) as stream:
            with pytest.raises(trio.BrokenResourceError):  # noqa: PT012 - whichever of them notices
                while True:
                    await stream.send_all(b"x" * HEAD_BYTES)
                    await trio.lowlevel.checkpoint()
    nursery.cancel_scope.cancel()
