"""`up --detach` and `start --detach`: once the mesh is ready, the supervisor goes on in the background."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from p2pfd.cli import exits
from p2pfd.cli.screen import Screen
from p2pfd_localnet.state import State

_READY = b"+"
Work = Callable[[Callable[[], None]], int]
"""What there is to do, the exit code; it calls what it is given once the mesh is ready."""


def aside(home: State, screen: Screen, work: Work, *, detached: bool) -> int:
    """Do it here; or, if that is wanted, in a process of its own, for which this one waits until the mesh is ready."""
    if not detached:
        return work(_in_front)
    side = fork(home.log)
    if isinstance(side, Waiting):
        return _left_running(home, side, screen)

    def behind() -> None:
        side()
        screen.fancy = False  # from here on words go to a file

    return work(behind)


def _in_front() -> None:
    """Nothing changes when the mesh is ready."""


def _left_running(home: State, side: Waiting, screen: Screen) -> int:
    if side.code is not None:
        return side.code  # it said why
    told = home.read(home.supervisor)
    pid, watch = told.get("pid"), told.get("watch")
    screen.say(f"left    running in the background ({pid}), its words are in {home.log}")
    screen.result({"detached": True, "pid": pid, "watch": watch, "state": str(home.home), "log": str(home.log)})
    return exits.OK.code


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
