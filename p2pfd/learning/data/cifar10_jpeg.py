"""A lossy copy of CIFAR-10, each photograph a JPEG: figures on it are not figures on CIFAR-10."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from p2pfd.errors import EnvironmentProblem, StorageError
from p2pfd.learning.data.npz import read_arrays
from p2pfd.learning.data.pictures import open_picture
from p2pfd.learning.data.places import VARIABLE, folders
from p2pfd.learning.data.source import Bytes, Samples, Source

NPZ = "cifar10_jpeg.npz"
SIDE = 32


def unpack(path: Path) -> tuple[Bytes, Bytes]:
    """Pixels and labels: picture i of a part is the JPEG in its bytes off[i] to off[i + 1]."""
    pixels, labels = [], []
    for part in ("train", "test"):
        stream, offsets, y = read_arrays(path, f"j_{part}", f"off_{part}", f"y_{part}")
        raw, bounds = stream.astype(np.uint8).tobytes(), [int(bound) for bound in offsets.astype(np.int64)]
        if len(bounds) != len(y) + 1:
            raise StorageError(f"{path} has {len(y)} labels and {len(bounds)} bounds", "fetch it again")
        out = np.empty((len(y), 3, SIDE, SIDE), dtype=np.uint8)
        for place in range(len(y)):
            data = io.BytesIO(raw[bounds[place] : bounds[place + 1]])
            picture = open_picture(data, f"{path}: picture {place} of {part}", grey=False)
            if picture.shape != out.shape[1:]:
                raise StorageError(f"{path}: picture {place} of {part} is not {SIDE} × {SIDE}", "fetch it again")
            out[place] = picture
        pixels.append(out)
        labels.append(y.astype(np.uint8))
    return np.concatenate(pixels), np.concatenate(labels)


def _read(given: Path | None) -> tuple[Samples, Bytes]:
    for folder in folders(given):
        if (folder / NPZ).is_file():
            return unpack(folder / NPZ)
    raise EnvironmentProblem(
        f"{NPZ} is in none of {', '.join(str(folder) for folder in folders(given))}",
        f"this lossy copy has no home to download from: set {VARIABLE} to a folder that has it, or use cifar10",
    )


SOURCE = Source(
    name="cifar10-jpeg",
    sha256=bytes.fromhex("21c21e5b8ef016cb7babb952e474c7ab8436dbfdc50d779b68f2798ec2b8753f"),
    classes=10,
    brightest=255,
    read=_read,
    samples=60_000,
    shape=(3, 32, 32),
    about="CIFAR-10, a lossy copy in JPEG: not comparable with cifar10",
    licence="no licence stated; cite Krizhevsky 2009",
    home="",
    places=((NPZ,),),
    test=10_000,
)
