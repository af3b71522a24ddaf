"""Chains on this machine, each in a process of its own that ends with its parent: the embedded one, anvil, ganache."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import trio

from p2pfd.core.ids import Account
from p2pfd.errors import ChainError, DeadlineError, EnvironmentProblem, PlanError
from p2pfd.settlement import answers, guard
from p2pfd.settlement.rpc import Rpc

START_SECONDS = 60.0
STOP_SECONDS = 6.0
FUNDS = 10**24
"""What an account gets of the coin that fees are paid in."""
GAS_LIMIT = 30_000_000
CHAIN_ID = 31_337
LOG_FILE = "chain.log"
_MAX_LINE = 4096
_FETCHED = ".chains"
_TRIES = 3
_LOOK_SECONDS = 0.02
_ANSWER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LocalChain:
    """A chain that runs in a process of its own."""

    url: str
    chain_id: int
    pid: int


@asynccontextmanager
async def local_chain(
    profile: str, state_dir: Path, fund: Sequence[Account], port: int = 0, behind: int = 0
) -> AsyncIterator[LocalChain]:
    """Start the chain of this profile, and give these accounts coins for gas.

    ``behind`` are seconds for which it stood still: its time is so much behind the clock's.
    """
    if profile == "embedded":
        async with embedded_chain(state_dir, fund, port, behind) as chain:
            yield chain
    elif profile in _PROGRAMS:
        async with foreign_chain(_PROGRAMS[profile], state_dir, fund, port, behind=behind) as chain:
            yield chain
    else:
        raise PlanError(f"no local chain {profile!r}", f"there are {', '.join(('embedded', *_PROGRAMS))}")


@asynccontextmanager
async def embedded_chain(
    state_dir: Path, fund: Sequence[Account], port: int = 0, behind: int = 0
) -> AsyncIterator[LocalChain]:
    """Start the embedded chain and wait until it is ready; it stops when the block ends, or when this process dies."""
    command = [sys.executable, "-m", "p2pfd.settlement.embedded", "--parent-pipe"]
    command += ["--state", str(state_dir), "--port", str(port), "--behind", str(behind)]
    for who in fund:
        command += ["--fund", who]
    async with running(command, state_dir / LOG_FILE) as (line, said):
        try:
            value = json.loads(line)
            chain = LocalChain(str(value["url"]), int(value["chain_id"]), int(value["pid"]))
        except (ValueError, KeyError, TypeError) as error:
            raise said(repr(line)) from error
        yield chain


# -- chains of other makers --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Program:
    """A chain that somebody else makes: how it is found, started, and made to give coins."""

    name: str
    binaries: tuple[tuple[str, ...], ...]
    """The commands that may be it, as paths below the directory of fetched chains."""
    arguments: Callable[[int, int, Path, Sequence[str]], Sequence[str]]
    """From the port, the chain's id, the directory that keeps its state, and what is to be like on another chain."""
    give: str
    """The method that sets a balance."""


def find(program: Program) -> tuple[str, ...] | None:
    """The command that runs it: from PATH, or as `make chains` fetched it; None where there is neither."""
    on_path = shutil.which(program.name)
    if on_path is not None:
        return (on_path,)
    for root in (Path.cwd(), Path(__file__).resolve().parents[2]):
        for words in program.binaries:
            *before, file = words
            path = root / _FETCHED / "node_modules" / file
            runner = [shutil.which(word) for word in before]
            if path.is_file() and None not in runner:
                return (*(str(word) for word in runner), str(path))
    return None


AMOY_ARGUMENTS = (
    *("--no-mining", "--base-fee", "30000000000", "--gas-limit", "45000000"),
    *("--hardfork", "prague", "--slots-in-an-epoch", "4"),
)
"""What makes an anvil like Polygon's test network, with blocks that come when they are asked for."""


