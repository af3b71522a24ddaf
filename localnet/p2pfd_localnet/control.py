"""`POST /control`: the one way to change a mesh that runs, for whoever has this run's token.

The body is a deed as a table (`p2pfd_localnet.deeds`) in JSON; with ``for``, it is undone after so many seconds. The
answer is JSON, too: ``done`` in words, or ``error`` with its kind. The token is made anew for every run. It stands in a
file that only its owner can read, and in the link that `localnet link` prints; it is in no log, and in nothing that the
page is served.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h11
import trio

from p2pfd.cli import exits
from p2pfd.cli.screen import SCHEMA
from p2pfd.errors import NotRunningError, P2pfdError, UsageError
from p2pfd.node.scrape import HEAD_BYTES
from p2pfd_localnet.deeds import Deed, deed_of, seconds_of

if TYPE_CHECKING:
    from p2pfd_localnet.havoc import Havoc  # with it comes the chain, which a command that only asks does not need

PATH = "/control"
FILE = "control.json"
BODY_BYTES = 16 * 1024
TOKEN_BYTES = 32
JSON = "application/json"
_BY = ("command", "page")
Reply = tuple[int, dict[str, Any]]
"""A status of HTTP, and the body."""


class Control:
    """Lets in who has the token. It can do nothing until there is a mesh to do it to."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self.havoc: Havoc | None = None

    def refuses(self, heads: Mapping[bytes, bytes]) -> Reply | None:
        """What is wrong with a request before its body is read."""
        given = heads.get(b"authorization", b"")
        if not hmac.compare_digest(given, f"Bearer {self.token}".encode()):
            return _error(401, UsageError("that is not this run's token", "take the link that localnet link prints"))
        kind = heads.get(b"content-type", b"").split(b";")[0].strip().lower()
        if kind != JSON.encode():
            return _error(415, UsageError("the body must be JSON", f"send it as {JSON}"))
        return None

    async def carry_out(self, body: bytes) -> Reply:
        """Do what a body asks for."""
        try:
            deed, by, hold = _read(body)
        except UsageError as error:
            return _error(400, error)
        try:
            if self.havoc is None:
                raise NotRunningError("the mesh is not ready yet, or over", "wait until localnet status says running")
            return 200, {"schema": SCHEMA, "done": await self.havoc.do(deed, by, hold)}
        except P2pfdError as error:
            return _error(409, error)

    def link(self, url: str) -> str:
        """The page, opened so that one can act from it."""
        return f"{url}#token={self.token}"

    def save(self, path: Path, url: str) -> None:
        """Write down where this is and how to get in, for nobody but the owner."""
        path.unlink(missing_ok=True)  # whoever had it open before gets nothing new
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"schema": SCHEMA, "url": url, "token": self.token}, file)


TOO_LARGE: Reply = (
    413,
    {"schema": SCHEMA, "error": {"code": 2, "name": "usage", "what": f"more than {BODY_BYTES} bytes", "fix": ""}},
)


async def read_body(stream: trio.SocketStream, http: h11.Connection) -> bytes | None:
    """The body of a request; None as soon as it is larger than is taken."""
    parts: list[bytes] = []
    size = 0
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            if http.they_are_waiting_for_100_continue:
                await stream.send_all(http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            http.receive_data(await stream.receive_some(HEAD_BYTES))
        elif isinstance(event, h11.Data):
            size += len(event.data)
            if size > BODY_BYTES:
                return None
            parts.append(bytes(event.data))
        else:
            return b"".join(parts)


def _read(body: bytes) -> tuple[Deed, str, float | None]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError("the body is no JSON", 'send an object such as {"do": "heal"}') from None
    if not isinstance(value, dict):
        raise UsageError("the body is no object", 'send one such as {"do": "heal"}')
    by = value.pop("by", _BY[0])
    hold = seconds_of("for", value.pop("for")) if "for" in value else None
    return deed_of(value), by if by in _BY else _BY[0], hold


def _error(status: int, error: P2pfdError) -> Reply:
    way = exits.of(error)
    return status, {
        "schema": SCHEMA,
        "error": {
            "code": way.code,
            "name": way.name,
            "kind": type(error).__name__,
            "what": error.what,
            "fix": error.fix,
        },
    }
