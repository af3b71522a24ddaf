"""`p2pfd contracts deploy` and stakes on a chain with real funds: the cost, the question, the file, and a kill -9."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest
import trio

from p2pfd.cli import consent
from p2pfd.cli.program import PROGRAM
from p2pfd.core.spec import ChainSpec
from p2pfd.node import config, keys, keystore
from p2pfd.node.keys import throwaway
from p2pfd.settlement import deployments
from p2pfd.settlement.fees import GWEI
from p2pfd.settlement.habits import Habits
from p2pfd.settlement.rpc import Rpc
from p2pfd.settlement.sender import Sender
from tests.unit.cli.chains import embedded
from tests.unit.cli.terminal import PROGRAM_ALONE, typed
from tests.unit.node.test_config import CONFIG, SPEC

PHRASE = "correct horse"
NAMES = ("local", "scripted", "asked", "killed", "given", "staker", "poor", "plain", "miner", "odd")
KEYS = {name: throwaway(11, name) for name in NAMES}
FUNDED = [KEYS[name].account.account for name in NAMES if name != "poor"]
AMOY = 80_002
RECIPES = deployments.chosen(())


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    """Three chains that differ in their ids alone: a local one, one with Amoy's id, and one that nobody knows."""
    with embedded(tmp_path_factory.mktemp("chains"), FUNDED, 31_337, AMOY, 777) as found:
        yield dict(zip(("local", "amoy", "odd"), found, strict=True))


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """No passphrase in the environment and no terminal, in a directory of its own."""
    monkeypatch.delenv("P2PFD_PASSPHRASE", raising=False)
    monkeypatch.chdir(tmp_path)
    with open("/dev/null") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield


def home_of(name, tmp_path, *, plain=False):
    home = tmp_path / name
    if plain:
        keys.save(KEYS[name], home / "keys")
    else:
        keystore.create(KEYS[name], home / "keys", PHRASE, work=2)
    return str(home)


@pytest.fixture
def ask(capsys):
    def run(*words, code=0):
        assert PROGRAM.main([*words, "--json"]) == code
        seen = capsys.readouterr()
        return json.loads(seen.out), seen.err

    return run


def nonce(url, name):
    async def asked():
        rpc = Rpc(url)
        try:
            return int(await rpc.call("eth_getTransactionCount", KEYS[name].account.account, "latest"), 16)
        finally:
            await rpc.aclose()

    return trio.run(asked)


def test_on_a_local_chain_it_needs_no_yes_and_the_file_is_checked(ask, urls, tmp_path):
    home = home_of("local", tmp_path, plain=True)
    words = ("contracts", "deploy", "--chain-url", urls["local"], "--home", home, "--unbond-seconds", "60")
    told, said = ask(*words, "--supply", "12.5")
    assert (told["live"], told["complete"], told["estimate"]["most_wei"]) == (False, True, 0)
    assert ChainSpec(**told["chain"]).profile == "embedded"
    assert "setting supply 12.500000" in said
    assert "done    LabelMarket" in said
    again, said = ask(*words)
    assert (again["contracts"], again["estimate"]["gas"]) == (told["contracts"], {})
    assert "everything stands already" in said
    assert nonce(urls["local"], "local") == len(RECIPES)

    file = ("--deployments", "deployments/31337.json", "--chain-url", urls["local"])
    shown, _ = ask("contracts", "verify", *file)
    assert (shown["ok"], shown["problems"], shown["chain"]) == (True, {}, told["chain"])
    held = deployments.load(tmp_path / "deployments/31337.json")
    token, market = held.contracts["Token"], held.contracts["LabelMarket"]
    for change, problem in (
        (held.having("Token", dataclasses.replace(token, address=market.address)), "another contract"),
        (held.having("Token", dataclasses.replace(token, address="0x" + "11" * 20)), "there is no contract"),
        (dataclasses.replace(held, settings={**held.settings, "unbond_seconds": 61}), "its unbond seconds is 60"),
    ):
        deployments.save(change, tmp_path / "wrong.json")
        wrong = ("--deployments", "wrong.json", "--chain-url", urls["local"])
        assert problem in str(ask("contracts", "verify", *wrong, code=5)[0]["problems"])
        assert ask("contracts", "show", *wrong)[0]["ok"] is False


