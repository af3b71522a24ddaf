"""The supervisor: starts the chain and the nodes, introduces them, watches them to the end, leaves nothing behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import trio

from p2pfd.cli import exits
from p2pfd.cli.app import most_telling
from p2pfd.core.rng import Rng
from p2pfd.core.spec import TaskSpec
from p2pfd.errors import DeadlineError, EnvironmentProblem, P2pfdError
from p2pfd.node.clock import SystemClock
from p2pfd.node.config import save_task
from p2pfd_localnet import topology
from p2pfd_localnet.chain import Ledger, NoLedger, accounts, open_ledger
from p2pfd_localnet.events import NodeEvent, Tail
from p2pfd_localnet.homes import furnish
from p2pfd_localnet.onlookers import Onlookers, onlookers
from p2pfd_localnet.picture import Picture
from p2pfd_localnet.plan import DataFacts, Plan
from p2pfd_localnet.report import render
from p2pfd_localnet.spawner import Spawner, last_line
from p2pfd_localnet.state import Lock, State, write
from p2pfd_localnet.summary import Summary, summarise
from p2pfd_localnet.view import GONE, Life, MeshView, NodeView
from p2pfd_localnet.words import Words
from p2pfd_localnet.zygote import ENTRY

TICK = 0.1
_SETTLE = 3.0
"""How long the last figures may take to reach the files after a node said that it is done."""
_SLACK = 60.0


class Interrupted(KeyboardInterrupt):
    """A signal asked for the end."""


@dataclass
class Mesh:
    """One run of one mesh, from start to end."""

    plan: Plan
    state: State
    lock: Lock
    words: Words
    facts: DataFacts
    start_timeout: float
    port: int = 0
    entry: str = ENTRY
    on_ready: Callable[[], None] = lambda: None
    serve: str = ""
    """Where the page is served; empty, nowhere."""
    view: MeshView = field(init=False)
    picture: Picture = field(init=False)
    _onlookers: Onlookers | None = field(init=False, default=None)
    _spawner: Spawner | None = field(init=False, default=None)
    _ledger: Ledger = field(init=False, default_factory=NoLedger)
    _interrupted: bool = field(init=False, default=False)
    _news: trio.Event = field(init=False, default_factory=trio.Event)

    def __post_init__(self) -> None:
        self.view = MeshView(self.plan.names(), self.plan.rounds)
        self.picture = Picture(self.plan, self.view, SystemClock())

    async def run(self) -> Summary:
        """Start, watch, stop, sum up. Whatever happens, no process is left when this returns or raises."""
        self._mark("starting")
        summary = None
        work = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            armed = trio.Event()
            nursery.start_soon(self._signals, work, armed)
            await armed.wait()
            try:
                if not self.serve:
                    summary = await self._to_the_end(work)
                else:
                    async with onlookers(self.picture, self.serve) as self._onlookers:
                        summary = await self._to_the_end(work)
            except P2pfdError:
                self._mark("failed")
                raise
            finally:
                nursery.cancel_scope.cancel()
        if summary is None:
            raise Interrupted
        return summary

    async def _to_the_end(self, work: trio.CancelScope) -> Summary | None:
        """Work, and say how it ended before anybody who watches has to go; None when it was to be ended."""
        status, summary = "failed", None
        try:
            with work:
                summary = await self._work()
                self.picture.end(summary)
                status = "done"
        except Exception as error:
            worst = most_telling(error)
            known = worst if isinstance(worst, P2pfdError) else P2pfdError(str(worst))
            self.picture.status("failed", known.what, known.fix)
            raise
        finally:
            self._mark("interrupted" if self._interrupted else status)
        return summary

    async def _work(self) -> Summary:
        began = trio.current_time()
        plan, state = self.plan, self.state
        save_task(plan.task(self.facts), state.task)  # as long as nobody knows its chain, to warm up with
        warm = (str(state.task),) if self.entry == ENTRY else ()
        spawner = Spawner(state.zygote_log, (self.lock.fd,), self.entry, warm)
        self._spawner = spawner
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(spawner)
            with trio.move_on_after(self.start_timeout) as patience:
                self._ledger = await stack.enter_async_context(open_ledger(plan, state, self.port))
            if patience.cancelled_caught:
                raise self._late("the chain")
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._listen, spawner)
                    nursery.start_soon(spawner.ended)
                    nursery.start_soon(self._ledger.watch)
                    with trio.CancelScope(deadline=patience.deadline) as patience:
                        task = await self._found(self._ledger)
                        before = await self._ledger.totals(accounts(plan))
                        await self._start_nodes(spawner)
                    if patience.cancelled_caught:
                        raise self._late()
                    url = ""
                    if self._onlookers is not None:
                        nursery.start_soon(self._onlookers.follow, plan, task, self._ledger)
                        url = self._onlookers.url
                        write(state.supervisor, {**state.read(state.supervisor), "watch": url})
                    self.words.ready(self.view, plan, trio.current_time() - began, url)
                    self._mark("running")
                    self.on_ready()
                    await self._watch()
                    after = await self._ledger.totals(accounts(plan))
                    audit, ends = await self._ledger.audit(task)
                    nursery.cancel_scope.cancel()
            finally:
                await spawner.close()  # the nodes before the chain that they talk to
        seconds = trio.current_time() - began
        payouts = {who: after[who] - before[who] for who in after}
        summary = summarise(plan, self.view, seconds, payouts, audit, str(state.report), ends)
        state.report.write_text(render(summary), encoding="utf-8")
        return summary

    # -- start ---------------------------------------------------------------------------------------------------------

    async def _found(self, ledger: Ledger) -> TaskSpec:
        """Found the task: on the chain if there is one, and in its file."""
        task = await ledger.open(self.plan, self.facts)
        save_task(task, self.state.task)
        return task

    async def _start_nodes(self, spawner: Spawner) -> None:
        names = self.plan.names()
        for place, name in enumerate(names):
            config = furnish(self.plan, self.state, name, place, self._ledger.url)
            await spawner.spawn(name, config)
        await self._until(Life.LISTENING)
        peers = topology.dials(names, Rng(self.plan.seed).split("topology"))
        for name, others in peers.items():
            found = [address for other in others for address in self.view.nodes[other].addresses[:1]]
            await spawner.tell(name, {"dial": found})
        await self._until(Life.READY)

    async def _until(self, life: Life) -> None:
        """Wait until every node is at least so far. During start-up a node that fails ends the whole run."""
        order = list(Life)
        while True:
            gone = self.view.gone()
            if gone:
                raise self._fatal(gone[0])
            if all(order.index(node.life) >= order.index(life) for node in self.view.nodes.values()):
                return
            await self._changed()

    async def _changed(self) -> None:
        await self._news.wait()
        self._news = trio.Event()

    def _late(self, missing: str = "") -> DeadlineError:
        waiting = [node.name for node in self.view.nodes.values() if node.life in (Life.STARTING, Life.LISTENING)]
        missing = missing or ", ".join(waiting[:3]) + (" and others" if len(waiting) > 3 else "")
        return DeadlineError(
            f"the mesh was not ready after {self.start_timeout:g} s: waiting for {missing}",
            f"give it longer with --start-timeout {2 * self.start_timeout:g}, or take fewer nodes",
        )

    # -- watch ---------------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        phases = self.plan.phases
        rounds = phases.enrol_seconds + phases.commit_seconds + phases.reveal_seconds
        patience = (self.plan.encounters.longest if self.plan.meets else rounds) + _SLACK
        tails = [Tail(self.state.node(name) / "events.jsonl") for name in self.plan.names()]
        quiet_since = trio.current_time()
        over_since: float | None = None
        while True:
            heard = self._news.is_set()
            if heard:
                self._news = trio.Event()
            for event in sorted((event for tail in tails for event in tail.new()), key=lambda event: event.t):
                heard = True
                self._see(event)
            now = trio.current_time()
            if heard:
                quiet_since = now
                self.words.progress(self.view)
            if self.view.over():
                over_since = now if over_since is None else over_since
                if self._has_figures() or now - over_since > _SETTLE:
                    break
            if now - quiet_since > patience:
                raise DeadlineError(
                    f"nothing happened for {patience:g} s in {self.view.how_far()}",
                    "look at localnet logs; [phases] or [encounters] in the plan bound how long it may take",
                )
            await trio.sleep(TICK)
        self.words.progress(self.view)
        gone = self.view.gone()
        if len(gone) == len(self.view.nodes):
            raise self._fatal(gone[0])

    def _has_figures(self) -> bool:
        return all(node.together is not None for node in self.view.living())

    async def _listen(self, spawner: Spawner) -> None:
        """Take what comes up the status pipe. It ends only when all are gone, and here nobody asked them to go."""
        async for event in spawner.events():
            self._take(event)
        raise spawner.obituary()

    def _take(self, event: NodeEvent) -> None:
        if event.name == "exited" and event.node in self.view.nodes:
            for late in Tail(self.state.node(event.node) / "events.jsonl").new():
                self.view.take(late)  # its own last words come before its end
        self._see(event)
        self._news.set()
        if event.name != "zygote.ready" and self.view.nodes[event.node].life in GONE:
            self.words.progress(self.view)

    def _see(self, event: NodeEvent) -> None:
        self.view.take(event)
        self.picture.take(event)

    # -- stop ----------------------------------------------------------------------------------------------------------

    async def _signals(self, work: trio.CancelScope, armed: trio.Event) -> None:
        """Once: an orderly end. Twice: at once."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            armed.set()
            async for _ in signals:
                if self._interrupted:
                    if self._spawner is not None:
                        self._spawner.kill_all()
                    self._ledger.kill()
                    self.words.interrupted()
                    os._exit(exits.INTERRUPTED.code)
                self._interrupted = True
                self.words.note("stop", "ending the nodes and the chain; once more ends them at once", "yellow")
                work.cancel()

    # -- odds and ends -------------------------------------------------------------------------------------------------

    def _fatal(self, node: NodeView) -> P2pfdError:
        return _failed(node, self.state.node(node.name) / "output.log")

    def _mark(self, status: str) -> None:
        write(self.state.mesh, {"schema": 1, "status": status, "plan": self.plan.to_plain()})
        if status != "failed":  # that is told with its reason
            self.picture.status(status)


def _failed(node: NodeView, output: Path) -> P2pfdError:
    """A node's end as an error of the whole run, of the kind that the node itself named."""
    kind: type[P2pfdError] = P2pfdError
    if node.exit is not None and node.exit < 0:
        kind = EnvironmentProblem
    elif node.kind:
        kind = next((known for known, _ in exits.KINDS if known.__name__ == node.kind), P2pfdError)
    return kind(f"{node.name}: {node.error}", node.fix or f"its last words: {last_line(output)} ({output})")
