"""A script of chaos against the plan of its mesh: what can never be done is told before anything starts."""

from __future__ import annotations

import tomllib

import pytest
from p2pfd_localnet import chaos, script
from p2pfd_localnet.plan import Plan, change
from p2pfd_localnet.presets import PRESETS, preset_of

from p2pfd.errors import PlanError


def plan(table: str, **values: object) -> Plan:
    acts = chaos.parse(tomllib.loads("\n".join(f"[[chaos]]\n{each}" for each in table.split("--")))["chaos"])
    return change(PRESETS[0], **{"nodes": 3, "rounds": 2, "chain": "embedded", "chaos": acts, **values})


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ('at = 1\ndo = "kill"\nnodes = "node-9"', "there is no node node-9"),
        ('at = 1\ndo = "delay"\nleast = 1\nnodes = "2-3"', "there is no node node-3"),
        ('at = 1\ndo = "slow-disk"\nseconds = 1\nnodes = "x"', "there is no node 'x'"),
        ('at = 1\ndo = "pause"\nnodes = "0"', "nobody lets these go on"),
        ('at = 1\ndo = "pause"\nnodes = "0-1"\n--\nat = 2\ndo = "resume"\nnodes = "0"', "nobody lets these go on"),
        ('at = 1\ndo = "chain-down"', "nobody lets the chain go on"),
        ('at = 1\ndo = "chain-reorg"\ndepth = 1', "final at once"),
        ('at = "round>=9"\ndo = "kill"\nnodes = "0"', "there is no round 9"),
        ('at = 1\nto = "round>=3"\ndo = "kill"\nnodes = "0"', "there is no round 3"),
        ('at = "encounter>=1"\ndo = "kill"\nnodes = "0"', "rounds and no encounters"),
        ('at = 1\ndo = "add"', "0 seats are kept"),
        ('at = 1\ndo = "partition"\ncut = 3', "nobody is left for 'rest'"),
    ],
    ids=lambda text: text.replace("\n", " ")[:44],
)
def test_what_can_never_be_done(table: str, what: str) -> None:
    with pytest.raises(PlanError, match="chaos 1 ") as caught:
        script.check(plan(table))
    assert what in caught.value.what
    assert caught.value.fix


@pytest.mark.parametrize("table", ["at = 1\ndo = 'chain-down'\nfor = 1", "at = 1\ndo = 'chain-reorg'\ndepth = 1"])
@pytest.mark.parametrize("chain", ["none", "http://127.0.0.1:8545"])
def test_a_chain_that_is_not_the_meshs_own_is_left_alone(table: str, chain: str) -> None:
    with pytest.raises(PlanError, match="no chain of its own"):
        script.check(plan(table, chain=chain))


def test_what_can_be_done() -> None:
    script.check(plan('at = 1\ndo = "pause"\nnodes = "0-1"\n--\nat = 2\ndo = "resume"\nnodes = "all"'))
    script.check(plan('at = 1\ndo = "chain-down"\n--\nat = 2\ndo = "chain-up"'))
    script.check(plan('at = "round>=2"\ndo = "add"\ncount = 2', spare=2))
    script.check(plan('at = 1\ndo = "chain-reorg"\ndepth = 2', chain="amoy-like"))
    with pytest.raises(PlanError, match="3 blocks deep"):
        script.check(plan('at = 1\ndo = "chain-reorg"\ndepth = 3', chain="amoy-like"))


def test_presets_can_be_carried_out_and_a_mesh_of_encounters_has_no_rounds() -> None:
    for preset in PRESETS:
        script.check(preset)
    meets = preset_of("encounters")
    assert meets is not None
    rounds = chaos.parse([{"at": "round>=1", "do": "heal"}])
    with pytest.raises(PlanError, match="encounters and no rounds"):
        script.check(change(meets, chaos=rounds))
