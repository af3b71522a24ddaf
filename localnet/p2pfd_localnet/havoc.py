"""Carries out deeds on a mesh that runs: at once or with a reason why not, and each of them is an event."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from p2pfd.core.ids import PeerId
from p2pfd.core.ticks import Clock
from p2pfd.errors import DeadlineError, NotRunningError, P2pfdError, PlanError, UsageError
from p2pfd.node.config import FILE as CONFIG_FILE
from p2pfd_localnet.deeds import (
    WHOLE,
    Add,
    ChainDown,
    ChainReorg,
    ChainUp,
    Deed,
    Delay,
    Heal,
    Kill,
    Loss,
    Partition,
    Pause,
    Resume,
    Revive,
    SlowDisk,
    groups_of,
    said,
    select,
    undone,
    write,
)
from p2pfd_localnet.events import NodeEvent
from p2pfd_localnet.ledger import Ledger
from p2pfd_localnet.plan import Plan, is_url
from p2pfd_localnet.reorg import reorganise
from p2pfd_localnet.spawner import Spawner
from p2pfd_localnet.view import GONE, Life, NodeView
from p2pfd_localnet.watch import Watch

MESH = "mesh"
"""Whose event it is when it is nobody's in particular."""
PEERS_AT_ONCE = 60
"""So many peers fit on one line of control."""
READY_SECONDS = 60.0
"""How long a node may take to be back."""
GONE_SECONDS = 10.0
Newcomer = Callable[[str], Path]
"""Furnishes a node that joins late; the path of its settings."""


