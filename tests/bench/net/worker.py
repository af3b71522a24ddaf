"""A process full of nodes, told what to do by JSON lines on stdin, one answer each on stdout.

open     kind, first, count, mesh                 → addresses
connect  links: [[node, address], …], degree      → seconds until every node has so many neighbours that listen
say      what: [[node, at], …], size, begin       → said; `at` in seconds after `begin` on the machine's clock
wait     count                                    → heard: how many deliveries there were when it ended
tally    –                                        → heard, twice, late (ms), cpu (s) since the last one; rss (MB), tasks
put      size                                     → name: a blob that all workers make alike, offered by the first node
get      name, size, half                         → seconds; after a line when half of it is here, if asked for
pull     names, size                              → nothing; they are fetched in the background
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import struct
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import trio

from tests.bench.net.nodes import Node, Ours, make_room, ours, stock

PATIENCE = 60.0
STAMP = struct.Struct("!QQ")


def now() -> float:
    """The machine's clock, the same in all processes."""
    return time.monotonic()


def rss() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


class Worker:
    def __init__(self, stack: AsyncExitStack, nursery: trio.Nursery) -> None:
        self.stack = stack
        self.nursery = nursery
        self.first = 0
        self.nodes: list[Node] = []
        self.heard: list[set[bytes]] = []
        self.late: list[float] = []
        self.count = self.twice = 0
        self.cpu = time.process_time()
        self.pulled = 0
        self._more = trio.Event()

    async def open(self, kind: str, first: int, count: int, mesh: int) -> dict[str, Any]:
        self.first = first if not self.nodes else self.first
        for number in range(first, first + count):
            seed = (number + 1).to_bytes(32, "big")
            opened = ours(seed, mesh) if kind == "ours" else stock(seed, mesh)
            self.nodes.append(await self.stack.enter_async_context(opened))
            self.heard.append(set())
            self.nursery.start_soon(self.nodes[-1].listen, self._hear(number - self.first))
        return {"addresses": [node.address for node in self.nodes], "rss": rss()}

    def _hear(self, number: int) -> Any:
        mine = self.heard[number]

        def heard(raw: bytes) -> None:
            if raw[:16] in mine:
                self.twice += 1
                return
            mine.add(raw[:16])
            self.count += 1
            self.late.append(1e3 * now() - STAMP.unpack_from(raw)[0] / 1e6)
            self._more.set()
            self._more = trio.Event()

        return heard

    async def connect(self, links: list[tuple[int, str]], degree: int) -> dict[str, Any]:
        begun = now()
        async with trio.open_nursery() as nursery:
            for number, address in links:
                nursery.start_soon(self.nodes[number - self.first].connect, address)
        with trio.move_on_after(PATIENCE):
            while min(node.neighbours() for node in self.nodes) < degree:  # noqa: ASYNC110 - two kinds, one way
                await trio.sleep(0.02)
        return {"seconds": now() - begun, "neighbours": [node.neighbours() for node in self.nodes], "rss": rss()}

    async def say(self, what: list[tuple[int, float]], size: int, begin: float) -> dict[str, Any]:
        async with trio.open_nursery() as nursery:
            for serial, (number, at) in enumerate(what):
                await trio.sleep(max(0.0, begin + at - now()))
                stamp = STAMP.pack(time.monotonic_ns(), number << 32 | serial)
                nursery.start_soon(self.nodes[number - self.first].say, stamp + os.urandom(size - len(stamp)))
        return {"said": len(what)}

    async def wait(self, count: int, seconds: float) -> dict[str, Any]:
        with trio.move_on_after(seconds):
            while self.count < count:
                await self._more.wait()
        return {"heard": self.count, "at": now()}

    async def tally(self) -> dict[str, Any]:
        cpu = time.process_time()
        out = {"heard": self.count, "twice": self.twice, "late": self.late, "cpu": cpu - self.cpu, "rss": rss()}
        out["pulled"] = self.pulled
        out["tasks"] = trio.lowlevel.current_statistics().tasks_living
        out["drops"] = self._drops()
        self.cpu, self.count, self.twice, self.late = cpu, 0, 0, []
        for mine in self.heard:
            mine.clear()
        return out

    def _drops(self) -> dict[str, int]:
        """Why ours dropped anything so far; the library does not say."""
        drops: Counter[str] = Counter()
        for node in self.nodes:
            if isinstance(node, Ours):
                drops.update({reason.label: count for reason, count in node.transport.counters.drops.items() if count})
        return dict(drops)

    async def put(self, size: int) -> dict[str, Any]:
        return {"name": (await self.nodes[0].put(blob_of(size))).hex()}

    async def pull(self, names: list[str], size: int) -> dict[str, Any]:
        """Fetch these in the background, one after another."""

        async def run() -> None:
            for name in names:
                await self.nodes[0].get(bytes.fromhex(name), 2 * size)
                self.pulled += 1

        self.nursery.start_soon(run)
        return {}

    async def get(self, name: str, size: int, half: bool) -> dict[str, Any]:
        told = not half

        def progress(have: int, of: int) -> None:
            nonlocal told
            if not told and 2 * have >= of:
                told = True
                say({"half": True})

        begun = now()
        got = await self.nodes[0].get(bytes.fromhex(name), size, progress)
        seconds = now() - begun
        return {"seconds": seconds, "whole": got == blob_of(size)}


def blob_of(size: int) -> bytes:
    """Bytes that no layer compresses, the same in every process."""
    block = random.Random(size).randbytes(1024 * 1024)
    return (block * (size // len(block) + 1))[:size]


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def main() -> None:
    make_room()
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        worker = Worker(stack, nursery)
        async with trio.lowlevel.FdStream(os.dup(0)) as stdin:
            rest = b""
            async for raw in stdin:
                *lines, rest = (rest + raw).split(b"\n")
                for line in lines:
                    order = json.loads(line)
                    answer = await getattr(worker, order.pop("do"))(**order)
                    say(answer)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # as localnet does; going through all that was imported takes as long as a node at rest in minutes
    trio.run(main)