def test_real_funds_need_a_yes_and_nothing_is_sent_without(ask, urls, tmp_path, monkeypatch):
    home = home_of("scripted", tmp_path)
    words = ("contracts", "deploy", "--chain-url", urls["amoy"], "--home", home, "--confirmations", "0")
    told, said = ask(*words, "--dry-run")
    assert (told["live"], told["profile"], told["complete"]) == (True, "amoy", False)
    assert told["estimate"]["price_wei"] == 25 * GWEI
    assert told["estimate"]["about_wei"] == sum(told["estimate"]["gas"].values()) * 25 * GWEI
    assert " POL at 25 gwei, at most " in said
    refused, said = ask(*words, code=2)
    assert "with real funds?" in refused["error"]["what"]
    assert refused["error"]["fix"] == "say --yes if that is what you want"
    assert "cost    about" in said
    assert "no terminal" in ask(*words, "--yes", code=2)[0]["error"]["what"]  # to ask for the passphrase at
    assert nonce(urls["amoy"], "scripted") == 0
    assert not (tmp_path / "deployments").exists()
    monkeypatch.setenv("P2PFD_PASSPHRASE", PHRASE)
    told, said = ask(*words, "--yes")
    assert told["complete"]
    lost = ask(*words, "--yes", "--deployments", "another.json", code=3)[0]["error"]
    assert told["chain"]["market"] in lost["what"]
    assert "--anew" in lost["fix"]
    assert nonce(urls["amoy"], "scripted") == len(RECIPES)
    assert ask(*words, "--yes", "--deployments", "another.json", "--anew")[0]["complete"]
    written = (tmp_path / "deployments/80002.json").read_text()
    for secret in (KEYS["scripted"].account.private.hex(), KEYS["scripted"].peer_private.hex(), PHRASE):
        assert secret not in said + json.dumps(told) + written


def test_a_person_is_asked_and_a_no_is_a_no(urls, tmp_path):
    home = home_of("asked", tmp_path)
    words = ["contracts", "deploy", "--chain-url", urls["amoy"], "--home", home, "--confirmations", "0"]
    code, shown = typed(words, "\n")
    assert (code, "nothing was sent" in shown) == (2, True)
    assert nonce(urls["amoy"], "asked") == 0
    code, shown = typed(words, "y\n", PHRASE + "\n")
    assert code == 0, shown
    assert shown.index("cost    about") < shown.index("[y/N]") < shown.index("passphrase of the keys")
    assert PHRASE not in shown
    assert nonce(urls["amoy"], "asked") == len(RECIPES)


def test_keys_that_lie_there_plain_are_refused_where_funds_are_real(ask, urls, tmp_path):
    home = home_of("plain", tmp_path, plain=True)
    error = ask("contracts", "deploy", "--chain-url", urls["amoy"], "--home", home, "--yes", code=3)[0]["error"]
    assert "is a live chain, and the keys" in error["what"]
    assert error["fix"] == f"run: p2pfd keys change-passphrase --home {home}"


def test_a_chain_that_nobody_knows_is_not_taken_for_a_local_one(ask, urls, tmp_path):
    home = home_of("odd", tmp_path, plain=True)
    words = ("contracts", "deploy", "--chain-url", urls["odd"], "--home", home, "--yes")
    for more in ((), ("--profile", "anvil")):
        assert "no profile for chain 777" in ask(*words, *more, code=3)[0]["error"]["what"]
    for name, at in (("amoy", "local"), ("anvil", "amoy")):
        words = ("contracts", "deploy", "--chain-url", urls[at], "--home", home, "--yes", "--profile", name)
        assert name in ask(*words, code=3)[0]["error"]["what"]


def test_an_account_that_cannot_pay_is_told_before_it_is_asked(ask, urls, tmp_path):
    words = ("contracts", "deploy", "--chain-url", urls["amoy"], "--home", home_of("poor", tmp_path))
    error = ask(*words, code=7)[0]["error"]
    assert f"{KEYS['poor'].account.account} has 0 POL" in error["what"]


def test_a_token_that_is_there_is_taken(ask, urls, tmp_path):
    words = ("contracts", "deploy", "--chain-url", urls["local"], "--home", home_of("given", tmp_path, plain=True))
    first, _ = ask(*words, "--deployments", "first.json")
    token, market = first["chain"]["token"], first["chain"]["market"]
    second, _ = ask(*words, "--deployments", "second.json", "--token", token)
    assert (second["chain"]["token"], second["contracts"][0]["state"]) == (token, "given")
    assert second["chain"]["market"] != market
    assert ask("contracts", "verify", "--deployments", "second.json", "--chain-url", urls["local"])[0]["ok"]
    assert "no ERC-20" in ask(*words, "--deployments", "third.json", "--token", market, code=3)[0]["error"]["what"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("deploy",), 2),
        (("deploy", "--chain-url", "http://127.0.0.1:1", "--home", "nowhere"), 9),
        (("verify", "--deployments", "none.json", "--chain-url", "http://127.0.0.1:1"), 3),
        (("deploy", "--token", "me"), 2),
        (("deploy", "--supply", "0"), 2),
        (("deploy", "--supply", "1", "--token", "0x" + "11" * 20, "--chain-url", "http://127.0.0.1:1"), 2),
        (("deploy", "--profile", "mainnet"), 2),
    ],
)
def test_what_cannot_be_done_is_told(ask, words, code):
    assert ask("contracts", *words, code=code)[0]["error"]["fix"]


