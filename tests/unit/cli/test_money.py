"""`balance`, `stake`, `unstake`, `withdraw`, `verify` and `explain` on a chain whose files were left by a mesh."""

from __future__ import annotations

import dataclasses
import json

import pytest
import trio

from p2pfd.cli import evidence
from p2pfd.cli.money import tokens
from p2pfd.cli.program import PROGRAM
from p2pfd.core.claims import CommitLabels, Deposit, Enrol, Included, OpenTask, RevealLabels, SettleRound
from p2pfd.core.ids import Amount, RoundId
from p2pfd.core.labels import commitment, pack
from p2pfd.core.terms import terms_of
from p2pfd.incentives.audit import Audit
from p2pfd.node import config, keys
from p2pfd.settlement.deploy import deploy, transfer
from p2pfd.settlement.profiles import embedded_chain, open_chain
from p2pfd.settlement.rpc import Rpc
from tests.unit.node.test_config import CONFIG, SPEC

SAMPLES = 8
WORKERS = [keys.throwaway(1, f"worker-{number}") for number in range(3)]
REQUESTER = keys.throwaway(1, "requester")
LABELS = [bytes([0, 1, 2, 3, 4, 5, 6, 7]), bytes([0, 1, 2, 3, 4, 5, 6, 9]), bytes([0, 1, 2, 3, 8, 8, 8, 8])]
SALT = bytes(32)


async def _play(root):
    """One round of three workers, and all the files that a mesh leaves."""
    refs = []
    async with embedded_chain(root / "chain", [REQUESTER.account.account, *(k.account.account for k in WORKERS)]) as on:
        rpc = Rpc(on.url)
        chain_spec = await deploy(rpc, REQUESTER.account, 10**9, 60)
        await transfer(rpc, REQUESTER.account, chain_spec, {k.account.account: 300 for k in WORKERS})
        await rpc.aclose()
        task = dataclasses.replace(
            SPEC, chain=chain_spec, data=dataclasses.replace(SPEC.data, public=SAMPLES), rounds=1
        )
        async with open_chain(chain_spec, on.url) as chain:

            async def say(who, *claims):
                settlement = chain.settlement(who.account)
                for claim in claims:
                    receipt = await settlement.final(await settlement.submit(claim))
                    assert isinstance(receipt, Included), receipt
                    refs.append(receipt.ref)

            await say(REQUESTER, Deposit(Amount(1000)), OpenTask(terms_of(task)))
            for worker in WORKERS:
                await say(worker, Deposit(Amount(200)), Enrol(task.id))
            first = RoundId(0)
            for worker, labels in zip(WORKERS, LABELS, strict=True):
                bound = commitment(task.id, first, worker.account.account, SALT, pack(labels))
                await say(worker, CommitLabels(task.id, first, bound))
            for worker, labels in zip(WORKERS, LABELS, strict=True):
                await say(worker, RevealLabels(task.id, first, SALT, pack(labels)))
            await say(REQUESTER, SettleRound(task.id, first))
    config.save_task(task, root / "task.json")
    home = root / "nodes" / "node-0"
    home.mkdir(parents=True)
    keys.save(WORKERS[0], home / "keys")
    dataclasses.replace(CONFIG, home=str(home), task=str(root / "task.json"), chain_url=on.url).save(home / config.FILE)
    return refs


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    root = tmp_path_factory.mktemp("mesh")
    return root, trio.run(_play, root)


