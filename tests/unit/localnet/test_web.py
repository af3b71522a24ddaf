"""The page's server, over real sockets: who is let in, what is told, and who is hung up on."""

from __future__ import annotations

import json
import socket

import pytest
import trio
from p2pfd_localnet import web
from p2pfd_localnet.events import NodeEvent
from p2pfd_localnet.picture import Picture
from p2pfd_localnet.plan import change
from p2pfd_localnet.presets import PRESETS
from p2pfd_localnet.view import MeshView

from p2pfd.core.ticks import Tick
from p2pfd.errors import EnvironmentProblem
from p2pfd.node.scrape import HEAD_BYTES, open_listener


class Wall:
    def now(self) -> Tick:
        return Tick(1_000_000)


class Site:
    """A page of two nodes that is served."""

    def __init__(self, port: int, server: web.Web, picture: Picture, view: MeshView) -> None:
        self.port = port
        self.server = server
        self.picture = picture
        self.view = view

    def happen(self, name: str, node: str = "node-0", t: int = 5_000, **fields: object) -> None:
        event = NodeEvent(t, node, name, fields)
        self.view.take(event)
        self.picture.take(event)

    async def ask(self, raw: bytes) -> bytes:
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            await stream.send_all(raw)
            return await everything(stream)

    async def get(self, path: str, *heads: str) -> bytes:
        return await self.ask(request(path, *heads))

    async def watch(self, *heads: str) -> Viewer:
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        await stream.send_all(request("/news", *heads))
        return Viewer(stream)