class Havoc:
    """What is wrong with a mesh at present, on purpose."""

    def __init__(
        self, watch: Watch, spawner: Spawner, chain: Ledger, clock: Clock, nursery: trio.Nursery, newcomer: Newcomer
    ) -> None:
        self.plan: Plan = watch.plan
        self._watch = watch
        self._spawner = spawner
        self._chain = chain
        self._clock = clock
        self._nursery = nursery
        self._newcomer = newcomer
        self._groups: tuple[tuple[str, ...], ...] = ()
        self._ills: dict[str, dict[str, dict[str, object]]] = {}
        self._paused: set[str] = set()
        self._down = False
        self._one = trio.Lock()
        self.links: dict[str, list[str]] = {}
        """Whom each node dialled when the mesh began."""
        self._show()

    @property
    def holds_up(self) -> bool:
        """Whether something is stopped that others may be waiting for."""
        return self._down or bool(self._paused)

    async def do(self, deed: Deed, by: str, hold: float | None = None) -> str:
        """Do it, one deed after another, and tell what was done; P2pfdError says why not, and then nothing was.

        After ``hold`` seconds, if they are given, it is undone.
        """
        back = undone(deed)
        if hold is not None and back is None:
            raise UsageError(f"nothing undoes {deed.name}", "leave out for how long")
        async with self._one:
            text = await self._carry_out(deed, by)
        self._show()
        if hold is not None and back is not None:
            text = f"{text}, for {hold:g} s"
            self._nursery.start_soon(self._undo, back, by, hold)
        self._watch.words.note("chaos", text, "yellow")
        return text

    async def _undo(self, deed: Deed, by: str, hold: float) -> None:
        await trio.sleep(hold)
        try:
            await self.do(deed, by)
        except P2pfdError as error:
            self.failed(said(deed), error, by)

    def failed(self, what: str, error: P2pfdError, by: str) -> None:
        """Nobody waits to hear that it could not be done."""
        self.tell(MESH, "failed", {"act": what, "why": error.what}, by)
        self._watch.words.note("chaos", f"not done: {what}: {error.what}", "yellow")

    async def _carry_out(self, deed: Deed, by: str) -> str:
        match deed:
            case Kill(nodes):
                return await self._kill(self._those(nodes, living=True), by)
            case Revive(nodes):
                return await self._revive(self._those(nodes, living=False), by)
            case Pause(nodes):
                return await self._pause(self._those(nodes, living=True), by)
            case Resume(nodes):
                return await self._resume(select(nodes, self._names()), by)
            case Partition(groups):
                self._groups = groups_of(groups, self._names())
                await self._cut()
            case Heal():
                if not self._groups:
                    return "there was no partition"
                self._groups = ()
                await self._cut()
            case Loss(share, nodes):
                await self._ill("lose", {"lose": share}, nodes)
            case Delay(least, most, nodes):
                await self._ill("late", {"late": [least, most]}, nodes)
            case SlowDisk(seconds, nodes):
                await self._ill("slow-disk", {"slow-disk": seconds}, nodes)
            case ChainDown() | ChainUp():
                if not await self._hold_chain(down=isinstance(deed, ChainDown)):
                    return f"the chain was {'down' if self._down else 'up'} already"
            case ChainReorg(depth):
                self._own_chain("reorganise")
                await reorganise(self._chain.url, self.plan.chain, depth)
            case Add(count):
                return await self._join(count, by)
        self.tell(MESH, deed.name, {key: value for key, value in write(deed).items() if key != "do"}, by)
        return said(deed)

    async def calm(self) -> None:
        """Let everything go on that stands still: the mesh comes to its end."""
        async with self._one:
            if self._paused:
                await self._resume(tuple(self._paused), MESH)
            if self._down:
                await self._hold_chain(down=False)
        self._show()

    def tell(self, node: str, what: str, fields: dict[str, object], by: str = "") -> None:
        """Have it known: to the page, to the log, and to the report."""
        told = {**fields, **({"by": by} if by else {})}
        event = NodeEvent(int(self._clock.now()), node, f"chaos.{what}", told)
        line = json.dumps({"t": event.t, "node": node, "event": event.name, **told})
        with self._watch.state.events.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._watch.view.take(event)
        self._watch.picture.take(event)

    # -- processes -----------------------------------------------------------------------------------------------------

    async def _kill(self, names: Sequence[str], by: str) -> str:
        for name in names:
            self._paused.discard(name)
            self.tell(name, "killed", {}, by)
            await self._spawner.kill(name)
        with trio.move_on_after(GONE_SECONDS):
            while any(self._node(name).exit is None for name in names):
                await self._watch.picture.news()
        return f"killed {', '.join(names)}"

    async def _revive(self, names: Sequence[str], by: str) -> str:
        gone = next((self._node(name) for name in names if self._node(name).stranded), None)
        if gone is not None:
            raise NotRunningError(f"{gone.name} cannot come back: {gone.error}", "what it had is on that machine")
        before = {name: self._node(name).since for name in names}
        for name in names:
            self.tell(name, "revived", {}, by)
            await self._spawner.spawn(name, self._watch.state.node(name) / CONFIG_FILE)
        for name in names:
            await self.introduce(name, before[name])
            self._watch.words.returned(name)
        return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} back"

    async def introduce(self, name: str, since: int) -> None:
        """Tell a node that has just been started whom to dial, and what it has to bear, and wait until it is ready."""

        order = list(Life)

        def anew(life: Life) -> bool:
            node = self._node(name)
            return node.since > since and node.life not in GONE and order.index(node.life) >= order.index(life)

        with trio.move_on_after(READY_SECONDS) as patience:
            await self._until_or_gone(name, since, lambda: anew(Life.LISTENING))
            await self._spawner.tell(name, {"dial": self._known_to(name)})
            for line in self._ills.get(name, {}).values():
                await self._spawner.tell(name, {"chaos": line})
            await self._cut()
            await self._until_or_gone(name, since, lambda: anew(Life.READY))
        if patience.cancelled_caught:
            raise DeadlineError(f"{name} is not back after {READY_SECONDS:g} s", f"look at localnet logs {name}")

    async def _until_or_gone(self, name: str, since: int, holds: Callable[[], bool]) -> None:
        while not holds():
            node = self._node(name)
            if node.since > since and node.life in GONE:
                raise P2pfdError(f"{name} did not stay: {node.error}", node.fix or f"look at localnet logs {name}")
            await self._watch.picture.news()

    def _known_to(self, name: str) -> list[str]:
        """Where those are whom a node dialled, or who dialled it; of those who live."""
        others = {other for other in self._names() if name in self.links.get(other, ())} | {*self.links.get(name, ())}
        living = [node for node in self._watch.view.nodes.values() if node.life not in GONE and node.addresses]
        chosen = [node for node in living if node.name in others] or [node for node in living if node.name != name][:3]
        return [node.addresses[0] for node in chosen]

    async def _pause(self, names: Sequence[str], by: str) -> str:
        fresh = [name for name in names if name not in self._paused]
        for name in fresh:
            await self._spawner.signal(name, signal.SIGSTOP)
            self._paused.add(name)
            self.tell(name, "paused", {}, by)
        return f"paused {', '.join(fresh)}" if fresh else f"{', '.join(names)} stood still already"

    async def _resume(self, names: Sequence[str], by: str) -> str:
        still = [name for name in names if name in self._paused]
        for name in still:
            await self._spawner.signal(name, signal.SIGCONT)
            self._paused.discard(name)
            self.tell(name, "resumed", {}, by)
        return f"resumed {', '.join(still)}" if still else f"{', '.join(names)} ran already"

    async def _join(self, count: int, by: str) -> str:
        free = self._free()
        if count > free:
            left = f"{free} of this mesh's seats {'is' if free == 1 else 'are'} free" if free else "no seat is free"
            raise PlanError(left, f"keep some when it starts: localnet up --spare {count}")
        names = self.plan.everybody()[len(self._names()) :][:count]
        for name in names:
            self._watch.join(name)
            await self._spawner.spawn(name, self._newcomer(name))
            self.tell(name, "added", {}, by)
            await self.introduce(name, 0)
        return f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} joined"

    # -- network and disk ----------------------------------------------------------------------------------------------

    async def _cut(self) -> None:
        group_of = {name: number for number, group in enumerate(self._groups) for name in group}
        for node in self._running():
            mine = group_of.get(node.name)
            far = [other for other, number in group_of.items() if mine is not None and number != mine]
            peers = [PeerId(self._node(other).peer) for other in far if self._node(other).peer]
            await self._spawner.tell(node.name, {"chaos": {"cut": peers[:PEERS_AT_ONCE]}})
            for start in range(PEERS_AT_ONCE, len(peers), PEERS_AT_ONCE):
                await self._spawner.tell(node.name, {"chaos": {"cut-also": peers[start : start + PEERS_AT_ONCE]}})

    async def _ill(self, kind: str, line: dict[str, object], nodes: str) -> None:
        names = select(nodes, self._names())
        for name in names:
            self._ills.setdefault(name, {})[kind] = line
        for node in self._running():
            if node.name in names:
                await self._spawner.tell(node.name, {"chaos": line})

    # -- the chain -----------------------------------------------------------------------------------------------------

    async def _hold_chain(self, *, down: bool) -> bool:
        self._own_chain("stop")
        if down == self._down:
            return False
        await self._spawner.hold(self._chain.pid, down=down)
        self._down = down
        return True

    def _own_chain(self, what: str) -> None:
        if self.plan.chain == "none":
            raise PlanError(f"there is no chain to {what}: this mesh settles nowhere", "take one: --chain embedded")
        if is_url(self.plan.chain) or not self._chain.pid:
            raise PlanError(
                f"the chain at {self.plan.chain} was there before the mesh, which does not {what} it",
                "let the mesh start one: --chain embedded, anvil or ganache",
            )

    # -- who there is --------------------------------------------------------------------------------------------------

    def _free(self) -> int:
        return self.plan.seats - len(self._names())

    def _names(self) -> tuple[str, ...]:
        return tuple(self._watch.view.nodes)

    def _node(self, name: str) -> NodeView:
        return self._watch.view.nodes[name]

    def _running(self) -> list[NodeView]:
        return [node for node in self._watch.view.nodes.values() if not _ended(node)]

    def _those(self, text: str, *, living: bool) -> tuple[str, ...]:
        names = select(text, self._names())
        for name in names:
            ended = _ended(self._node(name))
            if living and ended:
                raise NotRunningError(f"{name} does not run", f"bring it back: localnet revive {name}")
            if not living and not ended:
                raise UsageError(f"{name} runs", f"end it first: localnet kill {name}")
        return names

    def _show(self) -> None:
        """What is wrong at present, for the page."""
        ills = {
            name: {key: _plain(line[key]) for key, line in lines.items() if _plain(line[key])}
            for name, lines in self._ills.items()
        }
        state = {
            "groups": [list(group) for group in self._groups],
            "paused": sorted(self._paused),
            "gone": sorted(name for name in self._names() if _ended(self._node(name))),
            "ills": {name: found for name, found in ills.items() if found},
            "down": self._down,
            "chain": self.plan.chain != "none" and not is_url(self.plan.chain),
            "free": self._free(),
        }
        self._watch.picture.chaos(state)


def _plain(value: object) -> object:
    """A share as a share, a delay by its longest."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value / WHOLE
    return value[-1] if isinstance(value, list) else value


def _ended(node: NodeView) -> bool:
    """Whether its process has."""
    return node.exit is not None or node.life in GONE
