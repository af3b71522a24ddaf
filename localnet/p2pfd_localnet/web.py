"""The page of a mesh over HTTP: its files, and its news as server-sent events. Whoever may GET these changes nothing;
what changes something is `p2pfd_localnet.control`, which takes a POST and a token.

Whoever asks must name this server by an address or as localhost: a name of the DNS can be made to lead here by
anybody, and a page that was opened under it could read what this one shows. A page of another origin gets nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from ipaddress import ip_address
from types import MappingProxyType

import h11
import trio

from p2pfd.node.scrape import HEAD_BYTES, SECONDS, linger, read_request, receive
from p2pfd_localnet import control, meshmetrics
from p2pfd_localnet.control import Control
from p2pfd_localnet.picture import Picture

NEWS = "/news"
AT_ONCE = 64
MAX_VIEWERS = 24
STALL_SECONDS = 10.0
"""A viewer that takes nothing for so long is hung up on."""
QUIET_SECONDS = 15.0
"""A viewer hears something at least so often, and so does this server of one that has gone without a word."""
PACE = 0.1
"""A viewer gets what is new at most so often."""

_HOST = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[0-9a-zA-Z.]+))(?::[0-9]{1,5})?")
_TYPES = MappingProxyType(
    {
        "html": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }
)
_HEADERS = (
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    ),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("connection", "close"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back: a status and all of a body."""

    status: int
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Wish:
    """Something is to be done to the mesh; what it is stands in the body."""


@dataclass(frozen=True, slots=True)
class News:
    """All that is new from a version on comes back, until the mesh is over."""

    since: int


def load_files() -> Mapping[str, Answer]:
    """The page's files by their paths; there are no others, whatever is asked for."""
    found: dict[str, Answer] = {}
    for entry in (files("p2pfd_localnet") / "page").iterdir():
        kind = _TYPES.get(entry.name.rpartition(".")[2])
        if kind is not None:
            found["/" if entry.name == "index.html" else f"/{entry.name}"] = Answer(200, kind, entry.read_bytes())
    return MappingProxyType(found)


class Web:
    """Serves one picture, if there is to be a page, and lets those act who may.

    ``viewers`` are those who hear news now; who was too slow is counted in ``dropped``.
    """

    def __init__(self, picture: Picture, control: Control | None = None, *, page: bool = True) -> None:
        self._picture = picture
        self._control = control
        self._page = page
        self._files = load_files() if page else {}
        self.viewers = 0
        self.dropped = 0
        self._left = trio.Event()

    async def serve(self, listener: trio.SocketListener) -> None:
        """Answer until cancelled."""
        await receive(listener, self._attend, AT_ONCE)

    async def drain(self, seconds: float) -> None:
        """Let viewers have the last news, and wait for so long at most until they have gone."""
        self._picture.close()
        with trio.move_on_after(seconds):
            while self.viewers:
                await self._left.wait()

    async def _attend(self, stream: trio.SocketStream) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        answer: Answer | News | Wish
        body: bytes | None = None
        with trio.move_on_after(SECONDS) as patience:
            try:
                request = await read_request(stream, http)
                if request is None:
                    return
                answer = self._answer(request)
                if isinstance(answer, Wish):
                    body = await control.read_body(stream, http)
            except h11.RemoteProtocolError as error:
                answer = _plain(error.error_status_hint, str(error))
            if isinstance(answer, Answer):
                await _send(stream, http, answer)
                return
        if patience.cancelled_caught:
            return
        if isinstance(answer, News):
            await self._show(stream, http, answer.since)
        elif self._control is not None:  # what is done may take longer than a stranger may
            said = control.TOO_LARGE if body is None else await self._control.carry_out(body)
            with trio.move_on_after(SECONDS):
                await _send(stream, http, _told(said))

    def _answer(self, request: h11.Request) -> Answer | News | Wish:
        heads: dict[bytes, bytes] = dict(request.headers)
        path = request.target.split(b"?")[0].decode("latin-1")
        acts = path == control.PATH and self._control is not None
        refusal = _refusal(request, heads, b"POST" if acts else b"GET")
        if refusal is not None:
            return refusal
        if acts and self._control is not None:
            said = self._control.refuses(heads)
            return Wish() if said is None else _told(said)
        if path == NEWS and self._page:
            if self.viewers >= MAX_VIEWERS:
                return _plain(503, f"{self.viewers} are watching, and more may not: close another page of this mesh")
            return News(self._known(heads.get(b"last-event-id", b"")))
        if path == meshmetrics.PATH and self._page:
            told = meshmetrics.exposition(self._picture.since(0)[1])
            return Answer(200, meshmetrics.CONTENT_TYPE, told.encode())
        if path == meshmetrics.TARGETS and self._page:
            return Answer(200, "application/json", meshmetrics.targets(self._picture.since(0)[1]).encode())
        return self._files.get(path) or _plain(404, "there is no such page here")

    def _known(self, last: bytes) -> int:
        """Up to which version a viewer knows this run."""
        run, _, version = last.decode("latin-1").partition("-")
        fits = run == self._picture.run and version.isascii() and version.isdigit() and len(version) < 16
        return int(version) if fits else 0

    # -- news ----------------------------------------------------------------------------------------------------------

    async def _show(self, stream: trio.SocketStream, http: h11.Connection, since: int) -> None:
        self.viewers += 1
        self._picture.viewers(self.viewers, self.dropped)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, stream, nursery.cancel_scope)
                if not await self._tell(stream, http, since):
                    self.dropped += 1
                nursery.cancel_scope.cancel()
        finally:
            self.viewers -= 1
            self._picture.viewers(self.viewers, self.dropped)
            self._left.set()
            self._left = trio.Event()

    async def _tell(self, stream: trio.SocketStream, http: h11.Connection, said: int) -> bool:
        """Say what is new until nothing will be; False when the viewer takes nothing any more."""
        say = partial(_say, stream, http)
        head = h11.Response(status_code=200, headers=[("content-type", "text/event-stream"), *_HEADERS])
        try:
            if not await _patiently(stream, http.send(head) or b""):
                return False
            while True:
                over = self._picture.over  # asked first, so that what came before the end is said before it
                version, patch = self._picture.since(said)
                if patch or not said:
                    text = json.dumps(patch, separators=(",", ":"), ensure_ascii=False)
                    if not await say(f"id: {self._picture.run}-{version}\nevent: patch\ndata: {text}\n\n"):
                        return False
                    said = version
                if over:
                    done = await say("event: end\ndata: {}\n\n")
                    return done and await _patiently(stream, http.send(h11.EndOfMessage()) or b"")
                await trio.sleep(PACE)
                idle = self._picture.since(said)[0] == said and not self._picture.over
                if idle and not await self._wait() and not await say(": nothing new\n\n"):
                    return False
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return True  # it has gone

    async def _wait(self) -> bool:
        """For news, a while at most; whether there may be some."""
        with trio.move_on_after(QUIET_SECONDS) as patience:
            await self._picture.news()
        return not patience.cancelled_caught


