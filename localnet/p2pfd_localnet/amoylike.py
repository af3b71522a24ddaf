"""A chain on this machine that behaves as a public test network does: slow blocks, fees, faults, reorganisations.

It is an anvil with Amoy's block time in miniature and Amoy's rules, behind a proxy that loses, delays, hides and
refuses (`p2pfd.testing.faulty`). What goes wrong is drawn from a seed. Proxy and miner are a process of their own:

    python -m p2pfd_localnet.amoylike UPSTREAM SEED PORT

which says where it listens, and ends with its standard input.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from p2pfd.core.ids import Account
from p2pfd.core.rng import Rng
from p2pfd.settlement.local import AMOY_ARGUMENTS, ANVIL, LOG_FILE, LocalChain, foreign_chain, running
from p2pfd.settlement.profiles import AMOY_LIKE

REORG = 0.05
"""The chance with each block that the last ones are replaced, never so many as make an event final."""
DEPTH = AMOY_LIKE.habits.finality - 1


@asynccontextmanager
async def amoy_like(
    state_dir: Path, fund: Sequence[Account], seed: int, port: int = 0, behind: int = 0
) -> AsyncIterator[LocalChain]:
    """The chain, with coins for these accounts, as its clients see it; it stops when the block ends."""
    async with foreign_chain(ANVIL, state_dir, fund, behind=behind, extra=AMOY_ARGUMENTS) as chain:
        command = [sys.executable, "-m", "p2pfd_localnet.amoylike", chain.url, str(seed), str(port)]
        async with running(command, state_dir / LOG_FILE) as (line, said):
            try:
                url = str(json.loads(line)["url"])
            except (ValueError, KeyError, TypeError) as error:
                raise said(repr(line)) from error
            yield dataclasses.replace(chain, url=url)


async def _serve(upstream: str, seed: int, port: int) -> None:
    from p2pfd.testing.faulty import Faults, FaultyProxy  # with it come libraries that a mesh does not need

    # A public endpoint on a fair day: one exchange in forty fails, one in thirty is answered late.
    faults = Faults(dropped=0.005, lost=0.005, throttled=0.01, failed=0.005, stale=0.03, lag=2, hidden=0.05)
    proxy = FaultyProxy(upstream, Rng(seed).split("amoy-like"), faults)
    async with proxy.serving(port), trio.open_nursery() as nursery:
        os.write(1, json.dumps({"url": proxy.url}).encode() + b"\n")
        nursery.start_soon(_mine, partial(proxy.mine, reorg=REORG, depth=DEPTH))
        async with trio.lowlevel.FdStream(os.dup(0)) as parent:
            async for _ in parent:
                continue
        nursery.cancel_scope.cancel()


async def _mine(block: Callable[[], Awaitable[None]]) -> None:
    while True:
        await trio.sleep(AMOY_LIKE.block_seconds)
        await block()


if __name__ == "__main__":
    trio.run(_serve, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
