"""One key in two processes: a copied directory, or a thief. Real nodes over libp2p, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from p2pfd_localnet import plan as plans

from p2pfd.core.spec import PhaseSpec
from p2pfd.learning.data import digest_of_set
from p2pfd.node.clock import SystemClock
from p2pfd.node.config import NodeConfig, save_task
from p2pfd.node.keys import throwaway
from p2pfd.node.runtime import Command, run_node

pytestmark = [pytest.mark.network, pytest.mark.long]
PLAN = plans.Plan("twice", nodes=3, rounds=4, chain="none", phases=PhaseSpec(60, 10, 10))
TASK = PLAN.task(plans.DataFacts(digest_of_set("digits")))


class Nodes:
    """What they told, and where they listen."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.told: dict[str, list[str]] = {}
        self.addresses: dict[str, str] = {}
        self.finished: set[str] = set()
        self.news = trio.Event()

    async def until(self, holds) -> None:
        with trio.fail_after(200):
            while not holds():
                self.news = trio.Event()
                await self.news.wait()

    async def run(self, name: str, key: str, shard: int) -> None:
        home = self.home / name
        home.mkdir()
        save_task(TASK, home / "task.json")
        place = "/ip4/127.0.0.1/tcp/0"
        config = NodeConfig(name, str(home), shard, 3, 7, place, (), "task.json", "", "")
        self.told[name] = []

        def emit(event: str, fields: object) -> None:
            self.told[name].append(event)
            self.news.set()

        def report(event: str, fields: dict[str, object]) -> None:
            if event == "listening":
                self.addresses[name] = fields["addresses"][0]  # type: ignore[index]
            if event == "finished":
                self.finished.add(name)
            self.news.set()

        async def commands() -> AsyncIterator[Command]:
            yield Command(dial=tuple(at for other, at in self.addresses.items() if other != name))
            await trio.sleep_forever()

        await run_node(config, throwaway(7, key), SystemClock(), emit, report, commands())


async def test_a_second_process_with_a_nodes_key_is_told_and_stops_nobody_else(tmp_path) -> None:
    nodes = Nodes(tmp_path)
    async with trio.open_nursery() as nursery:
        for shard, name in enumerate(("one", "two", "three")):
            nursery.start_soon(nodes.run, name, name, shard)
            await nodes.until(lambda name=name: name in nodes.addresses)
        await nodes.until(lambda: all("round.opened" in told for told in nodes.told.values()))
        nursery.start_soon(nodes.run, "copy", "one", 0)
        await nodes.until(lambda: "identity.twice" in nodes.told["one"])
        await nodes.until(lambda: nodes.finished >= {"two", "three"})
        nursery.cancel_scope.cancel()
    assert not {"identity.twice", "node.failed"} & {*nodes.told["two"], *nodes.told["three"]}
    print({name: sorted(set(told)) for name, told in nodes.told.items()})
