"""Both transports keep the promises of `p2pfd.network.api`."""

from __future__ import annotations

import itertools
from contextlib import AbstractAsyncContextManager

from p2pfd.network.api import Transport
from p2pfd.network.libp2p import open_transport
from p2pfd.network.settings import NetworkSettings
from p2pfd.testing.transport import check_transport


async def test_libp2p_conforms() -> None:
    seeds = itertools.count(1)

    def factory() -> AbstractAsyncContextManager[Transport]:
        settings = NetworkSettings(heartbeat_seconds=0.2, mesh_nodes=3)
        return open_transport(next(seeds).to_bytes(32, "big"), settings=settings)

    await check_transport(factory)
