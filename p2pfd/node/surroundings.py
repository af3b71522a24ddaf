"""What may be wrong around a node: where it listens, who can reach it, whom it can find, and whose clock says what."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import trio

from p2pfd.core.ticks import SECOND, Clock
from p2pfd.errors import DecodeError, EnvironmentProblem, NetworkError, P2pfdError, StorageError
from p2pfd.network.callback import View
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.mdns import check_multicast
from p2pfd.network.reach import Reach, reach_of
from p2pfd.network.remembrance import known_peers
from p2pfd.network.settings import NetworkSettings
from p2pfd.network.upnp import find_gateway
from p2pfd.node import keys
from p2pfd.node.config import NodeConfig
from p2pfd.node.findings import Finding, State, Tell, skipped, well, wrong
from p2pfd.node.scrape import open_listener

HERE = "/ip4/127.0.0.1/tcp/0"
LISTEN = "/ip4/0.0.0.0/tcp/0"
CONNECT_SECONDS = 5.0
CLOCK_SECONDS = 30.0
BOOK = 4
"""So many of the peers that a node knows are tried."""
_REACH = {
    Reach.MACHINE: "from this machine only",
    Reach.SITE: "from this network, and not from the internet",
    Reach.WORLD: "from the internet, unless something in between forbids it",
}


async def examine(settings: NodeConfig | None, peers: Sequence[str], clock: Clock, tell: Tell) -> None:
    """Look at all of it. ``peers`` are asked how they see this node, besides those that it begins with."""
    try:
        network = quiet(settings)
        async with open_transport(keys.fresh().peer_private, HERE, dataclasses.replace(network, via=())) as other:
            if network.network_key:
                tell(well("swarm-key", f"{network.network_key}: only members with the same key can connect"))
            found = await _network(settings, network, peers, clock, other, tell)
            found += await _known(settings, other, tell)
    except StorageError as error:
        tell(wrong("swarm-key", error))
        return
    if settings is not None and settings.metrics:
        tell(await metrics(settings.metrics))
    listen = LISTEN if settings is None else settings.listen
    wanted = settings is not None and settings.network_settings().mdns
    if settings is not None and settings.network_settings().upnp:
        tell(await upnp(listen))
    found += int(tell_of(await mdns(listen, wanted), tell) and wanted)
    tell(discovery(found, settings is None or not (settings.bootstrap or peers or wanted)))


def quiet(settings: NodeConfig | None) -> NetworkSettings:
    """The node's settings, but for what would leave traces: nothing is kept, sought or announced."""
    base = NetworkSettings() if settings is None else settings.network_settings()
    seconds = min(CONNECT_SECONDS, base.connect_seconds)
    base = dataclasses.replace(base, connect_seconds=seconds, discover=False, mdns=False, upnp=False, relay=False)
    return dataclasses.replace(base, state_directory="", blob_directory="")


def tell_of(finding: Finding, tell: Tell) -> bool:
    """Tell it; whether all is well with it."""
    tell(finding)
    return finding.state is State.WELL


async def _network(
    settings: NodeConfig | None,
    network: NetworkSettings,
    peers: Sequence[str],
    clock: Clock,
    other: Libp2pTransport,
    tell: Tell,
) -> int:
    """Where it listens, and the peers that it begins with; how many of these answer."""
    listen = LISTEN if settings is None else settings.listen
    targets = list(dict.fromkeys([*(() if settings is None else settings.bootstrap), *peers]))
    try:
        async with open_transport(keys.fresh().peer_private, listen, network, clock=clock) as node:
            tell(well("listen", listen))
            tell(reach(node.addresses, targets))
            for address in node.addresses[: len(node.addresses) - len(network.via)]:
                dial = await tried(f"reach {short(address)}", other, address, "it can be dialled from here")
                tell(dialled_from_here(dial, bool(network.announce)))
                await other.disconnect(node.peer)
            relayed = await relays(node, network.via, tell)
            return await _peers(node, targets, clock, listen, tell, relayed)
    except EnvironmentProblem as error:
        tell(wrong("listen", error))
        return await _peers(other, targets, clock, "", tell)