class Viewer:
    """Reads chunks of server-sent events."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._raw = b""
        self.head = b""

    async def hear(self) -> tuple[str, str, dict[str, object]]:
        """The next event: id, name and data."""
        while True:
            if not self.head and b"\r\n\r\n" in self._raw:
                self.head, _, self._raw = self._raw.partition(b"\r\n\r\n")
            size, _, rest = self._raw.partition(b"\r\n") if self.head else (b"", b"", b"")
            if size and len(rest) >= int(size, 16) + 2:
                if size == b"0":
                    return "", "gone", {}
                text, self._raw = rest[: int(size, 16)].decode(), rest[int(size, 16) + 2 :]
                if text.startswith(":"):
                    continue
                fields = dict(line.split(": ", 1) for line in text.strip().split("\n"))
                return fields.get("id", ""), fields["event"], json.loads(fields["data"])
            more = await self.stream.receive_some()
            if not more:
                return "", "gone", {}
            self._raw += more


def request(path: str, *heads: str) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        *(heads if any(h.startswith("Host") for h in heads) else ("Host: 127.0.0.1", *heads)),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def everything(stream: trio.SocketStream) -> bytes:
    parts = []
    try:
        while part := await stream.receive_some():
            parts.append(part)
    except trio.BrokenResourceError:  # hung up on
        pass
    return b"".join(parts)


@pytest.fixture
async def site(nursery: trio.Nursery) -> Site:
    plan = change(PRESETS[0], nodes=2)
    view = MeshView(plan.names(), plan.rounds)
    picture = Picture(plan, view, Wall())
    server = web.Web(picture)
    listener = await open_listener("127.0.0.1:0")
    nursery.start_soon(server.serve, listener)
    return Site(listener.socket.getsockname()[1], server, picture, view)


async def test_the_page_and_its_files_come_with_a_strict_policy(site: Site) -> None:
    for path, kind in (("/", b"text/html"), ("/app.js", b"text/javascript"), ("/style.css?x", b"text/css")):
        head, _, body = (await site.get(path)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert kind in head
        assert b"default-src 'none'" in head
        assert b"frame-ancestors 'none'" in head
        assert b"nosniff" in head
        assert b"access-control" not in head.lower()
        assert f"content-length: {len(body)}".encode() in head.lower()
        assert body


async def test_every_file_that_the_page_names_is_there_and_none_is_elsewhere(site: Site) -> None:
    page = (await site.get("/")).decode()
    for path in ("style.css", "app.js", "icon.svg"):
        assert f'"{path}"' in page
        assert (await site.get(f"/{path}")).startswith(b"HTTP/1.1 200")
    for name, answer in web.load_files().items():
        text = answer.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, f"{name} names another machine"
        assert "innerHTML" not in text
        assert " style=" not in text, f"{name}: the policy forbids styles in attributes"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request("/nothing"), 404),
        (request("/../../../etc/passwd"), 404),
        (request("/%2e%2e/%2e%2e/etc/passwd"), 404),
        (request("/page/../web.py"), 404),
        (request("//style.css"), 404),
        (request("/style.css/"), 404),
        (request("http://127.0.0.1/style.css"), 404),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"PUT /news HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n", 405),
        (b"OPTIONS /news HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405),
        (b"HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n", 400),
        (b"GET /" + b"x" * 2 * HEAD_BYTES + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n", 431),
    ],
    ids=[
        "unknown", "up", "up encoded", "up inside", "doubled", "below", "absolute", "post", "put", "options", "head",
        "no host", "no host 1.0", "two hosts", "tls", "long target", "long head",
    ],
)  # fmt: skip
async def test_anything_else_is_refused_and_the_page_still_comes(raw: bytes, status: int, site: Site) -> None:
    answer = await site.ask(raw)
    assert answer.startswith(b"HTTP/1.1 %d" % status), answer[:200]
    assert b"root:" not in answer
    assert (await site.get("/")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True), ("127.0.0.1:80", True), ("localhost:1", True), ("LOCALHOST", True), ("[::1]:7", True),
        ("[::1]", True), ("192.0.2.7:8080", True), ("evil.example", False), ("evil.example:80", False), ("", False),
        ("127.0.0.1.evil.example", False), ("localhost.evil.example", False), ("127.0.0.1:80@evil", False),
        ("0x7f.1", False), ("[::1", False), ("::1]", False), (":80", False), ("[]", False), ("localhost:x", False),
    ],
)  # fmt: skip
def test_a_host_is_an_address_or_localhost(host: str, own: bool) -> None:
    assert web.is_own_host(host.encode()) is own


@pytest.mark.parametrize("path", ["/", "/news", "/app.js"])
async def test_a_name_that_somebody_points_at_this_machine_gets_nothing(path: str, site: Site) -> None:
    answer = await site.get(path, "Host: evil.example:8080")
    assert answer.startswith(b"HTTP/1.1 421")
    assert b"node-" not in answer
    assert site.server.viewers == 0


@pytest.mark.parametrize(
    "head",
    ["Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"],
)
async def test_pages_of_others_get_nothing(head: str, site: Site) -> None:
    assert (await site.get("/news", head)).startswith(b"HTTP/1.1 403")
    assert site.server.viewers == 0


async def test_a_link_from_elsewhere_opens_the_page_and_the_page_its_own_files(site: Site) -> None:
    link = await site.get("/", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate")
    assert link.startswith(b"HTTP/1.1 200")
    held = await site.get("/news", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate")
    assert held.startswith(b"HTTP/1.1 403"), "no other site may take a viewer's place"
    own = await site.get("/app.js", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Origin: http://127.0.0.1")
    assert own.startswith(b"HTTP/1.1 200")


async def test_a_viewer_is_told_everything_once_and_then_what_is_new(site: Site) -> None:
    site.happen("node.ready")
    viewer = await site.watch()
    mark, name, patch = await viewer.hear()
    assert b"text/event-stream" in viewer.head
    assert name == "patch"
    assert set(patch["nodes"]) == {"node-0", "node-1"}
    assert patch["about"]["plan"]["nodes"] == 2
    assert patch["about"]["watching"] == {"viewers": 1, "dropped": 0}
    site.happen("round.opened", round=0, workers=2)
    _, _, patch = await viewer.hear()
    assert set(patch["nodes"]) == {"node-0"}
    assert patch["rounds"]["0"]["workers"] == 2
    assert [entry["event"] for entry in patch["log"]] == ["round.opened"]
    await viewer.stream.aclose()

    again = await site.watch(f"Last-Event-ID: {mark}")
    _, _, patch = await again.hear()
    assert set(patch["nodes"]) == {"node-0"}, "it is told from where it knows"
    await again.stream.aclose()
    other = await site.watch(f"Last-Event-ID: {mark.replace(site.picture.run, 'f00')}")
    _, _, patch = await other.hear()
    assert set(patch["nodes"]) == {"node-0", "node-1"}, "what is known of another run counts for nothing"
    await other.stream.aclose()


@pytest.mark.parametrize("mark", ["x", "-", "f4240-", "f4240-x", "f4240--1", "f4240-9999999999999999999", "f4240-٣"])
async def test_a_mark_that_is_none_is_nothing_known(mark: str, site: Site) -> None:
    assert site.picture.run == "f4240"
    viewer = await site.watch(f"Last-Event-ID: {mark}".encode().decode("latin-1"))
    _, _, patch = await viewer.hear()
    assert "plan" in patch["about"]
    await viewer.stream.aclose()


async def test_the_end_is_told_before_the_connection_ends(site: Site) -> None:
    viewer = await site.watch()
    await viewer.hear()
    site.picture.status("done")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.server.drain, 5.0)
        _, _, patch = await viewer.hear()
        assert patch["about"]["mesh"]["status"] == "done"
        assert (await viewer.hear())[1] == "end"
        assert (await viewer.hear())[1] == "gone"
        await viewer.stream.aclose()
    assert site.server.viewers == 0


async def test_more_than_so_many_viewers_are_told_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "MAX_VIEWERS", 3)
    viewers = [await site.watch() for _ in range(3)]
    for viewer in viewers:
        await viewer.hear()
    refused = await site.get("/news")
    assert refused.startswith(b"HTTP/1.1 503")
    assert b"retry-after" in refused
    assert (await site.get("/")).startswith(b"HTTP/1.1 200"), "the page itself comes, and can say so"
    await viewers[0].stream.aclose()
    while site.server.viewers == 3:
        await trio.testing.wait_all_tasks_blocked()
    late = await site.watch()
    assert (await late.hear())[1] == "patch"
    for viewer in [late, *viewers[1:]]:
        await viewer.stream.aclose()


async def test_a_viewer_that_takes_nothing_is_hung_up_on_and_counted(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(web, "PACE", 0.0)
    slow = trio.socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await slow.connect(("127.0.0.1", site.port))
    await slow.send(request("/news"))
    quick = await site.watch()
    turn = 0
    while site.server.dropped == 0:  # as much as all the buffers in between hold, and then some
        turn += 1
        site.picture.block(turn, ["x" * 400_000])
        await quick.hear()
    while True:
        _, _, patch = await quick.hear()
        if patch.get("about", {}).get("watching") == {"viewers": 1, "dropped": 1}:
            break
    slow.close()
    await quick.stream.aclose()


async def test_who_asks_too_slowly_is_hung_up_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "SECONDS", 0.2)
    assert await site.ask(b"GET / HT") == b""


async def test_text_of_nodes_stays_text_and_short(site: Site) -> None:
    site.happen("node.failed", error="<script>alert(1)</script>" + "x" * 9_000, fix="\x00\ud800")
    viewer = await site.watch()
    _, _, patch = await viewer.hear()
    [entry] = patch["log"]
    assert entry["fields"]["error"].startswith("<script>")
    assert len(entry["fields"]["error"]) <= 240
    assert len(patch["nodes"]["node-0"]["error"]) <= 240
    await viewer.stream.aclose()


async def test_a_port_in_use_is_said_with_what_it_was_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(EnvironmentProblem, match=r"the mesh.s page.*in use"):
            await open_listener(f"127.0.0.1:{taken.getsockname()[1]}", "the mesh's page")


async def test_a_monitoring_system_is_told_of_the_mesh_and_of_its_nodes(site: Site) -> None:
    site.happen("node.listening", metrics="http://127.0.0.1:1/metrics")
    site.happen("node.network", bytes_sent=700)
    told = await site.get("/metrics")
    assert b"content-type: text/plain; version=0.0.4" in told.lower()
    assert b'\nlocalnet_node_sent_bytes{node="node-0"} 700\n' in told
    found = await site.get("/targets")
    assert found.endswith(b'[{"targets": ["127.0.0.1:1"], "labels": {"node": "node-0", "mesh": "digits"}}]\n')
