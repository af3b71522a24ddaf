"""How long a node's event loop waits while the node trains: each adapter's works are done aside, and a clock ticks on.

A tick that should come after a millisecond is late by what the loop was kept from running; what is late with nothing
being computed is the machine's own doing, and stands in the first row.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import trio

from p2pfd import plugins
from p2pfd.core.ids import Account, Amount, RoundId
from p2pfd.core.rng import Rng
from p2pfd.core.spec import DataSpec, MoneySpec, PhaseSpec, TaskSpec
from p2pfd.errors import P2pfdError
from p2pfd.learning._torch import warm
from p2pfd.learning.adapter import Split, Task
from p2pfd.learning.data import deal, digest_of_set
from p2pfd.network.api import Transport
from p2pfd.network.memory import open_memory_network
from p2pfd.node.ports import in_thread
from p2pfd.node.sharing import SharingBench
from p2pfd.node.workbench import ADAPTERS, Bench, Materials, Workbench, votes
from p2pfd.roles.exchange import Merge, Share, Shared
from p2pfd.roles.work import Absorb, Conclude, Studied, Study

TICK = 0.001
IDLE_SECONDS = 5.0
NAMES = ("cfd", "gossip", "oppcl", "fedkd", "fedavg", "local")
NET = "fast28"
SETTINGS = {"fedkd": {"net": NET, "mentee": NET}}
ACCOUNTS = [Account("0x" + f"{number:040x}") for number in (1, 2)]


@dataclass(frozen=True)
class Row:
    """Lateness of the ticks during one adapter's works, in milliseconds."""

    what: str
    seconds: float
    p99_ms: float
    worst_ms: float


def task_for(name: str, data: str, public: int, private: int) -> tuple[Task, tuple[Split, ...], Split, Split]:
    """Two shards of a data set, and its public, validation and test samples."""
    nothing = Amount(0)
    spec = TaskSpec(
        name="loop",
        data=DataSpec(data, digest_of_set(data), 10, "iid", 1, public, 1000, 1000, private),
        adapter=name,
        settings=SETTINGS.get(name, {"net": NET}),
        aggregator="mean",
        codecs=(),
        rounds=2,
        seats=2,
        quorum=1,
        phases=PhaseSpec(1, 1, 1),
        money=MoneySpec(nothing, nothing, nothing, nothing),
    )
    dealt = deal(spec.data, 2)
    return Task(spec, dealt.public), tuple(dealt.shards), dealt.validation, dealt.test


def benches(name: str, data: str, public: int, private: int) -> list[Bench]:
    """Two nodes' places of work, for an adapter as it is."""
    task, shards, validation, test = task_for(name, data, public, private)
    adapter = plugins.load(ADAPTERS, name)()
    found: list[Bench] = []
    for place, account in enumerate(ACCOUNTS):
        materials = Materials(task, shards[place], validation, test)
        private_rng, shared = Rng(place), Rng(9)
        if votes(adapter, task):
            found.append(Workbench(adapter, materials, private_rng, shared))
        else:
            found.append(SharingBench(adapter, materials, private_rng, shared, account))
    return found


async def two_rounds(both: list[Bench], ways: list[Transport]) -> None:
    """Everything that two nodes compute in a task of two rounds; the first of them is the one that is watched."""
    for number in range(2):
        rnd = RoundId(number)
        if isinstance(both[0], Workbench):
            cast = []
            for account, bench, way in zip(ACCOUNTS, both, ways, strict=True):
                studied = await bench.perform(Study(rnd), way, in_thread)
                assert isinstance(studied, Studied)
                cast.append((account, studied.labels))
            for bench, way in zip(both, ways, strict=True):
                await bench.perform(Absorb(rnd, tuple(cast)), way, in_thread)
            continue
        offers = []
        for account, bench, way in zip(ACCOUNTS, both, ways, strict=True):
            shared = await bench.perform(Share(rnd), way, in_thread)
            assert isinstance(shared, Shared)
            offers.append((account, shared.blob, shared.size))
        for place, (bench, way) in enumerate(zip(both, ways, strict=True)):
            await bench.perform(Merge(rnd, (offers[1 - place],)), way, in_thread)
    await both[0].perform(Conclude(), ways[0], in_thread)


async def watched(what: str, work: Callable[[], Awaitable[None]]) -> Row:
    """Do it, and tick beside it."""
    late: list[float] = []
    began = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def tick() -> None:
            while True:
                due = trio.current_time() + TICK
                await trio.sleep_until(due)
                late.append(1000 * (trio.current_time() - due))

        nursery.start_soon(tick)
        await work()
        nursery.cancel_scope.cancel()
    return Row(what, trio.current_time() - began, float(np.percentile(late, 99)), max(late))


async def measure(data: str, public: int, private: int) -> list[Row]:
    """The machine's own lateness, then each adapter's."""
    rows = [await watched("nothing", partial(trio.sleep, IDLE_SECONDS))]
    await in_thread(warm)  # as a node does before it listens
    for name in NAMES:
        both = await in_thread(benches, name, data, public, private)
        async with (
            open_memory_network() as network,
            network.open_transport(b"1" * 32) as here,
            network.open_transport(b"2" * 32) as there,
        ):
            await here.connect(there.addresses[0])
            ways: list[Transport] = [here, there]
            rows.append(await watched(name, partial(two_rounds, both, ways)))
        print(f"{rows[-1].what:12} {rows[-1].p99_ms:8.1f} {rows[-1].worst_ms:8.1f}", flush=True)
    return rows


def main() -> None:
    """Measure on Fashion-MNIST, and print the table."""
    before = Path("/proc/loadavg").read_text().split()[0] if Path("/proc/loadavg").exists() else "?"
    print(f"load average before: {before}")
    try:
        rows = trio.run(measure, "fashion", 2000, 4000)
    except P2pfdError as error:
        sys.exit(f"{error.what}: {error.fix}")
    print(f"{'computing':12} {'seconds':>8} {'p99 ms':>8} {'worst ms':>9}")
    for row in rows:
        print(f"{row.what:12} {row.seconds:8.1f} {row.p99_ms:8.1f} {row.worst_ms:9.1f}")
    plain = {row.what: {"p99_ms": round(row.p99_ms, 1), "worst_ms": round(row.worst_ms, 1)} for row in rows}
    print(json.dumps({"loop": plain, "load_before": before}))


if __name__ == "__main__":
    main()
