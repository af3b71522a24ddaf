"""`up --detach`: once the mesh is ready, the supervisor goes on in the background."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_READY = b"+"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the process that was started in the foreground learns: None once the mesh is ready, else an exit code."""

    code: int | None


def fork(log: Path) -> Waiting | Callable[[], None]:
    """Become two. The one in front waits; the other gets the function to call when the mesh is ready.

    Until it calls that, both write to the same terminal: whoever waits sees the start, or why it failed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    hear, tell = os.pipe()
    pid = os.fork()
    if pid:
        os.close(tell)
        return Waiting(_wait(pid, hear))
    os.close(hear)
    os.setsid()

    def ready() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        void = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, void), (1, out), (2, out)):
            os.dup2(source, target)
        os.write(tell, _READY)
        os.close(tell)

    return ready


def _wait(pid: int, hear: int) -> int | None:
    while True:
        try:
            told = os.read(hear, 1)
            break
        except KeyboardInterrupt:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)  # it has a session of its own: the terminal's Ctrl-C did not reach it
    os.close(hear)
    return None if told == _READY else os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
