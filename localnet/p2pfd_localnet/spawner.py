"""The supervisor's side of the zygote: start it, give orders, pass on what it and the nodes say, end it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

import trio

from p2pfd.errors import EnvironmentProblem, P2pfdError, error_of
from p2pfd_localnet import hatch
from p2pfd_localnet.events import NodeEvent, parse
from p2pfd_localnet.zygote import ENTRY, GRACE, LINE


class Spawner:
    """A running zygote."""

    def __init__(
        self,
        log: Path,
        keep: tuple[int, ...] = (),
        entry: str = ENTRY,
        warm: tuple[str, ...] = (),
        *,
        isolate: bool = False,
        program: tuple[str, ...] = (hatch.ZYGOTE,),
        grace: float = GRACE + 1,
        early: subprocess.Popen[bytes] | None = None,
    ) -> None:
        """``isolate``: each node imports everything for itself, and shares no memory with the others.

        ``program`` is a module, with its first words, that takes orders and ends as a zygote does, within ``grace``.
        ``early`` is that process, where it was started already.
        """
        self._log = log
        self._keep = keep
        self._program = program
        self._words = hatch.words_of(entry, warm, isolate=isolate)
        self._grace = grace
        self._early = early
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: trio.abc.SendStream | None = None
        self._said: trio.abc.ReceiveStream | None = None

    async def __aenter__(self) -> Spawner:
        process = self._early or hatch.hatch(self._log, self._words, self._keep, self._program)
        assert process.stdin is not None
        assert process.stdout is not None
        self._orders, self._said = _stream(process.stdin), _stream(process.stdout)
        self._process = process
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        with trio.CancelScope(shield=True):
            await self.close()
            if self._said is not None:
                await self._said.aclose()

    @property
    def pid(self) -> int:
        """The zygote's process, and the group of all its nodes."""
        return self._running().pid

    async def events(self) -> AsyncIterator[NodeEvent]:
        """What the zygote and the nodes say, until all of them are gone."""
        assert self._said is not None, "the zygote was not started"
        rest = b""
        async for raw in self._said:
            *lines, rest = (rest + raw).split(b"\n")
            for line in lines:
                event = parse(line)
                if event is None:
                    continue
                if event.name == "zygote.failed":
                    raise error_of(event.fields)
                yield event

    async def spawn(self, name: str, config: Path) -> None:
        """Start a node."""
        await self._order({"spawn": name, "config": str(config)})

    async def tell(self, name: str, line: Mapping[str, object]) -> None:
        """Say something to a node on its control pipe."""
        if len(json.dumps(line)) >= LINE:
            raise ValueError(f"a line of more than {LINE} bytes for {name}")
        await self._order({"to": name, "line": dict(line)})

    async def kill(self, name: str) -> None:
        """End a node's process at once."""
        await self._order({"kill": name})

    async def signal(self, name: str, number: int) -> None:
        """Send a node's process a signal."""
        await self._order({"signal": name, "number": int(number)})

    async def hold(self, pid: int, *, down: bool) -> None:
        """Let a process that is no node stand still, until it is told to go on, or all of this ends."""
        await self._order({"hold": pid, "down": down})

    async def close(self) -> None:
        """End the zygote and its nodes: by asking, and after a while by force. All are gone when this returns."""
        process = self._process
        if process is None:
            return
        with trio.CancelScope(shield=True):
            assert self._orders is not None
            await self._orders.aclose()
            with trio.move_on_after(self._grace):
                await self._end()
            if process.returncode is None:
                self.kill_all()
                await self._end()

    def kill_all(self) -> None:
        """End them all at once, without asking."""
        if self._process is not None:
            hatch.kill(self._process)

    async def ended(self) -> None:
        """Wait until the zygote has ended, for whatever reason, and take the nodes that outlived it down as well."""
        await self._end()
        self.kill_all()

    async def obituary(self) -> P2pfdError:
        """What it means that all are gone although nobody asked for it."""
        with trio.move_on_after(self._grace):
            await self._end()
        code = self._running().returncode
        return EnvironmentProblem(
            f"the process that holds the nodes ended by itself ({code}); its last words: {last_line(self._log)}",
            f"look at {self._log}; when it was ended by signal 9, the machine may be out of memory: take fewer nodes",
        )

    async def _order(self, order: Mapping[str, object]) -> None:
        assert self._orders is not None, "the zygote was not started"
        try:
            await self._orders.send_all(json.dumps(order).encode() + b"\n")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # it is gone or going; `gone` and `events` tell

    async def _end(self) -> None:
        """Wait for the process's end. A thread does that: it may have been started before there was an event loop."""
        await trio.to_thread.run_sync(self._running().wait, abandon_on_cancel=True)  # type: ignore[call-arg]

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the zygote was not started"
        return self._process


def _stream(pipe: IO[bytes]) -> trio.lowlevel.FdStream:
    """The same pipe for trio, and for nobody else."""
    with pipe:
        return trio.lowlevel.FdStream(os.dup(pipe.fileno()))


def last_line(path: Path) -> str:
    """The last line of a text file that is not empty."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "nothing"
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
