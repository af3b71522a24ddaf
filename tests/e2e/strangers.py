"""From nothing to pay, on any chain: strangers join a published task by its invitation, work, are paid, and leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import trio
from eth_account import Account as Wallet

from p2pfd.core.ids import Account
from p2pfd.core.spec import ChainSpec
from p2pfd.node import keystore
from p2pfd.settlement import deployments
from p2pfd.settlement.deploy import transfer
from p2pfd.settlement.rpc import RpcRefusal

ROOT = Path(__file__).parents[2]
PHRASE = "correct horse"
SUPPLY, BOND, POT, ROUNDS = 10_000 * 10**6, 100 * 10**6, 400 * 10**6, 2
_SEND_GAS = 21_000


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
            ["join", invitation, "--home", name, "--yes", "--listen", "/ip4/127.0.0.1/tcp/0", "--chain-url", self.url]
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


async def send_coins(rpc, key, to, value, habits):
    """Send so much of the chain's coin, or all but what sending takes, and wait until that is final."""
    chain_id, nonce, held, price = [
        int(found, 16)
        for found in await rpc.batch(
            [
                ("eth_chainId", []),
                ("eth_getTransactionCount", [key.account, "pending"]),
                ("eth_getBalance", [key.account, "latest"]),
                ("eth_gasPrice", []),
            ]
        )
    ]
    fee = max(2 * price, 30 * 10**9)
    value = held - _SEND_GAS * fee if value is None else value
    signed = Wallet.sign_transaction(
        {
            "chainId": chain_id,
            "nonce": nonce,
            "to": bytes.fromhex(to[2:]),
            "value": value,
            "gas": _SEND_GAS,
            "maxFeePerGas": fee,
            "maxPriorityFeePerGas": min(fee, 30 * 10**9),
            "type": 2,
        },
        key.private,
    )
    while True:  # blocks with it may be undone, and endpoints be behind
        with suppress(RpcRefusal):  # it is known already
            await rpc.call("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex().removeprefix("0x"))
        tx = "0x" + signed.hash.hex().removeprefix("0x")
        receipt, head = await rpc.batch([("eth_getTransactionReceipt", [tx]), ("eth_blockNumber", [])])
        if receipt is not None and int(head, 16) - int(receipt["blockNumber"], 16) >= habits.finality:
            return
        await trio.sleep(habits.look_seconds)


async def play(home, requester, url, rpc, habits, coins=0):
    """All of it. Where gas costs something each stranger is given so many coins, and gives back what is left."""
    keystore.create(requester, home / "requester" / "keys", PHRASE, work=2)
    desk = Desk(home, url)
    at = ("--chain-url", url, "--home", "requester", "--yes")
    supply = ("--supply", str(SUPPLY // 10**6), "--unbond-seconds", "20", "--deployments", "d.json")
    await desk.say("contracts", "deploy", *at, *supply)
    shape = ("--rounds", str(ROUNDS), "--seats", "3", "--public", "80", "--deployments", "d.json")
    await desk.say("task", "new", "digits.toml", *shape)
    await desk.say("task", "publish", "digits.toml", *at, "--rpc", url)
    names = [f"stranger-{number}" for number in range(3)]
    held = deployments.load(home / "d.json")
    for name in names:
        # A stranger has no keys yet, and then neither coins nor tokens, and is told where to get them.
        told = await desk.say("join", "digits.p2pfd", "--home", name, "--dry-run", "--chain-url", url, code=7)
        assert "missing" in told["what"]
    accounts = {name: keystore.identity(home / name / "keys").account for name in names}
    task = (await desk.say("task", "show", "digits.p2pfd"))["task"]
    assert task["money"] == {"pot": POT, "rate": 4 * 10**6, "bond": BOND, "forfeit": 20 * 10**6}
    if coins:
        for account in accounts.values():
            await send_coins(rpc, requester.account, account, coins, habits)
    await transfer(rpc, requester.account, chain_of(held), dict.fromkeys(accounts.values(), BOND), habits=habits)
    ended: dict[str, dict] = {}
    send, addresses = trio.open_memory_channel[str](100)
    async with trio.open_nursery() as nursery:
        await desk.join(names[0], "digits.p2pfd", nursery, ended, send)
        address = await addresses.receive()
        again = await desk.say("task", "publish", "digits.toml", *at, "--rpc", url, "--bootstrap", address, "--replace")
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
    if coins:
        for name, account in accounts.items():
            mine = keystore.open_keys(home / name / "keys", lambda: PHRASE).account
            await send_coins(rpc, mine, requester.account.account, None, habits)
            assert int(await rpc.call("eth_getBalance", account, "latest"), 16) < coins // 2


def chain_of(held):
    at = {name: Account(entry.address) for name, entry in held.contracts.items()}
    return ChainSpec(held.profile, held.chain_id, at["Token"], at["LabelMarket"])
