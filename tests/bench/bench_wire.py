"""What a gossip message costs: ten nodes of ours, and ten of py-libp2p 0.8.1 as it is, on the same graph.

Prints a table; the last line is the same as one JSON object. Both kinds run in this process; the one is idle in the
other's turns, and there are several, so that what else the machine does hits both. Bytes are counted at the sockets,
for both in one place. The rival has the parameters that ours has, and queues that hold a burst; with its own limits
most of one would be lost.
"""

from __future__ import annotations

import json
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import trio
from libp2p.io.trio import TrioTCPStream

from p2pfd.core.rng import Rng
from p2pfd.sim.graphs import circle_with_chords
from tests.bench.net.nodes import make_room, ours, stock

NODES = 10
DEGREE = 3
PAYLOADS = (20, 300, 4096)
MESSAGES = 25
TURNS = 2
PAUSE = 0.02
SETTLE = 0.2
PATIENCE = 5.0


@dataclass
class Run:
    """What one kind of node did with payloads of one size, or with blobs."""

    sent: int = 0
    copies: int = 0
    messages: int = 0
    deliveries: int = 0
    cpu: float = 0.0
    late: list[float] = field(default_factory=list)


class Tally:
    """Delays of what was heard, from when it was said."""

    def __init__(self) -> None:
        self.said: dict[bytes, float] = {}
        self.late: list[float] = []
        self._more = trio.Event()

    def heard(self, raw: bytes) -> None:
        self.late.append(trio.current_time() - self.said[raw])
        self._more.set()
        self._more = trio.Event()

    async def until(self, count: int) -> None:
        """Wait for so many, but not for ever: what is lost is lost."""
        with trio.move_on_after(PATIENCE):
            while len(self.late) < count:
                await self._more.wait()


class Counter:
    """Bytes written to sockets, and copies of messages written into frames, by whoever writes them."""

    def __init__(self) -> None:
        self.sent = 0
        write = TrioTCPStream.write

        async def counted(stream: TrioTCPStream, data: bytes) -> None:
            self.sent += len(data)
            await write(stream, data)

        TrioTCPStream.write = counted


class Mesh:
    """One kind of node, connected, and what was measured of it."""

    def __init__(self, nodes: list[Any]) -> None:
        self.nodes = nodes
        self.graph = circle_with_chords(Rng(1), NODES, DEGREE)
        self.tally = Tally()
        self.payloads = {size: Run() for size in PAYLOADS}

    async def connect(self, nursery: trio.Nursery) -> None:
        """Listen, and dial along the graph."""
        for node in self.nodes:
            nursery.start_soon(node.listen, self.tally.heard)
        for one, neighbours in enumerate(self.graph):
            for other in neighbours:
                if other > one:
                    await self.nodes[one].connect(self.nodes[other].address)

    async def turn(self, counter: Counter, dice: random.Random) -> None:
        """Every load once."""
        for size, run in self.payloads.items():
            for timed in (True, False):
                await one_load(self.nodes, size, run, timed, counter, self.tally, dice)


async def one_load(
    nodes: list[Any], size: int, run: Run, timed: bool, counter: Counter, tally: Tally, dice: random.Random
) -> None:
    """Messages of one size, from all nodes in turn: one after another for bytes and delays, at once for the CPU."""
    tally.late.clear()
    hearers = NODES - 1
    sent, copies, cpu = counter.sent, sum(node.copies for node in nodes), time.process_time()
    for number in range(MESSAGES):
        raw = dice.randbytes(size)
        tally.said[raw] = trio.current_time()
        await nodes[number % NODES].say(raw)
        if timed:
            await tally.until((number + 1) * hearers)
            await trio.sleep(PAUSE)  # the last copies
    await tally.until(MESSAGES * hearers)
    if len(tally.late) != MESSAGES * hearers:
        raise SystemExit(f"{len(tally.late)} of {MESSAGES * hearers} deliveries of {size} bytes: nothing to compare")
    await trio.sleep(SETTLE)
    if timed:
        run.sent += counter.sent - sent
        run.copies += sum(node.copies for node in nodes) - copies
        run.messages += MESSAGES
        run.late += sorted(tally.late)[(hearers - NODES + 1) * MESSAGES :]
    else:
        run.cpu += time.process_time() - cpu
        run.deliveries += MESSAGES * (NODES - 1)


def at(values: list[float], share: float) -> float:
    """A quantile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def figures(payloads: dict[int, Run]) -> dict[str, float]:
    """Everything measured of one kind, by name."""
    out: dict[str, float] = {}
    for size, run in payloads.items():
        deliveries = run.messages * (NODES - 1)
        out[f"bytes_per_node_per_message_{size}"] = round(run.sent / NODES / run.messages, 1)
        out[f"duplicates_per_delivery_{size}"] = round(run.copies / deliveries - 1, 3)
        out[f"cpu_ms_per_delivery_{size}"] = round(1e3 * run.cpu / max(1, run.deliveries), 3)
        out[f"latency_ms_p50_{size}"] = round(1e3 * at(run.late, 0.5), 2)
        out[f"latency_ms_p99_{size}"] = round(1e3 * at(run.late, 0.99), 2)
    return out


async def main() -> None:
    """Measure both, in turns."""
    counter = Counter()
    dice = random.Random(1)
    async with AsyncExitStack() as stack:
        meshes = []
        for opener in (ours, stock):
            seeds = [bytes([node + 1]) * 32 for node in range(NODES)]
            meshes.append(Mesh([await stack.enter_async_context(opener(seed, NODES)) for seed in seeds]))
        async with trio.open_nursery() as nursery:
            for mesh in meshes:
                await mesh.connect(nursery)
            await trio.sleep(2.2)  # two heartbeats: who is to be grafted is
            for _ in range(TURNS):
                for mesh in meshes:
                    await mesh.turn(counter, dice)
            nursery.cancel_scope.cancel()
    mine, rival = [figures(mesh.payloads) for mesh in meshes]
    ratios = {name: round(mine[name] / rival[name], 3) if rival[name] else None for name in mine}
    print(
        f"{NODES} nodes, ring and chords of degree {DEGREE}, one process, {TURNS} turns of {MESSAGES} messages a size"
    )
    print(f"{'':34}{'p2pfd':>10}{'py-libp2p 0.8.1':>18}{'ratio':>8}")
    for name in mine:
        print(f"{name:34}{mine[name]:>10}{rival[name]:>18}{ratios[name]!s:>8}")
    print(json.dumps({"p2pfd": mine, "py-libp2p 0.8.1": rival, "ratio": ratios}))


if __name__ == "__main__":
    make_room()
    trio.run(main)
