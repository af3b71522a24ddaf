"""A run's report, written from the mesh's files and its chain, however far it came."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from p2pfd.core.claims import ChainEvent, TaskClosed
from p2pfd.core.spec import TaskSpec
from p2pfd.core.terms import terms_of
from p2pfd.core.ticks import SECOND
from p2pfd.errors import PlanError
from p2pfd.incentives.audit import audit
from p2pfd.node import keys
from p2pfd.node.clock import SystemClock
from p2pfd.node.config import FILE as CONFIG_FILE
from p2pfd.node.config import load, load_task
from p2pfd.settlement.encounter_history import Entry
from p2pfd.settlement.local import LOG_FILE, LocalChain
from p2pfd_localnet import past
from p2pfd_localnet.chain import ChainLedger, EncounterLedger, open_ledger
from p2pfd_localnet.ledger import History, Ledger, accounts
from p2pfd_localnet.onlookers import catch_up
from p2pfd_localnet.picture import Picture
from p2pfd_localnet.plan import Plan
from p2pfd_localnet.reading import Reader
from p2pfd_localnet.report import render
from p2pfd_localnet.state import Lock, State, option
from p2pfd_localnet.summary import summarise

SECONDS = 2.0
"""How long the history of a task that is not over is read."""


async def write(state: State) -> None:
    """The report of a run as far as it came."""
    plan, known = past.plan_of(state), past.load(state)
    if known is None:
        raise PlanError(
            f"the mesh in {state.home} never opened its task", f"run it: localnet start{option(state.home)}"
        )
    task = load_task(state.task)
    reader = Reader(state)
    events = reader.look()
    picture = Picture(plan, reader.view, SystemClock())
    for event in events:
        picture.take(event)
    async with _ledger(plan, state, task, known.paused, running=reader.running) as ledger:
        after = await ledger.totals(accounts(plan))
        told: History
        if plan.meets or plan.chain == "none":
            findings = await ledger.audit(task)
            told = ledger.history
        else:
            told = await _told(ledger, task)
            findings = audit(terms_of(task), [event for _, event in told if not isinstance(event, Entry)]), ()
    await catch_up(picture, plan, task, told)
    end = known.until or past.last_word(state)
    seconds = known.ran + max(0, end - known.began) / SECOND
    payouts = {who: after[who] - known.before.get(who, 0) for who in after}
    summary = summarise(plan, reader.view, seconds, payouts, findings[0], str(state.report), findings[1])
    picture.end(summary)
    part = state.report.with_name(f".{state.report.name}.part")
    part.write_text(render(summary, picture.since(0)[1]), encoding="utf-8")
    part.replace(state.report)


async def _told(ledger: Ledger, task: TaskSpec) -> list[tuple[int, ChainEvent | Entry]]:
    """The task's history up to its end, or as far as it goes."""
    found: list[tuple[int, ChainEvent | Entry]] = []
    with trio.move_on_after(SECONDS) as scope:

        async def tell(block: int, event: ChainEvent | Entry) -> None:
            found.append((block, event))
            if isinstance(event, TaskClosed):
                scope.cancel()

        await ledger.follow(task, tell)
    return found


@asynccontextmanager
async def _ledger(plan: Plan, state: State, task: TaskSpec, paused: int, *, running: bool) -> AsyncIterator[Ledger]:
    """The mesh's chain: the one that runs, or run from its files for as long as this takes."""
    if plan.chain == "none" or not running:
        lock = None if running else Lock.take(state)
        if lock is None and not running:
            raise PlanError(f"somebody else is at work in {state.home}", "try again")
        try:
            async with open_ledger(plan, state, 0, paused) as ledger:
                ledger.resume(task)
                yield ledger
        finally:
            if lock is not None:
                lock.release()
        return
    config = load(state.node(plan.names()[0]) / CONFIG_FILE)
    kind = EncounterLedger if plan.meets else ChainLedger
    chain = LocalChain(config.chain_url, task.chain.chain_id, 0)
    met = kind(chain, keys.throwaway(plan.seed, "requester").account, state.chain / LOG_FILE, task.chain.profile)
    met.resume(task)
    yield met
