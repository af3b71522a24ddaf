"""What `p2pfd doctor` says of a node's network: before real peers, and where something is wrong with it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import trio

from p2pfd.core.ticks import SECOND, Tick
from p2pfd.network.callback import Tried, View
from p2pfd.network.libp2p import open_transport
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.swarmkey import fresh_key
from p2pfd.node import surroundings
from p2pfd.node.clock import SystemClock
from p2pfd.node.config import NodeConfig
from p2pfd.node.findings import Finding, State
from tests.unit.network.router import Router, routing
from tests.unit.node.test_config import CONFIG

pytestmark = pytest.mark.network
DEAD = "/ip4/127.0.0.1/tcp/1"
NOBODY = "/p2p/12D3KooWDaBG8xBmhKNJtSn78g9pq8fcubExgzJ6iGS9ranTLQ9Y"


class Ahead:
    """A clock that is ahead of this machine's by so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._clock = SystemClock()

    def now(self) -> Tick:
        return Tick(self._clock.now() + round(self._seconds * SECOND))


def node(home: Path, *bootstrap: str, **network: object) -> NodeConfig:
    return dataclasses.replace(CONFIG, home=str(home), bootstrap=bootstrap, network=network)


async def examined(settings: NodeConfig | None, *peers: str) -> dict[str, Finding]:
    found: list[Finding] = []
    with trio.fail_after(30):
        await surroundings.examine(settings, peers, SystemClock(), found.append)
    assert all(bool(each.fix) == (each.state is State.WRONG) for each in found)
    return {each.check: each for each in found}


async def test_a_peer_is_asked_whether_it_can_dial_back_and_for_its_time(tmp_path: Path) -> None:
    async with open_transport(bytes(31) + b"p", clock=SystemClock()) as peer:
        (address,) = peer.addresses
        found = await examined(node(tmp_path), address)
        place = surroundings.short(address)
        assert {each.state for each in found.values()} == {State.WELL, State.SKIPPED}
        assert found[f"peer {place}"].what.startswith(str(peer.peer))
        assert found[f"dial-back {place}"].what.startswith("it has dialled this node at /ip4/127.0.0.1/tcp/")
        assert "0.0" in found[f"clock {place}"].what
        assert found["discovery"].state is State.WELL
    assert not list(tmp_path.iterdir()), "nothing is left behind"  # noqa: ASYNC240 - it is small


async def test_a_node_that_cannot_be_dialled_and_a_clock_that_is_wrong(tmp_path: Path) -> None:
    async with open_transport(bytes(31) + b"p", clock=Ahead(3600)) as peer:
        (address,) = peer.addresses
        found = await examined(node(tmp_path, address, announce=[DEAD]))
    place = surroundings.short(address)
    wrong = {name: each for name, each in found.items() if each.state is State.WRONG}
    assert set(wrong) == {f"dial-back {place}", f"clock {place}"}
    assert found[f"reach {DEAD}"].state is State.SKIPPED, "a router may not lead back to where one is"
    assert "refused" in wrong[f"dial-back {place}"].what
    assert "3600.0" in wrong[f"clock {place}"].what.replace("3599.9", "3600.0")
    assert "behind" in wrong[f"clock {place}"].what
    assert "timedatectl" in wrong[f"clock {place}"].fix


HOME = ("/ip4/192.168.1.5/tcp/4001/p2p/x",)
FIXED, ANY = "/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/tcp/0"
BACK = {
    "reached": (View("192.168.1.5", 1, (Tried(HOME[0], ""),)), FIXED, State.WELL, "has dialled", ""),
    "firewall": (View("192.168.1.5", 1, (Tried(HOME[0], "refused"),)), FIXED, State.WRONG, "refused", "firewall"),
    "any port": (View("192.168.1.5", 1, (Tried(HOME[0], "refused"),)), ANY, State.WRONG, "refused", "--listen"),
    "router": (
        View("203.0.113.9", 1, (Tried("/ip4/203.0.113.9/tcp/4001/p2p/x", "no answer"),)),
        FIXED,
        State.WRONG,
        "/ip4/203.0.113.9/tcp/4001: no answer",
        "forward TCP port 4001",
    ),
    "forwarded": (
        View("203.0.113.9", 1, (Tried("/ip4/203.0.113.9/tcp/4001/p2p/x", ""),)),
        FIXED,
        State.WRONG,
        "which others are not told",
        "--announce /ip4/203.0.113.9/tcp/4001",
    ),
    "not tried": (View("203.0.113.9", 1, ()), FIXED, State.SKIPPED, "203.0.113.9", ""),
}


