"""One process that imports everything once and then forks a child per node: ``python -m p2pfd_localnet.zygote``.

A node forked from here shares the interpreter, the libraries and their tables with all others, and starts in
milliseconds. The zygote reads orders as JSON lines on stdin and its children write theirs on the common stdout, each
line at most `LINE` bytes, which a pipe takes in one piece.

    in   {"spawn": name, "config": path} · {"to": name, "line": {…}} · {"kill": name} · {"signal": name, "number": …}
         · {"hold": pid, "down": true}: a process that is no child, such as the chain, stands still, or goes on
    out  {"event": "zygote.ready", "pid": …} · {"node": name, "event": "exited", "code": …, "signal": …}
         · what the nodes say

When stdin ends, for whatever reason, the children are told so by the end of their control pipes, and are killed when
they are still there after `GRACE` seconds: a supervisor that is gone leaves nobody behind.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from p2pfd.errors import EnvironmentProblem, P2pfdError

LINE = 4096
GRACE = 3.0
ENTRY = "p2pfd.node.process:run"
ISOLATE, SOLO = "--isolate", "--solo"

Entry = Callable[[Path, int, int], int]


@dataclass
class Child:
    """A node's process and the pipe on which it hears us."""

    name: str
    pid: int
    control: int


class Zygote:
    """Holds the children. Single-threaded on purpose: a fork copies one thread only."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.children: dict[str, Child] = {}
        self._rest = b""
        self._held: set[int] = set()
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waker, False)

    def serve(self) -> None:
        """Carry out orders until stdin ends, then end the children."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the supervisor's business
        stopping = False

        def stop(_number: int, _frame: object) -> None:
            nonlocal stopping
            stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._waker)
        say({"event": "zygote.ready", "pid": os.getpid()})
        while not stopping:
            ready, _, _ = select.select([0, self._wake], [], [])
            if self._wake in ready:
                self._drain()
                self._reap()
            if 0 in ready and not self._orders():
                break
        self._end()

    def _orders(self) -> bool:
        raw = os.read(0, 65536)
        *lines, self._rest = (self._rest + raw).split(b"\n")
        for line in lines:
            self._carry_out(json.loads(line))
        return bool(raw)

    def _carry_out(self, order: dict[str, object]) -> None:
        match order:
            case {"spawn": str(name), "config": str(config)}:
                self._spawn(name, Path(config))
            case {"to": str(name), "line": dict(line)}:
                child = self.children.get(name)
                raw = json.dumps(line).encode() + b"\n"
                if child is not None and len(raw) <= LINE:
                    with contextlib.suppress(BrokenPipeError, BlockingIOError):  # dying or deaf: it will show
                        os.write(child.control, raw)
            case {"kill": str(name)}:
                if name in self.children:
                    os.kill(self.children[name].pid, signal.SIGKILL)
            case {"signal": str(name), "number": int(number)}:
                if name in self.children:
                    os.kill(self.children[name].pid, number)
            case {"hold": int(pid), "down": bool(down)}:
                self._hold(pid, down=down)
            case _:
                raise ValueError(f"not an order: {order}")

    def _spawn(self, name: str, config: Path) -> None:
        hear, control = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(hear)
            os.close(control)
            what = f"cannot start a process: {error.strerror}"
            problem = EnvironmentProblem(what, "end other programs, or raise the limit (ulimit -u)")
            say({"node": name, "event": "failed", **problem.to_plain()})
            say({"node": name, "event": "exited", "code": 1, "signal": 0})
            return
        if pid == 0:
            self._become(config, hear)
        os.close(hear)
        os.set_blocking(control, False)
        self.children[name] = Child(name, pid, control)

    def _become(self, config: Path, hear: int) -> NoReturn:
        """The child's life: never returns to the loop above."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            log = os.open(config.parent / "output.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            void = os.open(os.devnull, os.O_RDONLY)
            status, control = os.dup(1), os.dup(hear)
            for target, source in ((0, void), (1, log), (2, log)):
                os.dup2(source, target)
            # Nothing else is inherited. An open end of another node's control pipe would keep that node from noticing
            # that the zygote is gone.
            close_all_but(0, 1, 2, status, control)
            code = self.entry(config, control, status)
        except BaseException:  # noqa: BLE001 - a child must not fall back into its parent's loop, whatever happens
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 4096):
                pass

    def _reap(self) -> None:
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            child = next(child for child in self.children.values() if child.pid == pid)
            del self.children[child.name]
            os.close(child.control)
            code = os.waitstatus_to_exitcode(status)
            say({"node": child.name, "event": "exited", "code": max(code, 0), "signal": max(-code, 0)})

    def _hold(self, pid: int, *, down: bool) -> None:
        (self._held.add if down else self._held.discard)(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP if down else signal.SIGCONT)

    def _end(self) -> None:
        for pid in tuple(self._held):
            self._hold(pid, down=False)
        for child in self.children.values():
            os.kill(child.pid, signal.SIGCONT)  # who stands still does not hear that it is to end
            os.close(child.control)
            child.control = os.open(os.devnull, os.O_WRONLY)
        deadline = time.monotonic() + GRACE
        while self.children and (left := deadline - time.monotonic()) > 0:
            select.select([self._wake], [], [], left)
            self._drain()
            self._reap()
        for child in self.children.values():
            os.kill(child.pid, signal.SIGKILL)
        while self.children:
            select.select([self._wake], [], [], GRACE)
            self._drain()
            self._reap()


def close_all_but(*keep: int) -> None:
    """Close every file descriptor but these."""
    low = 0
    for fd in sorted(keep):
        if low < fd:  # an empty range is taken by some versions of Python for all there are
            os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def say(value: dict[str, object]) -> None:
    """A line to the supervisor; when it is gone, stdin says so too."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(value).encode()[: LINE - 1] + b"\n")


