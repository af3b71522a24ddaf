"""Chains that the user describes: found by name and id, bounded, and never by a stranger's word."""

from __future__ import annotations

import pytest

from p2pfd.core.ids import Account
from p2pfd.core.spec import ChainSpec
from p2pfd.errors import PlanError
from p2pfd.settlement import profile_files
from p2pfd.settlement.fees import GWEI
from p2pfd.settlement.profile import AMOY, EMBEDDED, capped
from p2pfd.settlement.profile_files import find, folder, load, names, profile_of, with_id

SEPOLIA = """
chain_id = 11155111
coin = "ETH"
rpc = ["https://rpc.example/"]
block_seconds = 12
finality = 64
least_tip_gwei = 1
most_gwei = 200
"""
SPEC = ChainSpec("sepolia", 11_155_111, Account("0x" + "11" * 20), Account("0x" + "22" * 20))


@pytest.fixture
def chains(tmp_path, monkeypatch):
    monkeypatch.setenv(profile_files.VARIABLE, str(tmp_path))

    def write(name, text):
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        return path

    return write


def test_a_file_makes_a_chain_known(chains):
    assert find("sepolia") is None
    with pytest.raises(PlanError, match="no chain profile 'sepolia'"):
        profile_of(SPEC)
    chains("sepolia", SEPOLIA)
    found = profile_of(SPEC)
    assert (found.name, found.chain_id, found.live, found.coin) == ("sepolia", 11_155_111, True, "ETH")
    assert found.rpc == ("https://rpc.example/",)
    assert (found.habits.finality, found.habits.fees.floor, found.habits.fees.most) == (64, GWEI, 200 * GWEI)
    assert with_id(11_155_111) == found
    assert names()[-1] == "sepolia"
    assert names()[0] == "embedded"


def test_a_task_that_means_another_chain_by_the_name_is_refused(chains):
    chains("sepolia", SEPOLIA.replace("11155111", "5"))
    with pytest.raises(PlanError, match="sepolia is chain 5, not 11155111"):
        profile_of(SPEC)


@pytest.mark.parametrize("name", ["../sepolia", "a/b", "", ".", "x" * 65, "a\0b"])
def test_a_tasks_word_is_no_path(chains, name):
    chains("sepolia", SEPOLIA)
    assert find(name) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "chain_id is 0"),
        ("chain_id = ", "not TOML"),
        ("chain_id = 5\nfinallity = 3", "line 2: there is no key 'finallity'"),
        ("chain_id = '5'", "line 1: chain_id"),
        ("chain_id = 5\nlive = false", "no local chain"),
        ("chain_id = 5\nfinality = -1", "finality is -1"),
        ("chain_id = 5\nblock_seconds = nan", "block_seconds is nan"),
        ("chain_id = 5\nleast_tip_gwei = 9\nmost_gwei = 8", "least_tip_gwei is more"),
        ("chain_id = 5\nrpc = ['file:///etc/passwd']", "is no address"),
        ("chain_id = 5\ncoin = ''", "coin is ''"),
    ],
    ids=lambda value: value[:20],
)
def test_what_cannot_be_is_told_with_its_file(chains, text, message):
    with pytest.raises(PlanError, match=message) as caught:
        load(chains("mine", text))
    assert "mine.toml" in caught.value.what
    assert caught.value.fix


def test_a_file_does_not_change_what_p2pfd_knows(chains):
    chains("amoy", SEPOLIA)
    assert find("amoy") is AMOY
    with pytest.raises(PlanError, match="amoy is a chain that p2pfd knows"):
        load(chains("amoy", SEPOLIA))


def test_a_chain_of_ones_own_machine_may_be_thrown_away(chains):
    assert not load(chains("mine", "chain_id = 31337\nlive = false\nmost_gwei = 0\nfinality = 0")).live


def test_files_stand_where_the_environment_says(tmp_path):
    assert folder({profile_files.VARIABLE: "/x"}).as_posix() == "/x"
    assert folder({"XDG_CONFIG_HOME": "/y"}).as_posix() == "/y/p2pfd/chains"
    assert folder({}).name == "chains"


def test_a_user_can_bound_what_is_offered():
    assert capped(AMOY, 100).habits.fees.most == 100 * GWEI
    assert capped(AMOY, 10**6).habits.fees.most == AMOY.habits.fees.most
    assert capped(AMOY, 0) is AMOY
    assert capped(EMBEDDED, 5) is EMBEDDED
    with pytest.raises(PlanError, match="nothing below 25"):
        capped(AMOY, 10)