@pytest.fixture
def ask(mesh, capsys):
    root, _ = mesh

    def run(*words, code=0, at="nodes/node-0"):
        assert PROGRAM.main([*words, "--home", str(root / at), "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return run


def test_tokens_are_told_to_the_last_unit():
    assert [tokens(units) for units in (0, 1, 10**6, 1_234_567_890_123)] == [
        "0.000000",
        "0.000001",
        "1.000000",
        "1,234,567.890123",
    ]


def test_money_goes_in_and_out_and_none_is_lost(ask):
    before = ask("balance")
    assert (before["wallet"], before["total"]) == (100, before["free"] + before["locked"] + 100)
    assert ask("stake", "0.00003")["moved"] == 30
    out = ask("unstake", "0.00001")
    assert (out["moved"], out["unbonding"]) == (10, 10)
    after = ask("balance")
    assert after == {**before, "wallet": 70, "free": before["free"] + 20, "unbonding": 10}


def test_what_the_chain_refuses_is_told_with_what_to_do(ask):
    assert ask("stake", "5", code=7)["error"]["what"] == "the chain refused: erc20: transfer amount exceeds balance"
    told = ask("unstake", "9999", code=7)["error"]
    assert told["what"] == "the chain refused: staking: not enough free"
    assert "p2pfd balance" in told["fix"]


@pytest.mark.parametrize("amount", ["0", "-1", "1e3", "1.0000001", "nan", "", "0.0"])
def test_what_is_no_amount_is_refused_before_anything_starts(ask, amount):
    assert ask("stake", amount, code=2)["error"]["name"] == "usage"


def test_every_payment_is_verified_from_the_chain_alone(ask):
    found = ask("verify", at=".")
    assert (found["rounds"], found["payments"], found["problems"]) == (1, 3, [])
    assert found["paid"] == sum(found["earned"].values()) > 0


def test_a_wrong_payment_ends_with_its_own_code(ask, monkeypatch):
    monkeypatch.setattr(evidence, "audit", lambda terms, events: Audit({}, 1, 3, ("0x1 was paid 5; it earns 4",)))
    assert ask("verify", code=5)["problems"] == ["0x1 was paid 5; it earns 4"]


def test_other_terms_on_the_chain_than_in_the_file_are_named():
    terms = terms_of(SPEC)
    other = dataclasses.replace(terms, pot=Amount(terms.pot + 1))
    assert evidence._differences(terms, other) == ["pot is 100 in the task, 101 on the chain"]
    assert evidence._differences(terms, terms) == []


def test_a_payment_is_explained_and_adds_up(ask, mesh):
    _, refs = mesh
    by_round, by_receipt = ask("explain", "0"), ask("explain", refs[-1])
    assert by_receipt["payments"] == by_round["payments"]
    assert by_receipt["receipt"] == refs[-1]
    for payment in by_round["payments"]:
        why = payment["why"]
        worth = sum(part["agreements"] * part["worth"] for part in why["parts"])
        assert worth // why["peers"] - why["samples"] * 10**6 == payment["score"]
        assert why["amount"] == payment["paid"]
    me = WORKERS[0].account.account
    assert [payment["account"] for payment in ask("explain", "0", "--account", me)["payments"]] == [me]


def test_a_receipt_that_pays_nobody_is_told_as_what_it_is(ask, mesh, capsys):
    root, refs = mesh
    assert ask("explain", refs[0])["payments"] == []
    assert PROGRAM.main(["explain", refs[1], "--home", str(root)]) == 0
    assert "task opened" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("explain", "7"), 3),
        (("explain", "0x" + "00" * 32), 3),
        (("explain", "0x12"), 2),
        (("explain", "0", "--account", "0x" + "11" * 20), 3),
        (("explain", "0", "--account", "me"), 2),
    ],
)
def test_what_cannot_be_explained_is_told(ask, words, code):
    assert ask(*words, code=code)["error"]["fix"]


def test_contracts_are_recognised_and_others_are_not(ask, mesh, monkeypatch):
    root, _ = mesh
    found = ask("contracts", "verify")
    token, market = found["contracts"]
    assert (found["ok"], market["token"], market["unbond_seconds"]) == (True, token["address"], 60)
    task = config.load_task(root / "task.json")
    for change, problem in (
        ({"token": task.chain.market}, "another contract"),
        ({"token": WORKERS[0].account.account}, "there is no contract"),
    ):
        other = dataclasses.replace(task, chain=dataclasses.replace(task.chain, **change))
        monkeypatch.setattr(config.NodeConfig, "load_task", lambda self, other=other: other)
        wrong = ask("contracts", "verify", code=5)["contracts"]
        assert wrong[0]["problem"].startswith(problem)
        assert "its money is the token" in wrong[1]["problem"]
        assert ask("contracts", "show")["ok"] is False


def test_a_place_that_is_none_is_told(tmp_path, capsys):
    assert PROGRAM.main(["balance", "--home", str(tmp_path), "--json"]) == 3
    assert "neither a node's directory nor a mesh's" in json.loads(capsys.readouterr().out)["error"]["what"]
    config.save_task(SPEC, tmp_path / "task.json")
    assert PROGRAM.main(["verify", "--home", str(tmp_path), "--json"]) == 3
    assert "settles on no chain" in json.loads(capsys.readouterr().out)["error"]["what"]