@pytest.mark.long
def test_killed_as_soon_as_it_has_signed_and_run_again_it_deploys_once(urls, tmp_path):
    home, file = home_of("killed", tmp_path, plain=True), tmp_path / "killed.json"
    words = ["contracts", "deploy", "--chain-url", urls["local"], "--home", home, "--deployments", str(file), "--json"]
    for name in (recipe.contract for recipe in RECIPES):
        with subprocess.Popen([sys.executable, "-c", PROGRAM_ALONE, *words], stdout=subprocess.DEVNULL) as child:
            while child.poll() is None and (not file.exists() or name not in deployments.load(file).contracts):
                pass
            child.kill()
        assert name in deployments.load(file).contracts
    done = subprocess.run([sys.executable, "-c", PROGRAM_ALONE, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, json.loads(done.stdout)["complete"]) == (0, True)
    assert nonce(urls["local"], "killed") == len(RECIPES)


# -- stakes ------------------------------------------------------------------------------------------------------------


def test_a_stake_on_a_live_chain_shows_its_cost_and_needs_a_yes(ask, urls, tmp_path, monkeypatch):
    home = home_of("staker", tmp_path)
    monkeypatch.setenv("P2PFD_PASSPHRASE", PHRASE)
    made, _ = ask("contracts", "deploy", "--chain-url", urls["amoy"], "--home", home, "--confirmations", "0", "--yes")
    task = dataclasses.replace(SPEC, chain=ChainSpec(**made["chain"]))
    config.save_task(task, tmp_path / "staker" / "task.json")
    node = dataclasses.replace(CONFIG, home=home, task="task.json", chain_url=urls["amoy"])
    node.save(tmp_path / "staker" / config.FILE)
    before = nonce(urls["amoy"], "staker")

    refused, said = ask("stake", "5", "--home", home, code=2)
    assert "stake on chain 80002 (amoy), with real funds for gas?" in refused["error"]["what"]
    assert "cost    about" in said
    assert " POL at 25 gwei at most" in said
    told = ask("unstake", "5", "--home", home, "--yes", code=7)[0]["error"]
    assert told["what"] == "the chain would refuse: staking: not enough free"
    assert "p2pfd balance" in told["fix"]
    assert nonce(urls["amoy"], "staker") == before

    words = [sys.executable, "-c", PROGRAM_ALONE, "stake", "5", "--home", home, "--yes", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as child:
        trio.run(_blocks_until, urls["amoy"], lambda: child.poll() is not None)
        told = json.loads(child.communicate()[0])
    assert child.returncode == 0, told
    assert (told["free"], told["moved"]) == (5_000_000, 5_000_000)
    monkeypatch.delenv("P2PFD_PASSPHRASE")
    assert ask("balance", "--home", home)[0]["free"] == 5_000_000  # who looks needs no passphrase
    monkeypatch.setenv("P2PFD_PASSPHRASE", PHRASE)
    keystore_file = tmp_path / "staker" / "keys" / keys.ENCRYPTED_FILE
    keys.save(KEYS["staker"], keystore_file.parent)
    assert "in plain" in ask("stake", "5", "--home", home, "--yes", code=3)[0]["error"]["what"]


async def _blocks_until(url, over):
    """Transactions of somebody else, which put blocks on top of everybody's."""
    rpc = Rpc(url)
    sender = Sender(rpc, KEYS["miner"].account, AMOY, habits=Habits(look_seconds=0.01))
    while not over():
        await sender.final(await sender.send(KEYS["miner"].account.account, b"", 100_000))
    await rpc.aclose()


@pytest.mark.parametrize(
    ("wei", "chain_id", "text"),
    [
        (0, 1, "0 ETH"),
        (1, AMOY, "0.000000001 POL"),
        (15 * 10**17, 137, "1.5 POL"),
        (10**21 + 1, 5, "1,000.000000001 coins"),
    ],
)
def test_coins_are_told_and_never_too_few(wei, chain_id, text):
    assert consent.coins(wei, chain_id) == text
