"""A node without a task: others find one another through it, and reach one another through it where they must."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio

from p2pfd.core.rng import Rng
from p2pfd.core.ticks import SECOND, Clock
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.settings import NetworkSettings
from p2pfd.node.board import Board
from p2pfd.node.keys import NodeKeys
from p2pfd.node.keys import secret as secret_of
from p2pfd.node.metrics import Watch, pages
from p2pfd.node.notices import Limits
from p2pfd.node.scrape import address_of, open_listener, serve

LOOK_SECONDS = 1.0
Tell = Callable[[str, dict[str, object]], None]


async def run_waypoint(
    keys: NodeKeys,
    listen: str,
    settings: NetworkSettings,
    bootstrap: tuple[str, ...],
    metrics: str,
    clock: Clock,
    tell: Tell,
    board_at: Path | None = None,
) -> None:
    """Serve until cancelled. Who is connected, what is carried and what hangs here is told whenever it changes.

    What strangers hang up on its notice board is kept in `board_at`; without that, in memory.
    """
    rng = Rng(secret_of(keys)).split("network", int(clock.now()))
    async with open_transport(keys.peer_private, listen, settings, bootstrap, rng=rng, clock=clock) as transport:
        watch = Watch(transport)
        board = Board(Limits(), lambda: clock.now() // SECOND, rng.split("board"), board_at)
        await board.serve(transport)
        told: dict[str, object] = {"peer": keys.peer, "addresses": list(transport.addresses)}
        async with trio.open_nursery() as nursery:
            if metrics:
                page = await open_listener(metrics)
                told["metrics"] = address_of(page)
                nursery.start_soon(serve, page, pages(watch))
            watch.events["node.ready"] += 1  # it waits for nobody
            tell("listening", told)
            nursery.start_soon(board.run, transport)
            try:
                await _look(transport, board, tell)
            finally:
                tell("ended", carried(transport))


async def _look(transport: Libp2pTransport, board: Board, tell: Tell) -> None:
    last: dict[str, object] = {}
    while True:
        now = {**figures(transport), "notices": len(board.notices)}
        if now != last:
            tell("serving", now)
            last = now
        await trio.sleep(LOOK_SECONDS)


def carried(transport: Libp2pTransport) -> dict[str, object]:
    """What it has carried for others by now, in how many circuits at one time, and how often there was no room."""
    relay = transport.relay
    if relay is None:
        return {"carried": 0, "most_circuits": 0, "full": 0}
    return {"carried": relay.carried, "most_circuits": relay.most, "full": relay.full}


def figures(transport: Libp2pTransport) -> dict[str, object]:
    """Who is here now, who can be reached through this node, and how many circuits are open."""
    relay = transport.relay
    if relay is None:
        return {"peers": len(transport.peers()), "places": 0, "circuits": 0}
    return {"peers": len(transport.peers()), "places": len(relay.places), "circuits": relay.circuits}
