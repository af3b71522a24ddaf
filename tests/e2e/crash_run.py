"""A real mesh whose processes are killed over and over: nodes, the chain, several at once; and what must hold then."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio
from p2pfd_localnet import plan as plans
from p2pfd_localnet.chain import ChainLedger, EncounterLedger
from p2pfd_localnet.homes import furnish
from p2pfd_localnet.ledger import accounts
from p2pfd_localnet.spawner import Spawner
from p2pfd_localnet.state import State

from p2pfd.core.encounter_spec import EncounterSpec
from p2pfd.core.ids import Amount
from p2pfd.core.spec import PhaseSpec, TaskSpec
from p2pfd.learning.data import digest_of_set
from p2pfd.node import keys
from p2pfd.node.config import save_task
from p2pfd.settlement import answers
from p2pfd.settlement.local import LocalChain
from p2pfd.settlement.rpc import Rpc
from tests.e2e.crash_node import FILE, KEPT, PID, PLACES
from tests.e2e.crash_plan import CHAIN, Blow, Volley, volleys

ENTRY = "tests.e2e.crash_node:run"
NODES = 5
VOLLEYS = 5
"""So many go on at once."""
ARM_SECONDS = 60.0
"""A place that is not crossed in that time will not be: the victim is killed from outside."""
BORN_SECONDS = 90.0
END_SECONDS = 600.0
FIRST_PORT, PORTS = 20_000, 12_000
"""Below those that systems give to whoever asks for any: nobody takes the chain's while it is dead."""
Tell = Callable[[str], None]


def plan_of(seed: int) -> plans.Plan:
    """Odd seeds are rounds of distillation, even ones are encounters."""
    if seed % 2:
        return plans.Plan("crashes", nodes=NODES, rounds=24, seed=seed, phases=PhaseSpec(900, 300, 300))
    tokens = [Amount(plans.UNIT * count) for count in (10, 60, 100, 20)]
    terms = EncounterSpec(4, *tokens, longest=1_200, unbond_seconds=1_200)
    return plans.Plan("crashes", nodes=NODES, rounds=4, seed=seed, adapter="gossip", encounters=terms)


def places_of(seed: int) -> dict[str, int]:
    """Where nodes may be killed that do this."""
    return PLACES if seed % 2 else PLACES | KEPT


