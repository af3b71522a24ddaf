"""Where a task settles: which chains there are, how to reach one, and how to start the embedded one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import trio

from p2pfd.core.ids import Account
from p2pfd.core.spec import ChainSpec
from p2pfd.errors import ChainError, DeadlineError, EnvironmentProblem, PlanError
from p2pfd.settlement.accounts import AccountKey
from p2pfd.settlement.api import Capabilities
from p2pfd.settlement.evm import EvmSettlement
from p2pfd.settlement.rpc import Rpc
from p2pfd.settlement.watch import Watcher

POLL_SECONDS = 0.15
"""How often a process looks for new blocks, unless it is told otherwise."""
START_SECONDS = 60.0
STOP_SECONDS = 5.0
_LOG_FILE = "chain.log"
_MAX_LINE = 4096


class Chain:
    """A chain as one process sees it: one connection and one watcher, for any number of accounts."""

    def __init__(self, rpc: Rpc, watcher: Watcher, spec: ChainSpec, caps: Capabilities) -> None:
        self.rpc = rpc
        self._watcher = watcher
        self._spec = spec
        self._caps = caps

    def settlement(self, key: AccountKey) -> EvmSettlement:
        """The chain as this account uses it."""
        return EvmSettlement(self.rpc, self._watcher, self._spec, self._caps, key)


@asynccontextmanager
async def open_chain(spec: ChainSpec, url: str, *, poll_seconds: float = POLL_SECONDS) -> AsyncIterator[Chain]:
    """A chain that several accounts of this process share; ChainError where it is not the one that the spec names."""
    caps = _capabilities(spec)
    rpc = Rpc(url)
    try:
        await _recognise(rpc, spec)
        watcher = Watcher(rpc, spec.market, finality=caps.finality, interval=poll_seconds)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watcher.run)
            yield Chain(rpc, watcher, spec, caps)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from group.exceptions[0].__cause__  # the nursery here is nobody else's business
        raise
    finally:
        await rpc.aclose()


@asynccontextmanager
async def open_settlement(
    chain: ChainSpec, url: str, key: AccountKey, *, poll_seconds: float = POLL_SECONDS
) -> AsyncIterator[EvmSettlement]:
    """A chain, seen by one account."""
    async with open_chain(chain, url, poll_seconds=poll_seconds) as opened:
        yield opened.settlement(key)


def _capabilities(spec: ChainSpec) -> Capabilities:
    if spec.profile != "embedded":
        raise PlanError(f"no chain profile {spec.profile!r}", 'this release settles on "embedded", or on "none"')
    return Capabilities(spec.profile, spec.chain_id, finality=0, live=False, block_seconds=0.0)


async def _recognise(rpc: Rpc, spec: ChainSpec) -> None:
    found, code = await rpc.batch([("eth_chainId", []), ("eth_getCode", [spec.market, "latest"])])
    if int(found, 16) != spec.chain_id:
        raise ChainError(
            f"{rpc.url} is chain {int(found, 16)}, the task settles on {spec.chain_id}", "check the chain's address"
        )
    if code in ("0x", None):
        raise ChainError(
            f"there is no contract at {spec.market} on {rpc.url}", "has the chain lost its state, or is it another one?"
        )


# -- the embedded chain ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EmbeddedChain:
    """A chain that runs in a process of its own."""

    url: str
    chain_id: int
    pid: int


@asynccontextmanager
async def embedded_chain(state_dir: Path, fund: Sequence[Account], port: int = 0) -> AsyncIterator[EmbeddedChain]:
    """Start the embedded chain and wait until it is ready; it stops when the block ends, or when this process dies."""
    command = [sys.executable, "-m", "p2pfd.settlement.embedded", "--parent-pipe"]
    command += ["--state", str(state_dir), "--port", str(port)]
    for who in fund:
        command += ["--fund", who]
    log_path = state_dir / _LOG_FILE
    with _log(log_path) as log:
        start = log.tell()
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # an interrupt from the terminal is for the parent, which stops its chain last
        )
    try:
        yield await _ready(process, log_path, start)
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


async def _ready(process: trio.Process, log_path: Path, start: int) -> EmbeddedChain:
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
    try:
        value = json.loads(line)
        return EmbeddedChain(str(value["url"]), int(value["chain_id"]), int(value["pid"]))
    except (ValueError, KeyError, TypeError) as error:
        with log_path.open("rb") as log:
            log.seek(start)
            said = log.read(_MAX_LINE).decode(errors="replace").strip().removeprefix("error: ")
        raise EnvironmentProblem(f"the chain did not start: {said or line!r}", f"read {log_path}") from error


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
