"""Local chains of other makers: found, started, funded, ended with their parent, and missed in clear words."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from p2pfd.core.ids import Account
from p2pfd.errors import ChainError, EnvironmentProblem, PlanError
from p2pfd.settlement import guard, local
from p2pfd.settlement.local import ANVIL, FUNDS, Program, foreign_chain, local_chain, running_chain
from p2pfd.settlement.rpc import Rpc
from tests.local_chains import need

WHO = Account("0x" + "5a" * 20)


async def balance(url: str) -> int:
    rpc = Rpc(url)
    try:
        return int(await rpc.call("eth_getBalance", WHO, "latest"), 16)
    finally:
        await rpc.aclose()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.network
async def test_anvil_gives_coins_keeps_its_state_and_leaves(tmp_path: Path) -> None:
    need(ANVIL)
    async with local_chain("anvil", tmp_path, [WHO]) as chain:
        assert await balance(chain.url) == FUNDS
        assert (await running_chain(chain.url, []))[0] == "anvil"
        pid = chain.pid
    assert gone(pid)
    async with local_chain("anvil", tmp_path, []) as chain:
        assert await balance(chain.url) == FUNDS, "what it had when it was stopped"


@pytest.mark.network
async def test_a_busy_port_is_told(tmp_path: Path) -> None:
    need(ANVIL)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(EnvironmentProblem, match="the chain did not start"):
            async with local_chain("anvil", tmp_path, [], taken.getsockname()[1]):
                pass


async def test_a_chain_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    nowhere = Program("no-such-chain", (("no-such-chain/bin",),), ANVIL.arguments, "")
    with pytest.raises(EnvironmentProblem, match="no no-such-chain on this machine: make chains fetches it"):
        async with foreign_chain(nowhere, tmp_path, []):
            pass
    with pytest.raises(PlanError, match="no local chain 'amoy': there are embedded, anvil, ganache"):
        async with local_chain("amoy", tmp_path, []):
            pass


@pytest.mark.network
async def test_a_program_that_is_no_chain_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last words are in the error."""
    script = tmp_path / "oddity"
    script.write_text("#!/bin/sh\necho 'out of luck' >&2\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(EnvironmentProblem, match=r"the chain did not start: .*out of luck"):
        async with foreign_chain(Program("oddity", (), ANVIL.arguments, ""), tmp_path, []):
            pass


@pytest.mark.network
async def test_only_chains_of_throw_away_funds_are_taken_over() -> None:
    async def live(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65_536)
            body = b'[{"id":1,"result":"bor/v2.0"},{"id":2,"result":"0x89"}]'
            await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, live, [listener])
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        with pytest.raises(PlanError, match=r"a chain of the kind 'bor/v2\.0'"):
            await running_chain(url, [WHO])
        nursery.cancel_scope.cancel()
    with pytest.raises(ChainError, match="no chain answers"):
        await running_chain("http://127.0.0.1:1", [])


# -- the guard ---------------------------------------------------------------------------------------------------------

STUBBORN = "trap '' TERM; while :; do read -r line || sleep 0.05; done"


@pytest.mark.parametrize("end", ["its parent goes", "it is told to stop"])
@pytest.mark.parametrize("program", ["exec sleep 600", STUBBORN])
def test_the_guard_ends_its_program(end: str, program: str) -> None:
    code = "import sys, runpy, importlib.util as u; s = u.spec_from_file_location('g', sys.argv[1]);"
    code += "g = u.module_from_spec(s); s.loader.exec_module(g); g.STOP_SECONDS = 0.3; sys.exit(g.main(sys.argv[2:]))"
    words = [sys.executable, "-c", code, guard.__file__, "sh", "-c", program]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        pid = int(process.stdout.readline())
        assert not gone(pid)
        if end == "its parent goes":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (128 + signal.SIGTERM, 128 + signal.SIGKILL)
    assert gone(pid)


def test_the_guard_ends_with_its_program() -> None:
    words = [sys.executable, guard.__file__, "sh", "-c", "exit 7"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.wait(20) == 7


@pytest.mark.network
def test_a_chain_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    need(ANVIL)
    code = f"""
import trio
from pathlib import Path
from p2pfd.settlement.local import local_chain
async def main():
    async with local_chain("anvil", Path({str(tmp_path)!r}), []) as chain:
        print(chain.pid, flush=True)
        await trio.sleep_forever()
trio.run(main)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 20
    while not gone(pid):
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.01)


def test_what_is_fetched_is_found_beside_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    program = Program("made-up-chain", (("made-up/run",), ("node", "made-up/cli.js")), ANVIL.arguments, "")
    assert local.find(program) is None
    file = tmp_path / ".chains" / "node_modules" / "made-up" / "cli.js"
    file.parent.mkdir(parents=True)
    file.touch()
    assert local.find(program) is None, "there is nothing to run it with"
    for name in ("node", "made-up-chain"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o755)
        expected = (str(tmp_path / "node"), str(file)) if name == "node" else (str(tmp_path / name),)
        assert local.find(program) == expected
