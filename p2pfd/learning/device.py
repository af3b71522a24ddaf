"""On what a node trains on its own samples: the processor, or a GPU that torch can use.

Only that, and never what all nodes must come to alike: a GPU rounds in other ways than a processor, so that two nodes
would learn two students from the same labels.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from p2pfd.errors import EnvironmentProblem, PlanError

CPU = "cpu"
VARIABLE = "P2PFD_DEVICE"
"""The environment variable that names the device where nothing else does."""
_NAME = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")
_HOW = "docs/howto/gpu.md says how torch comes to use one; or leave it to the processor: --device cpu"
_APART = """
import sys
from p2pfd.errors import P2pfdError
from p2pfd.learning.device import choose
try:
    print(choose(sys.argv[1]))
except P2pfdError as error:
    sys.exit(print(error.what) or 9)
"""
_AT_WORK: ContextVar[str] = ContextVar("device", default=CPU)


@dataclass(frozen=True, slots=True)
class Seen:
    """What torch can use."""

    version: str
    cuda: tuple[str, ...] = ()
    """The names of the GPUs, by their numbers."""
    mps: bool = False

    def name_of(self, device: str) -> str:
        """A device as people know it."""
        return f"{device} ({self.cuda[int(device[5:])]})" if device.startswith("cuda:") else device


def seen() -> Seen:
    """Ask torch."""
    from p2pfd.learning._torch import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = tuple(torch.cuda.get_device_name(number) for number in range(count))
    return Seen(torch.__version__, names, torch.backends.mps.is_available())


def check(asked: str) -> str:
    """The name of a device; PlanError for what is none."""
    if not _NAME.fullmatch(asked):
        raise PlanError(f"{asked[:40]!r} is no device", "write auto, cpu, cuda, cuda:1 or mps")
    return asked


def choose(asked: str, look: Callable[[], Seen] = seen) -> str:
    """The device that a word means here; EnvironmentProblem where there is none such. Torch is asked if need be."""
    if check(asked) == CPU:
        return CPU
    there = look()
    if asked == "auto":
        asked = "cuda" if there.cuda else "mps" if there.mps else CPU
    if asked == CPU:
        return CPU
    if asked == "mps":
        if not there.mps:
            raise EnvironmentProblem(f"torch {there.version} sees no GPU of Apple's here", _HOW)
        return asked
    number = int(asked.partition(":")[2] or 0)
    if number >= len(there.cuda):
        found = f"it sees {len(there.cuda)}" if there.cuda else "it sees none"
        raise EnvironmentProblem(f"torch {there.version} has no GPU number {number} here: {found}", _HOW)
    # Without it cuBLAS adds up in an order of its own, and torch refuses. It counts from the first use of the GPU on.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return f"cuda:{number}"


def chosen_apart(asked: str) -> str:
    """As `choose`, in a process of its own: one that has looked for GPUs must not be forked any more."""
    if check(asked) == CPU:
        return CPU
    command = [sys.executable, "-c", _APART, asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    said = done.stdout.strip()
    if done.returncode:
        raise EnvironmentProblem(said or "torch cannot be asked for its devices", _HOW)
    return said


def current() -> str:
    """On what is trained here and now."""
    return _AT_WORK.get()


@contextmanager
def training_on(device: str) -> Iterator[None]:
    """Train on this device while the block lasts, in this thread."""
    before = _AT_WORK.set(device)
    try:
        yield
    finally:
        _AT_WORK.reset(before)
