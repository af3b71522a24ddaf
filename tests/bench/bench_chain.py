"""How fast the embedded chain is: its start, transactions from eight clients at once, a kill in the middle of them.

Prints a table; the last line is the same as one JSON object. The chain runs as a process of its own and is asked over
HTTP, as by nodes; the clients share a process and sign beforehand. Each sends a transaction, waits for its receipt,
and sends the next; the embedded chain answers only once a transaction is on disk. Where there is an anvil, on the PATH
or in .chains/, it does the same, in turns with ours, mining at once and keeping its state in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio
import trio.lowlevel
from eth_account import Account as Signer
from eth_utils import to_checksum_address

from p2pfd.core.claims import Deposit
from p2pfd.core.ids import Account, Amount
from p2pfd.core.spec import ChainSpec
from p2pfd.settlement import contracts
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.deploy import deploy, transfer
from p2pfd.settlement.local import ANVIL, find
from p2pfd.settlement.rpc import Rpc, RpcRefusal
from tests.contracts.chain import key

CLIENTS = 8
EACH = 60
TURNS = 2
CHAIN_ID = 31_337
BOSS = AccountKey(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
"""The account that anvil funds first: its key is public."""
WORKERS = [key(number) for number in range(1, CLIENTS + 1)]
PATIENCE = 60.0


@dataclass(frozen=True)
class Run:
    """A chain's process, and how long it took until it answered."""

    url: str
    pid: int
    start: float


@asynccontextmanager
async def embedded(state: Path) -> AsyncGenerator[Run]:
    """The embedded chain on this state."""
    command = [sys.executable, "-m", "p2pfd.settlement.embedded", "--state", str(state)]
    for who in (BOSS, *WORKERS):
        command += ["--fund", who.account]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220 - nothing else runs yet
        try:
            assert process.stdout is not None
            url = json.loads(await trio.to_thread.run_sync(process.stdout.readline))["url"]
            rpc = Rpc(url)
            await rpc.call("eth_chainId")
            start = time.perf_counter() - begun
            await rpc.aclose()
            yield Run(url, process.pid, start)
        finally:
            process.kill()


