"""A task written, published, looked at, refused and left, on a real chain, by the commands themselves."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio

from p2pfd.cli import leave
from p2pfd.cli.program import PROGRAM
from p2pfd.core.encounter_spec import EncounterSpec
from p2pfd.core.ids import Account, Amount
from p2pfd.core.manifest import Manifest
from p2pfd.core.spec import ChainSpec, in_hex
from p2pfd.node import config, keys, keystore
from p2pfd.node.manifest import seal
from p2pfd.settlement.deploy import deploy, transfer
from p2pfd.settlement.outlay import outlay_of
from p2pfd.settlement.rpc import Rpc
from tests.contracts.test_encounter_gas import HELD
from tests.unit.cli.chains import embedded
from tests.unit.node.test_config import SPEC

REQUESTER, WORKER, POOR = (keys.throwaway(1, name) for name in ("requester", "worker", "poor"))
PEER = "/ip4/127.0.0.1/tcp/4001/p2p/" + POOR.peer


async def _found(url: str):
    rpc = Rpc(url)
    chain = await deploy(rpc, REQUESTER.account, 10**9, 1)
    await transfer(rpc, REQUESTER.account, chain, {WORKER.account.account: 500})
    await rpc.aclose()
    return chain


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    accounts = [each.account.account for each in (REQUESTER, WORKER, POOR)]
    with embedded(root, accounts, 1337, 31_337) as (url, elsewhere):
        chain = trio.run(_found, url)
        for name, mine in (("requester", REQUESTER), ("worker", WORKER), ("poor", POOR)):
            keys.save(mine, root / name / "keys")
        yield SimpleNamespace(root=root, url=url, elsewhere=elsewhere, task=dataclasses.replace(SPEC, chain=chain))


@pytest.fixture
def say(world, capsys, monkeypatch):
    monkeypatch.chdir(world.root)

    def run(*words, code=0):
        with open("/dev/null") as nothing, monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", nothing)
            assert PROGRAM.main([*words, "--json"]) == code, capsys.readouterr()
        told = json.loads(capsys.readouterr().out)
        return told["error"] if code else told

    return run


@pytest.fixture
def published(world, say):
    """A task of this test's own, opened by the requester."""

    def run(name, *more, **changes):
        task = dataclasses.replace(world.task, name=name, **changes)
        config.save_task(task, world.root / f"{name}.json")
        words = ("task", "publish", f"{name}.json", "--home", "requester", "--chain-url", world.url, "--out", name)
        return task, say(*words, *more)

    return run


def test_a_new_task_is_one_and_is_not_written_twice(say, world):
    told = say("task", "new", "mine.toml", "--rounds", "3", "--seats", "4")
    assert say("task", "check", "mine.toml")["id"] == told["id"]
    assert "is there already" in say("task", "new", "mine.toml", code=9)["what"]
    assert "does not end in .toml" in say("task", "new", "mine.json", code=3)["what"]


def test_a_published_task_is_open_on_its_chain_and_whoever_has_the_text_can_see_that(say, world, published):
    task, told = published("first", "--bootstrap", PEER, "--rpc", world.url, "--note", "hello")
    assert told["opened"]
    assert told["id"] == task.id.hex()
    assert len(told["invitation"]) < 1_200
    shown = say("task", "show", told["invitation"])
    assert shown["task"] == in_hex(task)
    assert shown["bootstrap"] == [PEER]
    assert shown["requester"] == REQUESTER.account.account
    checked = say("task", "check", "first", "--chain-url", world.url)
    assert checked["chain"]["state"]["gathering"]
    assert checked["chain"]["state"]["taken"] == 0
    assert not checked["chain"]["live"]


def test_publishing_again_opens_nothing_twice(say, world, published):
    _, first = published("again")
    assert first["opened"]
    assert "is there already" in published_error(say, world, "again")["what"]
    _, second = published("again", "--replace", "--bootstrap", PEER)
    assert not second["opened"]
    assert second["invitation"] != first["invitation"]


