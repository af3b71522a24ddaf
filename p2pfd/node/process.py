"""A node as a process: reads its config, hears commands on one file descriptor and reports on another."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import trio

from p2pfd import __version__
from p2pfd.errors import EnvironmentProblem, P2pfdError
from p2pfd.node.clock import SystemClock, watch_wall
from p2pfd.node.config import NodeConfig, load
from p2pfd.node.fittings import fittings_of
from p2pfd.node.hold import holding
from p2pfd.node.keys import NodeKeys
from p2pfd.node.keys import load as load_keys
from p2pfd.node.runtime import Command, run_node
from p2pfd.node.telemetry import FILE as EVENTS_FILE
from p2pfd.node.telemetry import Emitter, event_stream

LINE = 4096
"""A status line is at most as long as what a pipe takes in one piece."""
FAILED = 1


def run(config_path: Path, control_fd: int, status_fd: int, keys: NodeKeys | None = None, metrics: str = "") -> int:
    """Run a node until it is told to stop or nobody is left to tell it. Nonzero when it failed; the status says why.

    ``keys`` are the node's when a passphrase had to be asked for; else they are read from its directory. ``metrics``,
    where it is given, stands for what the config says.
    """
    name = config_path.parent.name
    try:
        config = load(config_path)
        config = dataclasses.replace(config, metrics=metrics or config.metrics)
        name = config.name
        with holding(Path(config.home)):
            trio.run(_main, config, control_fd, status_fd, keys or load_keys(Path(config.home) / "keys"))
    except P2pfdError as error:
        _say(status_fd, name, "failed", error.to_plain())
        return FAILED
    except OSError as error:
        what = EnvironmentProblem(f"{error.filename or config_path}: {error.strerror}", "check space and permissions")
        _say(status_fd, name, "failed", what.to_plain())
        return FAILED
    return 0


async def _main(config: NodeConfig, control_fd: int, status_fd: int, keys: NodeKeys) -> None:
    clock = SystemClock(config.paused)
    home = Path(config.home)
    emit, stream = event_stream(home / EVENTS_FILE, config.name, SystemClock())

    def report(event: str, fields: dict[str, object]) -> None:
        _say(status_fd, config.name, event, fields)

    with stream:
        who = {"pid": os.getpid(), "peer": keys.peer, "account": keys.account.account, "version": __version__}
        emit("node.started", who)
        try:
            async with trio.open_nursery() as nursery:
                send, commands = trio.open_memory_channel[Command](16)
                trouble, troubles = trio.open_memory_channel[Mapping[str, object]](math.inf)
                nursery.start_soon(_hear, control_fd, send, trouble if config.chaos else None, emit)
                nursery.start_soon(_mind_signals, send.clone())
                nursery.start_soon(watch_wall, clock, emit)
                await run_node(config, keys, clock, emit, report, commands, fittings_of(config, keys, troubles))
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            error = _first(group)
            fix = error.fix if isinstance(error, P2pfdError) else ""
            what = error.what if isinstance(error, P2pfdError) else str(error)
            emit("node.failed", {"error": what, "fix": fix, "kind": type(error).__name__})
            raise error from group


async def _hear(
    fd: int,
    send: trio.MemorySendChannel[Command],
    trouble: trio.MemorySendChannel[Mapping[str, object]] | None,
    emit: Emitter,
) -> None:
    """Turn lines into commands; the end of the lines is the command to stop."""
    async with send:
        async for line in _lines(fd):
            command, asked = command_of(line), trouble_in(line)
            if asked is not None and trouble is not None:
                trouble.send_nowait(asked)
            elif command is None or asked is not None:
                emit("control.garbled", {"line": line[:80].decode(errors="replace"), "bytes": len(line)})
            else:
                await send.send(command)
        await send.send(Command(stop=True))


def command_of(line: bytes) -> Command | None:
    """The command that a line is; None for a line that is none."""
    value = _object(line)
    if value is None:
        return None
    dial, stop = value.get("dial"), value.get("stop", False)
    texts = dial is None or (isinstance(dial, list) and all(isinstance(address, str) for address in dial))
    if not texts or not isinstance(stop, bool):
        return None
    return Command(dial=None if dial is None else tuple(dial), stop=stop)


def trouble_in(line: bytes) -> Mapping[str, object] | None:
    """What a line asks to go wrong, as `p2pfd.node.faults` reads it; None where it asks for nothing of the kind."""
    value = _object(line)
    found = None if value is None else value.get("chaos")
    return found if isinstance(found, dict) else None


def _object(line: bytes) -> dict[str, Any] | None:
    if len(line) > LINE:
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


async def _mind_signals(send: trio.MemorySendChannel[Command]) -> None:
    async with send:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                await send.send(Command(stop=True))


async def _lines(fd: int) -> AsyncIterator[bytes]:
    rest = b""
    async with trio.lowlevel.FdStream(os.dup(fd)) as stream:
        async for chunk in stream:
            *whole, rest = (rest + bytes(chunk)).split(b"\n")
            rest = rest[: LINE + 1]  # enough to tell that it is too long
            for line in whole:
                yield line


def _say(fd: int, node: str, event: str, fields: Mapping[str, object]) -> None:
    line = json.dumps({"node": node, "event": event, **fields}).encode()
    if len(line) >= LINE:
        short = {key: text[:120] for key, text in fields.items() if isinstance(text, str)}
        line = json.dumps({"node": node, "event": event, **short}).encode()
    try:
        os.write(fd, line + b"\n")
    except OSError:
        return  # whoever started the node is gone; its control channel has ended too, and that ends the node


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to tell of: one of ours if there is one, else whatever came first."""
    ours, _ = group.split(P2pfdError)
    found: BaseException = ours if ours is not None else group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
