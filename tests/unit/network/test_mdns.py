"""Nodes on one network that are given no address at all."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from p2pfd.core.ids import peer_id_of
from p2pfd.errors import EnvironmentProblem, PlanError
from p2pfd.network.mdns import read_text, write_text
from p2pfd.network.settings import NetworkSettings

from .conftest import Ear, Nodes
from .test_finder import curious

pytestmark = pytest.mark.network
ADDRESS = f"/ip4/192.0.2.1/tcp/4001/p2p/{peer_id_of(bytes(32))}"


async def test_two_nodes_find_each_other_and_a_third_that_comes_later(nodes: Nodes) -> None:
    settings = curious(mdns=True)
    first, second = await nodes.open(settings), await nodes.open(settings)
    begin = trio.current_time()
    await first.wait_for_peers(1)
    third = await nodes.open(settings)
    await third.wait_for_peers(2)
    assert trio.current_time() - begin < 15
    assert set(third.peers()) == {first.peer, second.peer}


@pytest.mark.long
async def test_those_who_find_each_other_on_the_lan_do_not_become_an_island(nodes: Nodes) -> None:
    relay = await nodes.open(curious(relay=True))
    way = relay.addresses[:1]
    async with trio.open_nursery() as nursery:
        island = [await nodes.open(curious(mdns=True), bootstrap=way) for _ in range(5)]
        for node in island:
            await nursery.start(Ear(node).run)
        for node in island:
            await node.wait_for_peers(5)  # all of the others, and the relay: as many as anybody looks for
        far = await nodes.open(curious(discover=False, via=way), bootstrap=way)
        await nursery.start(Ear(far).run)
        with trio.fail_after(40):
            await far.wait_for_peers(2)
        nursery.cancel_scope.cancel()


async def test_who_does_not_announce_itself_is_not_found(nodes: Nodes) -> None:
    silent, loud = await nodes.open(curious()), await nodes.open(curious(mdns=True))
    other = await nodes.open(curious(mdns=True))
    await loud.wait_for_peers(1)
    assert (silent.peers(), loud.peers()) == ((), (other.peer,))


def test_to_be_found_without_looking_is_a_mistake() -> None:
    with pytest.raises(PlanError, match="discover"):
        NetworkSettings(mdns=True)


async def test_where_there_is_no_multicast_the_error_says_so(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_host: str, _everywhere: bool) -> None:
        raise OSError(19, "No such device")

    monkeypatch.setattr("p2pfd.network.mdns._open", refuse)
    with pytest.raises(EnvironmentProblem, match=r"no mDNS on 127\.0\.0\.1: .*No such device"):
        await nodes.open(curious(mdns=True))


@given(st.binary(max_size=600))
def test_any_bytes_may_stand_in_an_announcement(raw: bytes) -> None:
    assert len(read_text(raw)) <= 8
    assert read_text(write_text([ADDRESS]) + raw)[0] == ADDRESS


def test_what_is_no_address_is_left_out() -> None:
    assert read_text(write_text(["nonsense", "/ip4/0.0.0.0/tcp/1", ADDRESS, "/ip4/192.0.2.1/tcp/1"])) == [ADDRESS]
    assert len(read_text(write_text([ADDRESS] * 20))) == 8
