"""The supervisor's side of the zygote: start it, give orders, pass on what it and the nodes say, end it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType

import trio

from p2pfd.cli import exits
from p2pfd.errors import EnvironmentProblem, P2pfdError
from p2pfd_localnet.events import NodeEvent, parse
from p2pfd_localnet.zygote import ENTRY, GRACE, ISOLATE, LINE

ZYGOTE = "p2pfd_localnet.zygote"
# One thread for each node: the nodes share the cores among themselves, and a pool of threads would not survive a fork.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


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
        program: tuple[str, ...] = (ZYGOTE,),
        grace: float = GRACE + 1,
    ) -> None:
        """``isolate``: each node imports everything for itself, and shares no memory with the others.

        ``program`` is a module, with its first words, that takes orders and ends as a zygote does, within ``grace``.
        """
        self._log = log
        self._keep = keep
        words = [ISOLATE, entry] if isolate else [entry, *warm]
        self._command = [sys.executable, "-m", *program, *words]
        self._grace = grace
        self._process: trio.Process | None = None

    async def __aenter__(self) -> Spawner:
        with self._log.open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C reaches the supervisor only, and killpg reaches all nodes
                pass_fds=self._keep,
                env={**os.environ, **ONE_THREAD, "TORCHINDUCTOR_CACHE_DIR": str(self._log.parent / "torch")},
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def pid(self) -> int:
        """The zygote's process, and the group of all its nodes."""
        return self._running().pid

    async def events(self) -> AsyncIterator[NodeEvent]:
        """What the zygote and the nodes say, until all of them are gone."""
        process = self._running()
        assert process.stdout is not None
        rest = b""
        async for raw in process.stdout:
            *lines, rest = (rest + raw).split(b"\n")
            for line in lines:
                event = parse(line)
                if event is None:
                    continue
                if event.name == "zygote.failed":
                    raise _failed(event)
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
        if process is None or process.returncode is not None:
            return
        with trio.CancelScope(shield=True):
            assert process.stdin is not None
            await process.stdin.aclose()
            with trio.move_on_after(self._grace):
                await process.wait()
            if process.returncode is None:
                self.kill_all()
                await process.wait()

    def kill_all(self) -> None:
        """End them all at once, without asking."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def ended(self) -> None:
        """Wait until the zygote has ended, for whatever reason, and take the nodes that outlived it down as well."""
        await self._running().wait()
        self.kill_all()

    def obituary(self) -> P2pfdError:
        """What it means that all are gone although nobody asked for it."""
        code = self._running().returncode
        return EnvironmentProblem(
            f"the process that holds the nodes ended by itself ({code}); its last words: {last_line(self._log)}",
            f"look at {self._log}; when it was ended by signal 9, the machine may be out of memory: take fewer nodes",
        )

    async def _order(self, order: Mapping[str, object]) -> None:
        stdin = self._running().stdin
        assert stdin is not None
        try:
            await stdin.send_all(json.dumps(order).encode() + b"\n")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # it is gone or going; `gone` and `events` tell

    def _running(self) -> trio.Process:
        assert self._process is not None, "the zygote was not started"
        return self._process


def _failed(event: NodeEvent) -> P2pfdError:
    kind = next((known for known, _ in exits.KINDS if known.__name__ == event.text("kind")), P2pfdError)
    return kind(event.text("error"), event.text("fix"))


def last_line(path: Path) -> str:
    """The last line of a text file that is not empty."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "nothing"
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