@pytest.mark.parametrize(("view", "listen", "state", "what", "fix"), BACK.values(), ids=BACK)
def test_what_a_dial_back_came_to(view: View, listen: str, state: State, what: str, fix: str) -> None:
    found = surroundings.dialled_back("dial-back", HOME, listen, view)
    assert (found.state, what in found.what, fix in found.fix) == (state, True, True)


@pytest.mark.parametrize(
    ("address", "targets", "state", "what"),
    [
        (DEAD, [DEAD], State.WELL, "this machine only"),
        (
            DEAD,
            ["/ip4/192.0.2.1/tcp/1"],
            State.WRONG,
            "itself",
        ),
        ("/ip4/192.168.1.5/tcp/1", [], State.WELL, "this network"),
        ("/ip4/8.8.8.8/tcp/1", [], State.WELL, "the internet"),
    ],
)
def test_how_far_what_others_are_told_reaches(address: str, targets: list[str], state: State, what: str) -> None:
    found = surroundings.reach([address + NOBODY], [each + NOBODY for each in targets])
    assert (found.state, what in found.what) == (state, True)


async def test_peers_that_were_met_before_are_tried(tmp_path: Path) -> None:
    folder = tmp_path / "peers"
    kept = NetworkSettings(state_directory=str(folder))
    async with open_transport(bytes(31) + b"p") as peer:
        async with open_transport(bytes(31) + b"n", settings=kept, clock=SystemClock()) as before:
            await before.connect(peer.addresses[0])
        found = await examined(node(tmp_path))
        assert found["known"].what == "1 peers met before; 1 of 1 tried answer"
        assert found["discovery"].state is State.WELL
    raw = (folder / "peers.json").read_bytes()
    gone = await examined(node(tmp_path, DEAD + NOBODY))
    assert gone["known"].what == "1 peers met before; 0 of 1 tried answer"
    assert gone["discovery"].state is State.WRONG
    assert (folder / "peers.json").read_bytes() == raw
    (folder / "peers.json").write_bytes(b"{")
    assert (await examined(node(tmp_path)))["known"].state is State.WRONG
    assert (folder / "peers.json").read_bytes() == b"{", "it is looked at, and left where it is"


async def test_a_private_mesh_is_looked_at_with_its_key(tmp_path: Path) -> None:
    for name in ("mesh.key", "other.key"):
        (tmp_path / name).write_text(fresh_key())
        (tmp_path / name).chmod(0o600)
    member = NetworkSettings(network_key=str(tmp_path / "mesh.key"))
    async with open_transport(bytes(31) + b"p", settings=member) as peer:
        (address,) = peer.addresses
        place = f"peer {surroundings.short(address)}"
        found = await examined(node(tmp_path, address, network_key="mesh.key"))
        assert (found["swarm-key"].state, found[place].state) == (State.WELL, State.WELL)
        for network in ({}, {"network_key": "other.key"}):
            found = await examined(node(tmp_path, address, **network))
            assert found[place].state is State.WRONG
            assert "--swarm-key" in found[place].fix
    (tmp_path / "mesh.key").chmod(0o644)
    found = await examined(node(tmp_path, network_key="mesh.key"))
    assert found["swarm-key"].fix == f"run: chmod 600 {tmp_path / 'mesh.key'}"


async def test_whether_there_is_multicast_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await surroundings.mdns("/ip4/127.0.0.1/tcp/0", True)).state is State.WELL
    assert (await surroundings.mdns("/ip4/127.0.0.1/tcp/0", False)).state is State.SKIPPED
    nowhere = "/ip4/192.0.2.77/tcp/0"
    found = await surroundings.mdns(nowhere, True)
    assert (found.state, "no multicast on 192.0.2.77" in found.what) == (State.WRONG, True)
    assert "could not be on" in (await surroundings.mdns(nowhere, False)).what


@pytest.mark.long
async def test_relays_and_the_router_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pfd.network.upnp.SEARCH_MS", 200)
    monkeypatch.setattr(surroundings, "CONNECT_SECONDS", 0.5)
    async with (
        open_transport(bytes(31) + b"r", settings=NetworkSettings(relay=True)) as relay,
        open_transport(bytes(31) + b"p") as plain,
    ):
        via = [relay.addresses[0], plain.addresses[0]]
        with routing(Router("8.8.4.4")) as router:
            found = await examined(node(tmp_path, via=via, upnp=True, announce=[DEAD]), *via)
        assert router.open == {}, "no port is asked for"
        assert found[f"relay {surroundings.short(via[0])}"].state is State.WELL
        assert "--relay" in found[f"relay {surroundings.short(via[1])}"].fix
        back = found[f"dial-back {surroundings.short(via[1])}"]
        assert (back.state, "through the relay" in back.what) == (State.SKIPPED, True)
        assert found["upnp"].what == "the router opens ports of 8.8.4.4"
