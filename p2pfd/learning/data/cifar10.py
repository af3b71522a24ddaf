"""CIFAR-10: 50,000 colour photographs to train on and 10,000 to test on, 32 × 32, from the official binary archive."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path

import numpy as np

from p2pfd.errors import StorageError
from p2pfd.learning.data.fetch import Archive, files_hash, obtain
from p2pfd.learning.data.source import Bytes, Samples, Source

_HOME = "https://www.cs.toronto.edu/~kriz"
ARCHIVE = Archive(
    "cifar10/cifar-10-binary.tar.gz",
    170052171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    (f"{_HOME}/cifar-10-binary.tar.gz",),
)
_PARTS = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
_FOLDER = "cifar-10-batches-bin/"
_FIX = "delete it and fetch it again"
_SAMPLE = 1 + 3 * 32 * 32
_PART_BYTES = 10_000 * _SAMPLE


def unpack(path: Path) -> tuple[Bytes, Bytes]:
    """Pixels and labels of the six parts in the archive; nothing is written to the disk."""
    parts: dict[str, Bytes] = {}
    try:
        with tarfile.open(path, "r|gz") as archive:  # once through: going back would unpack all of it again
            for member in archive:
                name = member.name.removeprefix(_FOLDER)
                if name not in _PARTS:
                    continue
                file = archive.extractfile(member)
                raw = file.read(_PART_BYTES + 1) if file is not None else b""
                if not raw or len(raw) % _SAMPLE or len(raw) > _PART_BYTES:
                    raise StorageError(f"{path}: {name} has another size than it should", _FIX)
                parts[name] = np.frombuffer(raw, dtype=np.uint8).reshape(-1, _SAMPLE)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise StorageError(f"{path} is not the archive of CIFAR-10: {error}", _FIX) from error
    for name in _PARTS:
        if name not in parts:
            raise StorageError(f"{path} is not the archive of CIFAR-10: it has no {name}", _FIX)
    table = np.concatenate([parts[name] for name in _PARTS])
    return np.ascontiguousarray(table[:, 1:]).reshape(-1, 3, 32, 32), np.ascontiguousarray(table[:, 0])


def _read(given: Path | None) -> tuple[Samples, Bytes]:
    return unpack(obtain(ARCHIVE, given))


SOURCE = Source(
    name="cifar10",
    sha256=files_hash([ARCHIVE]),
    classes=10,
    brightest=255,
    read=_read,
    samples=60_000,
    shape=(3, 32, 32),
    about="CIFAR-10: colour photographs, the official files",
    licence="no licence stated; cite Krizhevsky 2009",
    home=f"{_HOME}/cifar.html",
    places=((ARCHIVE.path,),),
    test=10_000,
    files=True,
)
