"""The JSON-RPC client and the embedded chain's HTTP server, with each other and with worse company."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from p2pfd.errors import ChainError, EnvironmentProblem, PlanError
from p2pfd.settlement.embedded import server
from p2pfd.settlement.embedded.server import listen, serve
from p2pfd.settlement.rpc import Rpc, RpcRefusal

pytestmark = pytest.mark.network


def echo(body: bytes) -> bytes:
    """Answers each request with its own params, and the method ``refuse`` with an error."""
    asked = json.loads(body)
    requests = asked if isinstance(asked, list) else [asked]
    out = []
    for request in requests:
        entry = {"jsonrpc": "2.0", "id": request["id"]}
        if request["method"] == "refuse":
            entry |= {"error": {"code": -32000, "message": "no", "data": "0x1234"}}
        else:
            entry |= {"result": request["params"]}
        out.append(entry)
    return json.dumps(out[::-1] if isinstance(asked, list) else out[0]).encode()


@asynccontextmanager
async def serving(answer: Callable[[bytes], bytes] = echo) -> AsyncIterator[int]:
    listener = await listen(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, answer, listener)
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def listening(handler: Callable[[trio.SocketStream], Awaitable[object]]) -> AsyncIterator[str]:
    """A server that does with each connection whatever it likes."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await handler(stream)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, handle, [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def client(url: str, *, answer_within: float = 5.0, patience: float = 0.5) -> AsyncIterator[Rpc]:
    rpc = Rpc(url, timeout=answer_within, patience=patience)
    try:
        yield rpc
    finally:
        await rpc.aclose()


async def test_calls_and_batches_share_one_connection() -> None:
    connections = 0

    async def counted(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        await server._exchange(echo, server._at_once, stream)

    async with listening(counted) as url, client(url) as rpc:
        assert await rpc.call("echo", 1, "x") == [1, "x"]
        assert await rpc.batch([("echo", [number]) for number in range(5)]) == [[n] for n in range(5)]
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(rpc.call, "echo")
    assert connections == 1


async def test_long_answers_are_packed_and_the_same() -> None:
    long = ["0x" + "ab" * 5000]
    sizes = []

    async def count(stream: trio.SocketStream) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as chain, trio.open_nursery() as nursery:

            async def back() -> None:
                async for raw in chain:
                    sizes.append(len(raw))
                    await stream.send_all(raw)

            nursery.start_soon(back)
            async for raw in stream:
                await chain.send_all(raw)
            nursery.cancel_scope.cancel()

    async with serving() as port, listening(count) as url, client(url) as rpc:
        assert await rpc.call("say", *long) == long
        assert await rpc.call("say", "short") == ["short"]
    assert sum(sizes) < 1000


async def test_a_packed_answer_that_is_broken_is_an_error() -> None:
    async def handler(stream: trio.SocketStream) -> None:
        async for _ in stream:
            await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}")

    async with listening(handler) as url, client(url) as rpc:
        with pytest.raises(ChainError, match="not packed as it says"):
            await rpc.call("say")


async def test_a_refusal_carries_what_the_chain_said() -> None:
    async with serving() as port, client(f"http://127.0.0.1:{port}") as rpc:
        with pytest.raises(RpcRefusal, match="the chain refuses refuse: no") as refusal:
            await rpc.call("refuse")
        assert (refusal.value.code, refusal.value.data) == (-32000, b"\x12\x34")
        assert await rpc.call("echo") == [], "and the connection goes on"


async def test_a_chain_that_comes_back_is_found_again() -> None:
    """The server closes every connection after one answer, and once in the middle of one."""
    answered = 0

    async def fickle(stream: trio.SocketStream) -> None:
        nonlocal answered
        answered += 1
        raw = await stream.receive_some(65_536)
        body = echo(raw.split(b"\r\n\r\n", 1)[1])
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        await stream.send_all(head + (body[:5] if answered == 2 else body))

    async with listening(fickle) as url, client(url, patience=3.0) as rpc:
        for number in range(3):
            assert await rpc.call("echo", number) == [number]
    assert answered == 4


async def test_nothing_there_is_said_with_what_to_do() -> None:
    async with client("http://127.0.0.1:1", patience=0.1) as rpc:
        with pytest.raises(ChainError, match=r"no chain answers at http://127.0.0.1:1: is it running"):
            await rpc.call("echo")


async def test_a_chain_that_hangs_is_given_up() -> None:
    async def hang(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with listening(hang) as url, client(url, answer_within=0.1) as rpc:
        with pytest.raises(ChainError, match=r"took longer than 0.1 s"):
            await rpc.call("echo")


@pytest.mark.parametrize(
    "said", [b"hello", b"{}", b"[1, 2]", b'{"id": 7, "result": 1}', b"[" * 100_000, b'{"id": 1, "error": "odd"}']
)
async def test_answers_that_are_none_are_errors(said: bytes) -> None:
    async with serving(lambda _: said) as port, client(f"http://127.0.0.1:{port}") as rpc:
        with pytest.raises(ChainError):
            await rpc.call("echo")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8545", "http://x:99999999", "https://", "ws://127.0.0.1", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(PlanError, match="is not the address of a chain"):
        Rpc(url)


async def test_a_cancelled_call_does_not_answer_the_next_one() -> None:
    async with serving() as port, client(f"http://127.0.0.1:{port}") as rpc:
        for _ in range(20):
            with trio.move_on_after(0):
                await rpc.call("echo", "old")
            assert await rpc.call("echo", "new") == ["new"]


# -- the server --------------------------------------------------------------------------------------------------------


async def said_to(port: int, raw: bytes) -> bytes:
    """Everything the server answers to these bytes."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(raw)
        await stream.send_eof()
        out = b""
        with trio.fail_after(10):
            while part := await stream.receive_some(65_536):
                out += part
        return out


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"405"),
        (b"POST / HTTP/1.1\r\nhost: x\r\norigin: http://evil\r\ncontent-length: 2\r\n\r\n{}", b"403"),
        (b"nonsense\r\n\r\n", b""),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{}", b""),
        (b"\x16\x03\x01" + bytes(200), b""),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000, b""),
        (b"", b""),
    ],
)
async def test_other_requests_are_turned_away(raw: bytes, status: bytes) -> None:
    async with serving() as port:
        answer = await said_to(port, raw)
        assert answer[9:12] == status
        async with client(f"http://127.0.0.1:{port}") as rpc:
            assert await rpc.call("echo") == [], "and the next caller is served"


async def test_a_body_that_is_too_large_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_BODY", 1_000)
    async with serving() as port:
        answer = await said_to(port, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2000\r\n\r\n" + bytes(1_500))
        assert answer[9:12] == b"413"


async def test_a_chunked_body_is_a_body() -> None:
    body = b'{"id": 1, "method": "echo", "params": [3]}'
    chunked = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in body) + b"0\r\n\r\n"
    async with serving() as port:
        answer = await said_to(port, b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunked)
        assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["result"] == [3]


async def test_a_busy_port_is_named() -> None:
    async with serving() as port:
        with pytest.raises(EnvironmentProblem, match=f"port {port} on 127.0.0.1 cannot be used"):
            await listen(port)
