"""Encounters on the real stack: all nine steps over libp2p and an EVM, and every payment recomputed from the chain."""

from __future__ import annotations

import dataclasses
import json

import pytest
import trio

from p2pfd.core.encounter_events import Settled
from p2pfd.settlement import answers
from p2pfd.settlement.encounter_history import history
from p2pfd.settlement.encounters import papers
from p2pfd.settlement.rpc import Rpc
from tests.e2e.encounter_mesh import TERMS, WALLET, encounter_mesh

STEPS = (
    "member.balance",
    "learner.opened",
    "neighbor.opened",
    "validator.drawn",
    "validator.judged",
    "learner.settled",
    "learner.learnt",
    "neighbor.over",
    "validator.over",
)
"""What is told on the way, from the stake to the award."""


async def recomputed(mesh):
    """The ends of all encounters, each recomputed from the chain's data; none of them may be wrong."""
    rpc = Rpc(mesh.url)
    until = answers.height(await rpc.call("eth_blockNumber"))
    chain = mesh.task.chain
    entries = await history(rpc, mesh.contract, papers(chain.chain_id, chain.market), mesh.task.encounters.bond, until)
    await rpc.aclose()
    assert [entry.problem for entry in entries if entry.problem] == []
    return [entry for entry in entries if isinstance(entry.event, Settled)]


async def runs(tmp_path, adapter, nodes, own, killed_at=()):
    """A mesh in which each node learns so often from others, until all are done and all that was begun has ended.

    Whoever is the first to tell one of the names in ``killed_at`` is killed in that moment, and started again.
    """
    async with encounter_mesh(tmp_path, nodes, adapter, dataclasses.replace(TERMS, own=own)) as (mesh, nursery, scopes):
        for name in killed_at:
            await mesh.until(lambda name=name: bool(mesh.events(name)))
            victim = mesh.events(name)[0][0]
            scopes[victim].cancel()
            await mesh.until(lambda victim=victim: victim in mesh.dead)
            scopes[victim] = trio.CancelScope()
            nursery.start_soon(mesh.run, victim, scopes[victim])
        await mesh.until(lambda: len(mesh.finished) == nodes)
        await mesh.until(lambda: len(mesh.events("neighbor.over")) >= len(mesh.events("neighbor.opened")))
        ends = await recomputed(mesh)
        told = {name for _, name, _ in mesh.told}
        assert told.issuperset(STEPS)
        assert not told & {"peer.garbled", "peer.rejected", "validator.blind", "learner.stuck", "neighbor.stuck"}
        assert len(ends) == nodes * own
        with trio.fail_after(60):
            balances = await mesh.balances()
        assert sum(balances.values()) == WALLET * nodes, "nothing is lost, made, or left in escrow"
        expected = dict.fromkeys(balances, WALLET)
        for entry in ends:
            end = entry.end
            expected[end.terms.learner] += end.learner - end.terms.prepayment
            expected[end.terms.neighbor] += end.neighbor - end.terms.prepayment
            for judge in end.judges:
                expected[judge.holder] += judge.change
        assert balances == expected, "every account has what the rules give it, to the unit"
        return mesh


async def test_five_nodes_learn_from_one_another_and_are_paid_by_the_rules(tmp_path):
    await runs(tmp_path, "gossip", 5, own=1)


@pytest.mark.long
@pytest.mark.parametrize("adapter", ["gossip", "oppcl"])
async def test_ten_nodes_learn_by_encounters_over_the_real_stack(tmp_path, adapter):
    mesh = await runs(tmp_path, adapter, 10, own=2)
    gained = [float(each["accuracy_together"]) - float(each["accuracy_alone"]) for each in mesh.finished.values()]
    assert sum(gained) / len(gained) > 0


@pytest.mark.long
@pytest.mark.parametrize("name", ["learner.opened", "neighbor.opened", "validator.drawn", "validator.judged"])
async def test_whoever_dies_in_an_encounter_goes_on_with_it(tmp_path, name):
    await runs(tmp_path, "gossip", 6, own=1, killed_at=[name])


@pytest.mark.long
def test_localnet_runs_a_mesh_of_encounters_to_its_report(bench):
    done = bench.localnet("up", "encounters", "-n", "6", "--rounds", "2", "--json", patience=240)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["encounters"]["over"] == 12
    assert told["encounters"]["accepted"] > 6
    assert told["audit"]["problems"] == []
    assert told["audit"]["payments"] > 0
    assert sum(told["payouts"].values()) == 0, "nodes pay one another, and nobody else"
    report = (bench.state / "report.html").read_text()
    assert "12 encounters" in report
    assert not bench.processes()
