"""The page of a mesh that is not there: fifty nodes, and more news than a real mesh has. For the page's own tests.

``page_crowd NODES SECONDS`` prints where it is and ends with the last of its rounds.
"""

from __future__ import annotations

import sys
from functools import partial

import trio
from p2pfd_localnet import topology
from p2pfd_localnet.events import NodeEvent
from p2pfd_localnet.onlookers import onlookers
from p2pfd_localnet.picture import Picture
from p2pfd_localnet.plan import change
from p2pfd_localnet.presets import PRESETS
from p2pfd_localnet.view import MeshView

from p2pfd.core.rng import Rng
from p2pfd.node.clock import SystemClock

ROUND_SECONDS = 1.0


async def crowd(nodes: int, seconds: float) -> None:
    rounds = int(seconds / ROUND_SECONDS)
    plan = change(PRESETS[0], nodes=nodes, rounds=rounds)
    names, clock, rng = plan.names(), SystemClock(), Rng(nodes)
    view = MeshView(names, rounds)
    picture = Picture(plan, view, clock)

    def happen(node: str, event: str, **fields: object) -> None:
        happened = NodeEvent(int(clock.now()), node, event, fields)
        view.take(happened)
        picture.take(happened)

    links: dict[str, set[str]] = {name: set() for name in names}
    for name, others in topology.dials(names, rng.split("links"), degree=5).items():
        for other in others:
            links[name].add(other)
            links[other].add(name)
    for place, name in enumerate(names):
        happen(name, "node.started", pid=place, peer=f"peer-{name}", account=f"0x{place:040x}")
        happen(name, "node.ready", peers=len(links[name]))
    picture.status("running")
    async with onlookers(picture, "127.0.0.1:0") as place_of:
        print(place_of.url, flush=True)
        for rnd in range(rounds):
            await one_round(rnd, names, links, rng.split("round", rnd), happen)
        picture.status("done")


async def one_round(rnd, names, links, rng, happen) -> None:
    pause = ROUND_SECONDS / (3 * len(names))
    for event in ("round.committed", "round.revealed"):
        happen(names[0], "round.opened", round=rnd, workers=len(names))
        for place, name in enumerate(names):
            happen(name, event, round=rnd, have=place + 1, of=len(names))
            await trio.sleep(pause)
    for place, name in enumerate(names):
        accuracy = 1 - 0.5 / (1 + 0.4 * rnd) + (rng.split(name).unit() - 0.5) / 20
        happen(name, "round.absorbed", round=rnd, accuracy=accuracy, weights="ab", votes=len(names))
        happen(name, "round.paid", round=rnd, account=f"0x{place:040x}", score=1, amount=1_000_000 + place)
        peers = sorted(f"peer-{other}" for other in links[name])
        told = {
            "bytes_sent": (rnd + 1) * (9_000 + 100 * place),
            "label_bytes": 160 * (rnd + 1),
            "weights_bytes": 28_840,
        }
        happen(name, "node.network", peers=peers, heard=dict.fromkeys(peers, 3), **told)
        await trio.sleep(pause)
    happen(names[0], "round.settled", round=rnd, counted=True, paid=50_000_000, refunded=0)


if __name__ == "__main__":
    trio.run(partial(crowd, int(sys.argv[1]), float(sys.argv[2])))