def published_error(say, world, name, home="requester", code=9):
    return say("task", "publish", f"{name}.json", "--home", home, "--chain-url", world.url, "--out", name, code=code)


def test_who_has_too_few_tokens_opens_nothing(say, world):
    config.save_task(dataclasses.replace(world.task, name="dear"), world.root / "dear.json")
    told = published_error(say, world, "dear", home="poor", code=7)
    assert "the rounds pay 0.000300 tokens" in told["what"]


def test_a_dry_run_says_what_it_means_and_signs_nothing(say, world, published):
    published("dry", "--rpc", world.url)
    told = say("join", "dry", "--home", "worker", "--dry-run")
    assert not told["begun"]
    assert not (world.root / "worker/node.json").exists()
    told = say("join", "dry", "--home", "poor", "--dry-run", code=7)
    assert told["what"].startswith("0.000100 tokens are missing")
    assert told["fix"] == f"ask {REQUESTER.account.account} to send them to {POOR.account.account}"


def test_keys_are_made_where_there_are_none(say, world, published):
    published("keyless", "--rpc", world.url)
    say("join", "keyless", "--home", "nobody", "--dry-run", code=7)
    assert keystore.exists(world.root / "nobody/keys")


def sealed(world, name, mine=REQUESTER, **changes):
    task = dataclasses.replace(world.task, name=name, **changes)
    text = seal(Manifest(task, mine.account.account, rpc=(world.url,)), mine.account)
    (world.root / name).write_text(text)
    return task


def test_an_invitation_to_another_ones_task_is_refused(say, world, published):
    published("theirs")
    sealed(world, "passed-off", POOR)
    assert "the chain knows no task" in say("join", "passed-off", "--home", "worker", "--dry-run", code=7)["what"]
    task = dataclasses.replace(world.task, name="theirs")
    (world.root / "stolen").write_text(seal(Manifest(task, POOR.account.account, rpc=(world.url,)), POOR.account))
    told = say("join", "stolen", "--home", "worker", "--dry-run", code=7)
    assert "opened this task" in told["what"]
    assert "do not take part" in told["fix"]


