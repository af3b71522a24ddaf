"""A mesh of nodes that learn in encounters: real nodes over libp2p in this process, an embedded chain beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from p2pfd.core.encounter_spec import EncounterSpec
from p2pfd.core.ids import Account, Amount
from p2pfd.core.spec import DataSpec, MoneySpec, PhaseSpec, TaskSpec
from p2pfd.learning.data import digest_of_set
from p2pfd.node.clock import SystemClock
from p2pfd.node.config import NodeConfig, save_task
from p2pfd.node.keys import NodeKeys, throwaway
from p2pfd.node.runtime import Command, run_node
from p2pfd.settlement.deploy import deploy, deploy_also, transfer
from p2pfd.settlement.kinds import ENCOUNTERS, Contract
from p2pfd.settlement.local import embedded_chain
from p2pfd.settlement.profiles import open_chain
from p2pfd.settlement.rpc import Rpc

SEED = 7
WALLET = 40_000
TERMS = EncounterSpec(
    own=1,
    prepayment=Amount(1_000),
    stake=Amount(8_000),
    bond=Amount(10_000),
    threshold=Amount(2_000),
    longest=600,
    unbond_seconds=600,
    open_seconds=60,
    learn_seconds=240,
    vote_seconds=60,
    margin_seconds=60,
)
BOSS = throwaway(SEED, "boss").account
Told = tuple[int, str, dict[str, object]]
Lie = Callable[[int, object], None]


@dataclass
class Mesh:
    """The nodes, what they told, and the chain they settle on."""

    home: Path
    task: TaskSpec
    url: str
    contract: Contract
    keys: list[NodeKeys]
    told: list[Told] = field(default_factory=list)
    dead: set[int] = field(default_factory=set)
    finished: dict[int, dict[str, object]] = field(default_factory=dict)
    _news: trio.Event = field(default_factory=trio.Event)
    _listening: dict[int, str] = field(default_factory=dict)
    _all_listen: trio.Event = field(default_factory=trio.Event)

    @property
    def nodes(self) -> int:
        return len(self.keys)

    def events(self, name: str) -> list[Told]:
        """What nodes told under this name."""
        return [each for each in self.told if each[1] == name]

    async def until(self, holds: Callable[[], bool], seconds: float = 240.0) -> None:
        """Wait until what was told makes it true."""
        with trio.fail_after(seconds):
            while not holds():
                self._news = trio.Event()
                await self._news.wait()

    async def run(self, number: int, scope: trio.CancelScope) -> None:
        """One life of a node; it ends, as if killed, when the scope is cancelled."""
        home = self.home / f"node-{number}"
        home.mkdir(exist_ok=True)
        save_task(self.task, home / "task.json")
        config = NodeConfig(
            f"node-{number}",
            str(home),
            number,
            self.nodes,
            SEED,
            "/ip4/127.0.0.1/tcp/0",
            (),
            "task.json",
            self.url,
            "",
        )

        def emit(name: str, fields: object) -> None:
            self.told.append((number, name, dict(fields)))  # type: ignore[call-overload]
            self._news.set()

        def report(name: str, fields: dict[str, object]) -> None:
            if name == "listening":
                self._listening[number] = str(fields["addresses"][0])  # type: ignore[index]
                if len(self._listening) == self.nodes:
                    self._all_listen.set()
            if name == "finished":
                self.finished[number] = fields
                self._news.set()

        async def commands() -> AsyncIterator[Command]:
            await self._all_listen.wait()
            others = sorted({(number + step) % self.nodes for step in (1, 3)} - {number})
            yield Command(dial=tuple(self._listening[other] for other in others))
            await trio.sleep_forever()

        self.dead.discard(number)
        with scope:
            await run_node(config, self.keys[number], SystemClock(), emit, report, commands())
        self.dead.add(number)
        self._news.set()

    async def balances(self) -> dict[Account, int]:
        """All that each node has, wherever it is, but for what is in escrow."""
        async with open_chain(self.task.chain, self.url) as chain:
            desk = chain.encounters(BOSS)
            return {keys.account.account: (await desk.account(keys.account.account)).total for keys in self.keys}


@asynccontextmanager
async def encounter_mesh(
    home: Path, nodes: int, adapter: str, terms: EncounterSpec = TERMS, partition: str = "iid"
) -> AsyncIterator[tuple[Mesh, trio.Nursery, Sequence[trio.CancelScope]]]:
    """Start it; the nodes run, each in its scope, until the block ends."""
    keys = [throwaway(SEED, f"node-{number}") for number in range(nodes)]
    async with embedded_chain(home / "chain", [each.account.account for each in keys] + [BOSS.account]) as chain:
        rpc = Rpc(chain.url)
        spec = await deploy(rpc, BOSS, 10**12, terms.unbond_seconds)
        rules = {name: getattr(terms, name) for name in ("bond", "threshold", "longest", "unbond_seconds")}
        contract = await deploy_also(rpc, BOSS, spec, ENCOUNTERS, rules)
        await transfer(rpc, BOSS, spec, {each.account.account: WALLET for each in keys})
        await rpc.aclose()
        none = Amount(0)
        task = TaskSpec(
            name="encounters",
            data=DataSpec("digits", digest_of_set("digits"), 10, partition, 1, 40, 177, 300),
            adapter=adapter,
            settings={},
            aggregator="mean",
            codecs=(),
            rounds=terms.own,
            seats=nodes,
            quorum=1,
            phases=PhaseSpec(60, 60, 60),
            money=MoneySpec(none, none, none, none),
            chain=dataclasses.replace(spec, market=contract.address),
            encounters=terms,
        )
        mesh = Mesh(home, task, chain.url, contract, keys)
        scopes = [trio.CancelScope() for _ in keys]
        async with trio.open_nursery() as nursery:
            for number, scope in enumerate(scopes):
                nursery.start_soon(mesh.run, number, scope)
            yield mesh, nursery, scopes
            nursery.cancel_scope.cancel()
