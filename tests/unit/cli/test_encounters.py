"""`balance`, `stake`, `verify` and `explain` where a contract of encounters stands beside the task's market."""

from __future__ import annotations

import dataclasses
import json

import pytest
import trio

from p2pfd.cli import encounters as said
from p2pfd.cli.program import PROGRAM
from p2pfd.core.claims import Deposit, Included
from p2pfd.core.encounter_claims import CloseEncounter, Join, SettleEncounter
from p2pfd.node import config, keys
from p2pfd.settlement.deploy import deploy, deploy_also, transfer
from p2pfd.settlement.kinds import ENCOUNTERS
from p2pfd.settlement.profiles import embedded_chain, open_chain
from p2pfd.settlement.rpc import Rpc
from p2pfd.testing.encounter_play import EncounterPlay
from p2pfd.testing.stage import RULES, More, Stage
from tests.unit.node.test_config import CONFIG, SPEC

pytestmark = pytest.mark.long
KEYS = [keys.throwaway(1, f"party-{number}") for number in range(5)]
BOSS = keys.throwaway(1, "boss")
FUNDS = 10_000


class Watched:
    """A desk that remembers which transaction carried what."""

    def __init__(self, desk, refs):
        self._desk, self._refs = desk, refs

    def __getattr__(self, name):
        return getattr(self._desk, name)

    async def submit(self, claim):
        ref = await self._desk.submit(claim)
        self._refs.append((ref, claim))
        return ref


async def _play(root):
    """All that the conformance script does to encounters, and the files that a mesh leaves."""
    refs = []
    accounts = [BOSS.account.account, *(k.account.account for k in KEYS)]
    async with embedded_chain(root / "chain", accounts) as on:
        rpc = Rpc(on.url)
        spec = await deploy(rpc, BOSS.account, 10**9, 60)
        contract = await deploy_also(rpc, BOSS.account, spec, ENCOUNTERS, dataclasses.asdict(RULES))
        await transfer(rpc, BOSS.account, spec, {k.account.account: FUNDS for k in KEYS})

        async def skip(seconds):
            await rpc.call("evm_increaseTime", hex(seconds))

        async with open_chain(spec, on.url, poll_seconds=0.01) as chain:
            desks = [Watched(chain.encounters(k.account, contract), refs) for k in KEYS]
            more = More([k.account for k in KEYS], (), (), desks, spec.market)
            await EncounterPlay(Stage((), accounts[1:], skip, more)).play()
            market = chain.settlement(KEYS[0].account)
            assert isinstance(await market.final(await market.submit(Deposit(7))), Included)
        await rpc.aclose()
    task = dataclasses.replace(SPEC, chain=spec)
    config.save_task(task, root / "task.json")
    home = root / "nodes" / "node-0"
    home.mkdir(parents=True)
    keys.save(KEYS[0], home / "keys")
    dataclasses.replace(CONFIG, home=str(home), task=str(root / "task.json"), chain_url=on.url).save(home / config.FILE)
    return contract.address, refs


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    root = tmp_path_factory.mktemp("mesh")
    return root, *trio.run(_play, root)


@pytest.fixture
def ask(mesh, capsys):
    root, *_ = mesh

    def run(*words, code=0, as_json=True):
        more = ["--json"] if as_json else []
        assert PROGRAM.main([*words, "--home", str(root / "nodes" / "node-0"), *more]) == code
        told = capsys.readouterr().out
        return json.loads(told) if as_json else told

    return run


def of(mesh, kind, which=0):
    """The reference of the claim of a kind that was sent so many claims of it later."""
    return [ref for ref, claim in mesh[2] if isinstance(claim, kind)][which]


def test_what_is_in_seats_is_locked_and_another_contract_is_another_balance(ask, mesh):
    in_market, in_encounters = ask("balance"), ask("balance", "--contract", mesh[1])
    assert (in_market["free"], in_market["wallet"]) == (7, in_encounters["wallet"])
    assert in_encounters["free"] > 7
    last = ask("balance", KEYS[3].account.account, "--contract", mesh[1])
    assert last["locked"] == RULES.bond, "who joined again at the end"
    assert ask("stake", "0.000005", "--contract", mesh[1])["moved"] == 5
    assert ask("balance", "--contract", mesh[1])["free"] == in_encounters["free"] + 5
    assert ask("unstake", "1", "--contract", mesh[1], code=7)["error"]["what"].endswith("purse: not enough free")


def test_every_encounter_is_verified_from_the_chain_alone(ask, mesh):
    found = ask("verify", "--contract", mesh[1])
    assert (found["settled"], found["ended"], found["problems"]) == (10, 13, [])
    assert found["paid_to_validators"] > 0
    assert [each["event"] for each in found["encounters"]].count("settled") == found["settled"]
    assert all(each["transaction"].startswith("0x") for each in found["encounters"])


def test_an_end_is_explained(ask, mesh):
    told = ask("explain", of(mesh, SettleEncounter, 3))
    (end,) = told["events"]
    assert end["event"] == "settled"
    assert end["verdict"] == "invalid"
    assert end["by_the_rules"] == [end["to_learner"], end["to_neighbor"]]
    assert end["to_learner"] + end["to_neighbor"] + sum(judge["change"] for judge in end["judges"]) == 2 * 601
    words = ask("explain", of(mesh, SettleEncounter, 3), as_json=False)
    assert "it was not" in words
    assert "rule serum" in words
    assert words.count("invalid") == 3


def test_a_default_and_a_seat_are_explained_and_a_deposit_is_none(ask, mesh):
    assert ask("explain", of(mesh, CloseEncounter, 2))["events"][0]["event"] == "defaulted"
    assert ask("explain", of(mesh, Join))["events"] == [{"event": "seat taken", "seat": 0}]
    assert "no encounter" in ask("explain", of(mesh, Deposit), as_json=False)
    refused = of(mesh, CloseEncounter, 0)
    assert "was refused" in ask("explain", refused, as_json=False)


def test_an_end_that_does_not_fit_the_rules_has_its_own_code(ask, mesh, monkeypatch):
    read = said.read

    async def cheated(chain, contract):
        entries = await read(chain, contract)
        return tuple(dataclasses.replace(each, problem="wrong") if each.end else each for each in entries)

    monkeypatch.setattr(said, "read", cheated)
    assert len(ask("verify", "--contract", mesh[1], code=5)["problems"]) == 10
    ask("explain", of(mesh, SettleEncounter, 3), code=5)


def test_what_is_none_of_ours_is_said(ask, mesh):
    assert "none of this release's" in ask("balance", "--contract", "0x" + "11" * 20, code=7)["error"]["what"]
