"""What must hold at the end of a mesh whose processes were killed: nothing lost, nothing twice, everybody done."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import trio
from p2pfd_localnet.ledger import accounts

from p2pfd.core.claims import BondForfeited, TaskClosed, WorkerPaid, WorkerSuspended
from p2pfd.core.encounter_events import Defaulted, Settled, Voided
from p2pfd.core.ids import Account
from p2pfd.core.terms import terms_of
from p2pfd.incentives.audit import audit
from p2pfd.node import keys
from p2pfd.settlement import answers
from p2pfd.settlement.api import GENESIS
from p2pfd.settlement.encounter_history import history
from p2pfd.settlement.encounters import papers
from p2pfd.settlement.kinds import ENCOUNTERS, Contract
from p2pfd.settlement.outbox import FILE as OUTBOX_FILE
from p2pfd.settlement.profiles import open_settlement
from p2pfd.settlement.rpc import Rpc
from tests.e2e.crash_run import END_SECONDS, Mesh

TRACEBACK = "Traceback (most recent call last)"


async def check(mesh: Mesh) -> dict[str, int]:
    """AssertionError says what does not hold; else how much was looked at."""
    done = await mesh.until(lambda: bool(mesh.trouble) or all(n.finished for n in mesh.nodes), END_SECONDS)
    assert not mesh.trouble, mesh.trouble
    assert done, f"not finished: {[node.name for node in mesh.nodes if not node.finished]}"
    found = await (_encounters(mesh) if mesh.plan.meets else _rounds(mesh))
    claims = sum([await _claims(mesh, number) for number in range(len(mesh.nodes))])
    for node in mesh.nodes:
        said = (node.config.parent / "output.log").read_text(errors="replace")
        assert TRACEBACK not in said, f"{node.name}: {said[-2000:]}"
    return {"claims": claims, **found}


async def _rounds(mesh: Mesh) -> dict[str, int]:
    plan, task = mesh.plan, mesh.task
    events = []
    async with open_settlement(task.chain, mesh.chain.url, keys.throwaway(plan.seed, "requester").account) as there:
        with trio.fail_after(END_SECONDS):
            async for _, event in there.events(GENESIS, task.id):
                events.append(event)
                if isinstance(event, TaskClosed):
                    break
    found = audit(terms_of(task), events)
    assert found.problems == (), found.problems
    assert found.payments == plan.nodes * plan.rounds, "every worker was paid once for every round"
    assert not [event for event in events if isinstance(event, BondForfeited | WorkerSuspended)]
    paid: Counter[Account] = Counter()
    for event in events:
        if isinstance(event, WorkerPaid):
            paid[event.worker] += event.amount
    assert paid == Counter(found.earned)
    boss = keys.throwaway(plan.seed, "requester").account.account
    owned = await mesh.ledger.totals([boss, *accounts(plan)])
    assert owned == {
        boss: plan.budget() - sum(paid.values()),
        **{who: plan.stake() + paid[who] for who in accounts(plan)},
    }, "what was paid is there, to the unit, and nothing else is"
    weights = {str((node.finished or {}).get("weights")) for node in mesh.nodes}
    assert len(weights) == 1, "all have learned the same, whoever was killed"
    return {"payments": found.payments}


async def _encounters(mesh: Mesh) -> dict[str, int]:
    plan, chain = mesh.plan, mesh.task.chain
    contract = Contract(chain.market, ENCOUNTERS)
    rpc = Rpc(mesh.chain.url)
    ends = []
    try:
        with trio.move_on_after(END_SECONDS):
            while len(ends) < plan.nodes * plan.rounds:
                until = answers.height(await rpc.call("eth_blockNumber"))
                signed = papers(chain.chain_id, chain.market)
                entries = await history(rpc, contract, signed, mesh.task.encounters.bond, until)
                problems = [entry.problem for entry in entries if entry.problem]
                assert problems == [], problems
                ends = [entry for entry in entries if isinstance(entry.event, Settled | Defaulted | Voided)]
                await trio.sleep(0.2)
    finally:
        await rpc.aclose()
    expected = dict.fromkeys(accounts(plan), plan.stake())
    voted = 0
    for entry in ends:
        assert entry.terms is not None, "an encounter that ended was opened"
        if isinstance(entry.event, Defaulted):
            expected[entry.terms.learner] += entry.event.damages
            expected[entry.terms.neighbor] -= entry.event.damages
        elif entry.end is not None:  # one that had too few validators gives back what was put in
            voted += 1
            expected[entry.terms.learner] += entry.end.learner - entry.terms.prepayment
            expected[entry.terms.neighbor] += entry.end.neighbor - entry.terms.prepayment
            for judge in entry.end.judges:
                expected[judge.holder] += judge.change
    owned: dict[Account, int] = {}
    with trio.move_on_after(60):
        while owned != expected:
            owned = dict(await mesh.ledger.totals(accounts(plan)))
            await trio.sleep(0.2)
    assert owned == expected, "every account has what the rules give it, to the unit"
    own = Counter(entry.terms.learner for entry in ends if entry.terms is not None)
    assert own == Counter(dict.fromkeys(accounts(plan), plan.rounds)), "each has begun what it was to, and each is over"
    assert voted, "some were judged; others were opened when too few had a seat yet"
    return {"payments": sum(2 + len(e.end.judges) for e in ends if e.end is not None), "encounters": len(ends)}


async def _claims(mesh: Mesh, number: int) -> int:
    """Each intent of a node is one transaction on the chain, and each transaction of its account is an intent."""
    who = accounts(mesh.plan)[number]
    path = mesh.nodes[number].config.parent / OUTBOX_FILE
    rows, open_ones = await trio.to_thread.run_sync(_outbox, path)
    rpc = Rpc(mesh.chain.url)
    try:
        count = answers.height(await rpc.call("eth_getTransactionCount", who, "latest"), "a number of transactions")
        receipts = await rpc.batch([("eth_getTransactionReceipt", ["0x" + tx.hex()]) for tx, _, _ in rows])
    finally:
        await rpc.aclose()
    assert len(rows) <= count <= len(rows) + open_ones, "no claim was sent twice, and none by nobody"
    for (tx, block, success), receipt in zip(rows, receipts, strict=True):
        assert receipt is not None, f"0x{tx.hex()} was final, and is gone"
        told = answers.record(receipt, "a receipt")
        assert answers.height(told.get("blockNumber")) == block
        assert (answers.number(told.get("status"), "a status") == 1) == bool(success)
    return len(rows)


def _outbox(path: Path) -> tuple[list[tuple[bytes, int, int]], int]:
    copy = path.with_name("outbox.copy")
    for suffix in ("", "-wal"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            copy.with_name(copy.name + suffix).write_bytes(source.read_bytes())
    with sqlite3.connect(copy) as db:
        rows = db.execute("select tx, block, success from intent where tx is not null").fetchall()
        (left,) = db.execute("select count(*) from intent where tx is null").fetchone()
    db.close()
    return rows, left
