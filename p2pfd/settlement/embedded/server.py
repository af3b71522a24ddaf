"""HTTP in front of the chain: POST a JSON-RPC body to loopback, get the answer. trio and h11, nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import h11
import trio

from p2pfd.errors import EnvironmentProblem
from p2pfd.settlement.packing import GZIP, packed

MAX_BODY = 4 * 1024 * 1024
MAX_CONNECTIONS = 1024
REQUEST_SECONDS = 30.0
_CHUNK = 64 * 1024
_BACKLOG = 128


async def listen(port: int) -> trio.SocketListener:
    """A listener on loopback; EnvironmentProblem where the port is taken."""
    try:
        (listener,) = await trio.open_tcp_listeners(port, host="127.0.0.1", backlog=_BACKLOG)
    except OSError as error:
        raise EnvironmentProblem(
            f"port {port} on 127.0.0.1 cannot be used: {error.strerror}",
            "choose another port, or 0 for any that is free",
        ) from error
    return listener


Answer = Callable[[bytes], bytes]
Hold = Callable[[bytes], Awaitable[None]]


async def _at_once(_body: bytes) -> None:
    """Nothing is held back."""


async def serve(answer: Answer, listener: trio.SocketListener, hold: Hold = _at_once) -> None:
    """Answer requests for ever. One thread does everything, so two requests never meet inside the chain.

    ``hold`` returns when a request may be answered; others are answered meanwhile.
    """
    limit = trio.CapacityLimiter(MAX_CONNECTIONS)
    await trio.serve_listeners(partial(_connection, answer, hold, limit), [listener])


async def _connection(answer: Answer, hold: Hold, limit: trio.CapacityLimiter, stream: trio.SocketStream) -> None:
    stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
    async with stream, limit:
        try:
            await _exchange(answer, hold, stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            return  # the caller went away, or stopped in the middle of a request
        except h11.RemoteProtocolError:
            return  # it does not speak HTTP


async def _exchange(answer: Answer, hold: Hold, stream: trio.SocketStream) -> None:
    connection = h11.Connection(h11.SERVER)
    while True:
        request = await _next(connection, stream)
        if not isinstance(request, h11.Request):
            return
        with trio.fail_after(REQUEST_SECONDS):
            body = await _body(connection, stream)
        if body is not None:
            await hold(body)
        status, out = _respond(answer, request, body)
        headers = [(b"content-type", b"application/json")]
        if (small := packed(out, request.headers)) is not None:
            out, headers = small, [*headers, GZIP]
        headers.append((b"content-length", str(len(out)).encode()))
        sent = connection.send(h11.Response(status_code=status, headers=headers)) or b""
        sent += connection.send(h11.Data(data=out)) or b""
        sent += connection.send(h11.EndOfMessage()) or b""
        with trio.fail_after(REQUEST_SECONDS):
            await stream.send_all(sent)
        if body is None or connection.our_state is h11.MUST_CLOSE:
            return
        connection.start_next_cycle()


def _respond(answer: Answer, request: h11.Request, body: bytes | None) -> tuple[int, bytes]:
    headers = dict(request.headers)
    if b"origin" in headers:  # a web page in a browser on this machine has no business here
        return 403, b'{"error":"requests from web pages are refused"}'
    if request.method != b"POST":
        return 405, b'{"error":"POST a JSON-RPC request"}'
    if body is None:
        return 413, b'{"error":"the request is too large"}'
    return 200, answer(body)


async def _body(connection: h11.Connection, stream: trio.SocketStream) -> bytes | None:
    """A request's body; None as soon as it is larger than is taken."""
    parts: list[bytes] = []
    size = 0
    while True:
        event = await _next(connection, stream)
        if isinstance(event, h11.EndOfMessage):
            return b"".join(parts)
        if not isinstance(event, h11.Data):
            raise trio.BrokenResourceError
        size += len(event.data)
        if size > MAX_BODY:
            return None
        parts.append(bytes(event.data))


async def _next(connection: h11.Connection, stream: trio.SocketStream) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        if connection.they_are_waiting_for_100_continue:
            await stream.send_all(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        connection.receive_data(await stream.receive_some(_CHUNK))
    return event
