"""Data sets of real images, in the formats they are published in: read, checked and dealt."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from p2pfd.core.rng import Rng
from p2pfd.core.spec import DataSpec
from p2pfd.errors import EnvironmentProblem, PlanError, StorageError
from p2pfd.learning.data import SETS, cifar10, cifar10_jpeg, deal, digest_of_set, fashion
from p2pfd.learning.data.idx import read_idx
from p2pfd.learning.data.sets import read_set, source_of
from p2pfd.learning.data.source import Source, content_hash
from p2pfd.learning.model import Fit
from p2pfd.learning.models import model_of


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    return gzip.compress(head + array.tobytes(), mtime=0)


def images(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, *shape), dtype=np.uint8)


def with_test_part(monkeypatch: pytest.MonkeyPatch) -> DataSpec:
    """The digits as if their last 300 were an official test part."""
    source = replace(source_of("digits"), test=300)
    monkeypatch.setattr("p2pfd.learning.data.digits.SOURCE", source)
    return DataSpec("digits", source.sha256, 10, "iid", 1, public=200, validation=100, test=300)


def rows(x: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in x}


@pytest.mark.parametrize("name", sorted(SETS))
def test_each_set_says_what_it_is(name: str) -> None:
    source = source_of(name)
    assert source.name == name
    assert len(source.sha256) == 32
    assert source.about
    assert source.licence
    assert source.samples > source.test


def test_an_idx_file_is_read(tmp_path: Path) -> None:
    array = images(5, 4, 3)
    (tmp_path / "a.gz").write_bytes(idx(array))
    assert np.array_equal(read_idx(tmp_path / "a.gz"), array)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"", "not an IDX file"),
        (b"plain", "not a gzipped file"),
        (gzip.compress(b"\0\0\x08", mtime=0), "not an IDX file"),
        (gzip.compress(b"\0\0\x0d\1" + b"\0\0\0\1" + b"1234", mtime=0), "not an IDX file"),
        (idx(images(3, 2))[:-9], "not a gzipped file"),
        (gzip.compress(b"\0\0\x08\2" + b"\0\0\0\2\0\0\0\3" + b"12345", mtime=0), "holds 5 bytes, its head says 6"),
        (gzip.compress(b"\0\0\x08\2" + b"\xff" * 8 + b"12345", mtime=0), "its head says 18446744065119617025"),
    ],
)
def test_a_damaged_idx_file_is_a_sentence(tmp_path: Path, raw: bytes, complaint: str) -> None:
    (tmp_path / "a.gz").write_bytes(raw)
    with pytest.raises(StorageError, match=complaint) as caught:
        read_idx(tmp_path / "a.gz")
    assert str(tmp_path / "a.gz") in caught.value.what


def test_fashion_is_read_from_an_archive_of_numpy(tmp_path: Path) -> None:
    train, test = images(6, 28, 28), images(2, 28, 28)
    y, test_y = np.arange(6, dtype=np.uint8), np.arange(2, dtype=np.uint8)
    np.savez(tmp_path / "fashion_mnist.npz", x_train=train, y_train=y, x_test=test, y_test=test_y)
    pixels, labels = fashion.SOURCE.read(tmp_path)
    assert np.array_equal(pixels, np.concatenate([train, test])[:, None])
    assert labels.tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
    with pytest.raises(PlanError, match="copy of fashion has the hash"):
        read_set(fashion.SOURCE, tmp_path)


def test_a_damaged_archive_of_numpy_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "fashion_mnist.npz"
    for raw in (b"", b"PK\3\4 no archive", b"\x93NUMPY\1\0v\0{}", b"\x80\4K\1."):
        path.write_bytes(raw)
        with pytest.raises(StorageError, match="not a NumPy archive"):
            fashion.SOURCE.read(tmp_path)
    np.savez(path, x_train=images(1, 28, 28))
    with pytest.raises(StorageError, match="no array"):
        fashion.SOURCE.read(tmp_path)
    np.savez(path, x_train=np.array([object()], dtype=object), y_train=1, x_test=1, y_test=1)
    with pytest.raises(StorageError, match="not a NumPy archive"):
        fashion.SOURCE.read(tmp_path)


def cifar_archive(path: Path, sizes: int = 2, name: str = "data_batch_3.bin", spoil: bytes | None = None) -> np.ndarray:
    table = images(6 * sizes, 3073)
    with tarfile.open(path, "w:gz") as archive:
        names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
        for place, part in reversed(list(enumerate(names))):  # the order in the archive does not matter
            raw = table[place * sizes : (place + 1) * sizes].tobytes()
            raw = spoil if spoil is not None and part == name else raw
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{part}")
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return table


def test_cifars_archive_is_read_in_the_order_of_its_parts(tmp_path: Path) -> None:
    table = cifar_archive(tmp_path / "c.tar.gz")
    pixels, labels = cifar10.unpack(tmp_path / "c.tar.gz")
    assert np.array_equal(pixels.reshape(12, -1), table[:, 1:])
    assert np.array_equal(labels, table[:, 0])
    assert pixels.shape == (12, 3, 32, 32)


@pytest.mark.parametrize("spoil", [b"", b"x", bytes(3073 * 10_000 + 1)])
def test_a_damaged_archive_of_cifar_is_a_sentence(tmp_path: Path, spoil: bytes) -> None:
    cifar_archive(tmp_path / "c.tar.gz", spoil=spoil)
    with pytest.raises(StorageError, match=r"data_batch_3\.bin has another size"):
        cifar10.unpack(tmp_path / "c.tar.gz")
    for raw in (b"", b"x" * 5000, gzip.compress(b"x" * 5000, mtime=0), (tmp_path / "c.tar.gz").read_bytes()[:40]):
        (tmp_path / "d.tar.gz").write_bytes(raw)
        with pytest.raises(StorageError, match="not the archive of CIFAR-10"):
            cifar10.unpack(tmp_path / "d.tar.gz")


def test_the_lossy_copy_is_read_picture_by_picture(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    colours = [(200, 10, 10), (10, 200, 10), (10, 10, 200)]
    raws = []
    for colour in colours:
        buffer = io.BytesIO()
        image.new("RGB", (32, 32), colour).save(buffer, "JPEG", quality=95)
        raws.append(buffer.getvalue())
    stream = np.frombuffer(b"".join(raws), dtype=np.uint8)
    offsets = np.cumsum([0, *map(len, raws)]).astype(np.uint32)
    y = np.arange(3, dtype=np.uint8)
    arrays = {
        f"{key}_{part}": value
        for part in ("train", "test")
        for key, value in {"j": stream, "off": offsets, "y": y}.items()
    }
    path = tmp_path / "cifar10_jpeg.npz"
    np.savez(path, **arrays)
    pixels, labels = cifar10_jpeg.unpack(path)
    assert pixels.shape == (6, 3, 32, 32)
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    for place, colour in enumerate(colours):
        assert np.abs(pixels[place].astype(int) - np.array(colour)[:, None, None]).max() < 6
    np.savez(path, **{**arrays, "j_test": np.zeros_like(stream)})
    with pytest.raises(PlanError, match="picture 0 of test is not a picture"):
        cifar10_jpeg.unpack(path)
    np.savez(path, **{**arrays, "y_train": y[:2]})
    with pytest.raises(StorageError, match="2 labels and 4 bounds"):
        cifar10_jpeg.unpack(path)


def test_where_the_lossy_copy_goes_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(EnvironmentProblem, match="lossy copy has no home") as caught:
        cifar10_jpeg.SOURCE.read(tmp_path / "mine")
    assert str(tmp_path / "mine") in caught.value.what


def test_a_set_of_another_package_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = tmp_path / "strangers-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[p2pfd.data]\nstripes = stranger_data:STRIPES\nodd = stranger_data:odd\n")
    (tmp_path / "stranger_data.py").write_text(
        "import numpy as np\n"
        "from p2pfd.learning.data import Source\n"
        "from p2pfd.learning.data.source import content_hash\n"
        "def read(folder):\n"
        "    y = (np.arange(60) % 3).astype(np.uint8)\n"
        "    return np.repeat(y * 4, 16).reshape(60, 1, 4, 4), y\n"
        "STRIPES = Source('stripes', content_hash(*read(None)), 3, 8, read, 60, (1, 4, 4), 'stripes', 'CC0', '')\n"
        "odd = 5\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    dealt = deal(DataSpec("stripes", digest_of_set("stripes"), 3, "iid", 1, 10, 5, 5), 4)
    assert dealt.shards[0].x.shape == (10, 1, 4, 4)
    assert dealt.test.x.mean(axis=(1, 2, 3)).tolist() == [y - 1 for y in dealt.test.y]
    with pytest.raises(PlanError, match="the plug-in 'odd' is a int"):
        digest_of_set("odd")
    with pytest.raises(PlanError, match="mnist, odd, stripes"):
        digest_of_set("none")
    sys.modules.pop("stranger_data")


def test_nobody_trains_on_the_official_test_part(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = with_test_part(monkeypatch)
    pixels, _ = read_set(source_of("digits"))
    official = rows(pixels[-300:].astype(np.float32) / 8 - 1)
    dealt = deal(spec, 4)
    assert rows(dealt.test.x) == official
    for part in (dealt.public, dealt.validation.x, *(shard.x for shard in dealt.shards)):
        assert not rows(part) & official
    assert sum(map(len, dealt.shards)) == 1797 - 300 - 200 - 100
    some = deal(replace(spec, test=40), 4)
    assert len(some.test) == 40
    assert rows(some.test.x) < official
    assert np.array_equal(some.public, dealt.public)
    with pytest.raises(PlanError, match="the test part of digits has 300"):
        deal(replace(spec, test=301), 4)


def test_private_says_how_many_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = with_test_part(monkeypatch)
    everything, some = deal(spec, 4), deal(replace(spec, private=500), 4)
    assert sum(map(len, some.shards)) == 500
    assert np.array_equal(some.public, everything.public)
    assert np.array_equal(some.validation.x, everything.validation.x)
    assert set().union(*(rows(s.x) for s in some.shards)) < set().union(*(rows(s.x) for s in everything.shards))
    assert sum(map(len, deal(replace(spec, private=1197), 4).shards)) == 1197
    with pytest.raises(PlanError, match="digits has 1197 samples left for that"):
        deal(replace(spec, private=1198), 4)


def test_shards_are_made_when_asked_for_and_kept() -> None:
    dealt = deal(DataSpec("digits", digest_of_set("digits"), 10, "iid", 1, 320, 177, 300), 5)
    assert len(dealt.shards) == 5
    assert dealt.shards[3] is dealt.shards[3]
    assert dealt.shards[-1] is dealt.shards[4]
    assert dealt.shards[1:3] == [dealt.shards[1], dealt.shards[2]]
    with pytest.raises(IndexError):
        dealt.shards[5]


def test_what_was_read_cannot_be_written_to() -> None:
    pixels, _ = read_set(source_of("digits"))
    with pytest.raises(ValueError, match="read-only"):
        pixels[0] = 1


real = pytest.mark.skipif(not os.environ.get("P2PFD_DATA"), reason="P2PFD_DATA names no folder with real data")


@real
@pytest.mark.long
@pytest.mark.parametrize("name", ["fashion", "cifar10-jpeg"])
def test_the_real_sets_have_their_known_content(name: str) -> None:
    source: Source = source_of(name)
    pixels, labels = read_set(source)
    assert content_hash(pixels, labels) == source.sha256
    assert pixels.shape == (source.samples, *source.shape)
    assert np.bincount(labels[-source.test :]).tolist() == [1000] * 10
    dealt = deal(DataSpec(name, source.sha256, 10, "dirichlet:0.1", 1, 5000, 1000, 10_000, 20_000), 10)
    assert sum(map(len, dealt.shards)) == 20_000
    assert len(dealt.public) == 5000


@real
@pytest.mark.long
def test_the_fast_net_learns_fashion() -> None:
    dealt = deal(DataSpec("fashion", digest_of_set("fashion"), 10, "iid", 1, 1, 1000, 10_000, 10_000), 1)
    model, shard = model_of("fast28", 10), dealt.shards[0]
    weights = model.fit(model.init(Rng(1)), shard.x, shard.y, Fit(epochs=3, batch=64, rate=0.05), Rng(2))
    assert model.accuracy(weights, dealt.test.x, dealt.test.y) > 0.82
