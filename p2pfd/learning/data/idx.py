"""Images and labels in the IDX format, gzipped: four files, as MNIST and sets in its shape are published."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from p2pfd.errors import StorageError
from p2pfd.learning.data.fetch import Archive, obtain
from p2pfd.learning.data.source import Bytes

_UNSIGNED_BYTES = 8
_MOST = 2**30


def read_idx(path: Path) -> Bytes:
    """The array of bytes in a gzipped IDX file; StorageError names what is wrong with it."""
    try:
        with gzip.open(path) as file:
            raw = file.read(_MOST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise StorageError(
            f"{path} is not a gzipped file that can be read: {error}", "delete it and fetch it again"
        ) from error
    if len(raw) > _MOST:
        raise StorageError(f"{path} unpacks to more than {_MOST >> 20} MiB", "that is no set of images")
    dimensions = raw[3] if len(raw) > 3 else 0
    if raw[:2] != b"\0\0" or len(raw) < 4 + 4 * dimensions or raw[2] != _UNSIGNED_BYTES or not 1 <= dimensions <= 4:
        raise StorageError(f"{path} is not an IDX file of bytes", "delete it and fetch it again")
    shape = [int(side) for side in np.frombuffer(raw, dtype=">u4", count=dimensions, offset=4)]
    start = 4 + 4 * dimensions
    count = 1
    for side in shape:
        count *= side
    if len(raw) - start != count:
        raise StorageError(
            f"{path} holds {len(raw) - start} bytes, its head says {count}", "delete it and fetch it again"
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


def read_four(archives: tuple[Archive, Archive, Archive, Archive], given: Path | None) -> tuple[Bytes, Bytes]:
    """Training images and labels, then test images and labels: the pixels with one channel, and the labels."""
    parts = [read_idx(obtain(archive, given)) for archive in archives]
    x = np.concatenate([parts[0], parts[2]])[:, None]
    return x, np.concatenate([parts[1], parts[3]])
