"""A web server of a few pages: what a node tells a monitoring system, and whoever has to keep it running.

It answers GET and nothing else, one request a connection, and ends whatever is too long, too slow or too much.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address

import h11
import trio

from p2pfd.errors import EnvironmentProblem, PlanError

PATH = "/metrics"
TEXT = "text/plain; charset=utf-8"
Page = Callable[[], tuple[int, str, str]]
"""A status, a content type and a body, as they are now."""
HEAD_BYTES = 8 * 1024
SECONDS = 5.0
AT_ONCE = 8
BACKLOG = 16
PAUSE = 0.1
LOOPBACK = "127.0.0.1"
HOW = "write it like 127.0.0.1:9464 or [::1]:9464, with port 0 for any free one"


def parse_endpoint(text: str, what: str = "metrics") -> tuple[str, int]:
    """The address and port in a text, to serve ``what`` at; a port alone means this machine only."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") == host.endswith("]") else "?"
    if not colon or not host:
        host = LOOPBACK
    try:
        address = ip_address(host)
        number = int(port)
    except ValueError:
        raise PlanError(f"{text!r} is no address to serve {what} at", HOW) from None
    if not 0 <= number <= 65_535 or not port.isascii():
        raise PlanError(f"{text!r} is no address to serve {what} at", HOW)
    return str(address), number


async def open_listener(endpoint: str, what: str = "metrics") -> trio.SocketListener:
    """A listening socket at this address, for `serve` or `receive`."""
    host, port = parse_endpoint(endpoint, what)
    family = trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET
    sock = trio.socket.socket(family, trio.socket.SOCK_STREAM)
    try:
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
        await sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        fix = (
            "choose another port, or 0 for any"
            if error.errno == errno.EADDRINUSE
            else "choose an address of this machine"
        )
        raise EnvironmentProblem(f"cannot serve {what} at {host}:{port}: {error.strerror}", fix) from error
    return trio.SocketListener(sock)


def address_of(listener: trio.SocketListener, path: str = PATH) -> str:
    """Where it listens, as a monitoring system is told: an address of HTTP."""
    host, port = listener.socket.getsockname()[:2]
    return f"http://[{host}]:{port}{path}" if ":" in host else f"http://{host}:{port}{path}"


async def serve(listener: trio.SocketListener, pages: Mapping[str, Page]) -> None:
    """Answer until cancelled. Whoever comes while `AT_ONCE` others are served is hung up on."""

    async def attend(stream: trio.SocketStream) -> None:
        with trio.move_on_after(SECONDS):
            await _answer(stream, pages)

    await receive(listener, attend, AT_ONCE)


async def receive(
    listener: trio.SocketListener, attend: Callable[[trio.SocketStream], Awaitable[None]], at_once: int
) -> None:
    """Attend to whoever connects, until cancelled, and hang up on whoever comes while so many others are here."""
    busy = 0

    async def host(stream: trio.SocketStream) -> None:
        nonlocal busy
        try:
            await attend(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass  # whoever asked has gone, or no descriptor is left
        finally:
            busy -= 1
            stream.socket.close()

    async with listener, trio.open_nursery() as nursery:
        while True:
            try:
                stream = await listener.accept()
            except OSError:  # no descriptor is left: whoever knocks is answered when there is one again
                await trio.sleep(PAUSE)
                continue
            if busy >= at_once:
                stream.socket.close()
                continue
            busy += 1
            nursery.start_soon(host, stream)


async def _answer(stream: trio.SocketStream, pages: Mapping[str, Page]) -> None:
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
    try:
        request = await read_request(stream, http)
        if request is None:
            return
        status, kind, body = _page(request, pages)
    except h11.RemoteProtocolError as error:
        status, kind, body = error.error_status_hint, TEXT, f"{error}\n"
    headers = [("content-type", kind), ("content-length", str(len(body.encode()))), ("connection", "close")]
    if status == 405:
        headers.append(("allow", "GET"))
    out = http.send(h11.Response(status_code=status, headers=headers)) or b""
    out += http.send(h11.Data(data=body.encode())) or b""
    out += http.send(h11.EndOfMessage()) or b""
    await stream.send_all(out)
    await stream.send_eof()
    await linger(stream)


async def linger(stream: trio.SocketStream) -> None:
    """Until the other side has hung up: what of it is unread when a socket closes takes the answer with it."""
    while await stream.receive_some(HEAD_BYTES):
        pass


async def read_request(stream: trio.SocketStream, http: h11.Connection) -> h11.Request | None:
    """The head of the request; None when there is none. Nobody reads a body."""
    while True:
        event = http.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        http.receive_data(await stream.receive_some(HEAD_BYTES))


def _page(request: h11.Request, pages: Mapping[str, Page]) -> tuple[int, str, str]:
    if request.method != b"GET":
        return 405, TEXT, "" if request.method == b"HEAD" else "GET it\n"
    page = pages.get(request.target.split(b"?")[0].decode("latin-1"))
    if page is None:
        return 404, TEXT, f"there is {', '.join(pages)}, and nothing else\n"
    return page()
