"""The mesh's settlement: what the supervisor does on it, whichever chain it is, or none."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from p2pfd.core.claims import ChainEvent, Deposit, Included, OpenTask, TaskClosed
from p2pfd.core.ids import Account, Amount
from p2pfd.core.spec import ChainSpec, TaskSpec
from p2pfd.core.terms import terms_of
from p2pfd.errors import ChainError
from p2pfd.incentives.audit import Audit, audit
from p2pfd.node import keys
from p2pfd.settlement import answers
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import GENESIS
from p2pfd.settlement.deploy import deploy, deploy_also, transfer
from p2pfd.settlement.encounter_history import Reader
from p2pfd.settlement.encounters import papers
from p2pfd.settlement.kinds import ENCOUNTERS, Contract
from p2pfd.settlement.local import LOG_FILE, LocalChain, local_chain, running_chain
from p2pfd.settlement.profiles import PROFILES, open_chain, open_settlement
from p2pfd.settlement.rpc import Rpc
from p2pfd_localnet.amoylike import amoy_like
from p2pfd_localnet.ledger import Findings, History, Ledger, NoLedger, Tell, accounts
from p2pfd_localnet.plan import DataFacts, Plan, is_url
from p2pfd_localnet.spawner import last_line
from p2pfd_localnet.state import State

UNBOND_SECONDS = 60
AUDIT_SECONDS = 10.0
"""How long the history of a task that never closed is waited for."""
FOLLOW_SECONDS = 0.3
"""How often whoever follows the task looks for a new block."""


class ChainLedger:
    """A chain of throw-away funds, in a process of its own or somebody else's, with our contracts on it."""

    def __init__(self, chain: LocalChain, requester: AccountKey, log: Path, profile: str = "embedded") -> None:
        self._chain = chain
        self._profile = PROFILES[profile]
        self._log = log
        self._requester = requester
        self._spec: ChainSpec | None = None
        self.pid = chain.pid
        self.history: History = ()

    @property
    def url(self) -> str:
        """Where nodes reach it."""
        return self._chain.url

    async def found(self, plan: Plan, facts: DataFacts) -> TaskSpec:
        """Deploy token and market, and give every node its bond."""
        workers = accounts(plan)
        supply = plan.budget() + plan.stake() * len(workers)
        rpc = Rpc(self.url)
        try:
            habits, boss = self._profile.habits, self._requester
            spec = await deploy(rpc, boss, supply, UNBOND_SECONDS, profile=self._profile.name, habits=habits)
            await transfer(rpc, boss, spec, dict.fromkeys(workers, plan.stake()), habits=habits)
            self._spec = spec = await self._market(rpc, plan, spec)
        finally:
            await rpc.aclose()
        return plan.task(facts, spec)

    async def open(self, task: TaskSpec, plan: Plan) -> None:
        """Set the pots aside and open the task."""
        async with open_settlement(task.chain, self.url, self._requester) as settlement:
            pots = (Deposit(Amount(plan.budget())),) if plan.budget() else ()  # the chain takes no deposit of nothing
            for claim in (*pots, OpenTask(terms_of(task))):
                receipt = await settlement.final(await settlement.submit(claim))
                if not isinstance(receipt, Included):
                    why = getattr(receipt, "reason", "it is pending")
                    raise ChainError(f"the chain did not take {type(claim).__name__}: {why}")

    def resume(self, task: TaskSpec) -> None:
        """Token and market stand on the chain already, and the task is open."""
        self._spec = task.chain

    async def _market(self, rpc: Rpc, plan: Plan, spec: ChainSpec) -> ChainSpec:
        """The contract that the task is to name."""
        return spec

    async def totals(self, whose: Sequence[Account]) -> Mapping[Account, int]:
        """All that these accounts own, in their wallets and in the contract."""
        assert self._spec is not None, "there is no task yet"
        async with open_settlement(self._spec, self.url, self._requester) as settlement:
            return {who: (await settlement.account(who)).total for who in whose}

    async def audit(self, task: TaskSpec) -> Findings:
        """Read the task's history from its beginning; one that did not close is read as far as it goes."""
        assert self._spec is not None, "there is no task yet"
        history: list[tuple[int, ChainEvent]] = []
        async with open_settlement(self._spec, self.url, self._requester) as settlement:
            with trio.move_on_after(AUDIT_SECONDS):
                async for cursor, event in settlement.events(GENESIS, task.id):
                    history.append((cursor.block, event))
                    if isinstance(event, TaskClosed):
                        break
        self.history = tuple(history)
        return audit(terms_of(task), [event for _, event in history]), ()

    async def follow(self, task: TaskSpec, tell: Tell) -> None:
        """Read the task's history, and go on as blocks come."""
        assert self._spec is not None, "there is no task yet"
        async with open_settlement(self._spec, self.url, self._requester, poll_seconds=FOLLOW_SECONDS) as settlement:
            async for cursor, event in settlement.events(GENESIS, task.id):
                await tell(cursor.block, event)

    async def watch(self) -> None:
        """A connection ends when the chain tires of it or dies; only one that lives takes another."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        while True:
            try:
                async with await trio.open_tcp_stream(host, int(port)) as stream:
                    await stream.receive_some(1)
            except trio.BrokenResourceError:
                continue
            except OSError as error:
                raise ChainError(
                    f"the chain at {self.url} ended by itself; its last words: {last_line(self._log)}",
                    f"look at {self._log}; when it was killed, the machine may be out of memory: take fewer nodes",
                ) from error

    def kill(self) -> None:
        """End the chain's process at once; one that was there before the mesh is left alone."""
        if not self._chain.pid:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._chain.pid, signal.SIGKILL)