class Chain:
    """The embedded chain, in a process that can be killed and started again where it was."""

    def __init__(self, state: Path, fund: list[str], rest: int) -> None:
        self._command = [sys.executable, "-m", "p2pfd.settlement.embedded", "--parent-pipe", "--state", str(state)]
        self._command += [word for who in fund for word in ("--fund", who)]
        self._log = state / "chain.log"
        self._ports = ((FIRST_PORT + (rest + step) % PORTS) for step in range(PORTS))
        self.port = 0
        self.kills = 0
        self._process: trio.Process | None = None
        state.mkdir(parents=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it, and wait until it serves."""
        while not self.port:
            port = next(self._ports)
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)):
                    self.port = port
        with self._log.open("ab") as log:
            command = [*self._command, "--port", str(self.port)]
            self._process = await trio.lowlevel.open_process(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        assert self._process.stdout is not None
        with trio.fail_after(60):
            said = await self._process.stdout.receive_some(4096)
        assert said.endswith(b"\n"), self._log.read_text()[-400:]

    async def kill(self) -> None:
        """Without a word. What it has told of its newest block it must stand by."""
        assert self._process is not None
        process, self._process = self._process, None
        number, held = await self._newest()
        process.kill()
        await process.wait()
        self.kills += 1
        self._stood = number, held

    async def check_stands(self) -> None:
        """What it had told before it was killed still holds."""
        number, held = self._stood
        rpc = Rpc(self.url)
        try:
            found = await rpc.call("eth_getBlockByNumber", hex(number), False)
        finally:
            await rpc.aclose()
        assert answers.record(found, "a block").get("hash") == held, f"the chain lost block {number}"

    async def _newest(self) -> tuple[int, object]:
        rpc = Rpc(self.url)
        try:
            found = answers.record(await rpc.call("eth_getBlockByNumber", "latest", False), "a block")
        finally:
            await rpc.aclose()
        return answers.height(found.get("number")), found.get("hash")

    async def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            with trio.CancelScope(shield=True):
                await self._process.wait()


@dataclass
class Node:
    """One node, over all its lives."""

    name: str
    config: Path
    alive: bool = False
    address: str = ""
    finished: dict[str, object] | None = None
    kills: int = 0
    lives: int = 0


@dataclass
class Mesh:
    """The processes of one run, and what came of it."""

    plan: plans.Plan
    home: Path
    chain: Chain
    tell: Tell
    task: TaskSpec = field(init=False)
    ledger: ChainLedger = field(init=False)
    nodes: list[Node] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    """How many died where."""
    trouble: list[str] = field(default_factory=list)
    spawner: Spawner = field(init=False)
    _orders: trio.Lock = field(default_factory=trio.Lock)
    _turns: dict[int, trio.Lock] = field(default_factory=dict)
    news: trio.Event = field(default_factory=trio.Event)

    @property
    def kills(self) -> int:
        """Processes that were killed so far."""
        return self.chain.kills + sum(node.kills for node in self.nodes)

    async def listen(self) -> None:
        """Hear what the nodes say, and introduce each that listens to those that do."""
        async for event in self.spawner.events():
            node = next((each for each in self.nodes if each.name == event.node), None)
            if node is None:
                continue
            match event.name:
                case "listening":
                    others = [each.address for each in self.nodes if each.alive and each.address and each is not node]
                    node.address = event.fields["addresses"][0]
                    async with self._orders:
                        await self.spawner.tell(node.name, {"dial": others[-3:]})
                case "finished":
                    node.finished = dict(event.fields)
                case "failed":
                    self.trouble.append(f"{node.name}: {event.text('error')}")
                case "exited":
                    node.alive, node.address = False, ""
                    if event.whole("signal") == signal.SIGKILL:
                        node.kills += 1
                    else:
                        self.trouble.append(f"{node.name} ended by itself, with {event.whole('code')}")
            self.news.set()

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until it is so; whether it was in time."""
        with trio.move_on_after(seconds):
            while not holds():
                self.news = trio.Event()
                await self.news.wait()
        return holds()

    async def begin(self, node: Node) -> None:
        """Start a node, once more."""
        node.alive, node.finished, node.lives = True, None, node.lives + 1
        async with self._orders:
            await self.spawner.spawn(node.name, node.config)

    async def kill(self, node: Node) -> None:
        """End a node's process at once."""
        async with self._orders:
            await self.spawner.kill(node.name)

    async def strike(self, blow: Blow) -> None:
        """Kill, and start again."""
        if blow.victim == CHAIN:
            await self.chain.kill()
            self._count("chain")
            await trio.sleep(blow.down)
            await self.chain.start()
            await self.chain.check_stands()
            return
        node = self.nodes[blow.victim]
        await self.until(lambda: node.alive, BORN_SECONDS)
        await self._end(node, blow.place, blow.crossing, blow.delay, ARM_SECONDS)
        await trio.sleep(blow.down)
        if blow.rebirth:
            self._doom(node, blow.rebirth, 1, blow.rebirth_delay)
            await self.begin(node)
            await self._dies(node, blow.rebirth, BORN_SECONDS)
        await self.begin(node)

    async def _end(self, node: Node, place: str, crossing: int, delay: float, patience: float) -> None:
        if not place:
            await self.kill(node)
            await self._dies(node, "anywhere", BORN_SECONDS)
            return
        await self.until(lambda: bool(node.address) or not node.alive, BORN_SECONDS)
        if node.address:
            self._doom(node, place, crossing, delay)
            os.kill(int((node.config.parent / PID).read_text()), signal.SIGUSR1)
        await self._dies(node, place, patience)

    async def _dies(self, node: Node, place: str, patience: float) -> None:
        if await self.until(lambda: not node.alive, patience):
            self._count(place)
            return
        (node.config.parent / FILE).unlink(missing_ok=True)
        await self.kill(node)
        await self.until(lambda: not node.alive, BORN_SECONDS)
        self._count("anywhere")

    def _doom(self, node: Node, place: str, crossing: int, delay: float) -> None:
        draft = node.config.parent / f"{FILE}.new"
        draft.write_text(json.dumps({"place": place, "crossing": crossing, "delay": delay}))
        draft.replace(node.config.parent / FILE)

    def _count(self, place: str) -> None:
        self.places[place] = self.places.get(place, 0) + 1

    async def torment(self, kills: int) -> None:
        """Volley after volley, some of them at once, while the mesh works."""
        at_once = trio.Semaphore(VOLLEYS)
        async with trio.open_nursery() as nursery:
            for volley in volleys(self.plan.seed, len(self.nodes), kills, places_of(self.plan.seed)):
                await trio.sleep(volley.pause)
                if self.trouble:
                    return  # the check tells
                done = sum(node.finished is not None for node in self.nodes)
                told = ", ".join(map(self._words, volley.blows))
                self.tell(f"seed {self.plan.seed}: {self.kills}/{kills} killed, {done} finished; {told}")
                await at_once.acquire()
                nursery.start_soon(self._volley, volley, at_once)

    async def _volley(self, volley: Volley, at_once: trio.Semaphore) -> None:
        async with trio.open_nursery() as nursery:
            for blow in volley.blows:
                nursery.start_soon(self._in_turn, blow)
        at_once.release()

    async def _in_turn(self, blow: Blow) -> None:
        """Nobody is killed twice at once."""
        async with self._turns.setdefault(blow.victim, trio.Lock()):
            await self.strike(blow)

    def _words(self, blow: Blow) -> str:
        who = "chain" if blow.victim == CHAIN else self.nodes[blow.victim].name
        return f"{who} {blow.place or blow.rebirth or 'anywhere'}"


@asynccontextmanager
async def mesh_of(plan: plans.Plan, home: Path, tell: Tell) -> AsyncIterator[Mesh]:
    """A mesh that runs, and is gone when the block ends."""
    state = State(home)
    requester = keys.throwaway(plan.seed, "requester").account
    chain = Chain(state.chain, [requester.account, *accounts(plan)], os.getpid())
    mesh = Mesh(plan, home, chain, tell)
    try:
        await chain.start()
        kind = EncounterLedger if plan.meets else ChainLedger
        local = LocalChain(chain.url, 31_337, chain.pid)
        mesh.ledger = kind(local, requester, home / "chain.log")
        mesh.task = await mesh.ledger.found(plan, plans.DataFacts(digest_of_set("digits")))
        await mesh.ledger.open(mesh.task, plan)
        save_task(mesh.task, state.task)
        for place, name in enumerate(plan.names()):
            mesh.nodes.append(Node(name, furnish(plan, state, name, place, chain.url)))
        async with Spawner(home / "zygote.log", entry=ENTRY, warm=(str(state.task),)) as spawner:
            mesh.spawner = spawner
            async with trio.open_nursery() as nursery:
                nursery.start_soon(mesh.listen)
                for node in mesh.nodes:
                    await mesh.begin(node)
                yield mesh
                for node in mesh.nodes:
                    await spawner.tell(node.name, {"stop": True})
                nursery.cancel_scope.cancel()
    finally:
        await chain.close()
