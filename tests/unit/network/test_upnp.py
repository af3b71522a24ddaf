"""A port of the router: asked of one that speaks UPnP over real sockets, on this machine's loopback."""

from __future__ import annotations

import pytest
import trio

from p2pfd.network import upnp
from p2pfd.network.libp2p import open_transport
from p2pfd.network.settings import NetworkSettings

from .router import Router, routing

pytestmark = pytest.mark.network
HERE = "127.0.0.1"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upnp, "SEARCH_MS", 200)


@pytest.mark.parametrize("leases", [True, False], ids=["for a time", "for ever"])
async def test_a_node_tells_others_the_port_that_the_router_opened_and_gives_it_back(leases: bool) -> None:
    with routing(Router("8.8.4.4", leases)) as router:
        async with open_transport(bytes(31) + b"u", settings=NetworkSettings(upnp=True)) as node:
            port = int(node.addresses[0].split("/")[4])
            assert router.open == {port: upnp.LEASE_SECONDS if leases else 0}
            assert node.addresses[1] == f"/ip4/8.8.4.4/tcp/{port}/p2p/{node.peer}"
        assert router.open == {}


async def test_the_port_is_asked_for_again_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upnp, "RENEW_SECONDS", 0.05)
    with routing(Router("8.8.4.4")) as router:
        async with open_transport(bytes(31) + b"u", settings=NetworkSettings(upnp=True)):
            router.open.clear()
            with trio.fail_after(10):
                while not router.open:  # noqa: ASYNC110 - it is asked in a thread of its own
                    await trio.sleep(0.01)


WITHOUT = {
    "a router that refuses": (Router("8.8.4.4", opens=False), "does not open port"),
    "a router behind another": (Router("192.168.178.2"), "behind another one: its own address is '192.168.178.2'"),
}
NO_ROUTER = pytest.param(None, "nothing answers", id="no router", marks=pytest.mark.long)
BAD_ROUTERS = [pytest.param(router, why, id=name) for name, (router, why) in WITHOUT.items()]


@pytest.mark.parametrize(("router", "why"), [*BAD_ROUTERS, NO_ROUTER])
async def test_without_a_port_the_node_goes_on_and_says_so(
    router: Router | None, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def start() -> None:
        async with open_transport(bytes(31) + b"u", settings=NetworkSettings(upnp=True)) as node:
            assert len(node.addresses) == 1

    if router is None:
        await start()
    else:
        with routing(router):
            await start()
        assert router.open == {}
    assert why in caplog.text
    assert "--via" in caplog.text


def test_what_the_doctor_asks_is_whether_there_is_a_router() -> None:
    with routing(Router("8.8.4.4")) as router:
        assert upnp.find_gateway(HERE).external == "8.8.4.4"
        assert router.open == {}