def test_an_endpoint_of_another_chain_is_not_believed(say, world, published):
    published("where", "--rpc", world.elsewhere)
    told = say("join", "where", "--home", "worker", "--dry-run", code=7)
    assert "is chain 31337, the task settles on 1337" in told["what"]
    published("where", "--rpc", world.elsewhere, "--rpc", "http://127.0.0.1:9", "--replace")
    told = say("join", "where", "--home", "worker", "--dry-run", code=7)
    assert "answers at none of 2 addresses" in told["what"]
    published("where", "--rpc", world.elsewhere, "--rpc", world.url, "--replace")
    assert say("join", "where", "--home", "worker", "--dry-run")["id"]


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (("join",), 2, "join what?"),
        (("join", "a", "--task", "b"), 2, "join what?"),
        (("join", "nowhere"), 3, "there is no file nowhere"),
        (("join", "p2pfd-task-1:rubbish"), 3, "damaged"),
        (("join", "http://127.0.0.1:9/task"), 8, "cannot be had"),
        (("task", "check", "-"), 3, "standard input is no invitation"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_invitation_is_refused(say, words, code, hint):
    assert hint in say(*words, code=code)["what"]


def test_hostile_text_is_no_invitation(world, say):
    (world.root / "bytes").write_bytes(b"p2pfd-task-1:\xff\xfe")
    assert "is not text" in say("join", "bytes", code=3)["what"]
    (world.root / "huge").write_bytes(b"p2pfd-task-1:" + b"A" * 70_000)
    assert "more than 65536 bytes" in say("join", "huge", code=3)["what"]


def test_a_task_on_another_chain_than_the_named_one_is_refused(say, world, published):
    published("named", "--rpc", world.url)
    told = say("join", "named", "--home", "worker", "--network", "amoy", "--dry-run", code=3)
    assert "settles on embedded, and --network says amoy" in told["what"]


def test_an_invitation_that_is_over_is_refused(say, world, published):
    published("old", "--rpc", world.url, "--until", "2020-01-31")
    assert "good until 2020-01-31" in say("join", "old", "--home", "worker", "--dry-run", code=3)["what"]


def test_it_comes_over_standard_input_too(world, capsys, monkeypatch, published):
    task, told = published("piped")
    piped = io.TextIOWrapper(io.BytesIO(told["invitation"].encode()))
    monkeypatch.setattr(sys, "stdin", piped)
    assert PROGRAM.main(["task", "show", "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == task.id.hex()


def test_whoever_leaves_gets_all_back_when_it_has_unbonded(say, world):
    at = ("--home", "worker", "--task", str(world.root / "left.json"), "--chain-url", world.url)
    config.save_task(world.task, world.root / "left.json")
    assert say("leave", *at)["out"]
    say("stake", "0.0002", *at)
    first = say("leave", *at)
    assert not first["out"]
    assert (first["unbonding"], first["wallet"]) == (200, 300)
    assert first["why"] == "tokens unbond for a while"
    assert say("leave", *at, "--wait")["out"]
    assert say("balance", *at)["wallet"] == 500


def test_a_clock_that_is_ahead_makes_nobody_lose_anything(say, world, monkeypatch):
    async def later(desk):
        return 10**10

    at = ("--home", "worker", "--task", str(world.root / "left.json"), "--chain-url", world.url)
    config.save_task(world.task, world.root / "left.json")
    say("stake", "0.0002", *at)
    with monkeypatch.context() as patch:
        patch.setattr(leave, "_now", later)
        assert say("leave", *at)["unbonding"] == 200
        patch.setattr(leave, "_LOOK_SECONDS", 0)
        told = say("leave", *at)  # the chain refuses: it is too early, or takes it
    assert told["unbonding"] in (0, 200)
    assert say("leave", *at, "--wait")["wallet"] == 500


def test_what_encounters_take_is_said_beforehand():
    """As `tests/bench/gas_encounters.py` meters them: with three validators, and with one and seven."""
    metered = {1: (93_896, 164_712), 3: (HELD["encounter_fast"], HELD["encounter_each_commitment_too"])}
    metered |= {5: (136_665, 509_813), 7: (159_284, 696_381)}
    for size, (fast, slow) in metered.items():
        terms = EncounterSpec(20, Amount(6), Amount(600), Amount(60), Amount(60), 3600, 7200, size=size)
        chain = ChainSpec("embedded", 1337, Account("0x" + "11" * 20), Account("0x" + "22" * 20))
        found = outlay_of(dataclasses.replace(SPEC, chain=chain, encounters=terms))
        assert 20 * fast <= found.rounds <= 20 * fast * 1.05
        assert 20 * slow <= found.worst <= 20 * slow * 1.05
        assert found.tokens == 600 + 60 + 20 * 6
        assert found.reserve == 2_000_000


def test_gas_and_bond_are_those_of_the_reference():
    page = (Path(__file__).parents[3] / "docs/reference/settlement.md").read_text()
    rows = [
        [int(cell.replace(",", "")) for cell in line.strip("|\n ").split("|")]
        for line in page.splitlines()
        if line.startswith("| ") and line.count("|") == 12 and line[2].isdigit()
    ]
    assert len(rows) >= 5
    for workers, samples, classes, deposit, _, enrol, _, _, _, first, later in rows:
        data = dataclasses.replace(SPEC.data, public=samples, classes=classes)
        task = dataclasses.replace(SPEC, data=data, seats=workers, rounds=3, quorum=1)
        found = outlay_of(task)
        real = (first + 2 * later) / workers
        assert real <= found.rounds * 1.05
        assert found.rounds <= real * 1.25
        assert deposit + enrol <= found.begin
        assert found.begin <= 1.7 * (deposit + enrol)
        assert found.tokens == task.money.bond
