"""MNIST: 60,000 handwritten digits to train on and 10,000 to test on, 28 × 28 in grey."""

from __future__ import annotations

from pathlib import Path

from p2pfd.learning.data.fetch import Archive, files_hash
from p2pfd.learning.data.idx import read_four
from p2pfd.learning.data.source import Bytes, Samples, Source

_HOMES = ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist")
ARCHIVES = tuple(
    Archive(f"mnist/{name}", size, sha256, tuple(f"{home}/{name}" for home in _HOMES))
    for name, size, sha256 in (
        ("train-images-idx3-ubyte.gz", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        ("train-labels-idx1-ubyte.gz", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        ("t10k-images-idx3-ubyte.gz", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        ("t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    )
)


def _read(given: Path | None) -> tuple[Samples, Bytes]:
    first, second, third, fourth = ARCHIVES
    return read_four((first, second, third, fourth), given)


SOURCE = Source(
    name="mnist",
    sha256=files_hash(ARCHIVES),
    classes=10,
    brightest=255,
    read=_read,
    samples=70_000,
    shape=(1, 28, 28),
    about="MNIST: handwritten digits in grey",
    licence="CC BY-SA 3.0",
    home=_HOMES[0],
    places=(tuple(archive.path for archive in ARCHIVES),),
    test=10_000,
    files=True,
)
