"""The supervisor: starts the chain and the nodes, watches them to the end, leaves nothing behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import trio

from p2pfd.cli import exits
from p2pfd.cli.app import most_telling
from p2pfd.errors import P2pfdError
from p2pfd.node.config import save_task
from p2pfd_localnet.chain import Ledger, NoLedger, accounts, open_ledger
from p2pfd_localnet.onlookers import Onlookers, catch_up, onlookers
from p2pfd_localnet.plan import DataFacts, Plan
from p2pfd_localnet.report import render
from p2pfd_localnet.spawner import Spawner
from p2pfd_localnet.start import found, late, start_nodes
from p2pfd_localnet.state import Lock, State, write
from p2pfd_localnet.summary import Summary, summarise
from p2pfd_localnet.watch import Watch
from p2pfd_localnet.words import Words
from p2pfd_localnet.zygote import ENTRY


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
    watch: Watch = field(init=False)
    _onlookers: Onlookers | None = field(init=False, default=None)
    _spawner: Spawner | None = field(init=False, default=None)
    _ledger: Ledger = field(init=False, default_factory=NoLedger)
    _interrupted: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.watch = Watch(self.plan, self.state, self.words)

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
                    async with onlookers(self.watch.picture, self.serve) as self._onlookers:
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
                self.watch.picture.end(summary)
                status = "done"
        except Exception as error:
            worst = most_telling(error)
            known = worst if isinstance(worst, P2pfdError) else P2pfdError(str(worst))
            self.watch.picture.status("failed", known.what, known.fix)
            raise
        finally:
            self._mark("interrupted" if self._interrupted else status)
        return summary

    async def _work(self) -> Summary:
        began = trio.current_time()
        plan, state, watch = self.plan, self.state, self.watch
        save_task(plan.task(self.facts), state.task)  # as long as nobody knows its chain, to warm up with
        warm = (str(state.task),) if self.entry == ENTRY else ()
        self._spawner = spawner = Spawner(state.zygote_log, (self.lock.fd,), self.entry, warm)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(spawner)
            with trio.move_on_after(self.start_timeout) as patience:
                self._ledger = await stack.enter_async_context(open_ledger(plan, state, self.port))
            if patience.cancelled_caught:
                raise late(watch.view, self.start_timeout, "the chain")
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(watch.listen, spawner)
                    nursery.start_soon(spawner.ended)
                    nursery.start_soon(self._ledger.watch)
                    with trio.CancelScope(deadline=patience.deadline) as patience:
                        task = await found(watch, self._ledger, self.facts)
                        before = await self._ledger.totals(accounts(plan))
                        await start_nodes(watch, spawner, self._ledger.url)
                    if patience.cancelled_caught:
                        raise late(watch.view, self.start_timeout)
                    url = ""
                    if self._onlookers is not None:
                        nursery.start_soon(self._onlookers.follow, plan, task, self._ledger)
                        url = self._onlookers.url
                        write(state.supervisor, {**state.read(state.supervisor), "watch": url})
                    self.words.ready(watch.view, plan, trio.current_time() - began, url)
                    self._mark("running")
                    self.on_ready()
                    await watch.to_the_end()
                    after = await self._ledger.totals(accounts(plan))
                    audit, ends = await self._ledger.audit(task)
                    await catch_up(watch.picture, watch.plan, task, self._ledger.history)
                    nursery.cancel_scope.cancel()
            finally:
                await spawner.close()  # the nodes before the chain that they talk to
        seconds = trio.current_time() - began
        payouts = {who: after[who] - before[who] for who in after}
        summary = summarise(plan, watch.view, seconds, payouts, audit, str(state.report), ends)
        state.report.write_text(render(summary, watch.picture.since(0)[1]), encoding="utf-8")
        return summary

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

    def _mark(self, status: str) -> None:
        write(self.state.mesh, {"schema": 1, "status": status, "plan": self.plan.to_plain()})
        if status != "failed":  # that is told with its reason
            self.watch.picture.status(status)
