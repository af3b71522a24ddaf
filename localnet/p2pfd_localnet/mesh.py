"""The supervisor: starts the chain and the nodes, watches them to the end, leaves nothing behind."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

import trio

from p2pfd.cli import exits
from p2pfd.cli.app import most_telling
from p2pfd.core.spec import TaskSpec
from p2pfd.errors import P2pfdError
from p2pfd.node.clock import SystemClock
from p2pfd.node.config import load_task, save_task
from p2pfd_localnet.control import FILE as CONTROL_FILE
from p2pfd_localnet.control import Control
from p2pfd_localnet.launch import Job
from p2pfd_localnet.ledger import Ledger, NoLedger, accounts
from p2pfd_localnet.logs import keep_short
from p2pfd_localnet.onlookers import Onlookers, catch_up, onlookers
from p2pfd_localnet.options import ANY_PORT
from p2pfd_localnet.past import Past, mark, save
from p2pfd_localnet.report import render
from p2pfd_localnet.spawner import Spawner
from p2pfd_localnet.start import found, late, start_nodes
from p2pfd_localnet.state import Lock, write
from p2pfd_localnet.summary import Summary, in_vain, summarise
from p2pfd_localnet.timeline import begin
from p2pfd_localnet.watch import Watch
from p2pfd_localnet.words import Words
from p2pfd_localnet.zygote import ENTRY


class Interrupted(KeyboardInterrupt):
    """A signal asked for the end."""


@dataclass
class Mesh:
    """One run of one mesh, from start to end."""

    job: Job
    lock: Lock
    words: Words
    start_timeout: float
    on_ready: Callable[[], None] = lambda: None
    serve: str = ""
    """Where the page is served; empty, nowhere."""
    isolate: bool = False
    """Whether each node has an interpreter of its own."""
    watch: Watch = field(init=False)
    _onlookers: Onlookers | None = field(init=False, default=None)
    _control: Control = field(init=False, default_factory=Control)
    _spawner: Spawner | None = field(init=False, default=None)
    _ledger: Ledger = field(init=False, default_factory=NoLedger)
    _interrupted: bool = field(init=False, default=False)
    _past: Past | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.watch = Watch(self.job.plan, self.job.home, self.words)
        self._past = self.job.past

    async def run(self) -> Summary:
        """Start, watch, stop, sum up. Whatever happens, no process is left when this returns or raises."""
        self._mark("starting")
        summary = None
        work = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            armed = trio.Event()
            nursery.start_soon(self._signals, work, armed)
            await armed.wait()
            desk = self.job.home.home / CONTROL_FILE
            try:
                place, page = self.serve or ANY_PORT, bool(self.serve)
                async with onlookers(self.watch.picture, place, self._control, page=page) as self._onlookers:
                    self._control.save(desk, self._onlookers.url)
                    summary = await self._to_the_end(work)
            except P2pfdError:
                self._mark("failed")
                raise
            finally:
                desk.unlink(missing_ok=True)
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
        job, state, watch = self.job, self.job.home, self.watch
        if job.past is not None:
            watch.recall(job.past)
            save(state, job.past)
        elif job.facts is not None:
            save_task(job.plan.task(job.facts), state.task)  # as long as nobody knows its chain, to warm up with
        warm = (str(state.task),) if job.entry == ENTRY else ()
        paused = 0 if job.past is None else job.past.paused
        self._spawner = spawner = job.engine.spawner(state, self.lock.fd, job.entry, warm, isolate=self.isolate)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(spawner)
            from p2pfd_localnet.chain import open_ledger  # the zygote imports its own share meanwhile

            with trio.move_on_after(self.start_timeout) as patience:
                self._ledger = await stack.enter_async_context(open_ledger(job.plan, state, job.port, paused))
            if patience.cancelled_caught:
                raise late(watch.view, self.start_timeout, "the chain")
            chain_url = await stack.enter_async_context(job.engine.reach(self._ledger.url))
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(watch.listen, spawner)
                    nursery.start_soon(spawner.ended)
                    nursery.start_soon(self._ledger.watch)
                    nursery.start_soon(keep_short, state, watch.view.nodes)
                    with trio.CancelScope(deadline=patience.deadline) as patience:
                        task = await self._founded()
                        furnish = partial(job.engine.furnish, job.plan, state, chain_url=chain_url, paused=paused)
                        await start_nodes(watch, spawner, furnish, partial(self._open, task))
                    if patience.cancelled_caught:
                        raise late(watch.view, self.start_timeout)
                    url = ""
                    if self._onlookers is not None and self.serve:
                        nursery.start_soon(self._onlookers.follow, job.plan, task, self._ledger)
                        url = self._onlookers.url
                        write(state.supervisor, {**state.read(state.supervisor), "watch": url})
                    act = self._control.link(url) if url else ""
                    self.words.ready(watch.view, job.plan, trio.current_time() - began, url, act)
                    self._mark("running")
                    self.on_ready()
                    havoc = begin(watch, spawner, self._ledger, self._control, nursery, furnish)
                    await watch.to_the_end()
                    await havoc.calm()
                    after = await self._ledger.totals(accounts(job.plan))
                    audit, ends = await self._ledger.audit(task)
                    await catch_up(watch.picture, watch.plan, task, self._ledger.history)
                    nursery.cancel_scope.cancel()
            finally:
                await spawner.close()  # the nodes before the chain that they talk to
        past = self._past
        assert past is not None, "its task was opened"
        seconds = past.ran + trio.current_time() - began
        payouts = {who: after[who] - past.before[who] for who in after}
        summary = summarise(job.plan, watch.view, seconds, payouts, audit, str(state.report), ends)
        state.report.write_text(render(summary, watch.picture.since(0)[1]), encoding="utf-8")
        failed = in_vain(job.plan, watch.view, (told for _, told in self._ledger.history))
        if failed is not None:
            raise failed
        return summary

    async def _founded(self) -> TaskSpec:
        """The task, founded now or in an earlier life."""
        job = self.job
        if self._past is not None:
            task = load_task(job.home.task)
            self._ledger.resume(task)
            return task
        assert job.facts is not None, "a mesh without a past founds its task"
        return await found(self.watch, self._ledger, job.facts)

    async def _open(self, task: TaskSpec) -> None:
        """Open the task, if no earlier life did, and remember what there was before. Until then there is no past."""
        if self._past is not None:
            return
        job = self.job
        before = dict(await self._ledger.totals(accounts(job.plan)))
        await self._ledger.open(task, job.plan)
        self._past = Past(SystemClock().now(), port=job.port, before=before)
        save(job.home, self._past)

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
        mark(self.job.home, status, self.job.plan)
        if self._past is not None and status not in ("starting", "running"):
            save(self.job.home, dataclasses.replace(self._past, until=SystemClock().now()))
        if status != "failed":  # that is told with its reason
            self.watch.picture.status(status)
