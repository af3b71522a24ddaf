"""Nodes, meshes and strangers for the tests of the libp2p transport."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from p2pfd.core.verdict import Accept, Verdict
from p2pfd.network.api import Delivery, Topic
from p2pfd.network.libp2p import Libp2pTransport, open_transport
from p2pfd.network.settings import NetworkSettings

TOPIC = Topic("p2pfd/test")
QUICK = NetworkSettings(heartbeat_seconds=0.2, redial_first_seconds=0.05)
PATIENCE = 40


class Ear:
    """Listens in the background, and answers by a rule."""

    def __init__(self, transport: Libp2pTransport, rule: Callable[[bytes], Verdict] = lambda _raw: Accept()) -> None:
        self.transport = transport
        self._rule = rule
        self.heard: list[Delivery] = []
        self._more = trio.Event()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with self.transport.heard(TOPIC) as deliveries:
            task_status.started()
            async for delivery in deliveries:
                self.heard.append(delivery)
                delivery.answer(self._rule(delivery.raw))
                self._more.set()
                self._more = trio.Event()

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.raw for delivery in self.heard]

    async def until(self, *bodies: bytes) -> None:
        while not set(bodies) <= set(self.bodies):
            await self._more.wait()


class Nodes:
    """Opens nodes with keys of their own, each in a task of its own, so that a test may open and close in any order."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._count = 0

    def seed(self) -> bytes:
        self._count += 1
        return self._count.to_bytes(32, "big")

    async def open(self, settings: NetworkSettings = QUICK, **options: Any) -> Libp2pTransport:
        transport: Libp2pTransport = await self._nursery.start(self._hold, settings, options)
        return transport

    async def _hold(
        self, settings: NetworkSettings, options: dict[str, Any], task_status: trio.TaskStatus[Libp2pTransport]
    ) -> None:
        async with open_transport(self.seed(), settings=settings, **options) as transport:
            task_status.started(transport)
            await trio.sleep_forever()

    @asynccontextmanager
    async def brief(self, settings: NetworkSettings = QUICK) -> AsyncGenerator[Libp2pTransport]:
        async with open_transport(self.seed(), settings=settings) as transport:
            yield transport


async def _hurry() -> None:
    await trio.sleep(PATIENCE)
    raise TimeoutError(f"a test that takes more than {PATIENCE} s")


@pytest.fixture
def nodes(nursery: trio.Nursery) -> Nodes:
    nursery.start_soon(_hurry)
    return Nodes(nursery)
