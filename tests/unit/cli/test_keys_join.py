"""Nodes and their keys: encrypted ones are opened, plain ones refused where funds are real, and nothing tells them."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from p2pfd.cli.program import PROGRAM
from p2pfd.core.ids import Account
from p2pfd.core.spec import ChainSpec
from p2pfd.node import config, keys, keystore
from p2pfd.node.keys import throwaway
from tests.unit.cli.terminal import PROGRAM_ALONE
from tests.unit.node.test_config import CONFIG, SPEC

ALICE = throwaway(1, "alice")
PHRASE = "correct horse"
LIVE = ChainSpec("amoy", 80_002, Account("0x" + "11" * 20), Account("0x" + "22" * 20))


@pytest.fixture
def ask(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("P2PFD_PASSPHRASE", raising=False)
    monkeypatch.chdir(tmp_path)
    config.save_task(dataclasses.replace(SPEC, chain=LIVE), tmp_path / "live.json")

    def run(*words, code):
        with open("/dev/null") as nothing, monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", nothing)
            assert PROGRAM.main([*words, "--json"]) == code
        return json.loads(capsys.readouterr().out)["error"]

    return run


JOIN = ("join", "--task", "live.json", "--chain-url", "http://127.0.0.1:1", "--home", "node")


def test_a_live_chain_takes_no_node_without_encrypted_keys(ask, tmp_path):
    home = tmp_path / "node"
    told = ask(*JOIN, code=3)
    assert "there are no keys" in told["what"]
    assert told["fix"] == f"run: p2pfd keys new --home {home}"
    assert not home.exists()
    keys.save(ALICE, home / "keys")
    task = home / "task.json"
    config.save_task(dataclasses.replace(SPEC, chain=LIVE), task)
    dataclasses.replace(CONFIG, home=str(home), task="task.json").save(home / config.FILE)
    for words in (JOIN, ("run", "node")):
        told = ask(*words, code=3)
        assert "are not encrypted" in told["what"]
        assert told["fix"] == f"run: p2pfd keys change-passphrase --home {home}"


def test_a_task_cannot_pass_off_a_live_chain_as_a_local_one(ask, tmp_path):
    chain = dataclasses.replace(LIVE, profile="anvil", chain_id=137)
    config.save_task(dataclasses.replace(SPEC, chain=chain), tmp_path / "live.json")
    assert "and this is chain 137" in ask(*JOIN, code=3)["what"]
    assert not (tmp_path / "node").exists()


def test_encrypted_keys_need_their_passphrase(ask, tmp_path, monkeypatch):
    keystore.create(ALICE, tmp_path / "node" / "keys", PHRASE, work=2)
    assert "no terminal" in ask(*JOIN, code=2)["what"]
    monkeypatch.setenv("P2PFD_PASSPHRASE", "a guess")
    assert "does not open" in ask(*JOIN, code=2)["what"]


@pytest.mark.long
def test_a_node_with_encrypted_keys_takes_part_and_tells_nobody(tmp_path, monkeypatch):
    def run(program, *words):
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, timeout=180)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("P2PFD_PASSPHRASE", PHRASE)
    run(
        PROGRAM_ALONE.replace("p2pfd.cli", "p2pfd_localnet"),
        "up",
        "small",
        "-n",
        "1",
        "--rounds",
        "1",
        "--chain",
        "none",
    )
    keystore.create(ALICE, tmp_path / "node" / "keys", PHRASE, work=2)
    said = run(PROGRAM_ALONE, "join", "--task", ".localnet/default/task.json", "--home", "node", "--json")
    said += b"".join(path.read_bytes() for path in (tmp_path / "node").rglob("*.*"))
    assert ALICE.account.account.encode() in said
    assert PHRASE.encode() not in said
    for secret in (ALICE.peer_private, ALICE.account.private):
        assert secret.hex().encode() not in said
        assert secret not in said
    assert not (tmp_path / "node" / "keys" / keys.FILE).exists()