class EncounterLedger(ChainLedger):
    """The same with a contract of encounters: there is no task to open, nodes settle what they agree on."""

    async def _market(self, rpc: Rpc, plan: Plan, spec: ChainSpec) -> ChainSpec:
        """A contract with the plan's rules."""
        rules = {name: getattr(plan.encounters, name) for name in ("bond", "threshold", "longest", "unbond_seconds")}
        self._contract = await deploy_also(rpc, self._requester, spec, ENCOUNTERS, rules, habits=self._profile.habits)
        return dataclasses.replace(spec, market=self._contract.address)

    def resume(self, task: TaskSpec) -> None:
        """The contract stands on the chain already."""
        super().resume(task)
        self._contract = Contract(task.chain.market, ENCOUNTERS)

    async def open(self, task: TaskSpec, plan: Plan) -> None:
        """Nothing is to be opened."""

    async def totals(self, whose: Sequence[Account]) -> Mapping[Account, int]:
        """All that these accounts own, in their wallets, in the contract and in their seats."""
        assert self._spec is not None, "there is no contract yet"
        async with open_chain(self._spec, self.url) as chain:
            desk = chain.encounters(self._requester)
            return {who: (await desk.account(who)).total for who in whose}

    async def audit(self, task: TaskSpec) -> Findings:
        """Recompute every payment of every encounter from the calls and the events on the chain."""
        async with self._reader(task) as (rpc, reader):
            entries = await reader.more(answers.height(await rpc.call("eth_blockNumber")))
        self.history = tuple((entry.block, entry) for entry in entries)
        ends = tuple(entry.end for entry in entries if entry.end is not None)
        payments = sum(2 + len(end.judges) for end in ends)
        return Audit({}, len(ends), payments, tuple(entry.problem for entry in entries if entry.problem)), ends

    async def follow(self, task: TaskSpec, tell: Tell) -> None:
        """Read the contract's history, and go on as blocks come; each end comes with what it paid, recomputed."""
        async with self._reader(task) as (rpc, reader):
            while True:
                for entry in await reader.more(answers.height(await rpc.call("eth_blockNumber"))):
                    await tell(entry.block, entry)
                await trio.sleep(FOLLOW_SECONDS)

    @asynccontextmanager
    async def _reader(self, task: TaskSpec) -> AsyncIterator[tuple[Rpc, Reader]]:
        rpc = Rpc(self.url)
        try:
            signed = papers(task.chain.chain_id, task.chain.market)
            yield rpc, Reader(rpc, self._contract, signed, task.encounters.bond)
        finally:
            await rpc.aclose()


@asynccontextmanager
async def open_ledger(plan: Plan, state: State, port: int, behind: int = 0) -> AsyncIterator[Ledger]:
    """The plan's chain, running; its time is ``behind`` the clock's by so many seconds."""
    if plan.chain == "none":
        yield NoLedger()
        return
    kind = EncounterLedger if plan.meets else ChainLedger
    requester = keys.throwaway(plan.seed, "requester").account
    everybody = [requester.account, *accounts(plan)]
    if is_url(plan.chain):
        profile, chain = await running_chain(plan.chain, everybody)
        yield kind(chain, requester, state.chain / LOG_FILE, profile)
        return
    if plan.chain == "amoy-like":
        opening = amoy_like(state.chain, everybody, plan.seed, port, behind)
    else:
        opening = local_chain(plan.chain, state.chain, everybody, port, behind)
    async with opening as chain:
        yield kind(chain, requester, state.chain / LOG_FILE, plan.chain)
