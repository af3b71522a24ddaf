"""What a monitoring system reads: the format, the page that describes it, and the server in front of it."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from p2pfd import __version__
from p2pfd.core.ids import PeerId
from p2pfd.errors import EnvironmentProblem, PlanError
from p2pfd.network.api import Traffic
from p2pfd.network.counters import Counters, Drop
from p2pfd.node import scrape
from p2pfd.node.metrics import FAMILIES, Watch, exposition, pages
from p2pfd.node.scrape import AT_ONCE, HEAD_BYTES, address_of, open_listener, parse_endpoint, serve

from .exposition import read

PAGE = Path(__file__).parents[3] / "docs/reference/metrics.md"
LOOPBACK = "127.0.0.1:0"


class Quiet:
    """A transport on which nothing happens but what a test counts."""

    peer = PeerId("12D3KooWme")

    def __init__(self) -> None:
        self.counters = Counters(rows=2)

    def peers(self) -> tuple[PeerId, ...]:
        return (PeerId("12D3KooWyou"),)

    def traffic(self) -> Traffic:
        return Traffic(sent=7, received=11)

    def waiting(self) -> Mapping[str, int]:
        return {"verdicts": 3}


def test_every_count_is_there_under_its_name() -> None:
    watch = Watch(Quiet())
    counters = watch.transport.counters
    counters.topic("t").messages_in = 5
    you = counters.peer("12D3KooWyou")
    you.accepted, you.offences = 2, 4
    counters.protocol("/p2pfd/req/peers/1").bytes_out = 21
    counters.drop(Drop.LATE, "12D3KooWyou", 6)
    counters.drop(Drop.CONNECTIONS)
    watch.counting(lambda _name, _fields: None)("round.opened", {})
    found = read(exposition(watch))

    def sample(name: str, **labels: str) -> float:
        return found[name, tuple(sorted(labels.items()))]

    assert sample("p2pfd_info", peer="12D3KooWme", version=__version__) == 1
    assert sample("p2pfd_network_bytes_total", direction="in") == 11
    assert sample("p2pfd_protocol_bytes_total", protocol="/p2pfd/req/peers/1", direction="out") == 21
    assert sample("p2pfd_network_peers") == 1
    assert sample("p2pfd_network_waiting", queue="verdicts") == 3
    assert sample("p2pfd_topic_messages_total", topic="t", direction="in") == 5
    assert sample("p2pfd_peer_verdicts_total", peer="12D3KooWyou", verdict="accept") == 2
    assert sample("p2pfd_peer_offences_total", peer="12D3KooWyou") == 4
    assert sample("p2pfd_peer_drops_total", peer="12D3KooWyou", reason="late") == 6
    assert sample("p2pfd_events_total", event="round.opened") == 1
    assert sample("process_cpu_seconds_total") > 0
    drops = {labels[0][1]: value for (name, labels), value in found.items() if name == "p2pfd_drops_total"}
    assert drops == {reason.label: {"late": 6, "connections": 1}.get(reason.label, 0) for reason in Drop}


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_a_topic_is_called_the_page_can_be_read(first: str, second: str) -> None:
    watch = Watch(Quiet())
    for name in {first, second} - {"other"}:
        watch.transport.counters.topic(name).bytes_out = 9
    text = exposition(watch)
    # A reader splits lines at \n alone, and so must the test's.
    found = read(text)
    for name in {first, second} - {"other"}:
        assert found["p2pfd_topic_bytes_total", (("direction", "out"), ("topic", name))] == 9


def test_the_page_lists_every_metric_and_every_reason() -> None:
    rows = re.findall(r"^\| `([a-z0-9_]+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", PAGE.read_text(), re.MULTILINE)
    assert [each for each in rows if not each[0].startswith("localnet_")] == [  # a mesh's are another test's
        (family.name, family.kind, ", ".join(f"`{label}`" for label in family.labels), family.meaning)
        for family in FAMILIES
    ]
    reasons = re.findall(r"^\| `([a-z_]+)` \| ([^|]*) \|$", PAGE.read_text(), re.MULTILINE)
    assert reasons == [(reason.label, reason.meaning) for reason in Drop]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("[::1]:0", ("::1", 0)),
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:65535", ("0.0.0.0", 65_535)),
    ],
)
def test_an_endpoint_is_an_address_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert parse_endpoint(text) == expected


@pytest.mark.parametrize("text", ["", "localhost:1", "127.0.0.1", "1.2.3.4:65536", "1.2.3.4:-1", "[::1:1", "a:b", ":٣"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(PlanError):
        parse_endpoint(text)


async def listening(nursery: trio.Nursery, watch: Watch | None = None) -> int:
    listener = await open_listener(LOOPBACK)
    port: int = listener.socket.getsockname()[1]
    assert address_of(listener) == f"http://127.0.0.1:{port}/metrics"
    nursery.start_soon(serve, listener, pages(watch or Watch(Quiet())))
    return port


async def ask(port: int, raw: bytes) -> bytes:
    """Everything that comes back."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(raw)
        return await rest_of(stream)


async def rest_of(stream: trio.SocketStream) -> bytes:
    parts = []
    try:
        while part := await stream.receive_some():
            parts.append(part)
    except trio.BrokenResourceError:  # hung up on
        pass
    return b"".join(parts)


async def test_a_page_over_http(nursery: trio.Nursery) -> None:
    port = await listening(nursery)
    head, _, body = (await ask(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"text/plain; version=0.0.4; charset=utf-8" in head
    assert f"content-length: {len(body)}".encode() in head.lower()
    assert read(body.decode())["p2pfd_network_peers", ()] == 1


async def test_whoever_keeps_a_node_running_asks_whether_it_lives_and_whether_it_takes_part(
    nursery: trio.Nursery,
) -> None:
    watch = Watch(Quiet())
    port = await listening(nursery, watch)
    alive, ready = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert (await ask(port, alive)).startswith(b"HTTP/1.1 200")
    assert (await ask(port, ready)).startswith(b"HTTP/1.1 503")
    watch.counting(lambda name, fields: None)("node.ready", {})
    assert (await ask(port, ready)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /metrics/../etc HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n", 400),
        (b"GET /" + b"x" * 2 * HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n", 431),
    ],
)
async def test_anything_but_this_page_is_refused(raw: bytes, status: int, nursery: trio.Nursery) -> None:
    port = await listening(nursery)
    answer = await ask(port, raw)
    assert answer.startswith(b"HTTP/1.1 %d" % status), answer[:100]
    assert b"p2pfd_" not in answer
    assert (await ask(port, b"GET /metrics?x HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200"), "it serves no more"


async def test_who_says_nothing_is_hung_up_on_and_others_are_not_kept_waiting(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape, "SECONDS", 0.3)
    port = await listening(nursery)
    slow = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(AT_ONCE)]
    for stream in slow:
        await stream.send_all(b"GET /metr")
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert await ask(port, b"GET /metrics HTTP/1.0\r\n\r\n") == b"", "all places are taken"
    assert [await rest_of(stream) for stream in slow] == [b""] * AT_ONCE
    for stream in slow:
        await stream.aclose()
    assert (await ask(port, b"GET /metrics HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_a_port_in_use_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(EnvironmentProblem, match="in use"):
            await open_listener(f"127.0.0.1:{taken.getsockname()[1]}")
