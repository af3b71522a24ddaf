"""The tutorials, followed word for word in an empty directory (the first one: test_newcomer.py)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from p2pfd.node import keystore
from p2pfd.settlement import deployments
from p2pfd.settlement.deploy import transfer
from p2pfd.settlement.profiles import AMOY
from p2pfd.settlement.rpc import Rpc
from tests import tutorials
from tests.console import ROOT
from tests.e2e.strangers import BOND, PHRASE, Desk, chain_of, send_coins
from tests.e2e.test_amoy import COIN, PATIENCE, REQUESTER, likeness

PAGES = ROOT / "docs/tutorials"
ALONE = ("your-own-data", "rewards", "attack")
OTHER_TESTS = ("index", "first-mesh", "your-own-adapter")


def ready(bench: Any) -> tuple[Path, dict[str, str]]:
    """An empty directory, and an environment as a reader has it whose environment is active."""
    home = bench.home / "reader"
    home.mkdir()
    path = os.pathsep.join([str(Path(sys.executable).parent), bench.env["PATH"]])
    env = {name: value for name, value in bench.env.items() if not name.startswith("P2PFD_") or "MARK" in name}
    return home, {**env, "PATH": path, "OMP_NUM_THREADS": "1"}


def test_every_tutorial_is_followed_by_a_test() -> None:
    there = {page.stem for page in PAGES.glob("*.md")}
    assert there == {*ALONE, *OTHER_TESTS, "testnet"}


@pytest.mark.long
@pytest.mark.network
@pytest.mark.parametrize("name", ALONE)
def test_it_can_be_followed_from_an_empty_directory(bench: Any, name: str) -> None:
    home, env = ready(bench)
    assert tutorials.follow(PAGES / f"{name}.md", home, env, {}, lambda step: None) > 5
    bench.wait_gone(60)


@pytest.mark.long
@pytest.mark.network
async def test_a_test_network_can_be_joined_as_the_page_says(bench: Any, tmp_path: Path) -> None:
    """On an anvil with Amoy's id and weather. The requester, and two of three workers, are the test's."""
    home, env = ready(bench)
    async with likeness(tmp_path / "chain") as url, trio.open_nursery() as nursery:
        rpc = Rpc(url, patience=PATIENCE)
        keystore.create(REQUESTER, home / "requester" / "keys", PHRASE, work=2)
        desk = Desk(home, url)
        at = ("--chain-url", url, "--home", "requester", "--yes")
        await desk.say("contracts", "deploy", *at, "--supply", "10000", "--unbond-seconds", "20")
        held = deployments.load(home / "deployments" / "80002.json")
        shape = ("--rounds", "2", "--seats", "3", "--public", "80", "--deployments", "deployments/80002.json")
        await desk.say("task", "new", "digits.toml", *shape)
        await desk.say("task", "publish", "digits.toml", *at, "--rpc", url)
        others, ended = ("other-1", "other-2"), {}
        for name in others:
            await desk.say("join", "digits.p2pfd", "--home", name, "--dry-run", code=7)
        send, addresses = trio.open_memory_channel[str](100)

        async def fund(*names: str) -> None:
            accounts = [keystore.identity(home / name / "keys").account for name in names]
            for account in accounts:
                await send_coins(rpc, REQUESTER.account, account, COIN, AMOY.habits)
            await transfer(rpc, REQUESTER.account, chain_of(held), dict.fromkeys(accounts, BOND), habits=AMOY.habits)

        await fund(*others)
        await desk.join(others[0], "digits.p2pfd", nursery, ended, send)
        address = await addresses.receive()
        await desk.say("task", "publish", "digits.toml", *at, "--rpc", url, "--bootstrap", address, "--replace")
        await desk.join(others[1], "digits.p2pfd", nursery, ended)
        funded: list[str] = []

        def after(step: tutorials.Step) -> None:
            if step.line == "echo $?" and not funded:  # the faucet and the requester do their part here
                funded.append("node")
                trio.from_thread.run(fund, "node")

        instead = {"export RPC=": f"export RPC={url}"}
        followed: Callable[[], int] = partial(tutorials.follow, PAGES / "testnet.md", home, env, instead, after)
        assert await trio.to_thread.run_sync(followed) > 5
        assert funded == ["node"]
        await rpc.aclose()
    assert set(ended) == set(others)
    assert AMOY.chain_id == held.chain_id


def test_lines_and_files_are_found(tmp_path: Path) -> None:
    page = "Write `a.py`:\n\n```python\nprint(1)\n```\n\n```console\n$ python a.py\n1\n$ false\n$ echo $?\n1\n```\n"
    assert tutorials.files(page) == {"a.py": "print(1)\n"}
    path = tmp_path / "page.md"
    path.write_text(page)
    env = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    seen: list[str] = []
    assert tutorials.follow(path, tmp_path, env, {}, lambda step: seen.append(step.line)) == 3
    assert seen == ["python a.py", "false", "echo $?"]
    for wrong in ("$ python a.py\none", "$ false", "$ true\n$ echo $?\n1", "$ A=3; echo $A\n4 words"):
        path.write_text(f"```console\n{wrong}\n```\n")
        with pytest.raises(AssertionError):
            tutorials.follow(path, tmp_path, env, {}, lambda step: None)
