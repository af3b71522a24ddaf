"""Blob stores: bounded, least recently used first out; on disk they survive restarts and distrust files."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from p2pfd.errors import NetworkError, StorageError
from p2pfd.network.blobs import BlobStore, DiskBlobs, MemoryBlobs, cid_of, open_store
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


def test_foreign_files_stay_and_cut_short_writes_go(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / f"{cid_of(b'x').hex()}.part").write_bytes(b"half")
    (tmp_path / cid_of(b"y").hex()).write_bytes(bytes(QUOTA + 1))
    DiskBlobs(tmp_path, QUOTA)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


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
