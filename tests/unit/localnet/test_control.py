"""Who may act on a mesh, and what they may say: over real sockets, with and without the token, and far too much."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from p2pfd_localnet.control import BODY_BYTES, Control
from p2pfd_localnet.picture import Picture
from p2pfd_localnet.presets import PRESETS
from p2pfd_localnet.view import MeshView
from p2pfd_localnet.web import Web

from p2pfd.core.ticks import Tick
from p2pfd.node.scrape import open_listener


class Wall:
    def now(self) -> Tick:
        return Tick(1_000_000)


class Desk:
    """A server that takes wishes."""

    def __init__(self, port: int, control: Control) -> None:
        self.port = port
        self.control = control

    async def ask(
        self, body: bytes = b'{"do": "heal"}', method: str = "POST", path: str = "/control", **heads: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        """The status, the heads and the body of the answer; a head of None is left out."""
        usual: dict[str, str | None] = {
            "host": f"127.0.0.1:{self.port}",
            "authorization": f"Bearer {self.control.token}",
            "content-type": "application/json",
            "content-length": str(len(body)),
        }
        given = {**usual, **{name.replace("_", "-"): value for name, value in heads.items()}}
        lines = [
            f"{method} {path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in given.items() if value is not None),
        ]
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            await stream.send_all("\r\n".join(lines).encode() + b"\r\n\r\n" + body[: 4 * BODY_BYTES])
            raw = b""
            while more := await stream.receive_some():
                raw += more
        head, _, answer = raw.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in rest), answer

    async def error(self, body: bytes = b'{"do": "heal"}', **heads: str | None) -> tuple[int, dict[str, Any]]:
        status, _, answer = await self.ask(body, **heads)
        value = json.loads(answer)
        assert value["schema"] == 1
        return status, value["error"]


@asynccontextmanager
async def desk(*, page: bool = True) -> AsyncGenerator[Desk]:
    plan = PRESETS[0]
    control = Control()
    listener = await open_listener("127.0.0.1:0")
    async with trio.open_nursery() as nursery:
        web = Web(Picture(plan, MeshView(plan.names(), 1), Wall()), control, page=page)
        nursery.start_soon(web.serve, listener)
        yield Desk(listener.socket.getsockname()[1], control)
        nursery.cancel_scope.cancel()


async def test_with_the_token_one_is_heard() -> None:
    async with desk() as there:
        status, error = await there.error()
        assert (status, error["code"], error["kind"]) == (409, 6, "NotRunningError")
        status, error = await there.error(origin=f"http://127.0.0.1:{there.port}", sec_fetch_site="same-origin")
        assert (status, error["kind"]) == (409, "NotRunningError")


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer x", "Basic {token}", "bearer {token}", "Bearer {token}x"], ids=str
)
async def test_without_it_nobody_is(given: str | None) -> None:
    async with desk() as there:
        told = None if given is None else given.format(token=there.control.token)
        status, heads, answer = await there.ask(authorization=told)
        assert status == 401
        assert heads["www-authenticate"] == "bearer"
        assert there.control.token.encode() not in answer
        assert json.loads(answer)["error"]["code"] == 2


async def test_every_run_has_another_token_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    one, other = Control(), Control()
    assert len(one.token) >= 43
    assert one.token != other.token
    path = tmp_path / "control.json"
    path.write_text("old")
    path.chmod(0o666)
    one.save(path, "http://127.0.0.1:1/")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"schema": 1, "url": "http://127.0.0.1:1/", "token": one.token}


async def test_what_is_too_long_is_not_read_to_its_end() -> None:
    async with desk() as there:
        status, error = await there.error(b" " * (BODY_BYTES + 1))
        assert (status, error["what"]) == (413, f"more than {BODY_BYTES} bytes")
        status, _ = await there.error(b" " * (2 * BODY_BYTES), content_length="1000000000")
        assert status == 413
        status, error = await there.error(b'{"do": "heal"}' + b" " * (BODY_BYTES - 20))
        assert status == 409, "what just fits is read"


async def test_a_huge_body_is_refused_without_a_token_before_it_is_read() -> None:
    async with desk() as there:
        status, _ = await there.error(b"", authorization=None, content_length="1000000000")
        assert status == 401


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "no JSON"),
        (b"[" * 9000, "no JSON"),
        (b"[]", "no object"),
        (b"\xff", "no JSON"),
        (b'{"do": "burn"}', "nothing called 'burn'"),
        (b'{"do": ["kill"]}', "nothing called ['kill']"),
        (b"{}", "nothing called None"),
        (b'{"do": "kill"}', "nodes is None"),
        (b'{"do": "kill", "nodes": {"a": 1}}', "nodes is"),
        (b'{"do": "kill", "nodes": "0", "really": true}', "no key 'really'"),
        (b'{"do": "loss", "share": NaN}', "share is nan"),
        (b'{"do": "loss", "share": 1e999}', "share is inf"),
        (b'{"do": "delay", "least": -1}', "least is -1"),
    ],
    ids=lambda value: value[:30].decode(errors="replace") if isinstance(value, bytes) else "",
)
async def test_a_body_that_makes_no_sense_is_told_so(body: bytes, what: str) -> None:
    async with desk() as there:
        status, error = await there.error(body)
        assert (status, error["code"], error["kind"]) == (400, 2, "UsageError")
        assert what in error["what"]
        assert error["fix"]


@pytest.mark.parametrize(
    ("heads", "status"),
    [
        ({"content_type": "text/plain"}, 415),
        ({"content_type": None}, 415),
        ({"content_type": "application/json; charset=utf-8"}, 409),
        ({"host": "evil.example"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, 403),
    ],
    ids=str,
)
async def test_other_sites_and_forms_are_kept_out(heads: dict[str, str | None], status: int) -> None:
    async with desk() as there:
        found, _, _ = await there.ask(**heads)
        assert found == status


async def test_it_is_posted_to_and_nothing_else_is() -> None:
    async with desk() as there:
        status, heads, _ = await there.ask(b"", "GET")
        assert (status, heads["allow"]) == (405, "post")
        status, heads, _ = await there.ask(path="/")
        assert (status, heads["allow"]) == (405, "get")
        status, _, _ = await there.ask(path="/controls")
        assert status == 405


async def test_without_a_page_it_is_all_there_is() -> None:
    async with desk(page=False) as there:
        for path in ("/", "/app.js", "/news"):
            status, _, _ = await there.ask(b"", "GET", path)
            assert status == 404
        status, _ = await there.error()
        assert status == 409