async def _say(stream: trio.SocketStream, http: h11.Connection, text: str) -> bool:
    return await _patiently(stream, http.send(h11.Data(data=text.encode("utf-8", "replace"))) or b"")


async def _patiently(stream: trio.SocketStream, raw: bytes) -> bool:
    with trio.move_on_after(STALL_SECONDS) as patience:
        await stream.send_all(raw)
    return not patience.cancelled_caught


async def _until_gone(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    """A viewer has nothing more to say: when it does not hang up but talks, that is not read any further."""
    try:
        if await stream.receive_some(1):
            await trio.sleep_forever()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    scope.cancel()


async def _send(stream: trio.SocketStream, http: h11.Connection, answer: Answer) -> None:
    length = ("content-length", str(len(answer.body)))
    headers = [("content-type", answer.kind), length, *_HEADERS]
    if answer.status == 405:
        headers.append(("allow", "POST" if answer.body == _POST_IT else "GET"))
    if answer.status == 401:
        headers.append(("www-authenticate", "Bearer"))
    if answer.status == 503:
        headers.append(("retry-after", "10"))
    out = http.send(h11.Response(status_code=answer.status, headers=headers)) or b""
    out += http.send(h11.Data(data=answer.body)) or b""
    out += http.send(h11.EndOfMessage()) or b""
    await stream.send_all(out)
    await stream.send_eof()
    await linger(stream)


def _told(said: control.Reply) -> Answer:
    status, value = said
    return Answer(status, control.JSON, json.dumps(value).encode())


def _plain(status: int, text: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", f"{text}\n".encode())


_POST_IT = b"POST it\n"


def _refusal(request: h11.Request, heads: Mapping[bytes, bytes], method: bytes = b"GET") -> Answer | None:
    """What is wrong with a request before its target is looked at."""
    if request.method != method:
        wrong = b"" if request.method == b"HEAD" else _POST_IT if method == b"POST" else b"GET it\n"
        return Answer(405, "text/plain; charset=utf-8", wrong)
    host = heads.get(b"host", b"")
    if not is_own_host(host):
        return _plain(421, "name this server by its address, or as localhost")
    origin = heads.get(b"origin")
    if origin is not None and origin != b"http://" + host:
        return _plain(403, "this is for the page of this server alone")
    # Browsers tell where a request comes from. A link from elsewhere may lead to the page; nothing else may.
    opened = heads.get(b"sec-fetch-mode") == b"navigate" and request.target == b"/"
    if heads.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin") and not opened:
        return _plain(403, "this is for the page of this server alone")
    return None


def is_own_host(host: bytes) -> bool:
    """Whether a Host is an address or localhost, with or without a port."""
    found = _HOST.fullmatch(host.decode("latin-1"))
    if found is None:
        return False
    if (found["name"] or "").lower() == "localhost":
        return True
    try:
        return ip_address(found["six"] or found["name"]).version == (6 if found["six"] else 4)
    except ValueError:
        return False
