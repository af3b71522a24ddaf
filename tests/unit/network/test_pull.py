"""Pulls, from providers that are quick, slow, mute, forgetful, or lie."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from p2pfd.core.ids import PeerId
from p2pfd.errors import NetworkError
from p2pfd.network.api import Cid
from p2pfd.network.blobs import MemoryBlobs, Parts
from p2pfd.network.manifest import PIECE, Manifest, describe, named
from p2pfd.network.pull import AHEAD, Pull, Pulls, WrongBytesError

BLOB = b"".join(bytes([number]) * PIECE for number in range(12)) + b"end"
CID, MANIFEST = named(BLOB)
COUNT = len(MANIFEST.pieces)
LIMIT = len(BLOB)


class Provider:
    """A provider that takes so long for a piece, and goes wrong after so many."""

    def __init__(self, seconds: float = 0.0, fails_after: int | None = None, lies_after: int | None = None) -> None:
        self.seconds = seconds
        self.fails_after = fails_after
        self.lies_after = lies_after
        self.asked: deque[int] = deque()
        self.given: list[int] = []
        self.most_ahead = 0
        self.closed = False

    async def manifest(self, cid: Cid, limit: int) -> Manifest | None:
        await trio.sleep(self.seconds)
        return MANIFEST if cid == CID else None

    async def ask(self, cid: Cid, index: int) -> None:
        await trio.lowlevel.checkpoint()
        self.asked.append(index)
        self.most_ahead = max(self.most_ahead, len(self.asked))

    async def take(self, length: int) -> Parts:
        await trio.sleep(self.seconds)
        if self.fails_after is not None and len(self.given) >= self.fails_after:
            raise NetworkError("it broke off")
        index = self.asked.popleft()
        piece = BLOB[index * PIECE : (index + 1) * PIECE]
        assert len(piece) == length
        if self.lies_after is not None and len(self.given) >= self.lies_after:
            piece = b"x" * length
        self.given.append(index)
        return [piece]


class Liar(Provider):
    async def manifest(self, cid: Cid, limit: int) -> Manifest | None:
        raise WrongBytesError("not its manifest")


class Absent(Provider):
    async def manifest(self, cid: Cid, limit: int) -> Manifest | None:
        return None


class World:
    """Providers by name, and who was blamed for what."""

    def __init__(self, **providers: Provider) -> None:
        self.providers = {PeerId(name): provider for name, provider in providers.items()}
        self.store = MemoryBlobs(4 * len(BLOB))
        self.blamed: list[PeerId] = []
        self.progress: list[tuple[int, int]] = []

    @asynccontextmanager
    async def connect(self, peer: PeerId) -> AsyncGenerator[Provider]:
        try:
            yield self.providers[peer]
        finally:
            self.providers[peer].closed = True

    async def pull(self, at_once: int = 4) -> bytes | None:
        pull = Pull(CID, LIMIT, self.store, self.connect, lambda have, size: self.progress.append((have, size)))
        return await pull.run(tuple(self.providers), at_once, lambda peer, _why: self.blamed.append(peer))


async def test_one_provider_gives_all_of_it_and_is_asked_ahead() -> None:
    world = World(a=Provider())
    assert await world.pull() == BLOB
    (a,) = world.providers.values()
    assert a.given == list(range(COUNT))
    assert a.most_ahead == AHEAD
    assert a.closed
    assert world.progress[0] == (0, len(BLOB))
    assert world.progress[-1] == (len(BLOB), len(BLOB))
    assert world.progress == sorted(world.progress)
    assert await world.store.get(CID) == BLOB


async def test_several_share_the_work_by_how_quick_they_are(autojump_clock: MockClock) -> None:
    world = World(quick=Provider(0.01), slow=Provider(0.02))
    assert await world.pull() == BLOB
    quick, slow = (set(each.given) for each in world.providers.values())
    assert len(quick) > len(slow) > 0
    assert trio.current_time() < 0.01 * COUNT, "two are quicker than one"


async def test_what_a_provider_that_breaks_off_owed_is_asked_of_another(autojump_clock: MockClock) -> None:
    world = World(a=Provider(0.01, fails_after=2), b=Provider(0.02))
    assert await world.pull() == BLOB
    assert world.blamed == []
    a, b = world.providers.values()
    assert len(b.given) == COUNT - 2
    assert not set(a.given) & set(b.given), "nothing was fetched twice"


async def test_what_a_slow_one_owes_is_taken_over(autojump_clock: MockClock) -> None:
    world = World(quick=Provider(0.01), stuck=Provider(1000.0))
    world.providers[PeerId("stuck")].manifest = world.providers[PeerId("quick")].manifest  # type: ignore[method-assign]
    assert await world.pull() == BLOB
    assert trio.current_time() < 2


async def test_when_all_break_off_the_next_attempt_goes_on(autojump_clock: MockClock) -> None:
    world = World(a=Provider(fails_after=5))
    assert await world.pull() is None
    second = World(b=Provider())
    second.store = world.store
    assert await second.pull() == BLOB
    (b,) = second.providers.values()
    assert b.given == list(range(5, COUNT))
    assert second.progress[0] == (5 * PIECE, len(BLOB))


async def test_a_liar_is_blamed_and_left_and_its_piece_comes_from_another(autojump_clock: MockClock) -> None:
    world = World(honest=Provider(0.02), liar=Provider(0.01, lies_after=1), fake=Liar())
    assert await world.pull() == BLOB
    assert sorted(world.blamed) == ["fake", "liar"]
    assert len(world.providers[PeerId("liar")].given) == 2, "one lie is enough"


async def test_absent_ones_make_place_for_others() -> None:
    world = World(**{f"n{number}": Absent() for number in range(9)}, z=Provider())
    assert await world.pull(at_once=2) == BLOB
    assert all(provider.closed for provider in world.providers.values())


async def test_nobody_has_it() -> None:
    world = World(a=Absent(), b=Liar())
    assert await world.pull() is None
    assert await World().pull() is None


@pytest.mark.parametrize("at_once", [1, 2])
async def test_a_size_that_is_a_lie_costs_the_liars_word_alone(at_once: int) -> None:
    """Only a single piece's size can be wrong unnoticed: its hash is the name, and its size is only said."""
    blob = b"small"
    cid, truth = named(blob)
    store = MemoryBlobs(1000)

    class Small(Provider):
        def __init__(self, manifest: Manifest, piece: bytes) -> None:
            super().__init__()
            self.said, self.piece = manifest, piece

        async def manifest(self, cid: Cid, limit: int) -> Manifest | None:
            return self.said

        async def take(self, length: int) -> Parts:
            return [self.piece[:length].ljust(length)]

    honest, liar = Small(truth, blob), Small(describe(b"longer than that"), blob)
    world = World(liar=liar)
    world.store = store
    world.providers[PeerId("honest")] = honest
    blamed: list[PeerId] = []
    first = await Pull(cid, 100, store, world.connect, None).run(
        tuple(world.providers), at_once, lambda peer, _why: blamed.append(peer)
    )
    assert blamed in ([], ["liar"]), "whose word comes first is chance"
    assert first == blob


async def test_a_blob_is_fetched_once_however_many_ask(autojump_clock: MockClock) -> None:
    pulls, inside, most = Pulls(2), 0, 0

    async def one(cid: Cid) -> None:
        nonlocal inside, most
        async with pulls.of(cid):
            inside += 1
            most = max(most, inside)
            await trio.sleep(1)
            inside -= 1

    async with trio.open_nursery() as nursery:
        for number in (1, 1, 2, 2, 3, 3):
            nursery.start_soon(one, Cid(bytes([number]) * 32))
    assert most == 2
    assert trio.current_time() == 3
    with pytest.raises(KeyError):
        pulls._under_way[CID]