def _anvil(port: int, chain_id: int, state: Path, extra: Sequence[str]) -> Sequence[str]:
    words = ["--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id), "--quiet", "--accounts", "1"]
    # The states of old blocks are not kept on disk, where nobody would remove them.
    words += ["--prune-history", "64", "--state", str(state / "anvil.json")]
    return [*words, *(extra or ("--hardfork", "shanghai", "--gas-limit", str(GAS_LIMIT)))]


def _ganache(port: int, chain_id: int, state: Path, extra: Sequence[str]) -> Sequence[str]:
    words = ["--server.host", "127.0.0.1", "--server.port", str(port), "--logging.quiet", "--wallet.totalAccounts", "1"]
    words += ["--chain.chainId", str(chain_id), "--chain.networkId", str(chain_id), "--chain.hardfork", "shanghai"]
    return [*words, "--miner.blockGasLimit", str(GAS_LIMIT), "--database.dbPath", str(state / "ganache"), *extra]


ANVIL = Program(
    "anvil",
    tuple(
        (f"@foundry-rs/anvil-{system}-{kind}/bin/anvil",)
        for system in ("linux", "darwin")
        for kind in ("amd64", "arm64")
    ),
    _anvil,
    "anvil_setBalance",
)
GANACHE = Program("ganache", (("node", "ganache/dist/node/cli.js"),), _ganache, "evm_setAccountBalance")
_PROGRAMS: Mapping[str, Program] = MappingProxyType({program.name: program for program in (ANVIL, GANACHE)})


@asynccontextmanager
async def foreign_chain(
    program: Program,
    state_dir: Path,
    fund: Sequence[Account],
    port: int = 0,
    *,
    behind: int = 0,
    chain_id: int = CHAIN_ID,
    extra: Sequence[str] = (),
) -> AsyncIterator[LocalChain]:
    """Start another maker's chain and wait until it answers; it stops when the block ends or this process dies."""
    command = find(program)
    if command is None:
        raise EnvironmentProblem(
            f"there is no {program.name} on this machine", "make chains fetches it; the embedded chain needs nothing"
        )
    for tries_left in reversed(range(_TRIES)):
        chosen = port or _free_port()
        words = [*command, *program.arguments(chosen, chain_id, state_dir, extra)]
        guarded = [sys.executable, "-I", guard.__file__, *words]
        async with running(guarded, state_dir / LOG_FILE) as (line, said):
            if not line.strip().isdigit():
                raise said(repr(line))
            chain = LocalChain(f"http://127.0.0.1:{chosen}", chain_id, int(line))
            try:
                await _answers(chain, program, fund, behind)
            except ChainError as error:
                if not port and tries_left and not _alive(chain.pid):
                    continue  # somebody took the port in between
                raise said(error.what) from error
            yield chain
            return


async def running_chain(url: str, fund: Sequence[Account]) -> tuple[str, LocalChain]:
    """A local chain that somebody else started, with its profile, and coins for these accounts."""
    rpc = Rpc(url, patience=_ANSWER_SECONDS)
    try:
        asked: list[tuple[str, Sequence[object]]] = [("web3_clientVersion", []), ("eth_chainId", [])]
        said, chain_id = await rpc.batch(asked)
        chain = LocalChain(url, answers.height(chain_id, "a chain's id"), 0)
        maker = str(said).partition("/")[0].lower()
        program = _PROGRAMS.get(maker)
        known = ", ".join(("embedded", *_PROGRAMS))
        if program is None and maker != "p2pfd-embedded":
            raise PlanError(
                f"{rpc.url} is a chain of the kind {str(said)[:60]!r}",
                f"a chain whose funds are for throwing away is one of {known}",
            )
        if program is not None:
            await _give(rpc, program, fund)
        return "embedded" if program is None else program.name, chain
    finally:
        await rpc.aclose()


async def _give(rpc: Rpc, program: Program, fund: Sequence[Account]) -> None:
    for at in range(0, len(fund), 50):
        await rpc.batch([(program.give, [who, hex(FUNDS)]) for who in fund[at : at + 50]])


async def _answers(chain: LocalChain, program: Program, fund: Sequence[Account], behind: int) -> None:
    rpc = Rpc(chain.url, timeout=_ANSWER_SECONDS, patience=0.0)
    try:
        with trio.fail_after(START_SECONDS):
            while True:
                try:
                    found = answers.number(await rpc.call("eth_chainId"), "a chain's id")
                    break
                except ChainError:
                    if not _alive(chain.pid):
                        raise
                await trio.sleep(_LOOK_SECONDS)
        if found != chain.chain_id:
            raise ChainError(f"{chain.url} is chain {found}, not the one that was started", "name another port")
        if behind:
            await rpc.call("evm_setTime", (int(time.time()) - behind) * 1_000)
        await _give(rpc, program, fund)
    except trio.TooSlowError as error:
        raise DeadlineError(
            f"{program.name} did not answer within {START_SECONDS:g} s", "is the machine busy?"
        ) from error
    finally:
        await rpc.aclose()


def _alive(pid: int) -> bool:
    with suppress(OSError):
        os.kill(pid, 0)
        return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- processes ---------------------------------------------------------------------------------------------------------

Said = Callable[[str], EnvironmentProblem]


@asynccontextmanager
async def running(command: Sequence[str], log_path: Path) -> AsyncIterator[tuple[bytes, Said]]:
    """A process, the line that it says when it is ready, and the error that tells why it is not."""
    with _log(log_path) as log:
        start = log.tell()
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # an interrupt from the terminal is for the parent, which stops its chain last
        )

    def said(otherwise: str) -> EnvironmentProblem:
        with log_path.open("rb") as log:
            log.seek(start)
            words = log.read(_MAX_LINE).decode(errors="replace").strip().removeprefix("error: ")
        return EnvironmentProblem(f"the chain did not start: {words or otherwise}", f"read {log_path}")

    try:
        yield await _first_line(process, log_path), said
    finally:
        await _stop(process)


def _log(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write {path}: {error.strerror}", "name a directory you can write to"
        ) from error


async def _first_line(process: trio.Process, log_path: Path) -> bytes:
    assert process.stdout is not None
    line = b""
    with trio.move_on_after(START_SECONDS) as scope:
        while not line.endswith(b"\n") and len(line) < _MAX_LINE:
            part = await process.stdout.receive_some(_MAX_LINE)
            if not part:
                break
            line += part
    if scope.cancelled_caught:
        raise DeadlineError(f"the chain did not start within {START_SECONDS:g} s", f"read {log_path}")
    return line


async def _stop(process: trio.Process) -> None:
    """End of input first, then a signal, then force; and in every case the process is gone afterwards."""
    with trio.CancelScope(shield=True):
        for stop in (process.stdin.aclose if process.stdin else None, process.terminate, process.kill):
            if stop is None:
                continue
            if (waiting := stop()) is not None:
                await waiting
            with trio.move_on_after(STOP_SECONDS):
                await process.wait()
            if process.returncode is not None:
                break
        if process.stdout is not None:
            await process.stdout.aclose()