def dialled_from_here(dial: Finding, announced: bool) -> Finding:
    """What a dial of one's own address comes to: a router's own often leads nowhere from behind it."""
    if dial.state is State.WELL:
        return dial
    if announced:
        return skipped(dial.check, "it does not answer from here, which a router may forbid: --peer asks from outside")
    return wrong(dial.check, NetworkError(dial.what, "let connections through this machine's own firewall"))


async def _peers(
    node: Libp2pTransport, targets: Sequence[str], clock: Clock, listen: str, tell: Tell, relayed: bool = False
) -> int:
    """Whom it begins with: whether they answer, and what they say of this node, where it can listen."""
    found = 0
    for address in targets:
        if tell_of(await tried(f"peer {short(address)}", node, address, ""), tell):
            found += 1
            peer = next(each for each in node.peers() if address.endswith(each))
            before = trio.current_time()
            try:
                view = await node.ask_back(peer)
            except NetworkError:
                tell(skipped(f"dial-back {short(address)}", "it does not say how it sees others"))
                continue
            if listen:
                back = dialled_back(f"dial-back {short(address)}", node.addresses, listen, view)
                if back.state is State.WRONG and relayed:
                    back = skipped(back.check, f"{back.what}; others come through the relay")
                tell(back)
            half = (trio.current_time() - before) / 2
            if view.now:
                tell(agrees(f"clock {short(address)}", view.now / SECOND - clock.now() / SECOND + half, half))
    return found


def short(address: str) -> str:
    """An address without the peer."""
    return address.split("/p2p/")[0]


def reach(addresses: Sequence[str], targets: Sequence[str]) -> Finding:
    """Whether others could dial what they are told at all."""
    far = max((reach_of(address) or Reach.MACHINE for address in addresses), default=Reach.MACHINE)
    if far is Reach.MACHINE and any((reach_of(address) or Reach.MACHINE) > far for address in targets):
        what = f"others are told {short(addresses[0])}, which is every machine's name for itself"
        fix = "listen where others can dial: --listen /ip4/0.0.0.0/tcp/4001, or say where: --announce ADDR"
        return wrong("address", NetworkError(what, fix))
    return well("address", f"others can dial it {_REACH[far]}")


async def tried(check: str, node: Libp2pTransport, address: str, what: str) -> Finding:
    """A dial: who answered, and how long it took."""
    if any(address.endswith(peer) for peer in node.peers()):
        return well(check, what or "it is connected")
    before = trio.current_time()
    try:
        peer = await node.connect(address)
    except NetworkError as error:
        return wrong(check, error)
    return well(check, what or f"{peer} answered within {1000 * (trio.current_time() - before):.0f} ms")


def dialled_back(check: str, addresses: Sequence[str], listen: str, view: View) -> Finding:
    """What came of a peer's dial to this node, at the host from which it sees it come."""
    if not view.tried:
        return skipped(check, f"it sees this node at {view.host}, and had dialled it a moment before")
    reached = [each.address for each in view.tried if not each.why]
    told = any(address in addresses for address in reached)
    if told:
        return well(check, f"it has dialled this node at {short(reached[0])}")
    if reached:
        what = f"it has reached this node at {short(reached[0])}, which others are not told"
        return wrong(check, NetworkError(what, f"join with --announce {short(reached[0])}"))
    one = view.tried[0]
    what = f"it cannot dial this node at {short(one.address)}: {one.why}"
    port = one.address.split("/")[4]
    if listen.endswith("/tcp/0"):
        return wrong(check, NetworkError(what, "choose a port and let it through: --listen /ip4/0.0.0.0/tcp/4001"))
    if any(f"/{view.host}/" in address for address in addresses):
        return wrong(check, NetworkError(what, f"let TCP port {port} through this machine's firewall"))
    ways = f"forward TCP port {port} on the router to this machine and join with --announce {short(one.address)}"
    return wrong(check, NetworkError(what, f"{ways}; or do without: a node that dials others takes part as well"))


