"""The embedded chain as a process: it starts, it stops with its parent, and it forgets nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from p2pfd.core.claims import Deposit, Included
from p2pfd.core.ids import Amount
from p2pfd.errors import EnvironmentProblem
from p2pfd.settlement import local
from p2pfd.settlement.deploy import deploy, transfer
from p2pfd.settlement.profiles import embedded_chain, open_settlement
from p2pfd.settlement.rpc import Rpc
from tests.contracts.chain import BOSS, UNBOND_SECONDS, key

pytestmark = pytest.mark.network

COMMAND = [sys.executable, "-m", "p2pfd.settlement.embedded"]
PATIENCE = 60
A = key(1)


@contextmanager
def running(
    state: Path, *more: str, stdin: int | None = subprocess.DEVNULL
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The chain's process, ready, and its address."""
    command = [*COMMAND, "--state", str(state), "--fund", BOSS.account, *more]
    with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            assert ready["pid"] == process.pid
            yield process, ready["url"]
        finally:
            process.kill()


async def head_of(url: str) -> dict[str, object]:
    rpc = Rpc(url)
    try:
        head: dict[str, object] = await rpc.call("eth_getBlockByNumber", "latest", False)
        return head
    finally:
        await rpc.aclose()


async def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    """Killed in the middle of a stream of deposits: every one that was answered is there after a restart, once."""
    with running(tmp_path) as (process, url):
        rpc = Rpc(url, patience=0.2)
        spec = await deploy(rpc, BOSS, 10**9, UNBOND_SECONDS)
        await transfer(rpc, BOSS, spec, {A.account: 10_000})
        answered = 0
        with pytest.RaisesGroup(EOFError, flatten_subgroups=True):
            async with open_settlement(spec, url, A) as mine, trio.open_nursery() as nursery:

                async def deposits() -> None:
                    nonlocal answered
                    while True:
                        ref = await mine.submit(Deposit(Amount(1)))
                        assert isinstance(await mine.final(ref), Included)
                        answered += 1
                        if answered == 25:
                            process.kill()
                            process.wait()
                            raise EOFError

                nursery.start_soon(deposits)
        await rpc.aclose()
    with running(tmp_path) as (_, url):
        before = await head_of(url)
        async with open_settlement(spec, url, A) as mine:
            balances = await mine.account(A.account)
            assert balances.free == answered == 25
            assert balances.wallet == 10_000 - answered
    with running(tmp_path) as (_, url):
        assert await head_of(url) == before, "the same head, hash and all"


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(tmp_path: Path, sent: signal.Signals) -> None:
    with running(tmp_path) as (process, _):
        process.send_signal(sent)
        assert process.wait(PATIENCE) == 0


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    with running(tmp_path, "--parent-pipe", stdin=subprocess.PIPE) as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


def test_a_busy_port_and_a_busy_state_are_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        failed = subprocess.run(
            [*COMMAND, "--state", str(tmp_path), "--port", str(port)], capture_output=True, text=True, check=False
        )
    assert failed.returncode == 9
    assert f"port {port} on 127.0.0.1 cannot be used" in failed.stderr
    assert "choose another port" in failed.stderr
    with running(tmp_path):
        failed = subprocess.run([*COMMAND, "--state", str(tmp_path)], capture_output=True, text=True, check=False)
        assert failed.returncode == 9
        assert "in use by another process" in failed.stderr
        assert "Traceback" not in failed.stderr


def test_an_account_that_is_none_is_named(tmp_path: Path) -> None:
    failed = subprocess.run(
        [*COMMAND, "--state", str(tmp_path), "--fund", "0x12"], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: not an account")


async def test_the_helper_starts_and_stops_it(tmp_path: Path) -> None:
    async with embedded_chain(tmp_path / "deep" / "down", [BOSS.account]) as chain:
        head = await head_of(chain.url)
        assert head["number"] == "0x0"
        with pytest.raises(EnvironmentProblem, match="in use by another process"):
            async with embedded_chain(tmp_path / "deep" / "down", []):
                pass
        pid = chain.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_chain_that_stood_still_is_behind_and_never_runs_backwards(tmp_path: Path) -> None:
    began = int(time.time())
    async with embedded_chain(tmp_path, [BOSS.account], behind=100) as chain:
        first = int(str((await head_of(chain.url))["timestamp"]), 16)
        assert began - 100 <= first <= int(time.time()) - 100
    async with embedded_chain(tmp_path, [BOSS.account], behind=100_000) as chain:
        assert int(str((await head_of(chain.url))["timestamp"]), 16) == first


async def test_the_helper_stops_what_does_not_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "STOP_SECONDS", 0.2)
    async with embedded_chain(tmp_path, [BOSS.account]) as chain:
        os.kill(chain.pid, signal.SIGSTOP)
    with pytest.raises(ProcessLookupError):
        os.kill(chain.pid, 0)
