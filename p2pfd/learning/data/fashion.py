"""Fashion-MNIST: 60,000 pictures of clothes to train on and 10,000 to test on, 28 × 28 in grey."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from p2pfd.learning.data.fetch import Archive
from p2pfd.learning.data.idx import read_four
from p2pfd.learning.data.npz import read_arrays
from p2pfd.learning.data.places import folders
from p2pfd.learning.data.source import Bytes, Samples, Source

NPZ = "fashion_mnist.npz"
_HOME = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
ARCHIVES = tuple(
    Archive(f"fashion/{name}", size, sha256, (f"{_HOME}/{name}",))
    for name, size, sha256 in (
        ("train-images-idx3-ubyte.gz", 26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        ("train-labels-idx1-ubyte.gz", 29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        ("t10k-images-idx3-ubyte.gz", 4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        ("t10k-labels-idx1-ubyte.gz", 5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    )
)


def _read(given: Path | None) -> tuple[Samples, Bytes]:
    for folder in folders(given):
        if (folder / NPZ).is_file():
            train, train_y, test, test_y = read_arrays(folder / NPZ, "x_train", "y_train", "x_test", "y_test")
            pixels = np.concatenate([train, test])[:, None]
            return pixels.astype(np.uint8), np.concatenate([train_y, test_y]).astype(np.uint8)
    first, second, third, fourth = ARCHIVES
    return read_four((first, second, third, fourth), given)


SOURCE = Source(
    name="fashion",
    sha256=bytes.fromhex("fcdc811e431566a48e7a42246c69af9f3bac1689215f0922e79f4ddf82c672ed"),
    classes=10,
    brightest=255,
    read=_read,
    samples=70_000,
    shape=(1, 28, 28),
    about="Fashion-MNIST: clothes in grey",
    licence="MIT",
    home=_HOME,
    places=((NPZ,), tuple(archive.path for archive in ARCHIVES)),
    test=10_000,
)
