"""Fetching a blob from several providers at once, piece by piece, each checked as it comes in.

Every provider has a task of its own that keeps a few pieces asked for. What a provider that fails was asked for is
asked of the others; what one is slow with is taken over by whoever has nothing left to do. Knows nothing of streams: a
`Source` is what a provider looks like from here.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import trio

from p2pfd.core.ids import PeerId
from p2pfd.errors import NetworkError
from p2pfd.network.api import Cid, Progress
from p2pfd.network.blobs import BlobStore, Parts
from p2pfd.network.manifest import Manifest

AHEAD = 3
"""Pieces asked of one provider before the first of them has come: the pipe stays full, and gossip waits for no more."""
TAKE_OVER_SECONDS = 0.25
"""The longest that an idle provider waits for the others; the quicker it is itself, the less."""

log = logging.getLogger("p2pfd.network")


class Source(Protocol):
    """A provider, at the other end of a stream. Everything it does has a time limit, and fails with a NetworkError."""

    async def manifest(self, cid: Cid, limit: int) -> Manifest | None:
        """What it says of the blob: a manifest that fits the name and the limit; None when it has it not."""
        ...

    async def ask(self, cid: Cid, index: int) -> None:
        """Ask for a piece."""
        ...

    async def take(self, length: int) -> Parts:
        """The next piece that was asked for."""
        ...


Connect = Callable[[PeerId], AbstractAsyncContextManager[Source]]


class Pull:
    """One blob on its way here."""

    def __init__(self, cid: Cid, limit: int, store: BlobStore, connect: Connect, progress: Progress | None) -> None:
        self._cid = cid
        self._limit = limit
        self._store = store
        self._connect = connect
        self._progress = progress
        self._manifest: Manifest | None = None
        self._begun = trio.Lock()
        self._wanted: deque[int] = deque()
        self._asked: dict[int, set[PeerId]] = {}
        self._have = 0
        self._left = 1
        self._drawing = 0
        self._changed = trio.Event()
        self.failures: list[str] = []

    async def run(self, peers: Sequence[PeerId], at_once: int, blame: Callable[[PeerId, str], None]) -> bytes | None:
        """The blob; None when these peers cannot give it, all of it. What came of it stays in the store."""
        places = trio.Semaphore(at_once)
        try:
            async with trio.open_nursery() as nursery:
                waiting = len(peers)

                async def provider(peer: PeerId) -> None:
                    nonlocal waiting
                    async with places:
                        await self._provide(peer, blame)
                    waiting -= 1
                    if waiting == 0 or self._left == 0:
                        nursery.cancel_scope.cancel()

                for peer in peers:
                    nursery.start_soon(provider, peer)
        finally:
            if self._manifest is not None and self._left:
                with trio.CancelScope(shield=True):
                    await self._store.leave(self._cid)
        return await self._store.finish(self._cid) if self._left == 0 else None

    async def _provide(self, peer: PeerId, blame: Callable[[PeerId, str], None]) -> None:
        mine: deque[int] = deque()
        try:
            async with self._connect(peer) as source:
                manifest = await source.manifest(self._cid, self._limit)
                if manifest is not None and await self._begin(manifest):
                    self._drawing += 1
                    try:
                        await self._draw(peer, source, manifest, mine)
                    finally:
                        self._drawing -= 1
        except WrongBytesError as error:
            self.failures.append(error.what)
            blame(peer, error.what)
        except NetworkError as error:
            log.info("%s", error)
            self.failures.append(error.what)
        finally:
            for index in mine:
                self._give_back(index, peer)
            await self._forget()

    async def _forget(self) -> None:
        """The size of a single piece is only said, so whoever said it may have lied: the next one's word counts."""
        if self._manifest is None or len(self._manifest.pieces) > 1 or self._drawing or not self._left:
            return
        self._manifest = None
        self._wanted.clear()
        await self._store.leave(self._cid)
        self._wake()

    async def _begin(self, manifest: Manifest) -> bool:
        """Whether there is something to fetch by this manifest; waits while there is by another one."""
        while self._left:
            async with self._begun:
                if self._manifest is None:
                    here = await self._store.begin(self._cid, manifest)
                    self._manifest = manifest
                    self._wanted.extend(index for index in range(len(manifest.pieces)) if index not in here)
                    self._left = len(self._wanted)
                    self._have = sum(manifest.length(index) for index in here)
                    self._report()
            if self._manifest == manifest:
                return self._left > 0
            await self._changed.wait()
        return False

    async def _draw(self, peer: PeerId, source: Source, manifest: Manifest, mine: deque[int]) -> None:
        pace = TAKE_OVER_SECONDS
        while self._left:
            while len(mine) < AHEAD and self._wanted:
                await self._ask(peer, source, self._wanted.popleft(), mine)
            if not mine:
                await self._wait_or_take_over(peer, source, mine, min(2 * pace, TAKE_OVER_SECONDS))
                continue
            begun = trio.current_time()
            parts = await source.take(manifest.length(mine[0]))
            pace = trio.current_time() - begun
            index = mine.popleft()
            if not manifest.is_piece(self._cid, index, parts):
                self._give_back(index, peer)
                raise WrongBytesError(f"{peer} sent bytes that are not piece {index} of {self._cid.hex()}")
            if self._asked.pop(index, None) is not None:  # else another one was faster
                await self._store.keep(self._cid, index, parts)
                self._left -= 1
                self._have += manifest.length(index)
                self._report()
                self._wake()

    async def _ask(self, peer: PeerId, source: Source, index: int, mine: deque[int]) -> None:
        self._asked.setdefault(index, set()).add(peer)
        mine.append(index)
        await source.ask(self._cid, index)

    async def _wait_or_take_over(self, peer: PeerId, source: Source, mine: deque[int], seconds: float) -> None:
        """Nothing is left to ask for, but others have not delivered yet."""
        with trio.move_on_after(seconds) as patience:
            await self._changed.wait()
        if not patience.cancelled_caught:
            return
        late = next((index for index, by in self._asked.items() if peer not in by), None)
        if late is not None:
            await self._ask(peer, source, late, mine)

    def _give_back(self, index: int, peer: PeerId) -> None:
        by = self._asked.get(index)
        if by is None:
            return
        by.discard(peer)
        if not by:
            del self._asked[index]
            self._wanted.appendleft(index)
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _report(self) -> None:
        if self._progress is not None and self._manifest is not None:
            self._progress(self._have, self._manifest.size)


class Pulls:
    """So many blobs at one time, and none of them twice."""

    def __init__(self, at_once: int) -> None:
        self._places = trio.Semaphore(at_once)
        self._under_way: dict[Cid, trio.Lock] = {}

    @asynccontextmanager
    async def of(self, cid: Cid) -> AsyncIterator[None]:
        """This blob's turn."""
        lock = self._under_way.setdefault(cid, trio.Lock())
        try:
            async with lock, self._places:
                yield
        finally:
            if not lock.locked():
                self._under_way.pop(cid, None)


class WrongBytesError(NetworkError):
    """A provider sent something else than what it was asked for: an offence."""
