"""How a process that holds nodes comes to be: its words, its surroundings, its pipes. Importing this takes no time.

What takes most of a mesh's start are the imports of its zygote. So a command that surely needs one starts it before it
imports anything large itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from p2pfd_localnet.zygote import ISOLATE

ZYGOTE = "p2pfd_localnet.zygote"
# One thread for each node: the nodes share the cores among themselves, and a pool of threads would not survive a fork.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def words_of(entry: str, warm: tuple[str, ...], *, isolate: bool) -> tuple[str, ...]:
    """What a zygote is told: the function that a node runs, and the task's file, if it is to import what that takes."""
    return (ISOLATE, entry) if isolate else (entry, *warm)


def hatch(
    log: Path, words: tuple[str, ...], keep: tuple[int, ...] = (), program: tuple[str, ...] = (ZYGOTE,)
) -> subprocess.Popen[bytes]:
    """Start the process. Its errors go to the log, beside which it keeps its files; ``keep`` are open files it shares.

    ``program`` is a module, with its first words, that takes orders and ends as a zygote does: when its stdin ends.
    """
    with log.open("ab") as errors:
        return subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", *program, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # a terminal's Ctrl-C reaches the supervisor only, and killpg reaches all nodes
            pass_fds=keep,
            env={**os.environ, **ONE_THREAD, "TORCHINDUCTOR_CACHE_DIR": str(log.parent / "torch")},
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    """End it and its nodes at once, without asking."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def hatching(process: subprocess.Popen[bytes] | None) -> Iterator[None]:
    """What was started early is gone when the block ends, if nobody has ended it by then."""
    try:
        yield
    finally:
        if process is not None:
            if process.poll() is None:
                kill(process)
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
