"""From nothing to pay: a task is published, three strangers join it by its invitation, work, are paid, and leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from p2pfd.core.ids import Account
from p2pfd.core.rng import Rng
from p2pfd.core.spec import ChainSpec
from p2pfd.node import keys, keystore
from p2pfd.settlement import deployments
from p2pfd.settlement.deploy import transfer
from p2pfd.settlement.habits import INSTANT
from p2pfd.settlement.local import AMOY_ARGUMENTS, ANVIL, embedded_chain, foreign_chain
from p2pfd.settlement.profiles import AMOY
from p2pfd.settlement.rpc import Rpc
from p2pfd.testing.faulty import Faults, FaultyProxy
from tests.local_chains import need

ROOT = Path(__file__).parents[2]
REQUESTER = keys.throwaway(5, "requester")
PHRASE = "correct horse"
SUPPLY, BOND, POT, ROUNDS = 10_000 * 10**6, 100 * 10**6, 400 * 10**6, 2
WEATHER = Faults(dropped=0.02, lost=0.02, throttled=0.02, failed=0.02, stale=0.05, hidden=0.05)
BLOCK_SECONDS, DEPTH = 0.5, 5
pytestmark = [pytest.mark.long, pytest.mark.network]


class Desk:
    """Types commands as people do, in a directory."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self.url = home, url

    def _command(self, words):
        env = {**os.environ, "P2PFD_PASSPHRASE": PHRASE, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.e2e.p2pfd_command", *words, "--json"]
        return command, {"cwd": self.home, "env": env, "stdin": subprocess.DEVNULL}

    async def say(self, *words, code=0):
        command, where = self._command(words)
        done = await trio.run_process(command, **where, capture_stdout=True, capture_stderr=True, check=False)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        told = json.loads(done.stdout)
        return told["error"] if code else told

    async def join(self, name, invitation, nursery, ended, addresses=None):
        """A node, in the background. Its address is told as soon as it has one, and its result when it ends."""
        command, where = self._command(
            ["join", invitation, "--home", name, "--yes", "--listen", "/ip4/127.0.0.1/tcp/0"]
        )

        async def run():
            process = await trio.lowlevel.open_process(command, **where, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            said, out = b"", b""

            async def hear():
                nonlocal said
                async for part in process.stderr:
                    said += part
                    for line in said.decode(errors="replace").splitlines()[:-1]:
                        if line.startswith("address /ip4/127") and addresses is not None:
                            addresses.send_nowait(line.split()[1])

            try:
                async with trio.open_nursery() as both:
                    both.start_soon(hear)
                    async for part in process.stdout:
                        out += part
                code = await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
            assert code == 0, (name, out, said)
            ended[name] = json.loads(out)

        nursery.start_soon(run)


@asynccontextmanager
async def throw_away(path):
    async with embedded_chain(path, [REQUESTER.account.account]) as chain:
        yield chain.url, Rpc(chain.url), INSTANT


@asynccontextmanager
async def amoy(path):
    """Amoy as anvil plays it: two faults in a hundred exchanges of each kind, and blocks that are undone."""
    need(ANVIL)
    opening = foreign_chain(ANVIL, path, [REQUESTER.account.account], chain_id=80_002, extra=AMOY_ARGUMENTS)
    async with (
        opening as chain,
        FaultyProxy(chain.url, Rng(3), WEATHER).serving() as proxy,
        trio.open_nursery() as nursery,
    ):

        async def blocks():
            while True:
                await proxy.mine(reorg=0.03, depth=DEPTH)
                await trio.sleep(BLOCK_SECONDS)

        nursery.start_soon(blocks)
        yield proxy.url, Rpc(chain.url), AMOY.habits
        assert proxy.counts["reorg"]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("chain", [throw_away, amoy], ids=["embedded", "amoy-like"])
async def test_strangers_join_by_an_invitation_and_leave_with_their_pay(tmp_path, chain):
    async with chain(tmp_path / "chain") as (url, rpc, habits):
        live = chain is amoy
        keystore.create(REQUESTER, tmp_path / "requester" / "keys", PHRASE, work=2)
        desk = Desk(tmp_path, url)
        at = ("--chain-url", url, "--home", "requester", "--yes")
        supply = ("--supply", str(SUPPLY // 10**6), "--unbond-seconds", "20", "--deployments", "d.json")
        await desk.say("contracts", "deploy", *at, *supply)
        shape = ("--rounds", str(ROUNDS), "--seats", "3", "--public", "80", "--deployments", "d.json")
        await desk.say("task", "new", "digits.toml", *shape)
        await desk.say("task", "publish", "digits.toml", *at, "--rpc", url)
        names = [f"stranger-{number}" for number in range(3)]
        held = deployments.load(tmp_path / "d.json")
        for name in names:
            # A stranger has no keys yet, and then neither coins nor tokens, and is told where to get them.
            told = await desk.say("join", "digits.p2pfd", "--home", name, "--dry-run", code=7)
            assert "missing" in told["what"]
        accounts = {name: keystore.identity(tmp_path / name / "keys").account for name in names}
        task = (await desk.say("task", "show", "digits.p2pfd"))["task"]
        assert task["money"] == {"pot": POT, "rate": 4 * 10**6, "bond": BOND, "forfeit": 20 * 10**6}
        if live:
            for account in accounts.values():
                await rpc.call("anvil_setBalance", account, hex(10**18))
        await transfer(rpc, REQUESTER.account, chain_of(held), dict.fromkeys(accounts.values(), BOND), habits=habits)
        ended: dict[str, dict] = {}
        send, addresses = trio.open_memory_channel[str](100)
        async with trio.open_nursery() as nursery:
            await desk.join(names[0], "digits.p2pfd", nursery, ended, send)
            address = await addresses.receive()
            again = await desk.say(
                "task", "publish", "digits.toml", *at, "--rpc", url, "--bootstrap", address, "--replace"
            )
            assert not again["opened"]
            for name in names[1:]:
                await desk.join(name, again["invitation"], nursery, ended)
        assert set(ended) == set(names)
        assert len({told["weights"] for told in ended.values()}) == 1
        checked = await desk.say("verify", "--home", names[0])
        assert checked["problems"] == []
        pay = {}
        for name in names:
            left = await desk.say("leave", "--home", name, "--wait", "--yes")
            assert left["out"]
            pay[name] = left["wallet"] - BOND
        rest = await desk.say("leave", *at, "--task", "digits.toml", "--wait")
        assert rest["out"]
        assert 0 < sum(pay.values()) <= POT * ROUNDS
        assert rest["wallet"] + sum(BOND + each for each in pay.values()) == SUPPLY
        await rpc.aclose()


def chain_of(held):
    at = {name: Account(entry.address) for name, entry in held.contracts.items()}
    return ChainSpec(held.profile, held.chain_id, at["Token"], at["LabelMarket"])