def load(entry: str) -> Entry:
    """The function that a child runs, and with it all that it imports."""
    module, _, name = entry.partition(":")
    found: Entry = getattr(importlib.import_module(module), name)
    return found


def warm_up(task: Path) -> None:
    """Do once what every node does first: the children share whatever is imported before they exist."""
    from p2pfd import plugins
    from p2pfd.core.rng import Rng
    from p2pfd.learning.adapter import Task
    from p2pfd.learning.data import deal
    from p2pfd.node import config
    from p2pfd.node.workbench import ADAPTERS

    spec = config.load_task(task)
    adapter: Any = plugins.load(ADAPTERS, spec.adapter)
    adapter().init(Task(spec, deal(spec.data, spec.seats).public), Rng(0))


def alone(entry: str) -> Entry:
    """The child becomes a process with an interpreter of its own, which imports everything anew."""

    def become(config: Path, control: int, status: int) -> int:
        for fd in (control, status):
            os.set_inheritable(fd, True)
        words = [sys.executable, "-m", __spec__.name, SOLO, entry, str(config), str(control), str(status)]
        os.execv(words[0], words)  # noqa: S606 - this very program

    return become


def main() -> int:
    """Import, report, serve: ``zygote ENTRY [TASK]``, or with ``--isolate`` before them, import nothing."""
    if sys.argv[1] == SOLO:
        entry, config, control, status = sys.argv[2:]
        return load(entry)(Path(config), int(control), int(status))
    if sys.argv[1] == ISOLATE:
        Zygote(alone(sys.argv[2])).serve()
        return 0
    entry, *task = sys.argv[1:]
    gc.disable()  # nothing that is imported goes away, and looking for it takes a quarter of the time
    try:
        run = load(entry)
        if task:
            warm_up(Path(task[0]))
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        fix = "run `make install`, or `pip install p2pfd` in this environment"
        problem = EnvironmentProblem(f"the nodes cannot import {package}: {error}", fix)
        say({"event": "zygote.failed", **problem.to_plain()})
        return 9
    except P2pfdError as error:
        say({"event": "zygote.failed", **error.to_plain()})
        return 9
    gc.collect()
    gc.freeze()  # the collector must not write to pages that all children share
    gc.enable()
    Zygote(run).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
