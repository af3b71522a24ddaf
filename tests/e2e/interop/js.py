"""The JavaScript peer as a process: told what to do line by line, heard line by line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

from p2pfd.core.ids import TaskId
from p2pfd.node.keys import NodeKeys

PROGRAM = Path(__file__).with_name("peer.mjs")
PATIENCE = 20.0


def _has(event: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return wanted.keys() <= event.keys() and all(
        _has(event[name], value) if isinstance(value, dict) else event[name] == value for name, value in wanted.items()
    )


class JsPeer:
    """A running peer. Its private keys are those given, so that a test knows who it is."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._count = 0
        self._more = trio.Event()
        self.events: list[dict[str, Any]] = []
        self.peer = ""
        self.address = ""

    async def read(self) -> None:
        """Take down what it says until it ends."""
        assert self._process.stdout is not None
        rest = b""
        async for chunk in self._process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            self.events += map(json.loads, lines)
            self._more.set()
            self._more = trio.Event()

    async def until(self, **wanted: object) -> dict[str, Any]:
        """The first event that has these values, within what it nests too, as soon as there is one."""
        with trio.move_on_after(PATIENCE):
            while True:
                for event in self.events:
                    if _has(event, wanted):
                        return event
                await self._more.wait()
        raise AssertionError(f"no {wanted} within {PATIENCE} s, but {self.events}")

    async def tell(self, what: str, **how: object) -> dict[str, Any]:
        """Have it do something; its answer, whatever it is."""
        self._count += 1
        order = self._count
        assert self._process.stdin is not None
        await self._process.stdin.send_all(json.dumps({"id": order, "do": what, **how}).encode() + b"\n")
        return await self.until(id=order)

    async def do(self, what: str, **how: object) -> dict[str, Any]:
        """Have it do something that must succeed."""
        answer = await self.tell(what, **how)
        assert answer["event"] == "done", answer
        return answer

    async def joined(self, peer: str) -> None:
        """Wait until it knows that a peer listens to the topic."""
        await self.until(event="joined", peer=peer)


@asynccontextmanager
async def js_peer(node: str, task: TaskId, keys: NodeKeys) -> AsyncGenerator[JsPeer]:
    """A peer for as long as the context lasts; it must end by itself when its input does."""
    who = {"task": task.hex(), "peer_key": keys.peer_private.hex(), "account_key": keys.account.private.hex()}
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, [node, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process: trio.Process = await nursery.start(start)
        peer = JsPeer(process)
        nursery.start_soon(peer.read)
        assert process.stdin is not None
        await process.stdin.send_all(json.dumps(who).encode() + b"\n")
        up = await peer.until(event="up")
        assert up["peer"] == keys.peer
        peer.peer, [peer.address] = up["peer"], up["addresses"]
        yield peer
        await process.stdin.aclose()
        with trio.fail_after(PATIENCE):
            await process.wait()
