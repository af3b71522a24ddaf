"""The page of a mesh that is not there: fifty nodes, and more news than a real mesh has. For the page's own tests.

``page_crowd NODES SECONDS`` prints where it is and ends with the last of its rounds; with ``encounters`` as a third
word, nodes meet, and five encounters begin each second.
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
from p2pfd_localnet.presets import PRESETS, find
from p2pfd_localnet.view import MeshView

from p2pfd.core.rng import Rng
from p2pfd.node.clock import SystemClock

ROUND_SECONDS = 1.0


async def crowd(nodes: int, seconds: float, *, meets: bool) -> None:
    rounds = int(seconds / ROUND_SECONDS)
    plan = change(find("encounters") if meets else PRESETS[0], nodes=nodes, rounds=rounds)
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
        happen(name, "node.network", peers=sorted(f"peer-{other}" for other in links[name]), bytes_sent=0)
    picture.status("running")
    async with onlookers(picture, "127.0.0.1:0") as place_of:
        print(place_of.url, flush=True)
        for rnd in range(rounds):
            play = one_second_of_encounters if meets else one_round
            await play(rnd, names, links, rng.split("round", rnd), happen)
        picture.status("done")


async def one_second_of_encounters(rnd, names, _links, rng, happen) -> None:
    for turn in range(5):
        number = 5 * rnd + turn
        learner, neighbor, *judges = ((number + step) % len(names) for step in (0, 7, 13, 19, 29))
        key = f"{(learner << 96) + number // len(names):x}"
        to = {"neighbor": f"0x{neighbor:040x}", "learner": f"0x{learner:040x}", "prepayment": 10_000_000}
        happen(names[learner], "learner.opened", part=f"learner-{key}", **to)
        happen(names[neighbor], "neighbor.opened", part=f"neighbor-{key}", **to)
        for place, judge in enumerate(judges):
            happen(names[judge], "validator.drawn", part=f"validator-{key}", place=place, **to)
        await trio.sleep(ROUND_SECONDS / 10)
        for judge in judges:
            good = rng.split(key, judge).unit() < 0.7
            part = f"validator-{key}"
            happen(names[judge], "validator.judged", part=part, good=good, before=600_000, after=700_000)
            happen(names[judge], "member.balance", part="member", wallet=1, free=60_000_000, seats=100_000_000)
        happen(names[learner], "learner.settled", part=f"learner-{key}", accepted=True, **to)
        happen(names[learner], "learner.learnt", part=f"learner-{key}", accuracy=0.6 + 0.3 * rng.split(key).unit())
        peers = ["peer-" + names[each] for each in (neighbor, *judges)]
        told = {"bytes_sent": 9_000 * (rnd + 1), "heard": dict.fromkeys(peers, 3)}
        happen(names[learner], "node.network", weights_bytes=28_840, **told)
        await trio.sleep(ROUND_SECONDS / 10)


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
    trio.run(partial(crowd, int(sys.argv[1]), float(sys.argv[2]), meets="encounters" in sys.argv))
