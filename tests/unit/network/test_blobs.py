"""Blob stores: bounded, least recently used first out; on disk they survive restarts and distrust files."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from p2pfd.errors import NetworkError, StorageError
from p2pfd.network.blobs import BlobStore, MemoryBlobs, open_store
from p2pfd.network.diskblobs import DiskBlobs
from p2pfd.network.manifest import PIECE, cid_of, named
from p2pfd.network.settings import NetworkSettings

QUOTA = 100
BLOBS = [bytes([letter]) * 40 for letter in b"abc"]


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return MemoryBlobs(QUOTA) if request.param == "memory" else DiskBlobs(tmp_path / "blobs", QUOTA)


async def _put(store: BlobStore, blob: bytes) -> None:
    await store.put(cid_of(blob), blob)


async def test_the_least_recently_used_goes_first(store: BlobStore) -> None:
    a, b, c = BLOBS
    await _put(store, a)
    await _put(store, b)
    assert await store.get(cid_of(a)) == a
    await _put(store, c)
    assert [await store.get(cid_of(blob)) for blob in BLOBS] == [a, None, c]


async def test_putting_again_counts_as_use_and_takes_no_room(store: BlobStore) -> None:
    a, b, c = BLOBS
    for blob in (a, b, a, a, c):
        await _put(store, blob)
    assert [await store.get(cid_of(blob)) for blob in BLOBS] == [a, None, c]


async def test_a_blob_larger_than_the_store_is_refused_and_costs_nothing(store: BlobStore) -> None:
    await _put(store, BLOBS[0])
    with pytest.raises(NetworkError, match="blob_quota"):
        await _put(store, bytes(QUOTA + 1))
    assert await store.get(cid_of(BLOBS[0])) == BLOBS[0]


async def test_the_disk_remembers(tmp_path: Path) -> None:
    await _put(DiskBlobs(tmp_path, QUOTA), BLOBS[0])
    assert await DiskBlobs(tmp_path, QUOTA).get(cid_of(BLOBS[0])) == BLOBS[0]


async def test_a_damaged_file_is_no_blob(tmp_path: Path) -> None:
    store = DiskBlobs(tmp_path, QUOTA)
    await _put(store, BLOBS[0])
    path = tmp_path / cid_of(BLOBS[0]).hex()
    path.write_bytes(b"x" * 40)
    assert await store.get(cid_of(BLOBS[0])) is None
    assert not path.exists()
    await _put(store, BLOBS[0])
    assert await store.get(cid_of(BLOBS[0])) == BLOBS[0]


def test_foreign_files_stay_and_what_is_too_large_goes(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "00ff.part").write_text("mine too")
    (tmp_path / cid_of(b"y").hex()).write_bytes(bytes(QUOTA + 1))
    (tmp_path / f"{cid_of(b'z').hex()}.part").write_bytes(bytes(QUOTA + 1))
    DiskBlobs(tmp_path, QUOTA)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00ff.part", "notes.txt"]


async def test_a_write_that_was_cut_short_is_no_blob_and_is_begun_anew(tmp_path: Path) -> None:
    cid, manifest = named(BLOBS[0])
    (tmp_path / f"{cid.hex()}.part").write_bytes(BLOBS[0][:20])
    store = DiskBlobs(tmp_path, QUOTA)
    assert await store.get(cid) is None
    assert await store.manifest(cid) is None
    assert await store.begin(cid, manifest) == set()
    await store.keep(cid, 0, [BLOBS[0][:7], BLOBS[0][7:]])
    assert await store.finish(cid) == BLOBS[0]
    assert await store.get(cid) == BLOBS[0]


async def test_a_smaller_quota_makes_room_at_the_start(tmp_path: Path) -> None:
    store = DiskBlobs(tmp_path, QUOTA)
    await _put(store, BLOBS[0])
    await _put(store, BLOBS[1])
    smaller = DiskBlobs(tmp_path, 50)
    found = [await smaller.get(cid_of(blob)) for blob in BLOBS[:2]]
    assert found.count(None) == 1


async def test_many_at_once(tmp_path: Path) -> None:
    store = DiskBlobs(tmp_path, 10_000)

    async def both(blob: bytes) -> None:
        await _put(store, blob)
        assert await store.get(cid_of(blob)) == blob

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(both, bytes([number // 2]) * 100)


def test_a_directory_that_cannot_be_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another directory"):
        open_store(NetworkSettings(blob_directory=str(tmp_path / "file")))


LARGE = b"".join(bytes([letter]) * PIECE for letter in b"abc") + b"the rest"


@pytest.fixture(params=["memory", "disk"])
def roomy(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    quota = len(LARGE) + 100
    return MemoryBlobs(quota) if request.param == "memory" else DiskBlobs(tmp_path / "blobs", quota)


async def _keep(store: BlobStore, *indices: int) -> None:
    for index in indices:
        piece = LARGE[index * PIECE : (index + 1) * PIECE]
        await store.keep(cid_of(LARGE), index, [piece[:100], piece[100:]])


async def test_a_blob_is_read_by_its_pieces(roomy: BlobStore) -> None:
    cid, manifest = named(LARGE)
    await roomy.put(cid, LARGE)
    assert await roomy.manifest(cid) == manifest
    pieces = [await roomy.piece(cid, index) for index in range(4)]
    assert b"".join(piece for piece in pieces if piece is not None) == LARGE
    assert not await roomy.piece(cid, 4), "beyond the end is nothing"


async def test_what_was_begun_goes_on_where_it_was(roomy: BlobStore) -> None:
    cid, manifest = named(LARGE)
    assert await roomy.begin(cid, manifest) == set()
    await _keep(roomy, 2, 0)
    assert await roomy.get(cid) is None
    assert await roomy.manifest(cid) is None, "half a blob is offered to nobody"
    assert await roomy.piece(cid, 0) is None
    await roomy.leave(cid)
    assert await roomy.begin(cid, manifest) == {0, 2}
    await _keep(roomy, 1, 3)
    assert await roomy.finish(cid) == LARGE
    assert await roomy.get(cid) == LARGE
    assert await roomy.piece(cid, 3) == b"the rest"


async def test_on_disk_it_goes_on_after_a_restart_and_damage_costs_one_piece(tmp_path: Path) -> None:
    cid, manifest = named(LARGE)
    store = DiskBlobs(tmp_path, 2 * len(LARGE))
    await store.begin(cid, manifest)
    await _keep(store, 0, 1, 3)
    with (tmp_path / f"{cid.hex()}.part").open("r+b") as file:
        file.seek(PIECE + 5)
        file.write(b"x")
    again = DiskBlobs(tmp_path, 2 * len(LARGE))
    assert await again.begin(cid, manifest) == {0, 3}


async def test_what_is_being_fetched_is_not_pushed_out_and_what_was_left_is(roomy: BlobStore) -> None:
    cid, manifest = named(LARGE)
    await roomy.begin(cid, manifest)
    await _keep(roomy, 0)
    with pytest.raises(NetworkError, match="no room"):
        await _put(roomy, bytes(1000))
    await roomy.leave(cid)
    await _put(roomy, bytes(1000))
    assert await roomy.get(cid_of(bytes(1000))) == bytes(1000)
    assert await roomy.begin(cid, manifest) == set()
    assert await roomy.get(cid_of(bytes(1000))) is None


async def test_a_blob_that_was_begun_can_come_by_itself(roomy: BlobStore) -> None:
    cid, manifest = named(LARGE)
    await roomy.begin(cid, manifest)
    await roomy.leave(cid)
    await roomy.put(cid, LARGE)
    assert await roomy.get(cid) == LARGE