@asynccontextmanager
async def anvil(program: str) -> AsyncGenerator[Run]:
    """An anvil that mines a block for each transaction and takes no fees, as ours."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "--port", str(port), "--chain-id", str(CHAIN_ID), "--hardfork", "shanghai"]
    command += ["--base-fee", "0", "--gas-price", "0"]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:  # noqa: ASYNC220 - nothing else runs yet
        try:
            rpc = Rpc(f"http://127.0.0.1:{port}")
            await rpc.call("eth_chainId")
            start = time.perf_counter() - begun
            for who in WORKERS:
                await rpc.call("anvil_setBalance", who.account, hex(10**24))
            await rpc.aclose()
            yield Run(f"http://127.0.0.1:{port}", process.pid, start)
        finally:
            process.kill()


def signed(who: AccountKey, nonce: int, to: Account, data: bytes, gas: int) -> str:
    """A transaction, as it is sent."""
    transaction = {
        "type": 2,
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "to": to_checksum_address(to),
        "value": 1 if not data else 0,
        "data": data,
        "gas": gas,
        "maxFeePerGas": 0,
        "maxPriorityFeePerGas": 0,
    }
    return "0x" + bytes(Signer.sign_transaction(transaction, who.private).raw_transaction).hex()


def workloads(spec: ChainSpec) -> dict[str, Callable[[int], tuple[Account, bytes, int]]]:
    """What is sent, by name: its target, its data and its gas."""
    pay, put = contracts.token()["transfer"], contracts.call_of(Deposit(Amount(1)))
    return {
        "coins": lambda client: (WORKERS[client - 1].account, b"", 21_000),
        "tokens": lambda client: (spec.token, pay.call(WORKERS[client - 1].account, 1), 100_000),
        "deposits": lambda _: (spec.market, put, 200_000),
    }


async def ready(run: Run) -> ChainSpec:
    """Contracts, and tokens that the market may take."""
    rpc = Rpc(run.url)
    spec = await deploy(rpc, BOSS, 10**12, 100)
    await transfer(rpc, BOSS, spec, {who.account: 10**9 for who in WORKERS})
    approve = contracts.token()["approve"].call(spec.market, 2**255)
    for who in WORKERS:
        await rpc.call("eth_sendRawTransaction", signed(who, 0, spec.token, approve, 100_000))
    await rpc.aclose()
    return spec


async def load(run: Run, name: str, spec: ChainSpec) -> tuple[float, list[float]]:
    """Transactions of one kind from all clients: for how long, and how long each took."""
    late: list[float] = []
    todo = []
    for client, who in enumerate(WORKERS):
        rpc = Rpc(run.url)
        first = int(await rpc.call("eth_getTransactionCount", who.account, "latest"), 16)
        to, data, gas = workloads(spec)[name](client)
        todo.append((rpc, [signed(who, first + number, to, data, gas) for number in range(EACH)]))

    async def one(rpc: Rpc, raws: list[str]) -> None:
        for raw in raws:
            sent = time.perf_counter()
            ref = await rpc.call("eth_sendRawTransaction", raw)
            while (receipt := await rpc.call("eth_getTransactionReceipt", ref)) is None:
                await trio.lowlevel.checkpoint()
            late.append(time.perf_counter() - sent)
            if receipt["status"] != "0x1":
                raise SystemExit(f"a transaction of {name} failed")

    begun = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for rpc, raws in todo:
            nursery.start_soon(one, rpc, raws)
    took = time.perf_counter() - begun
    for rpc, _ in todo:
        await rpc.aclose()
    return took, late


async def killed(state: Path) -> dict[str, Any]:
    """Kill the chain while all send, start it again, and look for everything that was answered."""
    answered: list[str] = []
    async with embedded(state) as run:
        with trio.move_on_after(PATIENCE) as scope:
            async with trio.open_nursery() as nursery:

                async def one(who: AccountKey) -> None:
                    rpc = Rpc(run.url, patience=0.0)
                    nonce = int(await rpc.call("eth_getTransactionCount", who.account, "latest"), 16)
                    try:
                        while True:
                            raw = signed(who, nonce, WORKERS[0].account, b"", 21_000)
                            answered.append(await rpc.call("eth_sendRawTransaction", raw))
                            nonce += 1
                            if len(answered) == CLIENTS * EACH // 2:
                                os.kill(run.pid, 9)
                    except RpcRefusal:
                        raise
                    except Exception:  # noqa: BLE001 - whatever a client sees of the death
                        scope.cancel()
                    finally:
                        await rpc.aclose()

                for who in WORKERS:
                    nursery.start_soon(one, who)
    async with embedded(state) as run:
        rpc = Rpc(run.url)
        lost = [ref for ref in answered if await rpc.call("eth_getTransactionReceipt", ref) is None]
        await rpc.aclose()
        return {"answered": len(answered), "lost": len(lost), "restart_s": round(run.start, 3)}


def part(sorted_: list[float], share: float) -> float:
    """A quantile in milliseconds."""
    return round(1000 * sorted_[min(len(sorted_) - 1, int(len(sorted_) * share))], 2)


async def measured(program: str | None) -> dict[str, Any]:
    """All figures."""
    rows: dict[tuple[str, str], list[tuple[float, list[float]]]] = {}
    starts: dict[str, list[float]] = {}
    kinds: list[tuple[str, Callable[[Path], Any]]] = [("embedded", embedded)]
    if program is not None:
        kinds.append(("anvil", lambda _: anvil(program)))
    for _ in range(TURNS):
        for chain, opened in kinds:
            with tempfile.TemporaryDirectory() as folder:
                async with opened(Path(folder)) as run:
                    starts.setdefault(chain, []).append(run.start)
                    spec = await ready(run)
                    for name in workloads(spec):
                        rows.setdefault((chain, name), []).append(await load(run, name, spec))
    table = []
    for (chain, name), turns in rows.items():
        late = sorted(delay for _, delays in turns for delay in delays)
        rate = len(late) / sum(took for took, _ in turns)
        table.append(
            {"chain": chain, "what": name, "tx_s": round(rate), "p50_ms": part(late, 0.5), "p99_ms": part(late, 0.99)}
        )
    with tempfile.TemporaryDirectory() as folder:
        crash = await killed(Path(folder))
    return {
        "clients": CLIENTS,
        "transactions": CLIENTS * EACH * TURNS,
        "start_s": {chain: round(max(found), 3) for chain, found in starts.items()},
        "kill": crash,
        "rows": table,
    }


def main(arguments: list[str]) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    found = find(ANVIL)
    parser.add_argument("--anvil", default=found and found[0], help="the program to compare with; `make chains` has it")
    load_before = os.getloadavg()[0]
    figures = trio.run(measured, parser.parse_args(arguments).anvil) | {"load_before": round(load_before, 2)}
    print(f"{'chain':10} {'what':10} {'tx/s':>6} {'p50 ms':>8} {'p99 ms':>8}")
    for row in figures["rows"]:
        print(f"{row['chain']:10} {row['what']:10} {row['tx_s']:6} {row['p50_ms']:8.2f} {row['p99_ms']:8.2f}")
    for chain, seconds in figures["start_s"].items():
        print(f"{chain} answers {seconds:.2f} s after it was started (the slowest of {TURNS})")
    crash = figures["kill"]
    print(f"killed with {crash['answered']} answered: {crash['lost']} lost, back in {crash['restart_s']:.2f} s")
    if "anvil" not in figures["start_s"]:
        print("no anvil was found to compare with: `make chains` fetches one")
    print(f"load average before: {figures['load_before']}")
    print(json.dumps({"chain": figures}))


if __name__ == "__main__":
    main(sys.argv[1:])
