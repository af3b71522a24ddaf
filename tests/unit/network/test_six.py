"""Addresses of IPv6: what is dialled and listened on, how they are written, and whom a guest is counted with."""

from __future__ import annotations

import socket

import pytest
import trio
from multiaddr import Multiaddr

from p2pfd.core.ids import peer_id_of
from p2pfd.errors import NetworkError
from p2pfd.network.api import Topic
from p2pfd.network.libp2p import open_transport
from p2pfd.network.reach import Reach, endpoint, is_adrift, parse_address, plain, reach_of, reach_of_host, relay_in
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.sockets import _origin, addresses_of, bind

PEER = peer_id_of(bytes(range(32)))
RELAY = peer_id_of(bytes(range(1, 33)))


def has_six() -> bool:
    """Whether this machine speaks it at all."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


six = pytest.mark.skipif(not has_six(), reason="this machine has no IPv6")


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:C000:207", "192.0.2.7"),
        ("2A10:0:0::1", "2a10::1"),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_a_host_is_written_in_one_way(host: str, written: str) -> None:
    assert plain(host) == written


def test_a_port_stands_behind_brackets() -> None:
    assert endpoint("2a10::1", 4001) == "[2a10::1]:4001"
    assert endpoint("192.0.2.7", 4001) == "192.0.2.7:4001"


def test_a_link_local_address_is_near_and_is_no_place_to_dial() -> None:
    assert reach_of_host("fe80::1%eth0") is Reach.SITE
    assert is_adrift("fe80::1%eth0")
    assert not is_adrift("169.254.1.1")
    assert reach_of(f"/ip6/fe80::1/tcp/1/p2p/{PEER}") is None


@pytest.mark.parametrize(
    ("host", "reach"),
    [
        ("2a10::1", Reach.WORLD), ("fd00::1", Reach.SITE), ("::1", Reach.MACHINE), ("::", None), ("ff02::1", None),
        ("::ffff:10.0.0.1", Reach.SITE), ("100.64.0.1", Reach.SITE), ("100.128.0.1", Reach.WORLD),
    ],
)  # fmt: skip
def test_how_far_a_host_reaches(host: str, reach: Reach | None) -> None:
    assert reach_of_host(host) is reach


@pytest.mark.parametrize("host", ["[::1]", "fe80::1%eth0", "1::2::3", ":::", "::g"])
def test_what_is_no_address_says_how_to_write_one(host: str) -> None:
    with pytest.raises(NetworkError, match="is no address") as failed:
        parse_address(f"/ip6/{host}/tcp/1/p2p/{PEER}")
    assert "write it like" in failed.value.fix


def test_a_way_through_a_relay_is_read() -> None:
    way = f"/ip6/2a10::2/tcp/4001/p2p/{RELAY}"
    whole = f"{way}/p2p-circuit/p2p/{PEER}"
    assert parse_address(whole) == (Multiaddr(whole), PEER)
    assert relay_in(whole) == way
    assert reach_of(whole) is Reach.WORLD


@pytest.mark.parametrize("listen", ["/ip6/fe80::1/tcp/0", "/ip6zone/lo/ip6/fe80::1/tcp/0", "/ip6/[::1]/tcp/0"])
async def test_where_nobody_could_dial_is_not_listened_on(listen: str) -> None:
    with pytest.raises(NetworkError, match="cannot listen on"):
        await bind(listen)


async def test_a_dial_without_an_interface_says_so() -> None:
    async with open_transport(b"a" * 32) as node:
        with pytest.raises(NetworkError, match="every interface's own"):
            await node.connect(f"/ip6/fe80::1/tcp/4001/p2p/{PEER}")


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2a10:0:0:1::1", "2a10:0:0:1:ffff::9", True),
        ("2a10:0:0:1::1", "2a10:0:0:2::1", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_guests_of_one_network_are_counted_together(one: str, other: str, together: bool) -> None:
    assert (_origin(one) == _origin(other)) is together


@six
async def test_the_wildcard_of_six_takes_four_as_well_and_tells_of_both() -> None:
    listener = await bind("/ip6/::/tcp/0")
    async with listener:
        addresses = addresses_of(listener)
        port = listener.socket.getsockname()[1]
        assert f"/ip6/::1/tcp/{port}" in addresses
        assert f"/ip4/127.0.0.1/tcp/{port}" in addresses
        assert not any("/::/" in address or "0.0.0.0" in address for address in addresses)


@six
async def test_who_comes_over_four_to_a_wildcard_of_six_is_seen_as_that() -> None:
    async with (
        open_transport(b"a" * 32, "/ip6/::/tcp/0") as wide,
        open_transport(b"b" * 32, "/ip4/127.0.0.1/tcp/0") as near,
    ):
        four = next(address for address in wide.addresses if address.startswith("/ip4/127.0.0.1/"))
        await near.connect(four)
        view = await near.ask_back(wide.peer)
        assert view.host == "127.0.0.1"
        assert [(each.address, each.why) for each in view.tried] == [(near.addresses[0], "")]


@six
async def test_two_meet_through_a_relay_over_six_alone() -> None:
    topic, here = Topic("p2pfd/six"), "/ip6/::1/tcp/0"
    async with open_transport(b"r" * 32, here, NetworkSettings(relay=True)) as relay:
        settings = NetworkSettings(discover=True, via=relay.addresses)
        async with (
            open_transport(b"a" * 32, here, settings, relay.addresses) as one,
            open_transport(b"b" * 32, here, settings, relay.addresses) as other,
        ):
            assert other.addresses[-1].startswith("/ip6/::1/tcp/")
            async with one.heard(topic), other.heard(topic):
                with trio.fail_after(30):
                    await one.wait_for_subscribers(topic, 1)
                assert other.peer in one.peers()
