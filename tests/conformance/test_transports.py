"""Both transports keep the promises of `p2pfd.network.api`."""

from __future__ import annotations

import itertools
from contextlib import AbstractAsyncContextManager

import pytest
from trio.testing import MockClock

from p2pfd.core.ids import PeerId
from p2pfd.network.api import Transport
from p2pfd.network.libp2p import open_transport
from p2pfd.network.memory import Carry, at_once, open_memory_network
from p2pfd.network.settings import NetworkSettings
from p2pfd.testing.transport import check_transport


async def test_libp2p_conforms() -> None:
    seeds = itertools.count(1)

    def factory() -> AbstractAsyncContextManager[Transport]:
        settings = NetworkSettings(heartbeat_seconds=0.2, mesh_nodes=3)
        return open_transport(next(seeds).to_bytes(32, "big"), settings=settings)

    await check_transport(factory)


def slowly(sender: PeerId, receiver: PeerId, size: int) -> float:
    """A tenth of a second and the time at 10 MB/s, and a little more from one than from another."""
    return 0.1 + size / 1e7 + (hash_of(sender) + hash_of(receiver)) / 1e6


def hash_of(peer: PeerId) -> int:
    return sum(peer.encode())


@pytest.mark.parametrize("carry", [at_once, slowly])
async def test_memory_conforms(carry: Carry, autojump_clock: MockClock) -> None:
    seeds = itertools.count(1)
    async with open_memory_network(carry) as network:

        def factory() -> AbstractAsyncContextManager[Transport]:
            return network.open_transport(next(seeds).to_bytes(32, "big"))

        await check_transport(factory)