def agrees(check: str, ahead: float, precision: float) -> Finding:
    """Whether a peer's clock goes with this machine's, which is so many seconds behind it."""
    off = f"{abs(ahead):.2f} s {'behind' if ahead > 0 else 'ahead of'} its clock, give or take {precision:.2f} s"
    if abs(ahead) > CLOCK_SECONDS + precision:
        fix = "set this machine's clock, for example with `timedatectl set-ntp true`; or the other one is wrong"
        return wrong(check, EnvironmentProblem(f"this machine is {off}", fix))
    return well(check, f"this machine is {off}")


async def _known(settings: NodeConfig | None, other: Libp2pTransport, tell: Tell) -> int:
    """Whom the node has met before; how many of those that are tried answer."""
    if settings is None:
        return 0
    folder = Path(settings.network_settings().state_directory)
    try:
        known = await trio.to_thread.run_sync(known_peers, folder)
    except (StorageError, DecodeError) as error:
        tell(wrong("known", error))
        return 0
    if not known:
        tell(skipped("known", "it has met nobody yet"))
        return 0
    answered = 0
    for addresses in known[:BOOK]:
        for address in addresses[:2]:
            if (await tried("", other, address, "")).state is State.WELL:
                answered += 1
                break
    tell(well("known", f"{len(known)} peers met before; {answered} of {min(BOOK, len(known))} tried answer"))
    return answered


async def mdns(listen: str, wanted: bool) -> Finding:
    """Whether nodes on one LAN could find each other."""
    try:
        await check_multicast(listen)
    except P2pfdError as error:
        return wrong("mdns", error) if wanted else skipped("mdns", f"off, and it could not be on: {error.what}")
    if wanted:
        return well("mdns", "on, and this machine can speak to the LAN")
    return skipped("mdns", "off; it would work here: --mdns")


async def upnp(listen: str) -> Finding:
    """Whether the router opens ports; none is asked for."""
    try:
        gateway = await trio.to_thread.run_sync(find_gateway, listen.split("/")[2])
    except EnvironmentProblem as error:
        return wrong("upnp", error)
    return well("upnp", f"the router opens ports of {gateway.external}")


async def relays(node: Libp2pTransport, via: Sequence[str], tell: Tell) -> bool:
    """Whether each relay keeps a place; whether one does."""
    if node.behind is None or not via:
        return False
    with trio.move_on_after(CONNECT_SECONDS):
        while len(node.behind.relays) < len(via):
            await node.behind.change()
    for address in via:
        check = f"relay {short(address)}"
        if address.rsplit("/", 1)[1] in node.behind.relays:
            tell(well(check, "it keeps a place, and others reach this node through it"))
        else:
            fix = "is it there, and was it started with --relay? else name another one: --via ADDR"
            tell(wrong(check, NetworkError("it gives this node no place", fix)))
    return bool(node.behind.relays)


def discovery(found: int, nobody_to_find: bool) -> Finding:
    """Whether there is anybody to begin with. One is enough: the others are found through it."""
    if found:
        return well("discovery", "there is somebody to begin with, and the others are found from there")
    if nobody_to_find:
        return skipped("discovery", "there is no peer to dial: others have to dial this node")
    fix = "give the address of a node that runs: --bootstrap ADDR"
    return wrong("discovery", NetworkError("nobody answers that this node could begin with", fix))


async def metrics(endpoint: str) -> Finding:
    """Whether metrics can be served where they are to be."""
    try:
        listener = await open_listener(endpoint)
    except P2pfdError as error:
        return wrong("metrics", error)
    await listener.aclose()
    return well("metrics", endpoint)
